/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/topology.h"

#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"

static int parse(const char *text, struct topology *to, struct err *err)
{
	return topology_parse(text, strlen(text), to, err);
}

static void test_good(void **state)
{
	struct topology topology = {0};
	const struct topology_instance *found;

	(void)state;
	assert_int_equal(parse("{\"instances\":[{\"name\":\"node-1\",\"server\":\"s1\",\"deployment\":\"Nested\","
			       "\"vm\":\"v\",\"epoch\":7}]}",
			       &topology, NULL),
			 0);
	found = topology_find(&topology, "node-1");
	assert_non_null(found);
	assert_string_equal(found->server, "s1");
	assert_string_equal(found->vm, "v");
	assert_int_equal(found->epoch, 7);
	assert_null(topology_find(&topology, "node-2"));
	topology_done(&topology);
	assert_int_equal(parse("{\"instances\":[]}", &topology, NULL), 0);
	topology_done(&topology);
}

#define ROW(fields) "{\"instances\":[{" fields "}]}"

static void test_bad(void **state)
{
	static const struct {
		const char *text, *message;
	} rows[] = {
		{"", "topology.json"},
		{"{}", "instances"},
		{"{\"instances\":[],\"more\":1}", "more"},
		{ROW("\"name\":\"a\""), "instances[0]"},
		{ROW("\"name\":\"A\",\"server\":\"s\",\"deployment\":\"Nested\",\"epoch\":1"),
		 "instances[0].name: 'A' is not a DNS name"},
		{ROW("\"name\":\"a\",\"server\":\"../s\",\"deployment\":\"Nested\",\"epoch\":1"),
		 "instances[0].server: '../s' is not"},
		{ROW("\"name\":\"a\",\"server\":\"s\",\"deployment\":\"Nested\",\"epoch\":0"),
		 "instances[0].epoch: must be at least 1"},
		{ROW("\"name\":\"a\",\"server\":\"s\",\"deployment\":\"Nested\",\"epoch\":\"1\""),
		 "instances[0].epoch"},
	};
	struct topology topology = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err err = {0};

		assert_true(parse(rows[i].text, &topology, &err) < 0);
		if (!strstr(err.msg, rows[i].message))
			fail_msg("'%s' does not say '%s'", err.msg, rows[i].message);
		assert_null(topology.instances);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
