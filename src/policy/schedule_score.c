/* SPDX-License-Identifier: Apache-2.0 */
/* What an instance that may take a pod is worth: the table of schedule_weights.h. */
#include "policy/schedule_state.h"
#include "policy/schedule_weights.h"

static int by_stacking(const struct schedule *schedule, const struct schedule_like *shape, uint32_t place)
{
	const struct schedule_class *class = &schedule->classes[shape->class];

	return (schedule_bits_has(&schedule->busy, place) ? SCHEDULE_WEIGHT_USED_SERVER : 0) +
	       (schedule_bits_has(&schedule->domains[class->own].near, place) ? SCHEDULE_WEIGHT_SAME_SERVER : 0) +
	       (schedule_bits_has(&class->here, place) ? SCHEDULE_WEIGHT_SAME_INSTANCE : 0);
}

/* The mean of how much of processor and memory is asked for, with this pod. */
static int by_fullness(const struct schedule *schedule, const struct schedule_like *shape, uint32_t place)
{
	float left = 0;

	for (unsigned resource = 0; resource < SCHEDULE_SIZED; resource++) {
		int64_t now = schedule->free[resource][place];

		for (size_t i = 0; i < shape->request_count; i++)
			if (shape->requests[i].resource == resource)
				now -= shape->requests[i].amount;
		left += (float)now * schedule->inverse[resource][place];
	}
	return (int)((float)SCHEDULE_WEIGHT_FULL * (1.0f - left / SCHEDULE_SIZED));
}

static int by_images(const struct schedule_like *shape, uint32_t place)
{
	size_t count = shape->facts->pod.images.count, there = 0;

	for (size_t i = 0; i < count; i++)
		there += shape->images[i] && schedule_bits_has(shape->images[i], place);
	return count ? (int)(SCHEDULE_WEIGHT_IMAGES * there / count) : 0;
}

static int by_wishes(const struct schedule *schedule, const struct schedule_like *shape, uint32_t place)
{
	int score = 0;

	for (size_t i = 0; i < shape->wish_count; i++)
		if (schedule_bits_has(&schedule->meant[shape->wishes[i].meant].matched, place))
			score += SCHEDULE_WEIGHT_PREFERENCE * shape->wishes[i].weight;
	return score;
}

static int by_spreads(const struct schedule *schedule, const struct schedule_like *shape, uint32_t place)
{
	int score = 0;

	for (size_t i = 0; i < shape->spread_count; i++) {
		int excess, worth;

		if (shape->spreads[i].facts->required)
			continue;
		excess = schedule_spread_excess(schedule, &shape->spreads[i], place);
		worth = excess < 0 || excess > SCHEDULE_WEIGHT_SPREAD_MOST / SCHEDULE_WEIGHT_SPREAD
				? SCHEDULE_WEIGHT_SPREAD_MOST
				: SCHEDULE_WEIGHT_SPREAD * excess;
		score += worth;
	}
	return score;
}

int schedule_score(const struct schedule *schedule, const struct schedule_like *shape, uint32_t place)
{
	const struct schedule_filter *filter = &schedule->filters[shape->filter];

	return by_stacking(schedule, shape, place) + by_fullness(schedule, shape, place) + by_images(shape, place) +
	       by_wishes(schedule, shape, place) + by_spreads(schedule, shape, place) +
	       (filter->liking ? filter->liking[place] : 0);
}
