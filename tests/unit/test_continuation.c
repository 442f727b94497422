/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/continuation.h"

#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_there_and_back(void **state)
{
	char token[CONTINUATION_SIZE];
	char key[STORE_KEY_MAX + 1];
	uint64_t revision = 0;

	(void)state;
	assert_int_equal(continuation_format(42, "/registry/core/pods/b/p", token, NULL), 0);
	assert_int_equal(continuation_parse(token, "/registry/core/pods/", &revision, key, NULL), 0);
	assert_int_equal(revision, 42);
	assert_string_equal(key, "/registry/core/pods/b/p");
	/* A token of one list does not open another. */
	assert_int_equal(continuation_parse(token, "/registry/core/secrets/", &revision, key, NULL), ERR_SYNTAX);
	assert_int_equal(continuation_parse(token, "/registry/core/pods/c/", &revision, key, NULL), ERR_SYNTAX);
}

static void test_nonsense(void **state)
{
	static const char *const tokens[] = {"", "0", "zz", "3A", "3a", "30:", "303a2f", "343200", "34323a2f78003a"};
	char key[STORE_KEY_MAX + 1];
	char longest[3 * STORE_KEY_MAX];
	uint64_t revision;

	(void)state;
	for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++)
		assert_int_equal(continuation_parse(tokens[i], "/", &revision, key, NULL), ERR_SYNTAX);
	memset(longest, '3', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(continuation_parse(longest, "/", &revision, key, NULL), ERR_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
