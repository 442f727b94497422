/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/cacheclass.h"

#include <errno.h>

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

int policy_cacheclass_check(const struct policy_domain *domain, const char *subfunction, const char *image,
			    struct err *err)
{
	enum policy_cache class = policy_cacheclass_of(domain, subfunction, image);

	if (class == POLICY_CACHE_SHARED)
		return 0;
	(void)err_set(err, -EOPNOTSUPP,
		      "image '%.255s' has cache class %s by TrustDomain '%s', which no instance can keep", image,
		      policy_cache_name(class), domain->name);
	(void)err_hint(err, "only class Shared is available; change spec.cache of the TrustDomain or the image");
	return -EOPNOTSUPP;
}

enum policy_cache policy_cacheclass_arrived(enum policy_cache class, bool encrypted)
{
	return encrypted && class < POLICY_CACHE_ENCRYPTED ? POLICY_CACHE_ENCRYPTED : class;
}
