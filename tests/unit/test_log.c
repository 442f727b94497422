/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/fdio.h"

static int ends[2], saved;
static char text[2 * LOG_LINE_MAX];

/* Lets standard error go into a pipe that is long enough for the lines of a test. */
static void capture(void)
{
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	saved = dup(STDERR_FILENO);
	assert_true(saved >= 0 && dup2(ends[1], STDERR_FILENO) >= 0);
}

static const char *captured(void)
{
	ssize_t n;

	(void)dup2(saved, STDERR_FILENO);
	(void)close(saved);
	(void)close(ends[1]);
	n = read(ends[0], text, sizeof(text) - 1);
	(void)close(ends[0]);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void test_line(void **state)
{
	const char *line;

	(void)state;
	log_init("test", LOG_LEVEL_INFO);
	capture();
	log_info("a \"quoted\"\nthing", "key", "back\\slash", "none", (const char *)NULL);
	line = captured();
	assert_true(strncmp(line, "{ \"time\":\"20", 12) == 0);
	assert_non_null(strstr(line, ",\"level\":\"info\",\"part\":\"test\",\"msg\":\"a \\\"quoted\\\"\\u000athing\","
				     "\"key\":\"back\\\\slash\",\"none\":null}\n"));
}

static void test_level(void **state)
{
	(void)state;
	log_init("test", LOG_LEVEL_WARN);
	capture();
	log_info("too quiet");
	log_warn("loud enough");
	assert_null(strstr(captured(), "too quiet"));
	assert_non_null(strstr(text, "loud enough"));
}

static void test_long_values_are_cut(void **state)
{
	char value[2 * LOG_LINE_MAX];
	const char *line;

	(void)state;
	memset(value, 'v', sizeof(value));
	value[sizeof(value) - 1] = '\0';
	log_init("test", LOG_LEVEL_INFO);
	capture();
	log_info("long", "first", value, "second", "left out");
	line = captured();
	assert_true(strlen(line) <= LOG_LINE_MAX);
	assert_string_equal(line + strlen(line) - 4, "v\"}\n");
	assert_null(strstr(line, "second"));
}

static void test_failure(void **state)
{
	struct err err = {0};

	(void)state;
	(void)err_set(&err, -EIO, "disk 'a' broke");
	(void)err_hint(&err, "replace it");
	log_init("test", LOG_LEVEL_INFO);
	capture();
	log_failure("cannot go on", &err);
	assert_non_null(
		strstr(captured(), "\"msg\":\"cannot go on\",\"error\":\"disk 'a' broke\",\"hint\":\"replace it\"}\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_level),
		cmocka_unit_test(test_long_values_are_cut),
		cmocka_unit_test(test_failure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
