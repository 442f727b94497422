/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/idmap.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const struct {
	const char *text;
	int result;
	size_t count;
} cases[] = {
	{"", 0, 0},
	{"         0 1900000000      65536\n", 0, 1},
	{"0 0 4294967295\n", 0, 1},
	{"0 1 2\n2 7 1\n", 0, 2},
	{"0 1 2", 0, 1},
	{"0 1\n", -EINVAL, 0},
	{"0 1 2 3\n", -EINVAL, 0},
	{"0 1 2 \n", -EINVAL, 0},
	{"0 1 -2\n", -EINVAL, 0},
	{"x 1 2\n", -EINVAL, 0},
	{"0 1 0\n", -EINVAL, 0},
	{"0 4294967295 2\n", -EINVAL, 0},
	{"0 4294967296 1\n", -EINVAL, 0},
	{"\n", -EINVAL, 0},
};

static void test_parse(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct idmap map;

		assert_int_equal(idmap_parse(cases[i].text, strlen(cases[i].text), &map), cases[i].result);
		if (cases[i].result == 0)
			assert_int_equal(map.count, cases[i].count);
	}
}

static void test_find(void **state)
{
	static const char text[] = "0 1000 10\n20 5000 1\n";
	struct idmap map;
	uint32_t outside;

	assert_int_equal(idmap_parse(text, strlen(text), &map), 0);
	assert_int_equal(idmap_find(&map, 9, &outside), 0);
	assert_int_equal(outside, 1009);
	assert_int_equal(idmap_find(&map, 20, &outside), 0);
	assert_int_equal(outside, 5000);
	assert_int_equal(idmap_find(&map, 10, &outside), -ERANGE);
	assert_int_equal(idmap_find(&map, 21, &outside), -ERANGE);
	assert_int_equal(idmap_find(&map, UINT32_MAX, &outside), -ERANGE);
}

static void test_has(void **state)
{
	static const char text[] = "0 1000 10\n20 5000 1\n7 4294967294 2\n";
	struct spec_idmap lines[] = {{0, 0, 1}, {5, 8, 2}};
	const struct spec_idmaps asked = {lines, 2}, none = {0};
	struct idmap map;

	assert_int_equal(idmap_parse(text, strlen(text), &map), 0);
	assert_true(idmap_has(&map, 1000) && idmap_has(&map, 1009) && idmap_has(&map, 5000));
	assert_true(idmap_has(&map, UINT32_MAX));
	assert_false(idmap_has(&map, 0) || idmap_has(&map, 999) || idmap_has(&map, 1010) || idmap_has(&map, 5001));
	idmap_copy(&map, &asked);
	assert_true(idmap_has(&map, 0) && idmap_has(&map, 9));
	assert_false(idmap_has(&map, 1) || idmap_has(&map, 10));
	idmap_copy(&map, &none);
	assert_false(idmap_has(&map, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_find),
					   cmocka_unit_test(test_has)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
