/* SPDX-License-Identifier: Apache-2.0 */
/* The command that changes the limits of a container: from a file, or from options that become such a file's text. */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "runtime/commands.h"
#include "runtime/commands_common.h"
#include "sandbox/cgroup.h"

CLEANUP_DEFINE(json, json_t *, json_decref)

enum flag_kind { FLAG_NUMBER, FLAG_SIZE, FLAG_TEXT };

/* The options and the fields of linux.resources that they stand for. */
static const struct {
	const char *name;
	const char *argument;
	const char *help;
	const char *object;
	const char *field;
	enum flag_kind kind;
} flags[] = {
	{"blkio-weight", "N", "share of the disks, 10 to 1000", "blockIO", "weight", FLAG_NUMBER},
	{"cpu-burst", "US", "processor time saved up at most", "cpu", "burst", FLAG_NUMBER},
	{"cpu-idle", "N", "1: only what nobody else wants", "cpu", "idle", FLAG_NUMBER},
	{"cpu-period", "US", "period of the processor limit", "cpu", "period", FLAG_NUMBER},
	{"cpu-quota", "US", "processor time in each period", "cpu", "quota", FLAG_NUMBER},
	{"cpu-rt-period", "US", "period of the real-time limit", "cpu", "realtimePeriod", FLAG_NUMBER},
	{"cpu-rt-runtime", "US", "real time in each period", "cpu", "realtimeRuntime", FLAG_NUMBER},
	{"cpu-share", "N", "share of the processors", "cpu", "shares", FLAG_NUMBER},
	{"cpuset-cpus", "LIST", "processors to use", "cpu", "cpus", FLAG_TEXT},
	{"cpuset-mems", "LIST", "memory nodes to use", "cpu", "mems", FLAG_TEXT},
	{"kernel-memory", "SIZE", "ignored: Linux has no such limit any more", "memory", "kernel", FLAG_SIZE},
	{"kernel-memory-tcp", "SIZE", "ignored: Linux has no such limit any more", "memory", "kernelTCP", FLAG_SIZE},
	{"memory", "SIZE", "memory at most", "memory", "limit", FLAG_SIZE},
	{"memory-reservation", "SIZE", "memory that is left in need", "memory", "reservation", FLAG_SIZE},
	{"memory-swap", "SIZE", "memory and swap at most, -1: no limit", "memory", "swap", FLAG_SIZE},
	{"pids-limit", "N", "processes at most, -1: no limit", "pids", "limit", FLAG_NUMBER},
};

/* "512m" and the like in powers of 1024; -1 for no limit. */
static int read_size(const char *name, const char *text, int64_t *ret, struct err *err)
{
	static const char units[] = "bkmgt";
	size_t len = strlen(text);
	char digits[24];
	const char *unit;
	uint64_t value;
	int shift = 0;

	if (str_eq(text, "-1")) {
		*ret = -1;
		return 0;
	}
	unit = len > 1 ? strchr(units, text[len - 1] | 0x20) : NULL;
	if (unit) {
		shift = 10 * (int)(unit - units);
		len--;
	}
	if (len < sizeof(digits)) {
		(void)snprintf(digits, sizeof(digits), "%.*s", (int)len, text);
		if (str_parse_u64(digits, (uint64_t)INT64_MAX >> shift, &value) == 0) {
			*ret = (int64_t)(value << shift);
			return 0;
		}
	}
	return err_set(err, ERR_INVALID, "--%s: '%.32s' is no size like 512m", name, text);
}

static int flag_value(size_t index, const char *text, json_t **ret, struct err *err)
{
	int64_t number = 0;
	int r = 0;

	switch (flags[index].kind) {
	case FLAG_NUMBER:
		if (str_parse_i64(text, -1, INT64_MAX, &number) < 0)
			r = err_set(err, ERR_INVALID, "--%s: '%.32s' is no number", flags[index].name, text);
		break;
	case FLAG_SIZE:
		r = read_size(flags[index].name, text, &number, err);
		break;
	case FLAG_TEXT:
		*ret = json_string(text);
		return *ret ? 0 : err_set(err, ERR_INVALID, "--%s: no text", flags[index].name);
	}
	if (r < 0)
		return r;
	*ret = json_integer(number);
	return *ret ? 0 : err_set(err, -ENOMEM, "no memory");
}

