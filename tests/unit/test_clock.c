/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void test_format(void **state)
{
	char stamp[CLOCK_STAMP_SIZE];

	(void)state;
	clock_format(stamp, 0);
	assert_string_equal(stamp, "1970-01-01T00:00:00Z");
	clock_format(stamp, 1709210096789);
	assert_string_equal(stamp, "2024-02-29T12:34:56Z");
	clock_format(stamp, INT64_MAX);
	assert_string_equal(stamp, "1970-01-01T00:00:00Z");
}

static void test_parse(void **state)
{
	static const struct {
		const char *stamp;
		int64_t value;
	} rows[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"2024-02-29T12:34:56Z", 1709210096000},
		{"2024-02-29T12:34:56.789Z", 1709210096789},
		{"2024-02-29T12:34:56.7891234Z", 1709210096789},
		{"2024-02-29T14:34:56+02:00", 1709210096000},
		{"2024-02-29T07:04:56-05:30", 1709210096000},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t value = -1;

		assert_int_equal(clock_parse(rows[i].stamp, &value), 0);
		assert_true(value == rows[i].value);
	}
}

static void test_parse_refuses(void **state)
{
	static const char *const wrong[] = {
		"",
		"2024-02-29",
		"2024-02-29 12:34:56Z",
		"2023-02-29T12:34:56Z",
		"2024-13-01T12:34:56Z",
		"2024-02-29T24:34:56Z",
		"2024-02-29T12:60:56Z",
		"2024-02-29T12:34:56",
		"2024-02-29T12:34:56.Z",
		"2024-02-29T12:34:56Zx",
		"2024-02-29T12:34:56+2:00",
		"2024-02-29T12:34:56+24:00",
		"1969-12-31T23:59:59Z",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		int64_t value = -1;

		assert_int_equal(clock_parse(wrong[i], &value), -EINVAL);
		assert_true(value == -1);
	}
}

static void test_monotonic(void **state)
{
	uint64_t first = clock_monotonic_ns();

	(void)state;
	assert_true(first > 0);
	assert_true(clock_monotonic_ns() >= first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_parse_refuses),
		cmocka_unit_test(test_monotonic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
