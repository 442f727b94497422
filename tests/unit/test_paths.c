/* SPDX-License-Identifier: Apache-2.0 */
#include "base/paths.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_roots(void **state)
{
	struct err err = {0};
	struct paths paths;

	(void)state;
	assert_int_equal(paths_init(&paths, NULL, &err), 0);
	assert_string_equal(paths.etc, "/etc/bulkhead");
	assert_int_equal(paths_init(&paths, "/", &err), 0);
	assert_string_equal(paths.state, "/var/lib/bulkhead");
	assert_int_equal(paths_init(&paths, "/tmp/x//", &err), 0);
	assert_string_equal(paths.run, "/tmp/x/run/bulkhead");
	assert_int_equal(chdir("/usr"), 0);
	assert_int_equal(paths_init(&paths, "y", &err), 0);
	assert_string_equal(paths.etc, "/usr/y/etc/bulkhead");
}

static void test_long_root(void **state)
{
	struct err err = {0};
	struct paths paths;
	char root[67];

	(void)state;
	memset(root, 'r', sizeof(root));
	root[0] = '/';
	root[64] = '\0';
	assert_int_equal(paths_init(&paths, root, &err), 0);
	root[64] = 'r';
	root[65] = '\0';
	assert_int_equal(paths_init(&paths, root, &err), -ENAMETOOLONG);
	assert_non_null(strstr(err.msg, "is longer than 64 bytes"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roots),
		cmocka_unit_test(test_long_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
