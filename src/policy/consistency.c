/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>

#include "base/str.h"
#include "policy/separation.h"

/* Whether a rule of `from` that names `to` can match pods of it. */
static int fit_rule(const struct policy_domain *from, size_t index, const struct policy_domain *to, struct err *err)
{
	const struct policy_selector *wanted = &from->rules[index].from;

	if (wanted->subfunction && !policy_domain_subfunction(to, wanted->subfunction))
		return err_set(err, ERR_INVALID,
			       "separation[%zu] of TrustDomain '%s' keeps it apart from sub-function '%s' of "
			       "TrustDomain '%s', which has none of that name",
			       index, from->name, wanted->subfunction, to->name);
	if (wanted->interface && !policy_domain_interface(to, wanted->interface))
		return err_set(err, ERR_INVALID,
			       "separation[%zu] of TrustDomain '%s' keeps it apart from what offers interface '%s' of "
			       "TrustDomain '%s', which has none of that name",
			       index, from->name, wanted->interface, to->name);
	return 0;
}

static int fit_pair(const struct policy_domain *from, const struct policy_domain *to, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < from->rule_count && r == 0; i++)
		if (policy_names_have(&from->rules[i].domains, to->name))
			r = fit_rule(from, i, to, err);
	return r;
}

int policy_domains_fit(const struct policy_domains *domains, const struct policy_domain *domain, struct err *err)
{
	for (size_t i = 0; i < domains->count; i++) {
		const struct policy_domain *other = domains->items[i];
		int r;

		if (str_eq(other->name, domain->name))
			continue;
		r = fit_pair(domain, other, err);
		if (r == 0)
			r = fit_pair(other, domain, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What a rule of the own domain turns on must be there: otherwise it holds for unmapped pods alone, or for none. */
static int known_subfunction(const struct policy_domain *domain, const char *name, const char *list, size_t index,
			     struct err *err)
{
	if (!name || policy_domain_subfunction(domain, name))
		return 0;
	return err_set(err, ERR_INVALID, "%s[%zu] names sub-function '%s', which spec.subFunctions does not have", list,
		       index, name);
}

static int known_selector(const struct policy_domain *domain, const struct policy_selector *selector, size_t index,
			  struct err *err)
{
	int r = known_subfunction(domain, selector->subfunction, "spec.separation", index, err);

	if (r < 0 || !selector->interface || policy_domain_interface(domain, selector->interface))
		return r;
	return err_set(err, ERR_INVALID,
		       "spec.separation[%zu] names interface '%s', which spec.interfaces does not have", index,
		       selector->interface);
}

static int known_names(const struct policy_domain *domain, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < domain->rule_count && r == 0; i++) {
		r = known_selector(domain, &domain->rules[i].own, i, err);
		if (r == 0 && policy_names_have(&domain->rules[i].domains, domain->name))
			r = known_selector(domain, &domain->rules[i].from, i, err);
	}
	for (size_t i = 0; i < domain->interface_count && r == 0; i++)
		r = known_subfunction(domain, domain->interfaces[i].subfunction, "spec.interfaces", i, err);
	for (size_t i = 0; i < domain->cache_count && r == 0; i++)
		r = known_subfunction(domain, domain->caches[i].subfunction, "spec.cache", i, err);
	return r;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && str_eq(a, b));
}

static bool same_selector(const struct policy_selector *a, const struct policy_selector *b)
{
	return a->plane == b->plane && same_text(a->subfunction, b->subfunction) &&
	       same_text(a->interface, b->interface);
}

static const char *first_common(const struct policy_names *a, const struct policy_names *b)
{
	for (size_t i = 0; i < a->count; i++)
		if (policy_names_have(b, a->items[i]))
			return a->items[i];
	return NULL;
}

/* Two rules on the very same pair of pods that name different levels. */
static int contradicting_rules(const struct policy_domain *domain, struct err *err)
{
	for (size_t i = 0; i < domain->rule_count; i++)
		for (size_t j = i + 1; j < domain->rule_count; j++) {
			const struct policy_rule *a = &domain->rules[i], *b = &domain->rules[j];
			const char *other = a->all && b->all ? "all others" : first_common(&a->domains, &b->domains);

			if (a->level == b->level || !other || a->functions != b->functions ||
			    !same_selector(&a->own, &b->own) || !same_selector(&a->from, &b->from))
				continue;
			return err_set(err, ERR_INVALID,
				       "spec.separation[%zu] and [%zu] contradict each other: '%s' and '%s' apart "
				       "at level %s and at level %s",
				       i, j, domain->name, other, policy_level_name(a->level),
				       policy_level_name(b->level));
		}
	return 0;
}

/* Network functions of two domains are never one, so such a rule would hold for nobody. */
static int matching_nothing(const struct policy_domain *domain, struct err *err)
{
	for (size_t i = 0; i < domain->rule_count; i++) {
		const struct policy_rule *rule = &domain->rules[i];

		if (rule->functions == POLICY_FUNCTIONS_SAME &&
		    (rule->all || rule->domains.count > 1 || !policy_names_have(&rule->domains, domain->name)))
			return err_set(
				err, ERR_INVALID,
				"spec.separation[%zu] can match nothing: no network function of TrustDomain '%s' is "
				"one of another domain",
				i, domain->name);
	}
	return 0;
}

/* The sub-function whose pods a rule of the own domain keeps apart from each other; NULL for none. */
static const struct policy_subfunction *apart_from_itself(const struct policy_domain *domain,
							  const struct policy_rule *rule)
{
	for (size_t i = 0; i < domain->subfunction_count; i++) {
		const struct policy_subfunction *one = &domain->subfunctions[i];

		if (policy_selector_means(&rule->own, domain, one->name) &&
		    policy_selector_means(&rule->from, domain, one->name) &&
		    (rule->functions != POLICY_FUNCTIONS_DIFFERENT || !one->function))
			return one;
	}
	return NULL;
}

/* A rule between pods of the own domain must tell them apart, or no two of them could ever run as they must. */
static int separated_from_itself(const struct policy_domain *domain, struct err *err)
{
	for (size_t i = 0; i < domain->rule_count; i++) {
		const struct policy_rule *rule = &domain->rules[i];
		const struct policy_subfunction *one = apart_from_itself(domain, rule);

		if (!policy_names_have(&rule->domains, domain->name) || (!one && domain->subfunction_count))
			continue;
		return err_set(err, ERR_INVALID,
			       "spec.separation[%zu] cannot be satisfied: it keeps '%s%s%s' apart from itself", i,
			       domain->name, one ? "/" : "", one ? one->name : "");
	}
	return 0;
}

/* Whether two rows can mean the same pod by these lists, and by which entry; an empty list means all. */
static bool lists_meet(const struct policy_names *a, const struct policy_names *b, const char **at)
{
	const char *common = first_common(a, b);

	if (common && !*at)
		*at = common;
	return common || !a->count || !b->count;
}

static int contradicting_map(const struct policy_domain *domain, struct err *err)
{
	for (size_t i = 0; i < domain->subfunction_count; i++)
		for (size_t j = i + 1; j < domain->subfunction_count; j++) {
			const struct policy_subfunction *a = &domain->subfunctions[i], *b = &domain->subfunctions[j];
			const char *at = NULL;
			bool meet = lists_meet(&a->images, &b->images, &at) &&
				    lists_meet(&a->accounts, &b->accounts, &at);

			if (str_eq(a->name, b->name))
				return err_set(err, ERR_INVALID, "spec.subFunctions[%zu] and [%zu] are both named '%s'",
					       i, j, a->name);
			if (meet && at)
				return err_set(
					err, ERR_INVALID,
					"spec.subFunctions[%zu] and [%zu] contradict each other: '%s' is '%s' and '%s'",
					i, j, at, a->name, b->name);
		}
	return 0;
}

static int contradicting_caches(const struct policy_domain *domain, struct err *err)
{
	for (size_t i = 0; i < domain->cache_count; i++)
		for (size_t j = i + 1; j < domain->cache_count; j++) {
			const struct policy_cache_rule *a = &domain->caches[i], *b = &domain->caches[j];
			const char *what = a->subfunction && same_text(a->subfunction, b->subfunction)
						   ? a->subfunction
						   : first_common(&a->images, &b->images);

			if (what && a->class != b->class)
				return err_set(err, ERR_INVALID,
					       "spec.cache[%zu] and [%zu] contradict each other: '%s' is %s and %s", i,
					       j, what, policy_cache_name(a->class), policy_cache_name(b->class));
		}
	return 0;
}

static int doubled_interfaces(const struct policy_domain *domain, struct err *err)
{
	for (size_t i = 0; i < domain->interface_count; i++)
		for (size_t j = i + 1; j < domain->interface_count; j++)
			if (str_eq(domain->interfaces[i].name, domain->interfaces[j].name))
				return err_set(err, ERR_INVALID, "spec.interfaces[%zu] and [%zu] are both named '%s'",
					       i, j, domain->interfaces[i].name);
	return 0;
}

/* Whether own pods of two sub-functions may not share a server. */
static bool need_two_servers(const struct policy_domain *domain, const char *a, const char *b)
{
	struct policy_domain *item = (struct policy_domain *)(uintptr_t)domain;
	const struct policy_domains alone = {.items = &item, .count = 1};
	struct policy_pod one = {.domain = domain->name, .subfunction = a};
	struct policy_pod other = {.domain = domain->name, .subfunction = b};

	return policy_separation_level(&one, &other, &alone) == POLICY_LEVEL_SERVER;
}

/* Sub-functions that all need servers of their own, beginning with one: more of them than servers can never all run. */
static int quota_for(const struct policy_domain *domain, size_t first, struct err *err)
{
	size_t apart[POLICY_RULES_MAX] = {first}, count = 1;

	for (size_t i = 0; i < domain->subfunction_count && count < POLICY_RULES_MAX; i++) {
		const char *name = domain->subfunctions[i].name;
		bool from_all = i != first;

		for (size_t j = 0; j < count && from_all; j++)
			from_all = need_two_servers(domain, name, domain->subfunctions[apart[j]].name);
		if (from_all)
			apart[count++] = i;
	}
	if (count <= domain->server_quota)
		return 0;
	return err_set(err, ERR_INVALID,
		       "spec.serverQuota cannot be satisfied: '%s' and '%s' are among %zu sub-functions that need a "
		       "server each, and the quota is %" PRIu32,
		       domain->subfunctions[apart[0]].name, domain->subfunctions[apart[1]].name, count,
		       domain->server_quota);
}

static int too_few_servers(const struct policy_domain *domain, struct err *err)
{
	int r = 0;

	for (size_t i = 0; domain->server_quota && i < domain->subfunction_count && r == 0; i++)
		r = quota_for(domain, i, err);
	return r;
}

int policy_domain_consistent(const struct policy_domain *domain, struct err *err)
{
	int r = contradicting_map(domain, err);

	if (r == 0)
		r = known_names(domain, err);
	if (r == 0)
		r = matching_nothing(domain, err);
	if (r == 0)
		r = separated_from_itself(domain, err);
	if (r == 0)
		r = contradicting_rules(domain, err);
	if (r == 0)
		r = contradicting_caches(domain, err);
	if (r == 0)
		r = doubled_interfaces(domain, err);
	if (r == 0)
		r = too_few_servers(domain, err);
	return r;
}
