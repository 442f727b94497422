/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/cacheclass.h"

#include "base/str.h"
#include "policy/subfunction.h"

static bool rule_matches(const struct policy_domain *domain, const struct policy_cache_rule *rule,
			 const char *subfunction, const char *image)
{
	const struct policy_selector selector = {.subfunction = rule->subfunction};

	if (rule->subfunction)
		return policy_selector_means(&selector, domain, subfunction);
	for (size_t i = 0; i < rule->images.count; i++)
		if (policy_subfunction_image_matches(rule->images.items[i], image))
			return true;
	return false;
}

enum policy_cache policy_cacheclass_of(const struct policy_domain *domain, const char *subfunction, const char *image)
{
	enum policy_cache class = POLICY_CACHE_SHARED;

	for (size_t i = 0; i < domain->cache_count; i++)
		if (domain->caches[i].class > class && rule_matches(domain, &domain->caches[i], subfunction, image))
			class = domain->caches[i].class;
	return class;
}

enum policy_cache policy_cacheclass_arrived(enum policy_cache class, bool encrypted)
{
	return encrypted && class < POLICY_CACHE_ENCRYPTED ? POLICY_CACHE_ENCRYPTED : class;
}
