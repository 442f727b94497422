/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state_file.h"

#include <errno.h>
#include <string.h>

#include "base/json_text.h"
#include "base/str.h"

/* A member of struct state and its key. Numbers go up to `most`, strings are copied into `most` bytes. */
struct row {
	const char *key;
	int (*read)(const struct row *row, const json_t *value, void *to, struct err *err);
	json_t *(*write)(const void *from);
	size_t offset;
	json_int_t most;
	bool optional;
};

static int wrong(const struct row *row, const char *wanted, struct err *err)
{
	return err_set(err, ERR_CORRUPT, "state.json: %s: must be %s", row->key, wanted);
}

static int read_version(const struct row *row, const json_t *value, void *to, struct err *err)
{
	if (!json_is_integer(value))
		return wrong(row, "a whole number", err);
	if (json_integer_value(value) == STATE_FILE_VERSION)
		return 0;
	return err_set(err, ERR_CORRUPT, "state.json: version: is %lld, this runtime knows %d",
		       (long long)json_integer_value(value), STATE_FILE_VERSION);
}

static int read_id(const struct row *row, const json_t *value, void *to, struct err *err)
{
	if (!json_is_string(value) || !str_eq(json_string_value(value), to))
		return wrong(row, "the name of its folder", err);
	return 0;
}

static int read_integer(const struct row *row, const json_t *value, json_int_t *to, struct err *err)
{
	if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > row->most)
		return wrong(row, "a whole number in its range", err);
	*to = json_integer_value(value);
	return 0;
}

static int read_pid(const struct row *row, const json_t *value, void *to, struct err *err)
{
	json_int_t number;
	int r = read_integer(row, value, &number, err);

	if (r == 0)
		*(pid_t *)to = (pid_t)number;
	return r;
}

static int read_time(const struct row *row, const json_t *value, void *to, struct err *err)
{
	json_int_t number;
	int r = read_integer(row, value, &number, err);

	if (r == 0)
		*(uint64_t *)to = (uint64_t)number;
	return r;
}

static int read_hooks(const struct row *row, const json_t *value, void *to, struct err *err)
{
	json_int_t number;
	int r = read_integer(row, value, &number, err);

	if (r == 0)
		*(unsigned int *)to = (unsigned int)number;
	return r;
}

static int read_string(const struct row *row, const json_t *value, void *to, struct err *err)
{
	if (!json_is_string(value) || str_copy(to, (size_t)row->most, json_string_value(value)) < 0)
		return wrong(row, "a string that fits", err);
	return 0;
}

static bool climbs(const char *path)
{
	for (const char *at = path; (at = strstr(at, "..")); at += 2)
		if ((at == path || at[-1] == '/') && (!at[2] || at[2] == '/'))
			return true;
	return false;
}

static int read_group(const struct row *row, const json_t *value, void *to, struct err *err)
{
	int r = read_string(row, value, to, err);

	/* Processes below it are killed and the group is removed: it may name nothing but a group. */
	return r == 0 && climbs(to) ? wrong(row, "a path without '..'", err) : r;
}

static int read_object(const struct row *row, const json_t *value, void *to, struct err *err)
{
	if (!json_is_object(value))
		return wrong(row, "an object", err);
	*(json_t **)to = json_incref((json_t *)value);
	return 0;
}

static json_t *write_version(const void *from)
{
	return json_integer(STATE_FILE_VERSION);
}

static json_t *write_pid(const void *from)
{
	return json_integer(*(const pid_t *)from);
}

static json_t *write_time(const void *from)
{
	return json_integer((json_int_t) * (const uint64_t *)from);
}

static json_t *write_hooks(const void *from)
{
	return json_integer(*(const unsigned int *)from);
}

static json_t *write_string(const void *from)
{
	return json_string(from);
}

static json_t *write_object(const void *from)
{
	return json_incref(*(json_t *const *)from);
}

#define MEMBER(name) offsetof(struct state, name), sizeof(((struct state *)NULL)->name)

/* The version comes first: in another one the rest may mean something else. */
static const struct row rows[] = {
	{"version", read_version, write_version, 0, 0, false},
	{"id", read_id, write_string, MEMBER(id), false},
	{"pid", read_pid, write_pid, offsetof(struct state, pid), INT32_MAX, false},
	{"startTime", read_time, write_time, offsetof(struct state, start_time), INT64_MAX, false},
	{"bundle", read_string, write_string, MEMBER(bundle), false},
	{"cgroup", read_group, write_string, MEMBER(cgroup), false},
	{"created", read_string, write_string, MEMBER(created), false},
	{"hooks", read_hooks, write_hooks, offsetof(struct state, hooks), UINT32_MAX, false},
	{"annotations", read_object, write_object, MEMBER(annotations), true},
};

static int check_keys(const json_t *json, struct err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)json, key, value) {
		size_t i = 0;

		while (i < ARRAY_SIZE(rows) && !str_eq(rows[i].key, key))
			i++;
		if (i == ARRAY_SIZE(rows))
			return err_set(err, ERR_CORRUPT, "state.json: unknown key '%.64s'", key);
	}
	return 0;
}

static int read_rows(const json_t *json, struct state *state, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const json_t *value = json_object_get(json, rows[i].key);
		int r = 0;

		if (value)
			r = rows[i].read(&rows[i], value, (char *)state + rows[i].offset, err);
		else if (!rows[i].optional)
			r = err_set(err, ERR_CORRUPT, "state.json: '%s' is missing", rows[i].key);
		if (r < 0)
			return r;
	}
	return check_keys(json, err);
}

int state_file_parse(const char *bytes, size_t len, struct state *state, struct err *err)
{
	json_t *json = json_text_read(bytes, len, err);
	int r;

	if (!json) {
		err->code = ERR_CORRUPT;
		return err_prefix(err, "state.json");
	}
	r = json_is_object(json) ? read_rows(json, state, err)
				 : err_set(err, ERR_CORRUPT, "state.json: must be an object");
	json_decref(json);
	return r;
}

char *state_file_format(const struct state *state)
{
	json_t *json = json_object();
	bool whole = json != NULL;
	char *text;

	for (size_t i = 0; whole && i < ARRAY_SIZE(rows); i++) {
		json_t *value = rows[i].write((const char *)state + rows[i].offset);

		whole = value ? json_object_set_new(json, rows[i].key, value) == 0 : rows[i].optional;
	}
	text = whole ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	return text;
}
