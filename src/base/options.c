/* SPDX-License-Identifier: Apache-2.0 */
#include "base/options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define LINE_WIDTH 80
#define NAME_MAX_WIDTH 30

static const struct option_row common_rows[] = {
	{"help", 'h', NULL, "show this help and exit", NULL, NULL},
	{"version", 0, NULL, "show the version and exit", NULL, NULL},
};

/* Prints text behind column `indent`, broken at blanks so that no line passes LINE_WIDTH; the cursor is at `column`. */
static void print_wrapped(const char *text, size_t indent, size_t column)
{
	while (*text) {
		size_t word = strcspn(text, " \n");

		if (column > indent && column + 1 + word > LINE_WIDTH) {
			(void)printf("\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			(void)putchar(' ');
			column++;
		}
		(void)printf("%.*s", (int)word, text);
		column += word;
		text += word;
		if (*text == '\n') {
			(void)printf("\n%*s", (int)indent, "");
			column = indent;
		}
		text += *text != '\0';
	}
	(void)putchar('\n');
}

/* "--root DIR" and its width without the short name before it. */
static size_t name_width(const struct option_row *row)
{
	return strlen("  -x, --") + strlen(row->name) + (row->argument ? strlen(row->argument) + 1 : 0);
}

static void print_row(const struct option_row *row, size_t indent)
{
	size_t width = name_width(row);

	if (row->letter)
		(void)printf("  -%c, --%s", row->letter, row->name);
	else
		(void)printf("      --%s", row->name);
	if (row->argument)
		(void)printf(" %s", row->argument);
	if (width + 2 > indent)
		(void)printf("\n%*s", (int)indent, "");
	else
		(void)printf("%*s", (int)(indent - width), "");
	print_wrapped(row->help, indent, indent);
}

static size_t rows_indent(const struct option_row *rows, size_t count, size_t indent)
{
	for (size_t i = 0; i < count; i++) {
		size_t width = name_width(&rows[i]) + 2;

		if (width > indent && width <= NAME_MAX_WIDTH)
			indent = width;
	}
	return indent;
}

void options_help(const struct option_command *command)
{
	const char *footer = command->make_footer ? command->make_footer() : command->footer;
	size_t indent = rows_indent(common_rows, ARRAY_SIZE(common_rows), 0);

	indent = rows_indent(command->rows, command->row_count, indent);
	(void)printf("Usage: %s [OPTION]...%s%s\n\n", command->program, command->operands ? " " : "",
		     command->operands ? command->operands : "");
	print_wrapped(command->summary, 0, 0);
	(void)putchar('\n');
	for (size_t i = 0; i < command->row_count; i++)
		print_row(&command->rows[i], indent);
	for (size_t i = 0; i < ARRAY_SIZE(common_rows); i++)
		print_row(&common_rows[i], indent);
	if (footer)
		(void)printf("\n%s\n", footer);
}

static size_t least_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

#define WORD_MAX 40

/* Levenshtein distance of two words, of which only the first WORD_MAX bytes count. */
static size_t word_distance(const char *a, const char *b)
{
	size_t row[WORD_MAX + 1], a_len = strnlen(a, WORD_MAX), b_len = strnlen(b, WORD_MAX);

	for (size_t j = 0; j <= b_len; j++)
		row[j] = j;
	for (size_t i = 1; i <= a_len; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= b_len; j++) {
			size_t change = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = least_of(change, least_of(row[j], row[j - 1]) + 1);
		}
	}
	return row[b_len];
}

static const char *nearest_name(const struct option_command *command, const char *word)
{
	const char *nearest = common_rows[0].name;
	size_t least = word_distance(word, nearest);

	for (size_t i = 0; i < command->row_count + 1; i++) {
		const char *name = i < command->row_count ? command->rows[i].name : common_rows[1].name;
		size_t distance = word_distance(word, name);

		if (distance < least) {
			least = distance;
			nearest = name;
		}
	}
	return nearest;
}

static const struct option_row *find_in(const struct option_row *rows, size_t count, const char *name, size_t len,
					char letter)
{
	for (size_t i = 0; i < count; i++) {
		if (name && strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0)
			return &rows[i];
		if (!name && rows[i].letter && rows[i].letter == letter)
			return &rows[i];
	}
	return NULL;
}

static const struct option_row *find_row(const struct option_command *command, const char *name, size_t len,
					 char letter)
{
	const struct option_row *row = find_in(command->rows, command->row_count, name, len, letter);

	return row ? row : find_in(common_rows, ARRAY_SIZE(common_rows), name, len, letter);
}

