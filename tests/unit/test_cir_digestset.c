/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_digestset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct digest number(unsigned i)
{
	struct digest digest;

	assert_int_equal(digest_of(i % 2 ? DIGEST_SHA256 : DIGEST_SHA512, &i, sizeof(i), &digest), 0);
	return digest;
}

static void test_what_was_added_is_in(void **state)
{
	CLEANUP_CIR_DIGESTSET struct cir_digestset set = {0};

	(void)state;
	for (unsigned i = 0; i < 20000; i++) {
		struct digest digest = number(i);

		assert_false(cir_digestset_has(&set, &digest));
		assert_int_equal(cir_digestset_add(&set, &digest), 0);
		assert_true(cir_digestset_has(&set, &digest));
		assert_int_equal(cir_digestset_add(&set, &digest), 0);
	}
	assert_int_equal(set.count, 20000);
	for (unsigned i = 0; i < 20000; i++) {
		struct digest digest = number(i), other = number(i + 20000);

		assert_true(cir_digestset_has(&set, &digest));
		assert_false(cir_digestset_has(&set, &other));
	}
}

/* A digest whose first bits are those that mark a free place is kept all the same. */
static void test_zero(void **state)
{
	CLEANUP_CIR_DIGESTSET struct cir_digestset set = {0};
	struct digest zero = {0};

	(void)state;
	assert_false(cir_digestset_has(&set, &zero));
	assert_int_equal(cir_digestset_add(&set, &zero), 0);
	assert_true(cir_digestset_has(&set, &zero));
	cir_digestset_done(&set);
	assert_false(cir_digestset_has(&set, &zero));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_added_is_in),
		cmocka_unit_test(test_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
