/* SPDX-License-Identifier: Apache-2.0 */
/* Everything a placement decision reads, with the revisions its commit is compared with, and the verdicts over it. */
#ifndef CISM_BINDFACTS_H
#define CISM_BINDFACTS_H

#include "cism/admission.h"
#include "cism/cism.h"
#include "cism/placement.h"

struct bindfacts {
	struct cism *cism;
	struct object pod;
	struct admission_facts admission; /* namespace and TrustDomain object */
	struct policy_domains domains;
	const struct policy_domain *domain; /* the pod's, NULL when unknown */
	uint64_t rules;                     /* revision of all rules */
	uint64_t topology;                  /* revision of the topology */
	struct object_list nodes;
	struct object_list quarantines;
	struct ledger ledger;
	uint64_t domain_servers, domain_revision; /* on how many servers the domain is (ledger_domain) */
	struct topology_instance *mappings;       /* one a node */
	struct topology moves;                    /* the servers that instances left, and nothing else */
	struct placement_node *places;
	struct policy_holder *charges;
	size_t charge_count;
	bool settled; /* bound, or being deleted: nothing to decide */

	struct policy_pod who;
	int64_t cpu_milli, memory_bytes;
	char refusal[1024]; /* why no instance can take it, from the pod alone; or empty */

	bool tied;             /* the decision rests on where other pods of the domain are (schedule_is_tied) */
	uint64_t tie_revision; /* of that record */
	int64_t tie_binds;

	struct placement_verdict *verdicts;
	size_t verdict_count;
};

/* ERR_NOT_FOUND when there is no such pod. */
int bindfacts_read(struct cism *cism, const char *namespace, const char *name, struct bindfacts *ret_facts,
		   struct err *err) MUST_CHECK;
void bindfacts_done(struct bindfacts *facts);
/* Fills in what the pod is and asks for, from its object and its domain. */
void bindfacts_describe(struct bindfacts *facts);
/* A node counts with its place only while its object says the same as the topology: the commit compares the object. */
bool bindfacts_agrees(const json_t *node, const struct topology_instance *mapping);
#define CLEANUP_BINDFACTS __attribute__((cleanup(bindfacts_done)))

/* Judges every node, or the one named. Returns the verdict chosen, or verdict_count and why none. */
size_t bindfacts_judge(struct bindfacts *facts, const char *instance, struct placement_reason *ret_reason);

uint64_t bindfacts_node_revision(const struct bindfacts *facts, const char *instance);

/* Adds compares for records of other servers that hold pods of instances that are on this server, or left it. */
void bindfacts_compare_moved(const struct bindfacts *facts, const char *server, struct change *change);

/* The decision as `why` shows it; instance NULL when there is none. A new reference; NULL without memory. */
json_t *bindfacts_report(const struct bindfacts *facts, const char *outcome, const char *sentence,
			 const char *instance);

#endif
