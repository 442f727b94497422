/* SPDX-License-Identifier: Apache-2.0 */
/* The same question asked of one instance, fact by fact: for reasons, and to check the sets of the decision by. */
#include "base/str.h"
#include "policy/schedule_state.h"

struct asked {
	struct schedule *schedule;
	const struct schedule_like *shape;
	const struct schedule_pod *pod;
	uint32_t place;
	const struct schedule_instance *instance;
	struct schedule_verdict *verdict;
};

/* Each says nothing (true), or why not. */
typedef bool judge(const struct asked *asked);

static bool refuse(const struct asked *asked, enum schedule_reason reason)
{
	asked->verdict->reason = reason;
	return false;
}

static bool by_pod(const struct asked *asked)
{
	asked->verdict->policy_reason = schedule_class_refusal(asked->schedule, asked->shape->class);
	return asked->verdict->policy_reason == POLICY_REASON_ALLOWED || refuse(asked, SCHEDULE_POD);
}

static bool by_place(const struct asked *asked)
{
	if (asked->instance && asked->instance->quarantined)
		return refuse(asked, SCHEDULE_QUARANTINED);
	if (!asked->instance || asked->schedule->places[asked->place].server == SCHEDULE_NONE)
		return refuse(asked, SCHEDULE_UNKNOWN_SERVER);
	return true;
}

static bool by_separation(const struct asked *asked)
{
	const struct schedule_occupant *found = schedule_class_obstacle(asked->schedule, asked->shape->class,
									asked->place, &asked->verdict->level);

	if (!found)
		return true;
	asked->verdict->other_domain = asked->schedule->classes[found->class].domain;
	asked->verdict->other_subfunction = asked->schedule->classes[found->class].subfunction;
	return refuse(asked, SCHEDULE_SEPARATED);
}

static bool by_readiness(const struct asked *asked)
{
	if (!asked->instance->ready)
		return refuse(asked, SCHEDULE_NOT_READY);
	return !asked->instance->unschedulable || refuse(asked, SCHEDULE_UNSCHEDULABLE);
}

static bool by_labels(const struct asked *asked)
{
	const struct schedule_pair *missing = schedule_facts_missing(asked->pod, asked->instance);

	if (missing) {
		asked->verdict->key = missing->key;
		asked->verdict->value = missing->value;
		return refuse(asked, SCHEDULE_SELECTOR);
	}
	return schedule_facts_attracted(asked->pod, asked->instance) || refuse(asked, SCHEDULE_NODE_AFFINITY);
}

static bool by_taints(const struct asked *asked)
{
	const struct schedule_taint *taint = schedule_facts_untolerated(asked->pod, asked->instance);

	if (!taint)
		return true;
	asked->verdict->key = taint->key;
	asked->verdict->value = taint->value;
	return refuse(asked, SCHEDULE_TAINT);
}

static bool by_resources(const struct asked *asked)
{
	const struct schedule_like *shape = asked->shape;

	if (shape->unknown) {
		asked->verdict->key = shape->unknown->resource;
		asked->verdict->amount = shape->unknown->amount;
		return refuse(asked, SCHEDULE_RESOURCES);
	}
	for (size_t i = 0; i < shape->request_count; i++) {
		uint32_t resource = shape->requests[i].resource;

		if (asked->schedule->free[resource][asked->place] >= shape->requests[i].amount)
			continue;
		asked->verdict->key = asked->schedule->resources[resource];
		asked->verdict->amount = shape->requests[i].amount;
		return refuse(asked, SCHEDULE_RESOURCES);
	}
	return true;
}

static struct schedule_tally tally_at(const struct asked *asked, const struct schedule_meant *meant)
{
	return schedule_meant_tally(meant, schedule_meant_value(asked->schedule, meant, asked->place));
}

/* The place in the pod's list of the required affinity that comes nth. */
static size_t nth_required(const struct schedule_affinities *list, size_t nth)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->items[i].weight == 0 && nth-- == 0)
			return i;
	return 0;
}

static bool by_near(const struct asked *asked)
{
	for (size_t i = 0; i < asked->shape->near_count; i++) {
		const struct schedule_wish *wish = &asked->shape->near[i];
		const struct schedule_meant *meant = &asked->schedule->meant[wish->meant];
		bool first = meant->matching_total == 0 && wish->self &&
			     schedule_meant_value(asked->schedule, meant, asked->place) != SCHEDULE_NONE;

		if (first || tally_at(asked, meant).matching > 0)
			continue;
		asked->verdict->index = nth_required(&asked->pod->near, i);
		return refuse(asked, SCHEDULE_NEAR);
	}
	return true;
}

static bool by_apart(const struct asked *asked)
{
	const struct schedule_group *group = &asked->schedule->groups[asked->shape->group];

	for (size_t i = 0; i < asked->shape->apart_count; i++) {
		const struct schedule_meant *meant = &asked->schedule->meant[asked->shape->apart[i].meant];

		if (tally_at(asked, meant).matching == 0)
			continue;
		asked->verdict->index = nth_required(&asked->pod->apart, i);
		return refuse(asked, SCHEDULE_APART);
	}
	for (uint32_t i = 0; i < group->meant.count; i++) {
		const struct schedule_meant *meant = &asked->schedule->meant[group->meant.items[i]];

		if (tally_at(asked, meant).carrying > 0)
			return refuse(asked, SCHEDULE_SHUNNED);
	}
	return true;
}

static bool by_spreads(const struct asked *asked)
{
	for (size_t i = 0; i < asked->shape->spread_count; i++) {
		asked->verdict->index = i;
		if (asked->shape->spreads[i].facts->required &&
		    schedule_spread_excess(asked->schedule, &asked->shape->spreads[i], asked->place) != 0)
			return refuse(asked, SCHEDULE_SPREAD);
	}
	return true;
}

int schedule_judge(struct schedule *schedule, uint32_t number, uint32_t instance, struct schedule_verdict *ret_verdict)
{
	static judge *const filters[] = {by_pod,    by_place,     by_separation, by_readiness, by_labels,
					 by_taints, by_resources, by_near,       by_apart,     by_spreads};
	const struct schedule_like *shape = &schedule->shapes[number];
	const struct schedule_facts *facts = schedule->places[instance].facts;
	struct asked asked = {
		.schedule = schedule,
		.shape = shape,
		.pod = &shape->facts->pod,
		.place = instance,
		.instance = facts ? &facts->instance : NULL,
		.verdict = ret_verdict,
	};

	*ret_verdict = (struct schedule_verdict){0};
	for (size_t i = 0; i < shape->spread_count; i++)
		if (schedule_spread_refresh(schedule, shape, &shape->spreads[i]) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
		if (!filters[i](&asked))
			return 0;
	ret_verdict->reason = SCHEDULE_ALLOWED;
	ret_verdict->score = schedule_score(schedule, shape, instance);
	return 0;
}
