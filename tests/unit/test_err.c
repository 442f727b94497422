/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_messages(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(err_set(&err, ERR_INVALID, "field '%s' wrong", "a"), -EINVAL);
	assert_string_equal(err.msg, "field 'a' wrong");
	assert_int_equal(err_prefix(&err, "cannot start pod '%s'", "x"), -EINVAL);
	assert_string_equal(err.msg, "cannot start pod 'x': field 'a' wrong");
	assert_int_equal(err_sys(&err, -ENOENT, "cannot open '%s'", "f"), -ENOENT);
	assert_string_equal(err.msg, "cannot open 'f': No such file or directory");
	assert_int_equal(err_set(NULL, -EIO, "nobody listens"), -EIO);
}

static void test_long_prefix_is_cut(void **state)
{
	struct err err = {0};

	(void)state;
	(void)err_set(&err, -EIO, "%0*d", ERR_MESSAGE_MAX * 2, 0);
	assert_int_equal(strlen(err.msg), ERR_MESSAGE_MAX - 1);
	(void)err_prefix(&err, "%0*d", ERR_MESSAGE_MAX, 7);
	assert_int_equal(strlen(err.msg), ERR_MESSAGE_MAX - 1);
}

static void test_mapping(void **state)
{
	(void)state;
	assert_int_equal(err_http_status(ERR_CONFLICT), 409);
	assert_string_equal(err_reason(ERR_CONFLICT), "Conflict");
	assert_string_equal(err_reason(-EIO), "InternalError");
	assert_int_equal(err_exit_code(0), 0);
	assert_int_equal(err_exit_code(-EIO), 1);
	assert_int_equal(err_from_http_status(404), ERR_NOT_FOUND);
	assert_int_equal(err_from_http_status(204), 0);
	assert_int_equal(err_from_http_status(599), ERR_UNAVAILABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_long_prefix_is_cut),
		cmocka_unit_test(test_mapping),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
