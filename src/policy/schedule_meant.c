/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Affinity to pods: for each selector that pods of a domain use, how many pods it means by the values of its topology, and how
 * many have it as required anti-affinity. A decision then only looks at sets of places.
 */
#include "base/str.h"
#include "policy/schedule_state.h"

/* --- topologies --- */

static int value_of(struct schedule *schedule, struct schedule_topology *topology, const char *text, uint32_t *ret)
{
	size_t len = strlen(text);

	(void)schedule;
	*ret = schedule_map_find(&topology->names, text, len);
	if (*ret != SCHEDULE_NONE)
		return 0;
	if (SCHEDULE_ROOM(topology->values, topology->count, topology->room) < 0 ||
	    schedule_map_put(&topology->names, text, len, topology->count) < 0)
		return -ENOMEM;
	*ret = topology->count++;
	return 0;
}

static int topology_place(struct schedule *schedule, struct schedule_topology *topology, uint32_t place, bool in)
{
	const struct schedule_facts *facts = schedule->places[place].facts;
	const char *text = facts ? schedule_facts_label(&facts->instance.labels, topology->key) : NULL;
	uint32_t value = topology->value[place];

	if (!in && value != SCHEDULE_NONE) {
		schedule_numbers_remove(&topology->values[value], place);
		topology->value[place] = SCHEDULE_NONE;
		schedule_bits_put(&topology->having, place, false);
	}
	if (!in || !text)
		return 0;
	if (value_of(schedule, topology, text, &value) < 0 || schedule_numbers_add(&topology->values[value], place) < 0)
		return -ENOMEM;
	topology->value[place] = value;
	schedule_bits_put(&topology->having, place, true);
	return 0;
}

static int topology_of(struct schedule *schedule, const char *key, uint32_t *ret)
{
	struct schedule_topology *topology;
	size_t len = strlen(key);

	*ret = schedule_map_find(&schedule->topology_names, key, len);
	if (*ret != SCHEDULE_NONE)
		return 0;
	if (SCHEDULE_ROOM(schedule->topologies, schedule->topology_count, schedule->topology_room) < 0)
		return -ENOMEM;
	topology = &schedule->topologies[schedule->topology_count];
	*topology = (struct schedule_topology){.key = strdup(key),
					       .value = malloc((schedule->place_room + 1) * sizeof(uint32_t)),
					       .names = {.seed = schedule->topology_names.seed}};
	schedule->topology_count++;
	if (!topology->key || !topology->value || schedule_bits_grow(&topology->having, schedule_words(schedule)) < 0 ||
	    schedule_map_put(&schedule->topology_names, key, len, schedule->topology_count - 1) < 0)
		return -ENOMEM;
	memset(topology->value, 0xff, schedule->place_room * sizeof(uint32_t));
	for (uint32_t place = 0; place < schedule->place_count; place++)
		if (topology_place(schedule, topology, place, true) < 0)
			return -ENOMEM;
	*ret = schedule->topology_count - 1;
	return 0;
}

/* --- counts --- */

/* The row of a value, or the free one where it would be. */
static struct schedule_tally *row_of(const struct schedule_meant *meant, uint32_t value)
{
	uint32_t at = value * UINT32_C(2654435769) & (meant->tally_room - 1);

	while (meant->tallies[at].value != value && meant->tallies[at].value != SCHEDULE_NONE)
		at = (at + 1) & (meant->tally_room - 1);
	return &meant->tallies[at];
}

/* Twice the room, without the rows that count nothing any more. */
static int grow_tallies(struct schedule_meant *meant)
{
	struct schedule_tally *old = meant->tallies;
	uint32_t room = meant->tally_room, used = 0;

	for (uint32_t i = 0; i < room; i++)
		used += old[i].value != SCHEDULE_NONE && (old[i].matching || old[i].carrying);
	meant->tally_room = used * 4 > room ? room * 2 : room;
	meant->tally_room = meant->tally_room ? meant->tally_room : 8;
	meant->tallies = malloc(meant->tally_room * sizeof(*meant->tallies));
	if (!meant->tallies) {
		meant->tallies = old;
		meant->tally_room = room;
		return -ENOMEM;
	}
	memset(meant->tallies, 0xff, meant->tally_room * sizeof(*meant->tallies));
	for (uint32_t i = 0; i < room; i++)
		if (old[i].value != SCHEDULE_NONE && (old[i].matching || old[i].carrying))
			*row_of(meant, old[i].value) = old[i];
	meant->tally_count = used;
	free(old);
	return 0;
}

