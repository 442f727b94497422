/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/str.h"
#include "policy/domain.h"

static bool has_subfunction(const struct policy_domain *domain, const char *name)
{
	for (size_t i = 0; i < domain->subfunction_count; i++)
		if (str_eq(domain->subfunctions[i].name, name))
			return true;
	return false;
}

/* Whether the rules of `from` that name `to` can match pods of it. */
static int fit_pair(const struct policy_domain *from, const struct policy_domain *to, struct err *err)
{
	for (size_t i = 0; i < from->rule_count; i++) {
		const struct policy_rule *rule = &from->rules[i];

		if (!rule->from_subfunction || !policy_names_have(&rule->domains, to->name) ||
		    has_subfunction(to, rule->from_subfunction))
			continue;
		return err_set(err, ERR_INVALID,
			       "separation[%zu] of TrustDomain '%s' keeps it apart from sub-function '%s' of "
			       "TrustDomain '%s', which has none of that name",
			       i, from->name, rule->from_subfunction, to->name);
	}
	return 0;
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

/* A sub-function a rule of the own domain turns on must be in the own map: otherwise the rule holds for unmapped pods alone. */
static int known_own(const struct policy_domain *domain, const char *name, const char *list, size_t index,
		     struct err *err)
{
	if (!name || has_subfunction(domain, name))
		return 0;
	return err_set(err, ERR_INVALID, "%s[%zu] names sub-function '%s', which spec.subFunctions does not have", list,
		       index, name);
}

static int known_subfunctions(const struct policy_domain *domain, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < domain->rule_count && r == 0; i++) {
		r = known_own(domain, domain->rules[i].subfunction, "spec.separation", i, err);
		if (r == 0 && policy_names_have(&domain->rules[i].domains, domain->name))
			r = known_own(domain, domain->rules[i].from_subfunction, "spec.separation", i, err);
	}
	for (size_t i = 0; i < domain->interface_count && r == 0; i++)
		r = known_own(domain, domain->interfaces[i].subfunction, "spec.interfaces", i, err);
	for (size_t i = 0; i < domain->cache_count && r == 0; i++)
		r = known_own(domain, domain->caches[i].subfunction, "spec.cache", i, err);
	return r;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && str_eq(a, b));
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

			if (a->level == b->level || !other || !same_text(a->subfunction, b->subfunction) ||
			    !same_text(a->from_subfunction, b->from_subfunction))
				continue;
			return err_set(err, ERR_INVALID,
				       "spec.separation[%zu] and [%zu] contradict each other: '%s' and '%s' apart "
				       "at level %s and at level %s",
				       i, j, domain->name, other, policy_level_name(a->level),
				       policy_level_name(b->level));
		}
	return 0;
}

/* A rule between pods of the own domain must tell them apart, or no two of them could ever run as they must. */
static int separated_from_itself(const struct policy_domain *domain, struct err *err)
{
	for (size_t i = 0; i < domain->rule_count; i++) {
		const struct policy_rule *rule = &domain->rules[i];

		if (!policy_names_have(&rule->domains, domain->name))
			continue;
		if (rule->subfunction && rule->from_subfunction && !str_eq(rule->subfunction, rule->from_subfunction))
			continue;
		return err_set(err, ERR_INVALID,
			       "spec.separation[%zu] cannot be satisfied: it keeps '%s%s%s' apart from itself", i,
			       domain->name, rule->subfunction ? "/" : "", rule->subfunction ? rule->subfunction : "");
	}
	return 0;
}

static int contradicting_map(const struct policy_domain *domain, struct err *err)
{
	for (size_t i = 0; i < domain->subfunction_count; i++)
		for (size_t j = i + 1; j < domain->subfunction_count; j++) {
			const struct policy_subfunction *a = &domain->subfunctions[i], *b = &domain->subfunctions[j];
			const char *image = first_common(&a->images, &b->images);

			if (str_eq(a->name, b->name))
				return err_set(err, ERR_INVALID, "spec.subFunctions[%zu] and [%zu] are both named '%s'",
					       i, j, a->name);
			if (image)
				return err_set(
					err, ERR_INVALID,
					"spec.subFunctions[%zu] and [%zu] contradict each other: '%s' is '%s' and '%s'",
					i, j, image, a->name, b->name);
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

int policy_domain_consistent(const struct policy_domain *domain, struct err *err)
{
	int r = contradicting_map(domain, err);

	if (r == 0)
		r = known_subfunctions(domain, err);
	if (r == 0)
		r = separated_from_itself(domain, err);
	if (r == 0)
		r = contradicting_rules(domain, err);
	if (r == 0)
		r = contradicting_caches(domain, err);
	if (r == 0)
		r = doubled_interfaces(domain, err);
	return r;
}
