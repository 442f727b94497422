/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether what is charged everywhere keeps the rules as they are now (PLC-6): the whole cluster at once, by counting what
 * kinds of pods (trust domain and sub-function) each server and each instance has, not by comparing pods in pairs.
 */
#ifndef POLICY_DRIFT_H
#define POLICY_DRIFT_H

#include "policy/separation.h"

#define POLICY_DRIFT_FINDINGS_MAX 64

enum policy_drift_kind {
	POLICY_DRIFT_APART,    /* two that must be apart are not */
	POLICY_DRIFT_UNPLACED, /* on no known server: it may be anywhere */
};

/* Indices into the holders that were looked at; where many pods of two kinds meet, one of each stands for them. */
struct policy_drift_finding {
	enum policy_drift_kind kind;
	enum policy_level level;
	size_t pod, other; /* the same one for POLICY_DRIFT_UNPLACED */
};

struct policy_drift {
	size_t holders, servers, instances, kinds; /* how many were looked at */
	size_t violations;                         /* pairs of kinds that meet somewhere, one for each place */
	size_t unplaced;                           /* holders */
	struct policy_drift_finding findings[POLICY_DRIFT_FINDINGS_MAX];
	size_t finding_count; /* the first of all of them */
};

/*
 * Looks at all holders. A pod of an instance that moved is given several times, with the server it is charged to, those that
 * the instance left since, and the one it is on. Linear in the holders but for sorting them; memory about 100 bytes a holder, and a byte for each pair
 * of kinds. -ENOMEM, and -E2BIG for more than 2^31 holders.
 */
int policy_drift_prove(const struct policy_holder *holders, size_t count, const struct policy_domains *domains,
		       struct policy_drift *ret_drift, struct err *err) MUST_CHECK;

/* Whether nothing was found: what must be apart is apart. */
bool policy_drift_is_proven(const struct policy_drift *drift);

/* What a finding is about, in the words of a refusal; the holders are those that were looked at. */
void policy_drift_explain(const struct policy_drift_finding *finding, const struct policy_holder *holders,
			  const struct policy_domains *domains, struct policy_decision *ret_decision);

#endif
