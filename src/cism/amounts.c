/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/amounts.h"

#include <errno.h>

#include "api/api.h"
#include "base/str.h"

struct sums {
	struct schedule_amount items[AMOUNTS_RESOURCES_MAX];
	size_t count;
};

static int64_t *amount_of(struct sums *sums, const char *resource)
{
	for (size_t i = 0; i < sums->count; i++)
		if (str_eq(sums->items[i].resource, resource))
			return &sums->items[i].amount;
	if (sums->count == AMOUNTS_RESOURCES_MAX)
		return NULL;
	sums->items[sums->count] = (struct schedule_amount){.resource = resource};
	return &sums->items[sums->count++].amount;
}

/* In the unit of the facts; what is less than a whole one counts as one. */
static int parse_amount(const char *resource, const json_t *value, int64_t *ret, struct err *err)
{
	int64_t milli;
	int r;

	if (!json_is_string(value))
		return err_set(err, ERR_INVALID, "is no quantity");
	r = api_quantity(json_string_value(value), &milli, err);
	if (r < 0)
		return r;
	if (milli < 0)
		return err_set(err, ERR_INVALID, "is less than 0");
	*ret = str_eq(resource, "cpu") ? milli : milli / 1000 + (milli % 1000 > 0);
	return 0;
}

/* What a container asks for: its requests, and its limits where it has none. */
static int read_container(const json_t *container, struct sums *sums, struct err *err)
{
	static const char *const lists[] = {"limits", "requests"};

	for (size_t list = 0; list < ARRAY_SIZE(lists); list++) {
		json_t *resources = json_object_get(json_object_get(container, "resources"), lists[list]), *value;
		const char *resource;

		json_object_foreach(resources, resource, value) {
			int64_t *amount = amount_of(sums, resource);
			int r;

			if (!amount)
				return err_set(err, ERR_INVALID, "resources.%s: more than %d kinds of resources",
					       lists[list], AMOUNTS_RESOURCES_MAX);
			r = parse_amount(resource, value, amount, err);
			if (r < 0)
				return err_prefix(err, "resources.%s.%.64s", lists[list], resource), r;
		}
	}
	return 0;
}

static int add_all(struct sums *to, const struct sums *from, struct err *err)
{
	for (size_t i = 0; i < from->count; i++) {
		int64_t *amount = amount_of(to, from->items[i].resource);

		if (!amount || __builtin_add_overflow(*amount, from->items[i].amount, amount))
			return err_set(err, ERR_INVALID, "the sum of resources is too large");
	}
	return 0;
}

static int raise_to(struct sums *to, const struct sums *from, struct err *err)
{
	for (size_t i = 0; i < from->count; i++) {
		int64_t *amount = amount_of(to, from->items[i].resource);

		if (!amount)
			return err_set(err, ERR_INVALID, "more than %d kinds of resources", AMOUNTS_RESOURCES_MAX);
		if (from->items[i].amount > *amount)
			*amount = from->items[i].amount;
	}
	return 0;
}

/* An init container that keeps running beside what follows. */
static bool stays(const json_t *container)
{
	const char *policy = api_string(container, "restartPolicy");

	return policy && str_eq(policy, "Always");
}

/* Init containers run one after the other, beside those of them that stay (restartPolicy Always). */
static int read_init(const json_t *pod, struct sums *stay, struct sums *peak, struct err *err)
{
	const json_t *container;
	size_t i;
	int r = 0;

	json_array_foreach(api_value(pod, "spec.initContainers"), i, container) {
		struct sums one = {0};

		r = read_container(container, &one, err);
		if (r == 0)
			r = add_all(stays(container) ? stay : &one, stays(container) ? &one : stay, err);
		if (r == 0)
			r = raise_to(peak, stays(container) ? stay : &one, err);
		if (r < 0)
			return err_prefix(err, "spec.initContainers[%zu]", i), r;
	}
	return 0;
}

static int read_overhead(const json_t *pod, struct sums *total, struct err *err)
{
	const char *resource;
	json_t *value;

	json_object_foreach(api_value(pod, "spec.overhead"), resource, value) {
		int64_t *amount = amount_of(total, resource), more = 0;
		int r = parse_amount(resource, value, &more, err);

		if (r == 0 && (!amount || __builtin_add_overflow(*amount, more, amount)))
			r = err_set(err, ERR_INVALID, "the sum is too large");
		if (r < 0)
			return err_prefix(err, "spec.overhead.%.64s", resource), r;
	}
	return 0;
}

int amounts_pod(struct schedule_facts *to, const json_t *pod, struct err *err)
{
	struct sums total = {0}, peak = {0}, stay = {0};
	struct schedule_amount *items;
	const json_t *container;
	size_t i;
	int r = read_init(pod, &stay, &peak, err);

	if (r == 0)
		r = add_all(&total, &stay, err);
	json_array_foreach(api_value(pod, "spec.containers"), i, container) {
		struct sums one = {0};

		if (r < 0)
			return r;
		r = read_container(container, &one, err);
		if (r == 0)
			r = add_all(&total, &one, err);
		if (r < 0)
			return err_prefix(err, "spec.containers[%zu]", i), r;
	}
	if (r == 0)
		r = raise_to(&total, &peak, err);
	if (r == 0)
		r = read_overhead(pod, &total, err);
	if (r < 0)
		return r;
	items = schedule_facts_take(to, total.count, sizeof(*items));
	for (i = 0; items && i < total.count; i++)
		items[i] = (struct schedule_amount){schedule_facts_text(to, total.items[i].resource),
						    total.items[i].amount};
	to->pod.requests = (struct schedule_amounts){items, items ? total.count : 0};
	return 0;
}

void amounts_node(struct schedule_facts *to, const json_t *node)
{
	struct schedule_amount *items = schedule_facts_take(to, AMOUNTS_RESOURCES_MAX, sizeof(*items));
	json_t *resources = api_value(node, "status.allocatable"), *value;
	const char *resource;
	size_t count = 0;

	json_object_foreach(resources, resource, value) {
		int64_t amount;

		if (!items || count == AMOUNTS_RESOURCES_MAX || parse_amount(resource, value, &amount, NULL) < 0)
			continue;
		items[count++] = (struct schedule_amount){schedule_facts_text(to, resource), amount};
	}
	to->instance.allocatable = (struct schedule_amounts){items, count};
}
