/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/conditions.h"

#include <errno.h>
#include <stdbool.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/str.h"

static json_t *find(json_t *rows, const char *type)
{
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row) {
		const char *name = api_string(row, "type");

		if (name && str_eq(name, type))
			return row;
	}
	return NULL;
}

static bool same(const json_t *row, const char *name, const char *value)
{
	const char *now = api_string(row, name);

	return str_eq(now ? now : "", value ? value : "");
}

static int put(json_t *row, const char *name, const char *value)
{
	if (!value) {
		(void)json_object_del(row, name);
		return 0;
	}
	return json_object_set_new(row, name, json_string(value));
}

int conditions_set(json_t *object, const char *type, const char *status, const char *reason, const char *message)
{
	json_t *rows = api_value(object, "status.conditions");
	char stamp[CLOCK_STAMP_SIZE];
	json_t *row;

	if (!rows) {
		if (api_set(object, "status.conditions", json_array()) < 0)
			return -ENOMEM;
		rows = api_value(object, "status.conditions");
	}
	row = find(rows, type);
	if (row && same(row, "status", status) && same(row, "reason", reason) && same(row, "message", message))
		return 0;
	clock_format(stamp, clock_wall_ms());
	if (!row) {
		row = json_pack("{s:s}", "type", type);
		if (!row || json_array_append_new(rows, row) < 0)
			return -ENOMEM;
	}
	if (!same(row, "status", status) && put(row, "lastTransitionTime", stamp) < 0)
		return -ENOMEM;
	if (put(row, "status", status) < 0 || put(row, "reason", reason) < 0 || put(row, "message", message) < 0)
		return -ENOMEM;
	return 1;
}