static struct schedule_tally *make_row(struct schedule_meant *meant, uint32_t value)
{
	struct schedule_tally *row;

	if (meant->tally_count * 2 >= meant->tally_room && grow_tallies(meant) < 0)
		return NULL;
	row = row_of(meant, value);
	if (row->value == SCHEDULE_NONE) {
		*row = (struct schedule_tally){.value = value};
		meant->tally_count++;
	}
	return row;
}

struct schedule_tally schedule_meant_tally(const struct schedule_meant *meant, uint32_t value)
{
	const struct schedule_tally *row = value != SCHEDULE_NONE && meant->tally_room ? row_of(meant, value) : NULL;

	return row && row->value == value ? *row : (struct schedule_tally){.value = value};
}

uint32_t schedule_meant_value(const struct schedule *schedule, const struct schedule_meant *meant, uint32_t place)
{
	return schedule->topologies[meant->topology].value[place];
}

static void mark(const struct schedule_topology *topology, uint32_t value, struct schedule_bits *bits, bool on)
{
	const struct schedule_numbers *places = &topology->values[value];

	for (uint32_t i = 0; i < places->count; i++)
		schedule_bits_put(bits, places->items[i], on);
}

/* One pod more or less that is meant (or, with carries, that has it) at a place. */
static int count_one(struct schedule *schedule, uint32_t number, uint32_t place, bool carries, bool up)
{
	struct schedule_meant *meant = &schedule->meant[number];
	const struct schedule_topology *topology = &schedule->topologies[meant->topology];
	uint32_t value = topology->value[place], *count;
	struct schedule_tally *row;

	if (value == SCHEDULE_NONE) /* at a place without the label it is beside none */
		return 0;
	row = make_row(meant, value);
	if (!row)
		return -ENOMEM;
	*(carries ? &meant->carrying_total : &meant->matching_total) += up ? 1 : UINT64_MAX;
	meant->changes++;
	count = carries ? &row->carrying : &row->matching;
	*count += up ? 1 : UINT32_MAX;
	if (*count == (up ? 1 : 0))
		mark(topology, value, carries ? &meant->carried : &meant->matched, up);
	return 0;
}

int schedule_meant_count(struct schedule *schedule, uint32_t number, uint32_t place, bool up)
{
	const struct schedule_like *shape = &schedule->shapes[number];
	const struct schedule_numbers *meant = &schedule->groups[shape->group].meant;

	for (uint32_t i = 0; i < meant->count; i++)
		if (count_one(schedule, meant->items[i], place, false, up) < 0)
			return -ENOMEM;
	for (size_t i = 0; i < shape->apart_count; i++)
		if (count_one(schedule, shape->apart[i].meant, place, true, up) < 0)
			return -ENOMEM;
	return 0;
}

int schedule_meant_place(struct schedule *schedule, uint32_t place, bool in)
{
	/* Pods of the place are not counted meanwhile; those of others with the same value may mark it. */
	for (uint32_t i = 0; i < schedule->topology_count; i++) {
		if (topology_place(schedule, &schedule->topologies[i], place, in) < 0)
			return -ENOMEM;
	}
	for (uint32_t i = 0; i < schedule->meant_count; i++) {
		struct schedule_meant *meant = &schedule->meant[i];
		struct schedule_tally tally;

		if (!meant->facts)
			continue;
		tally = schedule_meant_tally(meant, schedule_meant_value(schedule, meant, place));
		schedule_bits_put(&meant->matched, place, tally.matching > 0);
		schedule_bits_put(&meant->carried, place, tally.carrying > 0);
		meant->changes++;
	}
	return 0;
}

