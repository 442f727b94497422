/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/separation.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* Why two pods must be apart: the strictest rule found so far. */
struct finding {
	enum policy_level level;
	enum policy_reason reason;
	const struct policy_domain *owner; /* whose rule it is; NULL: a domain is not defined */
	const char *missing;               /* the domain that is not defined */
	size_t rule;                       /* its index in the list that the reason is about */
};

static const char *const reason_names[] = {
	[POLICY_REASON_ALLOWED] = "Allowed",
	[POLICY_REASON_QUARANTINED] = "Quarantined",
	[POLICY_REASON_UNKNOWN_SERVER] = "UnknownServer",
	[POLICY_REASON_NO_DOMAIN] = "NoDomain",
	[POLICY_REASON_UNKNOWN_DOMAIN] = "UnknownDomain",
	[POLICY_REASON_ISOLATION_UNAVAILABLE] = "IsolationUnavailable",
	[POLICY_REASON_SEPARATION] = "Separation",
	[POLICY_REASON_DEDICATED] = "Dedicated",
	[POLICY_REASON_BORDER] = "Border",
	[POLICY_REASON_QUOTA] = "ServerQuota",
};

const char *policy_reason_name(enum policy_reason reason)
{
	return reason_names[reason];
}

static bool is_empty(const char *text)
{
	return !text || !*text;
}

static bool names_domain(const struct policy_rule *rule, const char *owner, const char *other)
{
	return rule->all ? !str_eq(owner, other) : policy_names_have(&rule->domains, other);
}

static void consider(struct finding *finding, const struct finding *candidate)
{
	if (candidate->level > finding->level)
		*finding = *candidate;
}

/* A pod and what its domain says. */
struct side {
	const struct policy_domain *domain;
	const char *subfunction;
};

static const char *function_of(const struct side *side)
{
	const struct policy_subfunction *known = policy_domain_subfunction(side->domain, side->subfunction);

	return known ? known->function : NULL;
}

/* Whether two pods may be of one network function, or of two, as the rule wants. Functions of two domains are never one. */
static bool functions_fit(enum policy_functions wanted, const struct side *own, const struct side *other)
{
	const char *a = function_of(own), *b = function_of(other);

	if (wanted == POLICY_FUNCTIONS_ANY)
		return true;
	if (own->domain != other->domain)
		return wanted == POLICY_FUNCTIONS_DIFFERENT;
	return !a || !b || str_eq(a, b) == (wanted == POLICY_FUNCTIONS_SAME);
}

/* Whether a pod offers the interface for certain. */
static bool surely_offers(const struct policy_interface *interface, const struct side *side)
{
	return !interface->subfunction ||
	       (!is_empty(side->subfunction) && str_eq(interface->subfunction, side->subfunction));
}

/* Containers at the border of the domain share a server with their like alone. */
static void apply_borders(const struct side *own, const struct side *other, struct finding *finding)
{
	for (size_t i = 0; i < own->domain->interface_count; i++) {
		const struct policy_interface *interface = &own->domain->interfaces[i];
		const struct policy_selector offering = {.interface = interface->name};

		if (interface->needs_server && policy_selector_means(&offering, own->domain, own->subfunction) &&
		    !(other->domain == own->domain && surely_offers(interface, other)))
			consider(finding,
				 &(struct finding){POLICY_LEVEL_SERVER, POLICY_REASON_BORDER, own->domain, NULL, i});
	}
}