/* Acts on --help and --version (1) or a flag of the table (0). */
static int flag_given(const struct option_command *command, const struct option_row *row)
{
	if (row == &common_rows[0]) {
		options_help(command);
		return 1;
	}
	if (row == &common_rows[1]) {
		(void)printf("%s %s\n", command->program, BULKHEAD_VERSION);
		return 1;
	}
	*row->flag = true;
	return 0;
}

static int value_given(const struct option_row *row, const char *value, struct err *err)
{
	if (!row->list) {
		*row->value = value;
		return 0;
	}
	if (row->list->count == row->list->most)
		return err_set(err, ERR_INVALID, "option '--%s' is given more than %zu times", row->name,
			       row->list->most);
	row->list->items[row->list->count++] = value;
	return 0;
}

/* "--flag=true" and "--flag=false" as some callers spell it. */
static int flag_valued(const struct option_row *row, const char *value, struct err *err)
{
	if (!row->flag || (!str_eq(value, "true") && !str_eq(value, "false")))
		return err_set(err, ERR_INVALID, "option '--%s' takes no argument", row->name);
	*row->flag = str_eq(value, "true");
	return 0;
}

/* Takes a "--name", "--name=value" or "--name value" at argv[0]; ret_words says how many words it took. */
static int take_long(const struct option_command *command, char **argv, int *ret_words, struct err *err)
{
	const char *name = argv[0] + 2, *equal = strchr(name, '=');
	size_t len = equal ? (size_t)(equal - name) : strlen(name);
	const struct option_row *row = find_row(command, name, len, 0);

	if (!row) {
		(void)err_set(err, ERR_INVALID, "unknown option '--%.*s'", (int)len, name);
		return err_hint(err, "did you mean '--%s'?", nearest_name(command, name));
	}
	if (!row->argument && equal)
		return flag_valued(row, equal + 1, err);
	if (!row->argument)
		return flag_given(command, row);
	if (!equal && !argv[1])
		return err_set(err, ERR_INVALID, "option '--%s' needs an argument %s", row->name, row->argument);
	*ret_words = equal ? 1 : 2;
	return value_given(row, equal ? equal + 1 : argv[1], err);
}

/* Takes a cluster of short options "-abc", "-r DIR" or "-rDIR" at argv[0]. */
static int take_short(const struct option_command *command, char **argv, int *ret_words, struct err *err)
{
	for (const char *at = argv[0] + 1; *at; at++) {
		const struct option_row *row = find_row(command, NULL, 0, *at);
		int r;

		if (!row) {
			(void)err_set(err, ERR_INVALID, "unknown option '-%c'", *at);
			return err_hint(err, "'%s --help' lists the options", command->program);
		}
		if (row->argument) {
			if (!at[1] && !argv[1])
				return err_set(err, ERR_INVALID, "option '-%c' needs an argument %s", *at,
					       row->argument);
			*ret_words = at[1] ? 1 : 2;
			return value_given(row, at[1] ? at + 1 : argv[1], err);
		}
		r = flag_given(command, row);
		if (r)
			return r;
	}
	return 0;
}

/* Moves `count` words from argv[from] down to argv[to]; what lay between moves up behind them. */
static void move_words(char **argv, int to, int from, int count)
{
	for (int i = 0; i < count; i++) {
		char *word = argv[from + i];

		memmove(&argv[to + i + 1], &argv[to + i], (size_t)(from - to) * sizeof(*argv));
		argv[to + i] = word;
	}
}

static int check_operands(const struct option_command *command, int argc, char **argv, int first, struct err *err)
{
	int count = argc - first;

	if (count < command->least_operands) {
		(void)err_set(err, ERR_INVALID, "an operand is missing: %s %s", command->program,
			      command->operands ? command->operands : "");
		return err_hint(err, "'%s --help' explains them", command->program);
	}
	if (!command->stop_at_operand && count > command->most_operands)
		return err_set(err, ERR_INVALID, "unexpected operand '%s'", argv[first + command->most_operands]);
	return 0;
}

int options_parse(const struct option_command *command, int argc, char **argv, int *ret_first, struct err *err)
{
	int first = 1; /* all words before it are options already taken, those from it to `at` are operands */
	int at = 1, r;

	while (at < argc) {
		int words = 1;

		if (str_eq(argv[at], "--")) {
			move_words(argv, first++, at, 1);
			break;
		}
		if (argv[at][0] != '-' || !argv[at][1]) {
			if (command->stop_at_operand)
				break;
			at++;
			continue;
		}
		r = argv[at][1] == '-' ? take_long(command, argv + at, &words, err)
				       : take_short(command, argv + at, &words, err);
		if (r)
			return r;
		move_words(argv, first, at, words);
		first += words;
		at += words;
	}
	r = check_operands(command, argc, argv, first, err);
	if (r < 0)
		return r;
	*ret_first = first;
	return 0;
}