/* --- who is meant --- */

bool schedule_meant_means(const struct schedule *schedule, const struct schedule_meant *meant,
			  const struct schedule_group *group)
{
	const struct schedule_affinity *affinity = &meant->affinity;
	const struct schedule_pod *pod = &group->facts->pod;
	static const struct schedule_pairs none;
	uint32_t known;

	if (meant->domain != group->domain || !schedule_facts_select(&affinity->pods, &pod->labels))
		return false;
	for (size_t i = 0; i < affinity->namespaces.count; i++)
		if (str_eq(affinity->namespaces.items[i], pod->namespace))
			return true;
	known = schedule_map_find(&schedule->namespace_names, pod->namespace, strlen(pod->namespace));
	return schedule_facts_select(&affinity->of_namespaces, known != SCHEDULE_NONE && schedule->namespaces[known]
								       ? &schedule->namespaces[known]->labels
								       : &none);
}

/* Counts all pods of a group for what means them. */
static int count_group(struct schedule *schedule, const struct schedule_group *group, uint32_t meant, bool up)
{
	for (uint32_t pod = group->first; pod != SCHEDULE_NONE; pod = schedule->pods[pod].group_next)
		if (count_one(schedule, meant, schedule->pods[pod].place, false, up) < 0)
			return -ENOMEM;
	return 0;
}

static int find_meant(struct schedule *schedule, struct schedule_group *group)
{
	for (uint32_t i = 0; i < schedule->meant_count; i++) {
		if (!schedule->meant[i].facts || !schedule_meant_means(schedule, &schedule->meant[i], group))
			continue;
		if (schedule_numbers_add(&group->meant, i) < 0 || count_group(schedule, group, i, true) < 0)
			return -ENOMEM;
	}
	return 0;
}

static uint32_t free_meant(const struct schedule *schedule)
{
	uint32_t i = 0;

	while (i < schedule->meant_count && schedule->meant[i].facts)
		i++;
	return i;
}

static int find_groups(struct schedule *schedule, uint32_t number)
{
	for (uint32_t i = 0; i < schedule->group_count; i++) {
		struct schedule_group *group = &schedule->groups[i];

		if (!group->facts || !schedule_meant_means(schedule, &schedule->meant[number], group))
			continue;
		if (schedule_numbers_add(&group->meant, number) < 0 || count_group(schedule, group, number, true) < 0)
			return -ENOMEM;
	}
	return 0;
}

int schedule_meant_of(struct schedule *schedule, struct schedule_facts *facts, const struct schedule_affinity *affinity,
		      uint32_t *ret)
{
	struct buf *key = &schedule->key;
	struct schedule_meant *meant;
	uint32_t number, topology, class;

	buf_clear(key);
	if (schedule_facts_key_affinity(key, facts->pod.domain, affinity) < 0)
		return -ENOMEM;
	*ret = schedule_map_find(&schedule->meant_names, key->data, key->len);
	if (*ret != SCHEDULE_NONE)
		return 0;
	number = free_meant(schedule);
	if (SCHEDULE_ROOM(schedule->meant, number, schedule->meant_room) < 0 ||
	    schedule_map_put(&schedule->meant_names, key->data, key->len, number) < 0 ||
	    topology_of(schedule, affinity->topology, &topology) < 0 ||
	    schedule_class_of(schedule, facts->pod.domain, facts->pod.subfunction, &class) < 0)
		return -ENOMEM;
	meant = &schedule->meant[number];
	*meant = (struct schedule_meant){.facts = schedule_facts_keep(facts),
					 .affinity = *affinity,
					 .domain = schedule->classes[class].own,
					 .topology = topology};
	schedule->meant_count += number == schedule->meant_count;
	if (schedule_bits_grow(&meant->matched, schedule_words(schedule)) < 0 ||
	    schedule_bits_grow(&meant->carried, schedule_words(schedule)) < 0)
		return -ENOMEM;
	*ret = number;
	return find_groups(schedule, number);
}

