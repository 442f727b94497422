/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_append(void **state)
{
	CLEANUP_BUF struct buf buf = buf_of(1000);

	(void)state;
	assert_int_equal(buf_puts(&buf, "ab"), 0);
	assert_int_equal(buf_putc(&buf, 'c'), 0);
	assert_int_equal(buf_append(&buf, "d\0e", 3), 0);
	assert_int_equal(buf_printf(&buf, "%d-%s", 7, "x"), 0);
	assert_int_equal(buf.len, 9);
	assert_memory_equal(buf.data, "abcd\0e7-x", 10);
	buf_consume(&buf, 6);
	assert_string_equal(buf.data, "7-x");
	buf_clear(&buf);
	assert_int_equal(buf.len, 0);
	assert_string_equal(buf.data, "");
}

static void test_maximum(void **state)
{
	CLEANUP_BUF struct buf buf = buf_of(4);
	char *at;

	(void)state;
	assert_int_equal(buf_puts(&buf, "abc"), 0);
	assert_int_equal(buf_puts(&buf, "de"), -EFBIG);
	assert_int_equal(buf_printf(&buf, "%s", "de"), -EFBIG);
	assert_int_equal(buf_reserve(&buf, SIZE_MAX, &at), -EFBIG);
	assert_string_equal(buf.data, "abc");
	assert_int_equal(buf_putc(&buf, 'd'), 0);
	assert_int_equal(buf_putc(&buf, 'e'), -EFBIG);
	assert_string_equal(buf.data, "abcd");
}

static void test_reserve_and_steal(void **state)
{
	CLEANUP_BUF struct buf buf = buf_of(100);
	CLEANUP_FREE char *stolen = NULL;
	char *at;

	(void)state;
	assert_int_equal(buf_reserve(&buf, 3, &at), 0);
	memcpy(at, "xyz", 3);
	buf.len += 3;
	assert_int_equal(buf_append(&buf, "", 0), 0);
	stolen = buf_steal(&buf);
	assert_string_equal(stolen, "xyz");
	assert_int_equal(buf.len, 0);
	assert_null(buf.data);
	assert_int_equal(buf.max, 100);
}

static void test_steal_of_nothing_is_empty(void **state)
{
	CLEANUP_BUF struct buf buf = buf_of(100);
	CLEANUP_FREE char *stolen = buf_steal(&buf);

	(void)state;
	assert_non_null(stolen);
	assert_string_equal(stolen, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_maximum),
		cmocka_unit_test(test_reserve_and_steal),
		cmocka_unit_test(test_steal_of_nothing_is_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
