/* SPDX-License-Identifier: Apache-2.0 */
#include "base/options.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *root, *level;
static bool quiet, all;
static const char *tags[2];
static struct option_list tag_list = {.items = tags, .most = ARRAY_SIZE(tags)};

static const struct option_row rows[] = {
	{"root", 'r', "DIR",
	 "the folder below which everything lies that this program reads or writes, made if missing", &root, NULL},
	{"log-level", 0, "LEVEL", "least level logged", &level, NULL},
	{"quiet", 'q', NULL, "say nothing", NULL, &quiet},
	{"all", 'a', NULL, "everything", NULL, &all},
	{"tag", 't', "TAG", "a mark, repeatable", NULL, NULL, &tag_list},
};

static struct option_command command = {
	.program = "prog",
	.operands = "[POD]...",
	.summary = "Does what a test needs, and is described in more words than one line of eighty columns can hold.",
	.rows = rows,
	.row_count = ARRAY_SIZE(rows),
	.most_operands = 2,
};

static struct err err;
static int first;
static char *words[16];

/* Parses a command line given as one string with blanks between its words. */
static int parse(const char *line)
{
	static char copy[512];
	int argc = 0;

	root = level = NULL;
	quiet = all = false;
	tag_list.count = 0;
	err = (struct err){0};
	(void)snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		words[argc++] = word;
	words[argc] = NULL;
	return options_parse(&command, argc, words, &first, &err);
}

static void test_forms(void **state)
{
	(void)state;
	assert_int_equal(parse("prog --root /a --log-level=info -qa"), 0);
	assert_string_equal(root, "/a");
	assert_string_equal(level, "info");
	assert_true(quiet && all);
	assert_int_equal(first, 5);
	assert_int_equal(parse("prog -r/b"), 0);
	assert_string_equal(root, "/b");
	assert_int_equal(parse("prog -qr /c"), 0);
	assert_string_equal(root, "/c");
	assert_true(quiet);
	assert_int_equal(parse("prog --root="), 0);
	assert_string_equal(root, "");
	assert_int_equal(parse("prog --quiet=true -a --all=false"), 0);
	assert_true(quiet && !all);
}

static void test_repeated_options(void **state)
{
	(void)state;
	assert_int_equal(parse("prog --tag a x -tb"), 0);
	assert_int_equal(tag_list.count, 2);
	assert_string_equal(tags[0], "a");
	assert_string_equal(tags[1], "b");
	assert_int_equal(parse("prog -t a --tag=b -t c"), -EINVAL);
	assert_string_equal(err.msg, "option '--tag' is given more than 2 times");
}

static void test_operands_are_gathered(void **state)
{
	(void)state;
	assert_int_equal(parse("prog one -r /a two -q"), 0);
	assert_int_equal(first, 4);
	assert_string_equal(words[1], "-r");
	assert_string_equal(words[2], "/a");
	assert_string_equal(words[3], "-q");
	assert_string_equal(words[4], "one");
	assert_string_equal(words[5], "two");
	assert_int_equal(parse("prog one -- -q"), 0);
	assert_int_equal(first, 2);
	assert_false(quiet);
	assert_string_equal(words[2], "one");
	assert_string_equal(words[3], "-q");
	assert_int_equal(parse("prog -"), 0);
	assert_int_equal(first, 1);
}

static void test_stop_at_operand(void **state)
{
	(void)state;
	command.stop_at_operand = true;
	assert_int_equal(parse("prog -q sub -r x y z"), 0);
	command.stop_at_operand = false;
	assert_int_equal(first, 2);
	assert_null(root);
	assert_true(quiet);
}

static void test_errors(void **state)
{
	static const struct {
		const char *line, *message;
	} cases[] = {
		{"prog --rot /a", "unknown option '--rot'"},
		{"prog --rot=/a", "unknown option '--rot'"},
		{"prog -x", "unknown option '-x'"},
		{"prog -qx", "unknown option '-x'"},
		{"prog --root", "option '--root' needs an argument DIR"},
		{"prog -r", "option '-r' needs an argument DIR"},
		{"prog --quiet=yes", "option '--quiet' takes no argument"},
		{"prog --help=true", "option '--help' takes no argument"},
		{"prog --roo /a", "unknown option '--roo'"},
		{"prog a b c", "unexpected operand 'c'"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(parse(cases[i].line), -EINVAL);
		assert_string_equal(err.msg, cases[i].message);
	}
	(void)parse("prog --lg-levl x");
	assert_string_equal(err.hint, "did you mean '--log-level'?");
	(void)parse("prog --versoin");
	assert_string_equal(err.hint, "did you mean '--version'?");
}

static void test_missing_operand(void **state)
{
	(void)state;
	command.least_operands = 1;
	assert_int_equal(parse("prog -q"), -EINVAL);
	command.least_operands = 0;
	assert_string_equal(err.msg, "an operand is missing: prog [POD]...");
}

/* What a parse prints on standard output. */
static const char *printed(const char *line)
{
	static char text[4096];
	int ends[2], saved = dup(STDOUT_FILENO);
	ssize_t n;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	(void)fflush(stdout);
	assert_true(saved >= 0 && dup2(ends[1], STDOUT_FILENO) >= 0);
	assert_int_equal(parse(line), 1);
	(void)fflush(stdout);
	(void)dup2(saved, STDOUT_FILENO);
	(void)close(saved);
	(void)close(ends[1]);
	n = read(ends[0], text, sizeof(text) - 1);
	(void)close(ends[0]);
	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void test_help(void **state)
{
	const char *help = printed("prog -q --help --nonsense");
	size_t width;

	(void)state;
	assert_true(strncmp(help, "Usage: prog [OPTION]... [POD]...\n\n", 34) == 0);
	assert_non_null(strstr(help, "  -r, --root DIR         the folder below which everything lies that this\n"
				     "                         program reads or writes, made if missing\n"));
	assert_non_null(strstr(help, "      --log-level LEVEL  least level logged\n"));
	assert_non_null(strstr(help, "  -h, --help             show this help and exit\n"));
	for (; *help; help += width + (help[width] == '\n')) {
		width = strcspn(help, "\n");
		assert_true(width <= 80);
	}
	assert_string_equal(printed("prog --version"), "prog " BULKHEAD_VERSION "\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_operands_are_gathered),
		cmocka_unit_test(test_stop_at_operand),
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_missing_operand),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_repeated_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
