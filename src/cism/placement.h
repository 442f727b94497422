/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a pod may run and where it should: facts in, a verdict for each instance out, in words. Pure. Separation, and what else
 * a scheduler asks, are policy/'s word; here are readiness and what is left by the ledger.
 */
#ifndef CISM_PLACEMENT_H
#define CISM_PLACEMENT_H

#include <jansson.h>

#include "cism/ledger.h"
#include "cism/topology.h"
#include "policy/quota.h"
#include "policy/schedule.h"
#include "policy/separation.h"

struct placement_node {
	const json_t *object;                    /* the Node */
	const struct topology_instance *mapping; /* NULL: the topology does not know it */
	bool quarantined;                        /* it, or its server */
};

struct placement_facts {
	const json_t *pod;
	struct policy_pod who;
	int64_t cpu_milli, memory_bytes; /* what it requests */
	const struct policy_domains *domains;
	const struct ledger_holder *holders; /* of all servers */
	size_t holder_count;
	const struct policy_holder
		*charges; /* the same as policy/ sees them, those of moved instances on each server */
	size_t charge_count;
	const struct policy_domain *domain; /* of the pod; NULL: unknown */
	uint64_t domain_servers;            /* on how many servers the domain has holders */
	const struct placement_node *nodes;
	size_t node_count;
};

struct placement_verdict {
	const char *instance; /* borrowed from the node */
	const struct topology_instance *mapping;
	bool allowed;
	char reason[32]; /* a word for scripts: "Separation", "NotReady", "Resources" … */
	char rule[320];
	char object[320];
	char other_domain[254];
	char sentence[POLICY_SENTENCE_MAX]; /* for operators */
	char tenant[POLICY_SENTENCE_MAX];   /* for tenants: names nothing of other domains */
	int64_t score;                      /* larger is better, among the allowed */
};

/* Why a pod is placed, or not: for operators, and for whoever owns it, without what is other domains' (PLC-5). */
struct placement_reason {
	char sentence[POLICY_SENTENCE_MAX];
	char tenant[POLICY_SENTENCE_MAX];
};

/* Decides for one node by the ledger: who may be there, readiness, processor and memory. */
void placement_judge(const struct placement_facts *facts, const struct placement_node *node,
		     struct placement_verdict *ret_verdict);

/*
 * Takes in what the scheduler says of an instance that placement_judge() allows: labels, taints, affinity, further resources;
 * and what it is worth.
 */
void placement_refine(const json_t *pod, const struct schedule_verdict *said, struct placement_verdict *verdict);

/* The best of the allowed verdicts, or count when none is. Ties go to the lesser name. */
size_t placement_choose(const struct placement_verdict *verdicts, size_t count);

/* Why none is. */
void placement_explain(const struct placement_verdict *verdicts, size_t count, struct placement_reason *ret_reason);

#endif
