/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/str.h"
#include "cli/command.h"

static bool as_man;

static const struct option_row rows[] = {
	{"man", 0, NULL, "print the manual page in troff's man macros", NULL, &as_man},
};

static const struct option_command options = {
	.program = "bulkhead help",
	.operands = "COMMAND",
	.summary = "Shows the help of a command, or prints its manual page.",
	.rows = rows,
	.row_count = ARRAY_SIZE(rows),
	.least_operands = 1,
	.most_operands = 1,
};

/* Text with what troff would take for its own made harmless. */
static void print_troff(const char *text)
{
	bool line_start = true;

	for (; *text; text++) {
		if (line_start && (*text == '.' || *text == '\''))
			(void)printf("\\&");
		if (*text == '\\' || *text == '-')
			(void)putchar('\\');
		(void)putchar(*text);
		line_start = *text == '\n';
	}
	(void)putchar('\n');
}

static void print_option(const struct option_row *row)
{
	(void)printf(".TP\n");
	if (row->letter)
		(void)printf("\\fB\\-%c\\fR, ", row->letter);
	(void)printf("\\fB\\-\\-");
	for (const char *at = row->name; *at; at++)
		(void)printf("%s%c", *at == '-' ? "\\" : "", *at);
	(void)printf("\\fR");
	if (row->argument)
		(void)printf(" \\fI%s\\fR", row->argument);
	(void)putchar('\n');
	print_troff(row->help);
}

static void print_man(const struct command *command)
{
	const struct option_command *about = command->options;

	(void)printf(".TH BULKHEAD\\-%s 1 \"\" \"bulkhead %s\"\n.SH NAME\nbulkhead\\-%s \\- ", command->name,
		     BULKHEAD_VERSION, command->name);
	print_troff(about->summary);
	(void)printf(".SH SYNOPSIS\n\\fB%s\\fR [\\fIOPTION\\fR]... %s\n.SH OPTIONS\n", about->program,
		     about->operands ? about->operands : "");
	for (size_t i = 0; i < about->row_count; i++)
		print_option(&about->rows[i]);
	print_option(&(struct option_row){"help", 'h', NULL, "show this help and exit", NULL, NULL});
	if (about->footer) {
		(void)printf(".SH EXAMPLES\n.nf\n");
		print_troff(about->footer);
		(void)printf(".fi\n");
	}
	(void)printf(".SH EXIT STATUS\n0 when done; others as listed in docs/exit\\-codes.md.\n");
}

static int run(int argc, char **argv, struct err *err)
{
	const struct command *command = main_find(argv[0]);

	(void)argc;
	if (!command) {
		(void)err_set(err, ERR_NOT_FOUND, "unknown command '%s'", argv[0]);
		return err_hint(err, "'bulkhead --help' lists the commands");
	}
	if (as_man)
		print_man(command);
	else
		options_help(command->options);
	return 0;
}

const struct command cmd_help = {"help", &options, run};
