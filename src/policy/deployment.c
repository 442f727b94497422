/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/deployment.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static const char *const axes[] = {"CIS instances", "CISM", "CIR"};

static const struct policy_deployment_choice choices[POLICY_DEPLOYMENT_AXES][POLICY_DEPLOYMENT_CHOICES] = {
	{
		{'B', "BareMetal", "instance to CISM and CIR, mutual TLS; pod network of the server",
		 "kernel, caches and devices of the server among all its pods",
		 "servers from each other; one instance is one server, so level Instance is level Server", "R1 R2"},
		{'N', "Nested",
		 "as BareMetal, and the hypervisor's own: console, migration, snapshots, virtual devices",
		 "server, its caches and the hypervisor among the VMs; the kernel among the pods of one VM",
		 "kernels of VMs; servers only as far as the topology source is right about where each VM is",
		 "R1 R3 R4 R5"},
		{'H', "Hybrid", "both of the above, and between VMs and the server's own pods",
		 "the server's kernel, which also runs the hypervisor, among its own pods and below its VMs",
		 "VMs from each other; nothing of a VM from a pod that broke out on its server", "R1 R3 R4 R5 R6"},
	},
	{
		{'O', "OwnServers", "API and instances to the CISM; CISM to its store",
		 "nothing with workloads but the network",
		 "signing keys, rules and ledger from every pod and hypervisor of the workloads", "R7"},
		{'A', "AmongWorkloads", "as OwnServers, on addresses of a server that runs workloads",
		 "a server, its caches and its hypervisor or kernel with workloads",
		 "by user and namespace, or by a VM: who breaks out on that server signs bindings", "R7 R8"},
		{'R', "Remote", "as OwnServers, over lines that others run",
		 "lines; an outage of them stops placements, not what runs",
		 "site and power from the workloads; what is said on the way by mutual TLS", "R7 R9"},
	},
	{
		{'O', "OwnServers", "pushes, pulls with tokens of a binding", "nothing with workloads but the network",
		 "images and their keys at rest from every workload", "R10"},
		{'A', "AmongWorkloads", "as OwnServers, on addresses of a server that runs workloads",
		 "disk, server and kernel or hypervisor with workloads",
		 "by user and namespace, or by a VM: who breaks out on that server may alter images, which signatures "
		 "and "
		 "digests in tickets show",
		 "R10 R11"},
		{'R', "Remote", "as OwnServers, over lines that others run",
		 "lines; an outage of them stops pulls, not what is in the instances' stores",
		 "site and power from the workloads", "R10 R9"},
	},
};

const struct policy_deployment_rule policy_deployment_rules[] = {
	{"R1", "server and epoch of each instance come from the topology source alone; an unknown server is no server"},
	{"R2", "rules at level Instance mean the whole server here"},
	{"R3", "rules between network functions want level Server: two VMs may be on one server"},
	{"R4", "a VM that moves takes a larger epoch; the drift check tells within seconds what became a violation, "
	       "onViolation "
	       "says whether it is evicted"},
	{"R5", "snapshots, migration and consoles read a VM's memory: they belong to the platform's roles alone"},
	{"R6", "pods of the server itself and VMs of other domains: isolation Dedicated, or level Server"},
	{"R7", "each replica has a signing key of its own, never in the store; administrators' certificates are few"},
	{"R8", "the server of the CISM takes no pods: give it no instance, or a taint that no domain tolerates"},
	{"R9", "outages are lost contact: pods run on and stay charged, nothing new comes"},
	{"R10", "who may push is policy of the registry; what runs is named by digest in a signed ticket"},
	{"R11", "domains whose images are sensitive encrypt them and demand signatures (ImagePolicy)"},
	{NULL, NULL},
};

const struct policy_deployment_choice *policy_deployment_choice(enum policy_deployment_axis axis, size_t index)
{
	return index < POLICY_DEPLOYMENT_CHOICES ? &choices[axis][index] : NULL;
}

void policy_deployment_index(const size_t combination[static POLICY_DEPLOYMENT_AXES], char to[static 8])
{
	(void)snprintf(to, 8, "%c-%c-%c", choices[0][combination[0]].letter, choices[1][combination[1]].letter,
		       choices[2][combination[2]].letter);
}

static int format_axis(size_t axis, struct buf *to)
{
	int r = buf_printf(to, "\n## %s\n| | interfaces | shared | isolated | care |\n|---|---|---|---|---|\n",
			   axes[axis]);

	for (size_t i = 0; i < POLICY_DEPLOYMENT_CHOICES && r == 0; i++) {
		const struct policy_deployment_choice *choice = &choices[axis][i];

		r = buf_printf(to, "| **%c** %s | %s | %s | %s | %s |\n", choice->letter, choice->name,
			       choice->interfaces, choice->shared, choice->isolated, choice->care);
	}
	return r;
}

/* Each rule once, in the order of the rules. */
static int format_care(const size_t combination[static POLICY_DEPLOYMENT_AXES], struct buf *to)
{
	const char *before = "";
	int r = 0;

	for (const struct policy_deployment_rule *rule = policy_deployment_rules; rule->number && r == 0; rule++) {
		bool named = false;

		for (size_t axis = 0; axis < POLICY_DEPLOYMENT_AXES; axis++) {
			char words[64], word[16];

			(void)snprintf(words, sizeof(words), " %s ", choices[axis][combination[axis]].care);
			(void)snprintf(word, sizeof(word), " %s ", rule->number);
			named |= strstr(words, word) != NULL;
		}
		if (named)
			r = buf_printf(to, "%s%s", before, rule->number);
		before = named ? " " : before;
	}
	return r;
}

static int format_combination(const size_t combination[static POLICY_DEPLOYMENT_AXES], struct buf *to)
{
	char index[8];
	int r;

	policy_deployment_index(combination, index);
	r = buf_printf(to, "| %s | %s | %s | %s | ", index, choices[0][combination[0]].name,
		       choices[1][combination[1]].name, choices[2][combination[2]].name);
	if (r == 0)
		r = format_care(combination, to);
	return r == 0 ? buf_printf(to, " |\n") : r;
}

static int format_combinations(struct buf *to)
{
	int r = buf_printf(to,
			   "\n## Combinations\n| index | CIS instances | CISM | CIR | care |\n|---|---|---|---|---|\n");

	for (size_t i = 0;
	     i < POLICY_DEPLOYMENT_CHOICES * POLICY_DEPLOYMENT_CHOICES * POLICY_DEPLOYMENT_CHOICES && r == 0; i++) {
		const size_t combination[] = {i / 9, i / 3 % 3, i % 3};

		r = format_combination(combination, to);
	}
	return r;
}

int policy_deployment_format(struct buf *to)
{
	int r = buf_printf(
		to, "# Deployment matrix\n\nWhere CIS instances, the CISM and the CIR may stand (CISM-6), what each "
		    "choice shares and keeps apart, and the\nrules that need care there. Written from the table in "
		    "src/policy/deployment.c; a test compares both.\n");

	for (size_t axis = 0; axis < POLICY_DEPLOYMENT_AXES && r == 0; axis++)
		r = format_axis(axis, to);
	if (r == 0)
		r = buf_printf(to, "\n## Rules that need care\n| | |\n|---|---|\n");
	for (const struct policy_deployment_rule *rule = policy_deployment_rules; rule->number && r == 0; rule++)
		r = buf_printf(to, "| %s | %s |\n", rule->number, rule->text);
	return r == 0 ? format_combinations(to) : r;
}
