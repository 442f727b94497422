/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/schedule.h"

#include "policy/schedule_state.h"

int schedule_room(void **array, uint32_t count, uint32_t *room, size_t size)
{
	uint32_t wanted = *room ? *room * 2 : 16;
	char *fresh;

	if (count < *room)
		return 0;
	fresh = reallocarray(*array, wanted, size);
	if (!fresh)
		return -ENOMEM;
	memset(fresh + *room * size, 0, (wanted - *room) * size);
	*array = fresh;
	*room = wanted;
	return 0;
}

int schedule_numbers_add(struct schedule_numbers *numbers, uint32_t number)
{
	if (SCHEDULE_ROOM(numbers->items, numbers->count, numbers->room) < 0)
		return -ENOMEM;
	numbers->items[numbers->count++] = number;
	return 0;
}

void schedule_numbers_remove(struct schedule_numbers *numbers, uint32_t number)
{
	for (uint32_t i = 0; i < numbers->count; i++)
		if (numbers->items[i] == number) {
			numbers->items[i] = numbers->items[--numbers->count];
			return;
		}
}

struct schedule *schedule_new(uint64_t seed)
{
	struct schedule *schedule = calloc(1, sizeof(*schedule));

	if (!schedule)
		return NULL;
	schedule->pod_free = SCHEDULE_NONE;
	schedule->key = buf_of(SCHEDULE_KEY_MAX);
	schedule->place_names.seed = schedule->server_names.seed = schedule->class_names.seed =
		schedule->domain_names.seed = schedule->topology_names.seed = schedule->filter_names.seed =
			schedule->meant_names.seed = schedule->group_names.seed = schedule->namespace_names.seed =
				schedule->image_names.seed = schedule->shape_names.seed = seed;
	return schedule;
}

void schedule_free(struct schedule *schedule)
{
	if (!schedule)
		return;
	schedule_shape_done(schedule);
	schedule_meant_done(schedule);
	schedule_filter_done(schedule);
	schedule_class_done(schedule);
	schedule_place_done(schedule);
	policy_domains_done(&schedule->rules);
	buf_done(&schedule->key);
	free(schedule);
}

int schedule_rules(struct schedule *schedule, struct policy_domains *domains)
{
	policy_domains_done(&schedule->rules);
	schedule->rules = *domains;
	*domains = (struct policy_domains){0};
	schedule_class_reset(schedule, true);
	return 0;
}

const struct policy_domains *schedule_domains(const struct schedule *schedule)
{
	return &schedule->rules;
}
