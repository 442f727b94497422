/* SPDX-License-Identifier: Apache-2.0 */
/* What pods are like: the facts of one kind of pod, with everything that a decision needs of them found beforehand. */
#include "policy/schedule_state.h"

static int find_requests(struct schedule *schedule, struct schedule_like *shape)
{
	const struct schedule_amounts *asked = &shape->facts->pod.requests;

	if (!shape->requests)
		shape->requests = calloc(asked->count + 1, sizeof(*shape->requests));
	if (!shape->requests)
		return -ENOMEM;
	shape->request_count = 0;
	shape->unknown = NULL;
	for (size_t i = 0; i < asked->count; i++) {
		uint32_t resource;

		if (schedule_place_resource(schedule, asked->items[i].resource, false, &resource) < 0)
			return -ENOMEM;
		if (resource == SCHEDULE_PODS || asked->items[i].amount <= 0)
			continue;
		if (resource == SCHEDULE_NONE)
			shape->unknown = &asked->items[i];
		else
			shape->requests[shape->request_count++] = (struct schedule_request){resource,
											    asked->items[i].amount};
	}
	shape->requests[shape->request_count++] = (struct schedule_request){SCHEDULE_PODS, 1};
	return 0;
}

static int find_wish(struct schedule *schedule, const struct schedule_like *shape,
		     const struct schedule_affinity *affinity, int weight, struct schedule_wish *to)
{
	to->weight = weight;
	if (schedule_meant_of(schedule, shape->facts, affinity, &to->meant) < 0)
		return -ENOMEM;
	schedule->meant[to->meant].shapes++;
	to->self = schedule_meant_means(schedule, &schedule->meant[to->meant], &schedule->groups[shape->group]);
	return 0;
}

/* sign: of a preference's weight. */
static int find_wishes(struct schedule *schedule, struct schedule_like *shape,
		       const struct schedule_affinities *affinities, int sign, struct schedule_wish *required,
		       size_t *required_count)
{
	for (size_t i = 0; i < affinities->count; i++) {
		const struct schedule_affinity *one = &affinities->items[i];
		struct schedule_wish *to = one->weight ? &shape->wishes[shape->wish_count] : &required[*required_count];

		if (find_wish(schedule, shape, one, sign * one->weight, to) < 0)
			return -ENOMEM;
		*(one->weight ? &shape->wish_count : required_count) += 1;
	}
	return 0;
}

static int find_spreads(struct schedule *schedule, struct schedule_like *shape)
{
	const struct schedule_spreads *spreads = &shape->facts->pod.spreads;

	for (size_t i = 0; i < spreads->count; i++) {
		struct schedule_spreading *to = &shape->spreads[i];
		struct schedule_affinity affinity = schedule_facts_of_spread(&spreads->items[i],
									     &shape->facts->pod.namespace);
		struct schedule_wish wish;

		if (find_wish(schedule, shape, &affinity, 0, &wish) < 0)
			return -ENOMEM;
		*to = (struct schedule_spreading){.meant = wish.meant,
						  .self = wish.self,
						  .facts = &spreads->items[i],
						  .seen_meant = UINT64_MAX};
		shape->spread_count++;
	}
	return 0;
}

static int fill(struct schedule *schedule, struct schedule_like *shape)
{
	const struct schedule_pod *pod = &shape->facts->pod;

	shape->near = calloc(pod->near.count + 1, sizeof(*shape->near));
	shape->apart = calloc(pod->apart.count + 1, sizeof(*shape->apart));
	shape->wishes = calloc(pod->near.count + pod->apart.count + 1, sizeof(*shape->wishes));
	shape->spreads = calloc(pod->spreads.count + 1, sizeof(*shape->spreads));
	shape->images = calloc(pod->images.count + 1, sizeof(struct schedule_bits *));
	shape->images_seen = UINT64_MAX;
	if (!shape->near || !shape->apart || !shape->wishes || !shape->spreads || !shape->images ||
	    find_requests(schedule, shape) < 0 ||
	    schedule_class_of(schedule, pod->domain, pod->subfunction, &shape->class) < 0 ||
	    schedule_meant_group(schedule, shape->facts, &shape->group) < 0)
		return -ENOMEM;
	schedule->groups[shape->group].shapes++;
	if (schedule_filter_of(schedule, shape->facts, &shape->filter) < 0)
		return -ENOMEM;
	schedule->filters[shape->filter].shapes++;
	if (find_wishes(schedule, shape, &pod->near, 1, shape->near, &shape->near_count) < 0 ||
	    find_wishes(schedule, shape, &pod->apart, -1, shape->apart, &shape->apart_count) < 0)
		return -ENOMEM;
	return find_spreads(schedule, shape);
}

static uint32_t free_shape(const struct schedule *schedule)
{
	uint32_t i = 0;

	/* Slots are freed all at once, and seldom. */
	while (i < schedule->shape_count && schedule->shapes[i].facts)
		i++;
	return i;
}

