/* SPDX-License-Identifier: Apache-2.0 */
/* What instances are by themselves: asked once for each kind of selector, affinity and tolerations, and when one changes. */
#include "policy/schedule_state.h"

#define UNLIKED 0

static const struct schedule_instance *instance_at(const struct schedule *schedule, uint32_t place)
{
	const struct schedule_facts *facts = schedule->places[place].facts;

	return facts ? &facts->instance : NULL;
}

/* Those that are liked most among the fit, so that a choice begins with them. */
static void find_liked(const struct schedule *schedule, struct schedule_filter *filter)
{
	filter->most = UNLIKED;
	for (uint32_t i = 0; i < schedule->place_count; i++)
		if (schedule_bits_has(&filter->fit, i) && filter->liking[i] > filter->most)
			filter->most = filter->liking[i];
	for (uint32_t i = 0; i < schedule->place_count; i++)
		schedule_bits_put(&filter->liked, i,
				  filter->most > UNLIKED && filter->liking[i] == filter->most &&
					  schedule_bits_has(&filter->fit, i));
}

static int ask(struct schedule *schedule, struct schedule_filter *filter, uint32_t place)
{
	const struct schedule_instance *instance = instance_at(schedule, place);
	const struct schedule_pod *pod = &filter->facts->pod;
	bool selected = instance && !schedule_facts_missing(pod, instance) && schedule_facts_attracted(pod, instance);
	int liking = selected ? schedule_facts_liking(pod, instance) : UNLIKED;

	schedule_bits_put(&filter->selected, place, selected);
	schedule_bits_put(&filter->fit, place, selected && !schedule_facts_untolerated(pod, instance));
	if (liking != UNLIKED && !filter->liking) {
		filter->liking = calloc(schedule->place_room, sizeof(*filter->liking));
		if (!filter->liking)
			return -ENOMEM;
	}
	if (filter->liking)
		filter->liking[place] = liking;
	filter->changes++;
	return 0;
}

int schedule_filter_place(struct schedule *schedule, uint32_t place)
{
	for (uint32_t i = 0; i < schedule->filter_count; i++) {
		struct schedule_filter *filter = &schedule->filters[i];

		if (!filter->facts)
			continue;
		if (ask(schedule, filter, place) < 0)
			return -ENOMEM;
		if (filter->liking)
			find_liked(schedule, filter);
	}
	return 0;
}

static uint32_t free_filter(const struct schedule *schedule)
{
	uint32_t i = 0;

	while (i < schedule->filter_count && schedule->filters[i].facts)
		i++;
	return i;
}

int schedule_filter_of(struct schedule *schedule, struct schedule_facts *facts, uint32_t *ret)
{
	struct buf *key = &schedule->key;
	struct schedule_filter *filter;
	uint32_t number;

	buf_clear(key);
	if (schedule_facts_key_filter(key, &facts->pod) < 0)
		return -ENOMEM;
	*ret = schedule_map_find(&schedule->filter_names, key->data, key->len);
	if (*ret != SCHEDULE_NONE)
		return 0;
	number = free_filter(schedule);
	if (SCHEDULE_ROOM(schedule->filters, number, schedule->filter_room) < 0 ||
	    schedule_map_put(&schedule->filter_names, key->data, key->len, number) < 0)
		return -ENOMEM;
	filter = &schedule->filters[number];
	*filter = (struct schedule_filter){.facts = schedule_facts_keep(facts)};
	schedule->filter_count += number == schedule->filter_count;
	if (schedule_bits_grow(&filter->selected, schedule_words(schedule)) < 0 ||
	    schedule_bits_grow(&filter->fit, schedule_words(schedule)) < 0 ||
	    schedule_bits_grow(&filter->liked, schedule_words(schedule)) < 0)
		return -ENOMEM;
	for (uint32_t place = 0; place < schedule->place_count; place++)
		if (ask(schedule, filter, place) < 0)
			return -ENOMEM;
	if (filter->liking)
		find_liked(schedule, filter);
	*ret = number;
	return 0;
}

/* --- images --- */

static int image_of(struct schedule *schedule, const char *name, uint32_t *ret)
{
	size_t len = strlen(name);
	struct schedule_bits *bits;

	*ret = schedule_map_find(&schedule->image_names, name, len);
	if (*ret != SCHEDULE_NONE)
		return 0;
	bits = calloc(1, sizeof(*bits));
	if (!bits || schedule_bits_grow(bits, schedule_words(schedule)) < 0 ||
	    SCHEDULE_ROOM(schedule->images, schedule->image_count, schedule->image_room) < 0 ||
	    schedule_map_put(&schedule->image_names, name, len, schedule->image_count) < 0) {
		if (bits)
			schedule_bits_done(bits);
		free(bits);
		return -ENOMEM;
	}
	schedule->images[schedule->image_count] = bits;
	*ret = schedule->image_count++;
	schedule->image_changes++;
	return 0;
}

int schedule_filter_images(struct schedule *schedule, uint32_t place, bool in)
{
	const struct schedule_instance *instance = instance_at(schedule, place);

	for (size_t i = 0; instance && i < instance->images.count; i++) {
		uint32_t image;

		if (image_of(schedule, instance->images.items[i], &image) < 0)
			return -ENOMEM;
		schedule_bits_put(schedule->images[image], place, in);
	}
	return 0;
}

void schedule_filter_done(struct schedule *schedule)
{
	for (uint32_t i = 0; i < schedule->filter_count; i++) {
		schedule_facts_drop(schedule->filters[i].facts);
		free(schedule->filters[i].liking);
		schedule_bits_done(&schedule->filters[i].selected);
		schedule_bits_done(&schedule->filters[i].fit);
		schedule_bits_done(&schedule->filters[i].liked);
	}
	for (uint32_t i = 0; i < schedule->image_count; i++) {
		schedule_bits_done(schedule->images[i]);
		free(schedule->images[i]);
	}
	free(schedule->filters);
	free(schedule->images);
	schedule_map_done(&schedule->filter_names);
	schedule_map_done(&schedule->image_names);
}
