/* SPDX-License-Identifier: Apache-2.0 */
/* Topology spread constraints: how many pods that are meant each value of the topology has more than the least one. */
#include "policy/schedule_state.h"

/* Whether the instance at a place, and so what is on it, counts; one that is gone never does. */
static bool counts(const struct schedule *schedule, const struct schedule_filter *filter,
		   const struct schedule_spread *spread, uint32_t place)
{
	const struct schedule_facts *facts = schedule->places[place].facts;

	if (!facts || (!spread->ignore_affinity && !schedule_bits_has(&filter->selected, place)))
		return false;
	return !spread->honour_taints || !schedule_facts_untolerated(&filter->facts->pod, &facts->instance);
}

static const struct schedule_topology *topology_of(const struct schedule *schedule,
						   const struct schedule_spreading *spread)
{
	return &schedule->topologies[schedule->meant[spread->meant].topology];
}

/* How many instances of each value count; whether a value has others too, on which pods may be that do not. */
static int find_eligible(const struct schedule *schedule, const struct schedule_filter *filter,
			 struct schedule_spreading *spread, bool *ret_partial)
{
	const struct schedule_topology *topology = topology_of(schedule, spread);

	spread->eligible.count = 0;
	*ret_partial = false;
	for (uint32_t value = 0; value < topology->count; value++) {
		const struct schedule_numbers *places = &topology->values[value];
		uint32_t found = 0;

		for (uint32_t i = 0; i < places->count; i++)
			found += counts(schedule, filter, spread->facts, places->items[i]);
		*ret_partial |= found > 0 && found < places->count;
		if (schedule_numbers_add(&spread->eligible, found) < 0)
			return -ENOMEM;
	}
	return 0;
}

static void count_group(const struct schedule *schedule, const struct schedule_filter *filter,
			struct schedule_spreading *spread, const struct schedule_group *group)
{
	const struct schedule_topology *topology = topology_of(schedule, spread);

	for (uint32_t pod = group->first; pod != SCHEDULE_NONE; pod = schedule->pods[pod].group_next) {
		uint32_t place = schedule->pods[pod].place, value = topology->value[place];

		if (value != SCHEDULE_NONE && counts(schedule, filter, spread->facts, place))
			spread->counts.items[value]++;
	}
}

static bool has_number(const struct schedule_numbers *numbers, uint32_t number)
{
	for (uint32_t i = 0; i < numbers->count; i++)
		if (numbers->items[i] == number)
			return true;
	return false;
}

/* Counts pod by pod: only where a node selector cuts through a value of the topology. */
static int find_counts(const struct schedule *schedule, const struct schedule_filter *filter,
		       struct schedule_spreading *spread)
{
	spread->counts.count = 0;
	for (uint32_t value = 0; value < spread->eligible.count; value++)
		if (schedule_numbers_add(&spread->counts, 0) < 0)
			return -ENOMEM;
	for (uint32_t i = 0; i < schedule->group_count; i++)
		if (schedule->groups[i].facts && has_number(&schedule->groups[i].meant, spread->meant))
			count_group(schedule, filter, spread, &schedule->groups[i]);
	return 0;
}

static uint32_t count_of(const struct schedule_meant *meant, const struct schedule_spreading *spread, uint32_t value)
{
	if (spread->counts.count > 0)
		return value < spread->counts.count ? spread->counts.items[value] : 0;
	return schedule_meant_tally(meant, value).matching;
}

static uint32_t find_least(const struct schedule_meant *meant, const struct schedule_spreading *spread)
{
	uint32_t least = UINT32_MAX, values = 0;

	for (uint32_t value = 0; value < spread->eligible.count; value++) {
		uint32_t now = count_of(meant, spread, value);

		if (!spread->eligible.items[value])
			continue;
		values++;
		least = now < least ? now : least;
	}
	return values == 0 || values < (uint32_t)spread->facts->least_domains ? 0 : least;
}

static uint32_t excess_of(const struct schedule_meant *meant, const struct schedule_spreading *spread, uint32_t value)
{
	int64_t skew = (int64_t)count_of(meant, spread, value) + spread->self - spread->least - spread->facts->most;

	return skew > 0 ? (uint32_t)skew : 0;
}

/* afresh: the places of the values changed; else only those of values that became allowed, or no longer are. */
static int find_allowed(struct schedule *schedule, struct schedule_spreading *spread, bool afresh)
{
	const struct schedule_meant *meant = &schedule->meant[spread->meant];
	const struct schedule_topology *topology = topology_of(schedule, spread);

	if (schedule_bits_grow(&spread->allowed, schedule_words(schedule)) < 0)
		return -ENOMEM;
	if (afresh) {
		schedule_bits_clear(&spread->allowed);
		spread->fine.count = 0;
	}
	for (uint32_t value = 0; value < topology->count; value++) {
		bool fine = !excess_of(meant, spread, value);

		if (value == spread->fine.count && schedule_numbers_add(&spread->fine, false) < 0)
			return -ENOMEM;
		if (fine == spread->fine.items[value])
			continue;
		spread->fine.items[value] = fine;
		for (uint32_t i = 0; i < topology->values[value].count; i++)
			schedule_bits_put(&spread->allowed, topology->values[value].items[i], fine);
	}
	return 0;
}

int schedule_spread_refresh(struct schedule *schedule, const struct schedule_like *shape,
			    struct schedule_spreading *spread)
{
	const struct schedule_filter *filter = &schedule->filters[shape->filter];
	const struct schedule_meant *meant = &schedule->meant[spread->meant];
	bool partial = spread->counts.count > 0, afresh;

	if (spread->seen_meant == meant->changes && spread->seen_filter == filter->changes)
		return 0;
	afresh = spread->seen_meant == UINT64_MAX || spread->seen_filter != filter->changes;
	if (afresh && find_eligible(schedule, filter, spread, &partial) < 0)
		return -ENOMEM;
	spread->counts.count = 0;
	if (partial && find_counts(schedule, filter, spread) < 0)
		return -ENOMEM;
	spread->least = find_least(meant, spread);
	spread->seen_meant = meant->changes;
	spread->seen_filter = filter->changes;
	return spread->facts->required ? find_allowed(schedule, spread, afresh) : 0;
}

int schedule_spread_excess(const struct schedule *schedule, const struct schedule_spreading *spread, uint32_t place)
{
	const struct schedule_meant *meant = &schedule->meant[spread->meant];
	uint32_t value = schedule_meant_value(schedule, meant, place);

	return value == SCHEDULE_NONE ? -1 : (int)excess_of(meant, spread, value);
}
