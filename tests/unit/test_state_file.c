/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char whole[] =
	"{\"version\":1,\"id\":\"box\",\"pid\":12,\"startTime\":345,\"bundle\":\"/b\",\"cgroup\":\"/a/c\","
	"\"created\":\"2026-01-01T00:00:00Z\",\"hooks\":3,\"annotations\":{\"x\":\"y\"}}";

static int parse(const char *text, size_t len, struct state *state, struct err *err)
{
	*state = (struct state){.root = -1, .dir = -1, .id = "box"};
	*err = (struct err){0};
	return state_file_parse(text, len, state, err);
}

/* What is written is read again as it was. */
static void test_round(void **unused)
{
	struct state state, again;
	struct err err;
	char *text;

	assert_int_equal(parse(whole, strlen(whole), &state, &err), 0);
	assert_int_equal(state.pid, 12);
	assert_int_equal(state.start_time, 345);
	assert_int_equal(state.hooks, 3);
	assert_string_equal(state.bundle, "/b");
	assert_string_equal(state.cgroup, "/a/c");
	assert_string_equal(state.created, "2026-01-01T00:00:00Z");
	assert_string_equal(json_string_value(json_object_get(state.annotations, "x")), "y");
	text = state_file_format(&state);
	assert_non_null(text);
	assert_int_equal(parse(text, strlen(text), &again, &err), 0);
	assert_true(json_equal(state.annotations, again.annotations));
	json_decref(state.annotations);
	json_decref(again.annotations);
	state.annotations = again.annotations = NULL;
	assert_memory_equal(&state, &again, sizeof(state));
	free(text);
}

static void test_no_annotations(void **unused)
{
	struct state state = {.id = "box", .bundle = "/b"};
	char *text = state_file_format(&state);

	assert_string_equal(text,
			    "{\"version\":1,\"id\":\"box\",\"pid\":0,\"startTime\":0,\"bundle\":\"/b\",\"cgroup\":\"\","
			    "\"created\":\"\",\"hooks\":0}");
	free(text);
	(void)snprintf(state.bundle, sizeof(state.bundle), "/\xff");
	assert_null(state_file_format(&state));
}

/* A file that ends anywhere is refused in one sentence. */
static void test_cut_at_every_byte(void **unused)
{
	for (size_t len = 0; len < strlen(whole); len++) {
		struct state state;
		struct err err;

		assert_int_equal(parse(whole, len, &state, &err), ERR_CORRUPT);
		assert_memory_equal(err.msg, "state.json: line ", strlen("state.json: line "));
		assert_null(strchr(err.msg, '\n'));
		assert_null(state.annotations);
	}
}

/* The same with another value for a key: JSON of one member, and what is said about it. */
static const struct {
	const char *member;
	const char *message;
} bad[] = {
	{"{\"version\":2}", "state.json: version: is 2, this runtime knows 1"},
	{"{\"version\":\"1\"}", "state.json: version: must be a whole number"},
	{"{\"id\":\"other\"}", "state.json: id: must be the name of its folder"},
	{"{\"id\":7}", "state.json: id: must be the name of its folder"},
	{"{\"pid\":-1}", "state.json: pid: must be a whole number in its range"},
	{"{\"pid\":2147483648}", "state.json: pid: must be a whole number in its range"},
	{"{\"pid\":1.5}", "state.json: pid: must be a whole number in its range"},
	{"{\"startTime\":-1}", "state.json: startTime: must be a whole number in its range"},
	{"{\"startTime\":\"1\"}", "state.json: startTime: must be a whole number in its range"},
	{"{\"bundle\":null}", "state.json: bundle: must be a string that fits"},
	{"{\"cgroup\":[]}", "state.json: cgroup: must be a string that fits"},
	{"{\"cgroup\":\"/a/../b\"}", "state.json: cgroup: must be a path without '..'"},
	{"{\"cgroup\":\"..\"}", "state.json: cgroup: must be a path without '..'"},
	{"{\"cgroup\":\"/a/..\"}", "state.json: cgroup: must be a path without '..'"},
	{"{\"created\":1}", "state.json: created: must be a string that fits"},
	{"{\"created\":\"0123456789012345678901234567890123456789\"}",
	 "state.json: created: must be a string that fits"},
	{"{\"hooks\":-1}", "state.json: hooks: must be a whole number in its range"},
	{"{\"annotations\":[]}", "state.json: annotations: must be an object"},
	{"{\"future\":1}", "state.json: unknown key 'future'"},
};

static void test_bad_members(void **unused)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		json_t *object = json_loads(whole, 0, NULL), *change = json_loads(bad[i].member, 0, NULL);
		struct state state;
		struct err err;
		char *text;

		assert_int_equal(json_object_update(object, change), 0);
		text = json_dumps(object, 0);
		assert_int_equal(parse(text, strlen(text), &state, &err), ERR_CORRUPT);
		assert_string_equal(err.msg, bad[i].message);
		json_decref(state.annotations);
		json_decref(object);
		json_decref(change);
		free(text);
	}
}

static void test_missing_members(void **unused)
{
	static const char *const keys[] = {"version", "id", "pid", "startTime", "bundle", "cgroup", "created", "hooks"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		json_t *object = json_loads(whole, 0, NULL);
		struct state state;
		struct err err;
		char wanted[64], *text;

		assert_int_equal(json_object_del(object, keys[i]), 0);
		text = json_dumps(object, 0);
		assert_int_equal(parse(text, strlen(text), &state, &err), ERR_CORRUPT);
		(void)snprintf(wanted, sizeof(wanted), "state.json: '%s' is missing", keys[i]);
		assert_string_equal(err.msg, wanted);
		json_decref(state.annotations);
		json_decref(object);
		free(text);
	}
}

static void test_other_texts(void **unused)
{
	struct state state;
	struct err err;

	assert_int_equal(parse("[]", 2, &state, &err), ERR_CORRUPT);
	assert_string_equal(err.msg, "state.json: must be an object");
	assert_int_equal(parse("{\"a\":1,\"a\":2}", 13, &state, &err), ERR_CORRUPT);
	assert_string_equal(err.msg, "state.json: line 1: an object has a name twice near ':2}'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round),
		cmocka_unit_test(test_no_annotations),
		cmocka_unit_test(test_cut_at_every_byte),
		cmocka_unit_test(test_bad_members),
		cmocka_unit_test(test_missing_members),
		cmocka_unit_test(test_other_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
