/* SPDX-License-Identifier: Apache-2.0 */
#include "http/target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int parse(char *text, size_t size, const char *from, struct target *target, struct err *err)
{
	assert_true(strlen(from) < size);
	strcpy(text, from);
	return target_parse(text, target, err);
}

static void test_good(void **state)
{
	struct target target;
	char text[256];

	(void)state;
	assert_int_equal(parse(text, sizeof(text), "/a%2db/c+d?x=1+2&y=%3D%26&z&w=", &target, NULL), 0);
	assert_string_equal(target.path, "/a-b/c+d");
	assert_string_equal(target_parameter(&target, "x"), "1 2");
	assert_string_equal(target_parameter(&target, "y"), "=&");
	assert_string_equal(target_parameter(&target, "z"), "");
	assert_string_equal(target_parameter(&target, "w"), "");
	assert_null(target_parameter(&target, "v"));
	assert_int_equal(parse(text, sizeof(text), "/", &target, NULL), 0);
	assert_int_equal(parse(text, sizeof(text), "/v2/", &target, NULL), 0);
	assert_int_equal(parse(text, sizeof(text), "/a/.b/..c/...", &target, NULL), 0);
}

static void test_refused(void **state)
{
	static const char *const paths[] = {"",      "a",     "*",         "http://x/", "/a//b",  "//",
					    "/./a",  "/a/..", "/%2e%2e/a", "/a%00",     "/a%",    "/a%2",
					    "/a%zz", "/a%0a", "/a#b",      "/a b",      "/a\x7f", "/a%2f%2fb"};
	static const char *const queries[] = {"/a?=1", "/a?x=%", "/a?x=%00", "/a?x=#"};
	struct target target;
	struct err err = {0};
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		assert_int_equal(parse(text, sizeof(text), paths[i], &target, &err), ERR_SYNTAX);
		assert_string_equal(err.msg, "the path is not absolute and plain");
	}
	for (size_t i = 0; i < ARRAY_SIZE(queries); i++) {
		assert_int_equal(parse(text, sizeof(text), queries[i], &target, &err), ERR_SYNTAX);
		assert_string_equal(err.msg, "the query has a malformed parameter");
	}
	assert_int_equal(parse(text, sizeof(text), "/a?x=1&%78=2", &target, &err), ERR_SYNTAX);
	assert_string_equal(err.msg, "the query has 'x' twice");
}

static void test_too_large(void **state)
{
	static char text[TARGET_BYTES_MAX * 2];
	struct target target;
	struct err err = {0};
	size_t len = 2;

	(void)state;
	memset(text, 'a', TARGET_BYTES_MAX + 1);
	text[0] = '/';
	assert_int_equal(target_parse(text, &target, &err), ERR_TOO_LARGE);
	strcpy(text, "/?");
	for (int i = 0; i <= TARGET_PARAMETERS_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "p%d&", i);
	assert_int_equal(target_parse(text, &target, &err), ERR_TOO_LARGE);
	assert_string_equal(err.msg, "the query has over 64 parameters");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