/* What the rules of `own`'s domain say about `other`. */
static void apply_rules(const struct side *own, const struct side *other, struct finding *finding)
{
	const struct policy_domain *domain = own->domain;

	if (domain->isolation == POLICY_ISOLATION_DEDICATED && domain != other->domain)
		consider(finding, &(struct finding){POLICY_LEVEL_SERVER, POLICY_REASON_DEDICATED, domain, NULL, 0});
	for (size_t i = 0; i < domain->rule_count; i++) {
		const struct policy_rule *rule = &domain->rules[i];

		if (rule->level > finding->level && names_domain(rule, domain->name, other->domain->name) &&
		    policy_selector_means(&rule->own, domain, own->subfunction) &&
		    policy_selector_means(&rule->from, other->domain, other->subfunction) &&
		    functions_fit(rule->functions, own, other))
			consider(finding, &(struct finding){rule->level, POLICY_REASON_SEPARATION, domain, NULL, i});
	}
	apply_borders(own, other, finding);
}

static struct finding find_rule(const struct policy_pod *a, const struct policy_pod *b,
				const struct policy_domains *domains)
{
	struct side side_a = {policy_domains_find(domains, a->domain), a->subfunction};
	struct side side_b = {policy_domains_find(domains, b->domain), b->subfunction};
	struct finding finding = {0};

	if (!side_a.domain || !side_b.domain)
		return (struct finding){POLICY_LEVEL_SERVER, POLICY_REASON_UNKNOWN_DOMAIN, NULL,
					side_a.domain ? b->domain : a->domain, 0};
	apply_rules(&side_a, &side_b, &finding);
	apply_rules(&side_b, &side_a, &finding);
	return finding;
}

enum policy_level policy_separation_level(const struct policy_pod *a, const struct policy_pod *b,
					  const struct policy_domains *domains)
{
	return find_rule(a, b, domains).level;
}

/* How near a holder is: what level of separation its being there would break. */
static bool breaks(enum policy_level level, const struct policy_place *place, const struct policy_holder *holder)
{
	switch (level) {
	case POLICY_LEVEL_NONE:
		return false;
	case POLICY_LEVEL_INSTANCE:
		return str_eq(holder->instance, place->instance);
	case POLICY_LEVEL_SERVER:
		return is_empty(holder->server) || str_eq(holder->server, place->server) ||
		       str_eq(holder->instance, place->instance);
	}
	return true;
}

/* Formats a message; one that is too long is cut. */
static void shorten(char *to, size_t size, const char *format, ...) PRINTF_LIKE(3, 4);
static void shorten(char *to, size_t size, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(to, size, format, args);
	va_end(args);
}

#define SHORTEN(to, ...) shorten((to), sizeof(to), __VA_ARGS__)

static void refuse(struct policy_decision *decision, enum policy_reason reason)
{
	decision->allowed = false;
	decision->reason = reason;
}

static void refuse_place(const struct policy_pod *pod, const struct policy_place *place, enum policy_reason reason,
			 struct policy_decision *decision)
{
	bool quarantined = reason == POLICY_REASON_QUARANTINED;
	const char *why = quarantined ? "is quarantined" : "is on no known server";
	const char *what = quarantined ? "it has to be installed anew and its Quarantine deleted"
				       : "the topology has to name its server";

	refuse(decision, reason);
	decision->level = POLICY_LEVEL_SERVER;
	SHORTEN(decision->object, "Node/%.253s", place->instance);
	SHORTEN(decision->sentence, "pod '%.64s/%.253s' may not run on instance '%.253s': the instance %s; %s",
		pod->namespace, pod->name, place->instance, why, what);
	SHORTEN(decision->tenant_sentence, "pod '%.64s/%.253s' may not run on instance '%.253s': the instance %s",
		pod->namespace, pod->name, place->instance, why);
}

