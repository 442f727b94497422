/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "api/api.h"

#define PATTERN "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
#define OVER "quantity is over the maximum of 9223372036854775807m"

static void test_quantity(void **state)
{
	static const struct {
		const char *text;
		int64_t milli;
		const char *message;
	} rows[] = {
		{"0", 0, NULL},
		{"1", 1000, NULL},
		{"500m", 500, NULL},
		{"0.5", 500, NULL},
		{".5", 500, NULL},
		{"1.", 1000, NULL},
		{"-2", -2000, NULL},
		{"+2", 2000, NULL},
		{"64Mi", 67108864000, NULL},
		{"1.5Gi", 1610612736000, NULL},
		{"1e3", 1000000, NULL},
		{"1E3", 1000000, NULL},
		{"1E", 1000, OVER},
		{"12e-3", 12, NULL},
		{"1k", 1000000, NULL},
		{"100n", 1, NULL}, /* rounded up, as a request must not become nothing */
		{"1u", 1, NULL},
		{"1001u", 2, NULL},
		{"7Pi", 7881299347898368000, NULL},
		{"9Pi", 0, OVER},
		{"0Ei", 0, NULL},
		{"999999999999999999999999Ei", 0, OVER},
		{"", 0, PATTERN},
		{"m", 0, PATTERN},
		{"1 ", 0, PATTERN},
		{"1mi", 0, PATTERN},
		{"1ki", 0, PATTERN},
		{"1.2.3", 0, PATTERN},
		{"--1", 0, PATTERN},
		{"1e", 0, PATTERN},
		{"1e99", 0, PATTERN},
		{"0x10", 0, PATTERN},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = {0};
		int64_t milli = 0;
		int r = api_quantity(rows[i].text, &milli, &err);

		if (rows[i].message) {
			assert_string_equal(err.msg, rows[i].message);
			assert_int_equal(r, ERR_INVALID);
			continue;
		}
		if (r < 0 || milli != rows[i].milli)
			fail_msg("%s: %lld %s", rows[i].text, (long long)milli, err.msg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_quantity)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
