/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/quota.h"

#include <inttypes.h>
#include <stdio.h>

bool policy_quota_allows(const struct policy_pod *pod, const struct policy_domain *domain,
			 const struct policy_place *place, const struct policy_quota_facts *facts,
			 struct policy_decision *ret_decision)
{
	struct policy_decision decision = {.reason = POLICY_REASON_QUOTA, .level = POLICY_LEVEL_SERVER};

	if (!domain->server_quota || facts->there || facts->servers < domain->server_quota)
		return true;
	(void)snprintf(decision.rule, sizeof(decision.rule), "serverQuota of TrustDomain '%.253s'", domain->name);
	(void)snprintf(decision.object, sizeof(decision.object), "TrustDomain/%.253s", domain->name);
	(void)snprintf(decision.sentence, sizeof(decision.sentence),
		       "pod '%.64s/%.253s' may not come to server '%.253s': trust domain '%.253s' is on %" PRIu64
		       " servers already, and its serverQuota is %" PRIu32 "; change TrustDomain '%.253s' or end what "
		       "it runs",
		       pod->namespace, pod->name, place->server, domain->name, facts->servers, domain->server_quota,
		       domain->name);
	(void)snprintf(decision.tenant_sentence, sizeof(decision.tenant_sentence),
		       "pod '%.64s/%.253s' may not run on instance '%.253s': trust domain '%.253s' is on as many "
		       "servers as it may be (%" PRIu32 ")",
		       pod->namespace, pod->name, place->instance, domain->name, domain->server_quota);
	*ret_decision = decision;
	return false;
}
