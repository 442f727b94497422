/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fdio.h"

static char folder[] = "/var/tmp/bulkhead-logfile-XXXXXX";

static void put(const char *name, const char *text, int flags)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fdio_write_all(fd, text, strlen(text)), 0);
	(void)close(fd);
}

static int setup(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	put("0.log", "2026-11-21T20:00:00.1Z stdout F before\n", O_TRUNC);
	put("1.log.1", "2026-11-21T20:21:00.1Z stdout F one\n2026-11-21T20:21:01.1Z stderr P tw\n", O_TRUNC);
	put("1.log", "2026-11-21T20:21:02.1Z stderr F o\n2026-11-21T20:21:03.1Z stdout F \nrubbish\n", O_TRUNC);
	return 0;
}

static int teardown(void **state)
{
	struct err err = {0};

	(void)state;
	return fdio_remove_tree(AT_FDCWD, folder, &err);
}

static struct logfile *begin(struct logfile_options options)
{
	struct logfile *log = NULL;
	struct err err = {0};

	if (logfile_open(folder, &options, &log, &err) < 0)
		fail_msg("%s", err.msg);
	return log;
}

/* Reads byte for byte up to the end, or until nothing is there yet. */
static ssize_t drain(struct logfile *log, char *to, size_t size, bool ended)
{
	size_t len = 0;
	ssize_t n;

	while ((n = logfile_read(log, to + len, 1, ended)) > 0 && len + 1 < size)
		len += (size_t)n;
	to[len] = '\0';
	return n;
}

static void expect(struct logfile_options options, const char *text)
{
	struct logfile *log = begin(options);
	char got[512];

	assert_int_equal(drain(log, got, sizeof(got), true), 0);
	assert_string_equal(got, text);
	logfile_close(log);
}

static void test_options(void **state)
{
	int64_t since;

	(void)state;
	assert_int_equal(clock_parse("2026-11-21T20:21:02Z", &since), 0);
	expect((struct logfile_options){.tail = -1, .limit = -1}, "one\ntwo\n\n");
	expect((struct logfile_options){.tail = 2, .limit = -1}, "o\n\n");
	expect((struct logfile_options){.tail = 0, .limit = -1}, "");
	expect((struct logfile_options){.tail = -1, .limit = 5}, "one\nt");
	expect((struct logfile_options){.tail = -1, .limit = 0}, "");
	expect((struct logfile_options){.tail = -1, .limit = -1, .since_ms = since}, "o\n\n");
	expect((struct logfile_options){.tail = -1, .limit = -1, .previous = true}, "before\n");
	expect((struct logfile_options){.tail = 1, .limit = -1, .timestamps = true, .previous = true},
	       "2026-11-21T20:00:00.1Z before\n");
}

/* A reader that follows goes over a rotation and ends with the run. */
static void test_follow(void **state)
{
	struct logfile *log = begin((struct logfile_options){.tail = 0, .limit = -1, .follow = true});
	char got[512], from[128], to[128];

	(void)state;
	assert_int_equal(drain(log, got, sizeof(got), false), -EAGAIN);
	put("1.log", "2026-11-21T20:21:04.1Z stdout F more\n", O_APPEND);
	assert_int_equal(drain(log, got, sizeof(got), false), -EAGAIN);
	assert_string_equal(got, "more\n");
	(void)snprintf(from, sizeof(from), "%s/1.log", folder);
	(void)snprintf(to, sizeof(to), "%s/1.log.1", folder);
	put("1.log", "2026-11-21T20:21:05.1Z stdout F last of old\n", O_APPEND);
	assert_int_equal(rename(from, to), 0);
	put("1.log", "2026-11-21T20:21:06.1Z stdout F first of new\n", O_TRUNC);
	assert_int_equal(drain(log, got, sizeof(got), true), 0);
	assert_string_equal(got, "last of old\nfirst of new\n");
	logfile_close(log);
}

static void test_missing(void **state)
{
	struct logfile_options options = {.tail = -1, .limit = -1};
	struct logfile *log = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(logfile_open("/nonexistent", &options, &log, &err), ERR_NOT_FOUND);
	assert_string_equal(err.msg, "the container has not started yet");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_follow),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
