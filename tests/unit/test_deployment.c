/* SPDX-License-Identifier: Apache-2.0 */
/* CISM-6: the page in docs/ says what the table says, and every rule it names is there. */
#include "policy/deployment.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fdio.h"

/* With BULKHEAD_WRITE_MATRIX=1 the page is written instead. */
static void test_page(void **state)
{
	CLEANUP_BUF struct buf expected = buf_of(1 << 20), found = buf_of(1 << 20);
	const char *path = getenv("BULKHEAD_MATRIX");
	FILE *file;

	(void)state;
	assert_non_null(path);
	assert_int_equal(policy_deployment_format(&expected), 0);
	if (getenv("BULKHEAD_WRITE_MATRIX")) {
		file = fopen(path, "we");
		assert_non_null(file);
		assert_true(fwrite(expected.data, 1, expected.len, file) == expected.len);
		assert_int_equal(fclose(file), 0);
	}
	assert_int_equal(fdio_read_file(AT_FDCWD, path, &found, NULL), 0);
	assert_int_equal(found.len, expected.len);
	assert_memory_equal(found.data, expected.data, expected.len);
}

static void test_every_care_is_a_rule(void **state)
{
	size_t words = 0;

	(void)state;
	for (size_t axis = 0; axis < POLICY_DEPLOYMENT_AXES; axis++)
		for (size_t i = 0; i < POLICY_DEPLOYMENT_CHOICES; i++) {
			char care[64];
			char *save = NULL;

			(void)snprintf(care, sizeof(care), "%s",
				       policy_deployment_choice((enum policy_deployment_axis)axis, i)->care);
			for (char *word = strtok_r(care, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
				const struct policy_deployment_rule *rule = policy_deployment_rules;

				while (rule->number && strcmp(rule->number, word) != 0)
					rule++;
				if (!rule->number)
					fail_msg("'%s' is no rule", word);
				words++;
			}
		}
	assert_true(words > 9);
}

static void test_indices(void **state)
{
	const size_t first[] = {0, 0, 0}, last[] = {2, 2, 2};
	char index[8];

	(void)state;
	policy_deployment_index(first, index);
	assert_string_equal(index, "B-O-O");
	policy_deployment_index(last, index);
	assert_string_equal(index, "H-R-R");
	assert_null(policy_deployment_choice(POLICY_DEPLOYMENT_CIR, POLICY_DEPLOYMENT_CHOICES));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_every_care_is_a_rule),
		cmocka_unit_test(test_indices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
