/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup_file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static void test_words(void **state)
{
	(void)state;
	assert_true(cgroup_file_has_word("cpu,cpuacct", "cpu"));
	assert_true(cgroup_file_has_word("cpu,cpuacct", "cpuacct"));
	assert_true(cgroup_file_has_word("memory", "memory"));
	assert_false(cgroup_file_has_word("cpuset", "cpu"));
	assert_false(cgroup_file_has_word("name=systemd", "systemd"));
	assert_false(cgroup_file_has_word("", "cpu"));
}

static void test_counters(void **state)
{
	(void)state;
	assert_int_equal(cgroup_file_counter("low 1\nhigh 2\noom 3\noom_kill 4\n", "oom_kill"), 4);
	assert_int_equal(cgroup_file_counter("low 1\nhigh 2\noom 3\noom_kill 4\n", "oom"), 3);
	assert_int_equal(cgroup_file_counter("oom_kill_disable 1\nunder_oom 0\noom_kill 2", "oom_kill"), 2);
	assert_int_equal(cgroup_file_counter("oom 3", "kill"), 0);
}

static void test_files(void **state)
{
	char folder[] = "/tmp/cgroup_file.XXXXXX", text[8];
	int dir;

	(void)state;
	assert_non_null(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	assert_int_equal(cgroup_file_read(dir, "x", text, sizeof(text)), -ENOENT);
	assert_int_equal(cgroup_file_write(dir, "x", "1"), -ENOENT);
	assert_int_equal(close(openat(dir, "x", O_CREAT | O_WRONLY, 0600)), 0);
	assert_int_equal(cgroup_file_write(dir, "x", "123456\n"), 0);
	assert_int_equal(cgroup_file_read(dir, "x", text, sizeof(text)), 0);
	assert_string_equal(text, "123456");
	assert_int_equal(cgroup_file_read(dir, "x", text, 7), -EFBIG);
	assert_int_equal(unlinkat(dir, "x", 0), 0);
	assert_int_equal(close(dir), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
