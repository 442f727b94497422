/* SPDX-License-Identifier: Apache-2.0 */
/* Values by patterns: each kind, what is left out, and what becomes of values given away when the whole fails. */
#include "base/json_build.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static void assert_is(json_t *value, const char *text)
{
	char *dumped = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	assert_non_null(value);
	assert_string_equal(dumped, text);
	free(dumped);
	json_decref(value);
}

static void test_kinds(void **state)
{
	json_t *kept = json_array();

	assert_is(json_build("{}"), "{}");
	assert_is(json_build("[]"), "[]");
	assert_is(json_build("s", "a"), "\"a\"");
	assert_is(json_build("{s:s, s:i, s:I, s:b, s:b}", "a", "x", "b", -1, "c", (json_int_t)1 << 40, "d", 2, "e", 0),
		  "{\"a\":\"x\",\"b\":-1,\"c\":1099511627776,\"d\":true,\"e\":false}");
	assert_is(json_build("{s:{s:b}, s:[s, i], s:o, s:O}", "a", "b", 1, "c", "d", 5, "e", json_object(), "f", kept),
		  "{\"a\":{\"b\":true},\"c\":[\"d\",5],\"e\":{},\"f\":[]}");
	assert_int_equal(kept->refcount, 1);
	json_decref(kept);
}

static void test_left_out(void **state)
{
	assert_is(json_build("{s:s*, s:o*, s:O*, s:i}", "a", NULL, "b", NULL, "c", NULL, "d", 1), "{\"d\":1}");
	assert_is(json_build("{s:s*, s:o*}", "a", "x", "b", json_true()), "{\"a\":\"x\",\"b\":true}");
	assert_is(json_build("[s*, i]", NULL, 1), "[1]");
}

static void test_failures(void **state)
{
	json_t *given = json_object();

	assert_null(json_build("{s:s}", "a", NULL));
	assert_null(json_build("{s:o}", "a", NULL));
	assert_null(json_build("{s:s}", "a", "\xff"));
	assert_null(json_build("{s:s*}", "a", "\xff"));
	assert_null(json_build("{s:i}", "\xff", 1));
	assert_null(json_build("s", NULL));
	/* Given away before or behind what fails, it is gone. */
	json_incref(given);
	json_incref(given);
	assert_null(json_build("{s:o, s:s, s:o}", "a", given, "b", NULL, "c", given));
	assert_int_equal(given->refcount, 1);
	json_decref(given);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_left_out),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