static uint32_t free_group(const struct schedule *schedule)
{
	uint32_t i = 0;

	while (i < schedule->group_count && schedule->groups[i].facts)
		i++;
	return i;
}

int schedule_meant_group(struct schedule *schedule, struct schedule_facts *facts, uint32_t *ret)
{
	struct buf *key = &schedule->key;
	uint32_t number, class;

	buf_clear(key);
	if (schedule_facts_key_group(key, &facts->pod) < 0)
		return -ENOMEM;
	*ret = schedule_map_find(&schedule->group_names, key->data, key->len);
	if (*ret != SCHEDULE_NONE)
		return 0;
	number = free_group(schedule);
	if (SCHEDULE_ROOM(schedule->groups, number, schedule->group_room) < 0 ||
	    schedule_map_put(&schedule->group_names, key->data, key->len, number) < 0 ||
	    schedule_class_of(schedule, facts->pod.domain, facts->pod.subfunction, &class) < 0)
		return -ENOMEM;
	schedule->groups[number] = (struct schedule_group){.facts = schedule_facts_keep(facts),
							   .domain = schedule->classes[class].own,
							   .first = SCHEDULE_NONE};
	schedule->group_count += number == schedule->group_count;
	*ret = number;
	return find_meant(schedule, &schedule->groups[number]);
}

/* --- namespaces --- */

/* Asks anew who means the pods of a namespace. */
static int regroup(struct schedule *schedule, const char *namespace)
{
	for (uint32_t i = 0; i < schedule->group_count; i++) {
		struct schedule_group *group = &schedule->groups[i];

		if (!group->facts || !str_eq(group->facts->pod.namespace, namespace))
			continue;
		for (uint32_t j = 0; j < group->meant.count; j++)
			if (count_group(schedule, group, group->meant.items[j], false) < 0)
				return -ENOMEM;
		group->meant.count = 0;
		if (find_meant(schedule, group) < 0)
			return -ENOMEM;
	}
	return 0;
}

int schedule_namespace(struct schedule *schedule, const char *name, struct schedule_facts *labels)
{
	size_t len = strlen(name);
	uint32_t known = schedule_map_find(&schedule->namespace_names, name, len);

	if (known == SCHEDULE_NONE) {
		if (!labels)
			return 0;
		if (SCHEDULE_ROOM(schedule->namespaces, schedule->namespace_count, schedule->namespace_room) < 0 ||
		    schedule_map_put(&schedule->namespace_names, name, len, schedule->namespace_count) < 0)
			return -ENOMEM;
		known = schedule->namespace_count++;
	}
	schedule_facts_drop(schedule->namespaces[known]);
	schedule->namespaces[known] = labels ? schedule_facts_keep(labels) : NULL;
	return regroup(schedule, name);
}

void schedule_meant_done(struct schedule *schedule)
{
	for (uint32_t i = 0; i < schedule->meant_count; i++) {
		schedule_facts_drop(schedule->meant[i].facts);
		free(schedule->meant[i].tallies);
		schedule_bits_done(&schedule->meant[i].matched);
		schedule_bits_done(&schedule->meant[i].carried);
	}
	for (uint32_t i = 0; i < schedule->group_count; i++) {
		schedule_facts_drop(schedule->groups[i].facts);
		free(schedule->groups[i].meant.items);
	}
	for (uint32_t i = 0; i < schedule->namespace_count; i++)
		schedule_facts_drop(schedule->namespaces[i]);
	for (uint32_t i = 0; i < schedule->topology_count; i++) {
		struct schedule_topology *topology = &schedule->topologies[i];

		for (uint32_t j = 0; j < topology->count; j++)
			free(topology->values[j].items);
		free(topology->key);
		free(topology->value);
		free(topology->values);
		schedule_bits_done(&topology->having);
		schedule_map_done(&topology->names);
	}
	free(schedule->meant);
	free(schedule->groups);
	free(schedule->namespaces);
	free(schedule->topologies);
	schedule_map_done(&schedule->meant_names);
	schedule_map_done(&schedule->group_names);
	schedule_map_done(&schedule->namespace_names);
	schedule_map_done(&schedule->topology_names);
}