int schedule_shape(struct schedule *schedule, struct schedule_facts *pod, uint32_t *ret_shape)
{
	struct buf *key = &schedule->key;
	uint32_t number;

	buf_clear(key);
	if (pod->failed || schedule_facts_key_pod(key, &pod->pod) < 0)
		return -ENOMEM;
	*ret_shape = schedule_map_find(&schedule->shape_names, key->data, key->len);
	if (*ret_shape != SCHEDULE_NONE) {
		struct schedule_like *known = &schedule->shapes[*ret_shape];

		/* A resource that nobody had may have come. */
		return known->unknown && known->pods == 0 ? find_requests(schedule, known) : 0;
	}
	number = free_shape(schedule);
	if (SCHEDULE_ROOM(schedule->shapes, number, schedule->shape_room) < 0 ||
	    schedule_map_put(&schedule->shape_names, key->data, key->len, number) < 0)
		return -ENOMEM;
	schedule->shapes[number] = (struct schedule_like){.facts = schedule_facts_keep(pod)};
	schedule->shape_count += number == schedule->shape_count;
	schedule->spare++;
	*ret_shape = number;
	return fill(schedule, &schedule->shapes[number]);
}

bool schedule_is_tied(const struct schedule *schedule, uint32_t shape)
{
	const struct schedule_like *like = &schedule->shapes[shape];

	return like->near_count || like->apart_count || like->wish_count || like->spread_count ||
	       schedule->groups[like->group].meant.count;
}

/* --- forgetting --- */

static void free_shape_at(struct schedule_like *shape)
{
	for (size_t i = 0; i < shape->spread_count; i++) {
		schedule_bits_done(&shape->spreads[i].allowed);
		free(shape->spreads[i].eligible.items);
		free(shape->spreads[i].counts.items);
		free(shape->spreads[i].fine.items);
	}
	free(shape->requests);
	free(shape->near);
	free(shape->apart);
	free(shape->wishes);
	free(shape->spreads);
	free((void *)shape->images);
	schedule_facts_drop(shape->facts);
	*shape = (struct schedule_like){0};
}

static void forget_meant(struct schedule *schedule, uint32_t number)
{
	struct schedule_meant *meant = &schedule->meant[number];
	struct buf *key = &schedule->key;

	if (!meant->facts || --meant->shapes > 0)
		return;
	for (uint32_t i = 0; i < schedule->group_count; i++)
		schedule_numbers_remove(&schedule->groups[i].meant, number);
	buf_clear(key);
	if (schedule_facts_key_affinity(key, meant->facts->pod.domain, &meant->affinity) == 0)
		schedule_map_remove(&schedule->meant_names, key->data, key->len);
	free(meant->tallies);
	schedule_bits_done(&meant->matched);
	schedule_bits_done(&meant->carried);
	schedule_facts_drop(meant->facts);
	*meant = (struct schedule_meant){0};
}

static void forget_group(struct schedule *schedule, uint32_t number)
{
	struct schedule_group *group = &schedule->groups[number];
	struct buf *key = &schedule->key;

	if (--group->shapes > 0)
		return;
	buf_clear(key);
	if (schedule_facts_key_group(key, &group->facts->pod) == 0)
		schedule_map_remove(&schedule->group_names, key->data, key->len);
	free(group->meant.items);
	schedule_facts_drop(group->facts);
	*group = (struct schedule_group){0};
}

static void forget_filter(struct schedule *schedule, uint32_t number)
{
	struct schedule_filter *filter = &schedule->filters[number];
	struct buf *key = &schedule->key;

	if (--filter->shapes > 0)
		return;
	buf_clear(key);
	if (schedule_facts_key_filter(key, &filter->facts->pod) == 0)
		schedule_map_remove(&schedule->filter_names, key->data, key->len);
	free(filter->liking);
	schedule_bits_done(&filter->selected);
	schedule_bits_done(&filter->fit);
	schedule_bits_done(&filter->liked);
	schedule_facts_drop(filter->facts);
	*filter = (struct schedule_filter){0};
}

static void forget_shape(struct schedule *schedule, struct schedule_like *shape)
{
	struct buf *key = &schedule->key;

	buf_clear(key);
	if (schedule_facts_key_pod(key, &shape->facts->pod) == 0)
		schedule_map_remove(&schedule->shape_names, key->data, key->len);
	for (size_t i = 0; i < shape->near_count; i++)
		forget_meant(schedule, shape->near[i].meant);
	for (size_t i = 0; i < shape->apart_count; i++)
		forget_meant(schedule, shape->apart[i].meant);
	for (size_t i = 0; i < shape->wish_count; i++)
		forget_meant(schedule, shape->wishes[i].meant);
	for (size_t i = 0; i < shape->spread_count; i++)
		forget_meant(schedule, shape->spreads[i].meant);
	forget_group(schedule, shape->group);
	forget_filter(schedule, shape->filter);
	free_shape_at(shape);
}

size_t schedule_spare(const struct schedule *schedule)
{
	return schedule->spare;
}

void schedule_trim(struct schedule *schedule)
{
	for (uint32_t i = 0; i < schedule->shape_count; i++)
		if (schedule->shapes[i].facts && schedule->shapes[i].pods == 0)
			forget_shape(schedule, &schedule->shapes[i]);
	schedule->spare = 0;
}

void schedule_shape_done(struct schedule *schedule)
{
	for (uint32_t i = 0; i < schedule->shape_count; i++)
		if (schedule->shapes[i].facts)
			free_shape_at(&schedule->shapes[i]);
	free(schedule->shapes);
	schedule_map_done(&schedule->shape_names);
}
