/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_parse_u64(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		int result;
		uint64_t value;
	} rows[] = {
		{"0", 10, 0, 0},
		{"10", 10, 0, 10},
		{"11", 10, -ERANGE, 0},
		{"18446744073709551615", UINT64_MAX, 0, UINT64_MAX},
		{"18446744073709551616", UINT64_MAX, -ERANGE, 0},
		{"99999999999999999999999", UINT64_MAX, -ERANGE, 0},
		{"", 10, -EINVAL, 0},
		{"01", 10, -EINVAL, 0},
		{"+1", 10, -EINVAL, 0},
		{"-1", 10, -EINVAL, 0},
		{" 1", 10, -EINVAL, 0},
		{"1 ", 10, -EINVAL, 0},
		{"0x1", 10, -EINVAL, 0},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t value = 0;

		assert_int_equal(str_parse_u64(rows[i].text, rows[i].max, &value), rows[i].result);
		assert_int_equal(value, rows[i].value);
	}
}

static void test_parse_i64(void **state)
{
	int64_t value = 0;

	(void)state;
	assert_int_equal(str_parse_i64("-9223372036854775808", INT64_MIN, INT64_MAX, &value), 0);
	assert_true(value == INT64_MIN);
	assert_int_equal(str_parse_i64("9223372036854775807", INT64_MIN, INT64_MAX, &value), 0);
	assert_true(value == INT64_MAX);
	assert_int_equal(str_parse_i64("9223372036854775808", INT64_MIN, INT64_MAX, &value), -ERANGE);
	assert_int_equal(str_parse_i64("-9223372036854775809", INT64_MIN, INT64_MAX, &value), -ERANGE);
	assert_int_equal(str_parse_i64("-3", -2, 2, &value), -ERANGE);
	assert_int_equal(str_parse_i64("-0", -2, 2, &value), -EINVAL);
	assert_int_equal(str_parse_i64("--1", -2, 2, &value), -EINVAL);
	assert_int_equal(str_parse_i64("-", -2, 2, &value), -EINVAL);
}

static void test_dns_names(void **state)
{
	char label[65];

	(void)state;
	memset(label, 'a', sizeof(label));
	label[63] = '\0';
	assert_true(str_is_dns_label(label));
	label[63] = 'a';
	label[64] = '\0';
	assert_false(str_is_dns_label(label));
	assert_true(str_is_dns_label("a-0"));
	assert_false(str_is_dns_label("-a"));
	assert_false(str_is_dns_label("a-"));
	assert_false(str_is_dns_label("A"));
	assert_false(str_is_dns_label("a.b"));
	assert_false(str_is_dns_label(""));
	assert_true(str_is_dns_subdomain("a.b-c.d"));
	assert_false(str_is_dns_subdomain("a..b"));
	assert_false(str_is_dns_subdomain(".a"));
	assert_false(str_is_dns_subdomain("a."));
	assert_false(str_is_dns_subdomain("a/b"));
}

static void test_copy(void **state)
{
	char to[4] = "xxx";

	(void)state;
	assert_int_equal(str_copy(to, sizeof(to), "abc"), 0);
	assert_string_equal(to, "abc");
	assert_int_equal(str_copy(to, sizeof(to), "abcd"), -ENAMETOOLONG);
	assert_string_equal(to, "");
}

static void test_hex(void **state)
{
	static const uint8_t bytes[] = {0x00, 0xff, 0x1a};
	uint8_t back[3];
	char hex[7];

	(void)state;
	str_hex(hex, bytes, sizeof(bytes));
	assert_string_equal(hex, "00ff1a");
	assert_int_equal(str_unhex(back, sizeof(back), hex), 0);
	assert_memory_equal(back, bytes, sizeof(bytes));
	assert_int_equal(str_unhex(back, sizeof(back), "00ff1"), -EINVAL);
	assert_int_equal(str_unhex(back, sizeof(back), "00ff1a0"), -EINVAL);
	assert_int_equal(str_unhex(back, sizeof(back), "00FF1A"), -EINVAL);
	assert_int_equal(str_unhex(back, sizeof(back), ""), -EINVAL);
}

static void test_glob(void **state)
{
	(void)state;
	assert_true(str_glob("*", ""));
	assert_true(str_glob("a*c", "a/b/c"));
	assert_true(str_glob("*ab*ab", "abxabab"));
	assert_true(str_glob("ims/**", "ims/x"));
	assert_false(str_glob("ims/*", "ims"));
	assert_false(str_glob("a?c", "abc"));
	assert_false(str_glob("", "a"));
	assert_true(str_glob("", ""));
	assert_false(str_glob("abc", "ab"));
}

static void test_ends(void **state)
{
	(void)state;
	assert_true(str_ends("abc", "bc"));
	assert_true(str_ends("abc", ""));
	assert_false(str_ends("bc", "abc"));
	assert_false(str_ends("abc", "ab"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_u64), cmocka_unit_test(test_parse_i64), cmocka_unit_test(test_dns_names),
		cmocka_unit_test(test_copy),      cmocka_unit_test(test_hex),       cmocka_unit_test(test_glob),
		cmocka_unit_test(test_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