/* unsupported: what of the domain is not available, where that is the reason. */
static void refuse_pod(const struct policy_pod *pod, enum policy_reason reason, const struct err *unsupported,
		       struct policy_decision *decision)
{
	refuse(decision, reason);
	switch (reason) {
	case POLICY_REASON_NO_DOMAIN:
		SHORTEN(decision->object, "Namespace/%.64s", pod->namespace);
		SHORTEN(decision->sentence,
			"pod '%.64s/%.253s' may not run: namespace '%.64s' belongs to no trust domain; label it %s",
			pod->namespace, pod->name, pod->namespace, POLICY_LABEL_DOMAIN);
		break;
	case POLICY_REASON_UNKNOWN_DOMAIN:
		SHORTEN(decision->object, "TrustDomain/%.253s", pod->domain);
		SHORTEN(decision->sentence,
			"pod '%.64s/%.253s' may not run: TrustDomain '%.253s' of its namespace is not defined; create "
			"it",
			pod->namespace, pod->name, pod->domain);
		break;
	case POLICY_REASON_ISOLATION_UNAVAILABLE:
		SHORTEN(decision->object, "TrustDomain/%.253s", pod->domain);
		SHORTEN(decision->sentence, "pod '%.64s/%.253s' may not run: %s; %s", pod->namespace, pod->name,
			unsupported->msg, unsupported->hint);
		break;
	case POLICY_REASON_ALLOWED:
	case POLICY_REASON_QUARANTINED:
	case POLICY_REASON_UNKNOWN_SERVER:
	case POLICY_REASON_SEPARATION:
	case POLICY_REASON_DEDICATED:
	case POLICY_REASON_BORDER:
	case POLICY_REASON_QUOTA:
		break;
	}
	SHORTEN(decision->tenant_sentence, "%s", decision->sentence);
}

/* "server 'a'" or "instance 'b'": where the two would meet. */
static void format_where(char *to, size_t size, enum policy_level level, const struct policy_place *place)
{
	if (level == POLICY_LEVEL_INSTANCE)
		shorten(to, size, "instance '%.253s'", place->instance);
	else
		shorten(to, size, "server '%.253s'", place->server);
}

static void refuse_holder(const struct policy_pod *pod, const struct policy_place *place,
			  const struct policy_holder *holder, const struct finding *finding,
			  struct policy_decision *decision)
{
	const char *other = is_empty(holder->pod.domain) ? "" : holder->pod.domain;
	const char *owner = finding->owner ? finding->owner->name : other;
	char where[280], why[700];

	refuse(decision, finding->reason);
	decision->level = finding->level;
	format_where(where, sizeof(where), finding->level, place);
	SHORTEN(decision->other_domain, "%s", other);
	SHORTEN(decision->other_pod, "%.64s/%.253s", holder->pod.namespace, holder->pod.name);
	SHORTEN(decision->object, "TrustDomain/%.253s", owner);
	if (finding->reason == POLICY_REASON_SEPARATION)
		SHORTEN(decision->rule, "separation[%zu] of TrustDomain '%.253s'", finding->rule, owner);
	else if (finding->reason == POLICY_REASON_DEDICATED)
		SHORTEN(decision->rule, "isolation Dedicated of TrustDomain '%.253s'", owner);
	else if (finding->reason == POLICY_REASON_BORDER)
		SHORTEN(decision->rule, "interfaces[%zu] of TrustDomain '%.253s'", finding->rule, owner);
	if (finding->owner)
		SHORTEN(why, "%s keeps them apart at level %s; change TrustDomain '%.253s' or where they run",
			decision->rule, policy_level_name(finding->level), owner);
	else
		SHORTEN(why, "TrustDomain '%.253s' is not defined, so it shares with none; create it", owner);
	SHORTEN(decision->sentence,
		"pod '%.64s/%.253s' of trust domain '%.100s' may not share %.120s with pod '%s' of trust domain "
		"'%.100s': %s",
		pod->namespace, pod->name, pod->domain, where, decision->other_pod, other, why);
	SHORTEN(decision->tenant_sentence,
		"pod '%.64s/%.253s' may not run on instance '%.253s': trust domain '%.253s' is kept apart at "
		"level %s from what runs there; the platform's operator can say more",
		pod->namespace, pod->name, place->instance, pod->domain, policy_level_name(finding->level));
}

