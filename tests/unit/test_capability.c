/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/capability.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_every_set_lies_within_the_one_above(void **state)
{
	(void)state;
	for (uint64_t pick = 0; pick < 1u << 12; pick++) {
		const struct capability_sets asked = {.bounding = pick & 7,
						      .permitted = pick >> 3 & 7,
						      .effective = pick >> 6 & 7,
						      .ambient = pick >> 9 & 7};
		struct capability_sets got = capability_compute(&asked);

		assert_int_equal(got.bounding, asked.bounding);
		assert_int_equal(got.permitted, asked.permitted & asked.bounding);
		assert_int_equal(got.effective, asked.effective & asked.permitted & asked.bounding);
		assert_int_equal(got.ambient, asked.ambient & asked.permitted & asked.bounding);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_set_lies_within_the_one_above)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
