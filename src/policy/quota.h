/* SPDX-License-Identifier: Apache-2.0 */
/* How many physical servers a trust domain may stand on: who asks to be kept apart cannot take them all (PLC-5). */
#ifndef POLICY_QUOTA_H
#define POLICY_QUOTA_H

#include "policy/separation.h"

/* What the ledger says of a domain. */
struct policy_quota_facts {
	uint64_t servers; /* on how many its pods are charged */
	bool there;       /* one of them is the place's */
};

/*
 * Whether a pod of the domain may go to the place by the domain's serverQuota. A server that has a pod of the domain
 * already costs nothing more. False fills ret_decision with POLICY_REASON_QUOTA and the sentences.
 */
bool policy_quota_allows(const struct policy_pod *pod, const struct policy_domain *domain,
			 const struct policy_place *place, const struct policy_quota_facts *facts,
			 struct policy_decision *ret_decision);

#endif