static bool check_pod(const struct policy_pod *pod, const struct policy_domains *domains,
		      struct policy_decision *decision)
{
	const struct policy_domain *domain;
	enum policy_reason reason = POLICY_REASON_ALLOWED;
	struct err err = {0};

	if (is_empty(pod->domain)) {
		reason = POLICY_REASON_NO_DOMAIN;
	} else {
		domain = policy_domains_find(domains, pod->domain);
		if (!domain)
			reason = POLICY_REASON_UNKNOWN_DOMAIN;
		else if (policy_domain_supported(domain, pod->subfunction, &err) < 0)
			reason = POLICY_REASON_ISOLATION_UNAVAILABLE;
	}
	if (reason == POLICY_REASON_ALLOWED)
		return true;
	refuse_pod(pod, reason, &err, decision);
	return false;
}

static bool check_place(const struct policy_pod *pod, const struct policy_place *place,
			struct policy_decision *decision)
{
	if (place->quarantined)
		refuse_place(pod, place, POLICY_REASON_QUARANTINED, decision);
	else if (is_empty(place->server) || !place->epoch)
		refuse_place(pod, place, POLICY_REASON_UNKNOWN_SERVER, decision);
	else
		return true;
	return false;
}

void policy_separation_decide(const struct policy_pod *pod, const struct policy_place *place,
			      const struct policy_holder *holders, size_t holder_count,
			      const struct policy_domains *domains, struct policy_decision *ret_decision)
{
	const struct policy_holder *worst_holder = NULL;
	struct finding worst = {0};

	*ret_decision = (struct policy_decision){.allowed = true};
	if (!check_pod(pod, domains, ret_decision) || !check_place(pod, place, ret_decision))
		return;
	for (size_t i = 0; i < holder_count; i++) {
		const struct policy_holder *holder = &holders[i];
		struct finding finding;

		if (str_eq(holder->pod.uid, pod->uid))
			continue;
		finding = find_rule(pod, &holder->pod, domains);
		if (finding.level <= worst.level || !breaks(finding.level, place, holder))
			continue;
		worst = finding;
		worst_holder = holder;
	}
	if (worst_holder) {
		refuse_holder(pod, place, worst_holder, &worst, ret_decision);
		return;
	}
	SHORTEN(ret_decision->sentence,
		"pod '%.64s/%.253s' of trust domain '%.253s' may run on instance '%.253s': no rule keeps it apart from "
		"what runs on server '%.253s'",
		pod->namespace, pod->name, pod->domain, place->instance, place->server);
	SHORTEN(ret_decision->tenant_sentence, "%s", ret_decision->sentence);
}

/* Tries every sub-function of the domain and, after them, the unmapped pod. */
static const char *nth_subfunction(const struct policy_domain *domain, size_t index)
{
	return index < domain->subfunction_count ? domain->subfunctions[index].name : NULL;
}

enum policy_level policy_separation_between(const char *a, const char *b, const struct policy_domains *domains,
					    bool *ret_always)
{
	const struct policy_domain *domain_a = policy_domains_find(domains, a),
				   *domain_b = policy_domains_find(domains, b);
	enum policy_level least = POLICY_LEVEL_SERVER, most = POLICY_LEVEL_NONE;

	*ret_always = true;
	if (!domain_a || !domain_b)
		return POLICY_LEVEL_SERVER;
	for (size_t i = 0; i <= domain_a->subfunction_count; i++)
		for (size_t j = 0; j <= domain_b->subfunction_count; j++) {
			struct policy_pod pod_a = {.domain = a, .subfunction = nth_subfunction(domain_a, i)};
			struct policy_pod pod_b = {.domain = b, .subfunction = nth_subfunction(domain_b, j)};
			enum policy_level level = policy_separation_level(&pod_a, &pod_b, domains);

			least = level < least ? level : least;
			most = level > most ? level : most;
		}
	*ret_always = least == most;
	return most;
}
