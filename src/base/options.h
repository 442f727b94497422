/* SPDX-License-Identifier: Apache-2.0 */
/* Command lines as tables: one row an option makes the parser, --help and the shell completion. */
#ifndef BASE_OPTIONS_H
#define BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

/* The arguments of an option that may be given several times, in their order. */
struct option_list {
	const char **items; /* room for `most`, the caller's */
	size_t count;
	size_t most;
};

struct option_row {
	const char *name;         /* long name without dashes: "root" */
	char letter;              /* short name, or 0 */
	const char *argument;     /* what the argument is ("DIR"), NULL for a flag */
	const char *help;         /* one line, lower case, no full stop */
	const char **value;       /* where the argument goes, kept by reference into argv; NULL for a flag */
	bool *flag;               /* set to true when a flag is given, to false by "--flag=false" */
	struct option_list *list; /* instead of value, for an option that may be repeated */
};

struct option_command {
	const char *program;              /* "bulkhead status" */
	const char *operands;             /* "[POD]", or NULL */
	const char *summary;              /* one sentence for --help */
	const char *footer;               /* text below the options (examples), or NULL */
	const char *(*make_footer)(void); /* instead of footer, makes it when the help is printed; or NULL */
	const struct option_row *rows;
	size_t row_count;
	int least_operands;
	int most_operands;
	bool stop_at_operand; /* options end at the first operand: for commands with subcommands */
};

/*
 * Parses argv[1…] against the table; "--" ends the options, "--name=value" and "--name value" are the same, and so are
 * "--flag=true" and "--flag". Options may
 * stand behind operands (argv is permuted) unless stop_at_operand. --help prints the help (at most 80 columns) and
 * --version the version on standard output; both return 1 and the caller exits with 0.
 * Returns 0 and the index of the first operand; -EINVAL with a message that names the word and the nearest known option.
 */
int options_parse(const struct option_command *command, int argc, char **argv, int *ret_first,
		  struct err *err) MUST_CHECK;

/* Prints the help of a command on standard output. */
void options_help(const struct option_command *command);

#endif