/* What the options say as the text of a resources object, so that there is one reader for both. */
static int text_of_flags(const char *const *values, struct buf *text, struct err *err)
{
	CLEANUP(cleanup_json) json_t *resources = json_object();
	CLEANUP_FREE char *dump = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		json_t *object, *value;
		int r;

		if (!values[i])
			continue;
		r = flag_value(i, values[i], &value, err);
		if (r < 0)
			return r;
		object = json_object_get(resources, flags[i].object);
		if (!object) {
			object = json_object();
			(void)json_object_set_new(resources, flags[i].object, object);
		}
		if (json_object_set_new(object, flags[i].field, value) < 0)
			return err_set(err, -ENOMEM, "no memory");
	}
	if (json_object_size(resources) == 0)
		return err_set(err, ERR_INVALID, "update: a limit or --resources is needed");
	dump = json_dumps(resources, JSON_COMPACT);
	return dump && buf_puts(text, dump) == 0 ? 0 : err_set(err, -ENOMEM, "no memory");
}

static int open_groups(const struct state *state, struct cgroup *cgroup, struct err *err)
{
	enum state_status status = commands_status(state);
	int r;

	if (status == STATE_STOPPED || status == STATE_CREATING)
		return err_set(err, ERR_INVALID, "container '%s' cannot be updated: it is %s", state->id,
			       state_status_name(status));
	r = cgroup_init(cgroup, state->cgroup, err);
	return r == 0 ? cgroup_open(cgroup, err) : r;
}

/* The ceiling judges the limits that the container has in the end. */
static int change(const struct commands_global *global, const struct state *state, struct spec_resources *resources,
		  struct err *err)
{
	struct bounds bounds CLEANUP(bounds_done) = {0};
	struct cgroup cgroup CLEANUP(cgroup_done) = {0};
	int r = commands_load_bounds(global, &bounds, err);

	if (r == 0)
		r = open_groups(state, &cgroup, err);
	if (r < 0)
		return r;
	cgroup_complete_quota(&cgroup, resources);
	r = bounds_apply_resources(&bounds, resources, err);
	commands_log_bounds(global, &bounds);
	return r == 0 ? cgroup_change(&cgroup, resources, err) : r;
}

int commands_update(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	CLEANUP(commands_state_done) struct state state = {.root = -1, .dir = -1};
	CLEANUP_BUF struct buf text = buf_of(SPEC_BYTES_MAX);
	CLEANUP_SPEC struct spec spec = {0};
	const char *path = NULL, *l3 = NULL, *bandwidth = NULL, *values[ARRAY_SIZE(flags)] = {0};
	struct option_row rows[ARRAY_SIZE(flags) + 3] = {
		{"resources", 'r', "FILE", "the new limits as JSON, - for standard input", &path, NULL},
		{"l3-cache-schema", 0, "SCHEMA", "refused: there is no resctrl support", &l3, NULL},
		{"mem-bw-schema", 0, "SCHEMA", "refused: there is no resctrl support", &bandwidth, NULL},
	};
	int first, r;

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		rows[i + 3] = (struct option_row){flags[i].name, 0, flags[i].argument, flags[i].help, &values[i], NULL};
	r = commands_parse("bulkhead-runtime update", "Changes the limits of a container.", "ID", 1, 1, rows,
			   ARRAY_SIZE(rows), argc, argv, &first, err);
	if (r)
		return r;
	if (l3 || bandwidth)
		return err_set(err, ERR_INVALID, "--%s is not supported", l3 ? "l3-cache-schema" : "mem-bw-schema");
	/* With a file all other options are passed over, as callers know it. */
	r = path ? commands_read_text(path, &text, err) : text_of_flags(values, &text, err);
	if (r == 0)
		r = spec_parse_resources(&spec, text.data, text.len, err);
	if (r == 0)
		r = commands_open(global, argv[first], NULL, &state, err);
	return r == 0 ? change(global, &state, &spec.linux_.resources, err) : r;
}
