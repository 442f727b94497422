/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands: one file each, one row each in main.c. Help, completion and man pages come from the same tables. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "base/options.h"

struct command {
	const char *name;
	const struct option_command *options; /* its rows keep what was given */
	/* Runs with the operands behind the options. Negative: an error to print; else the exit status. */
	int (*run)(int argc, char **argv, struct err *err);
};

/* All of them, in the order of help; ends with NULL. In main.c. */
extern const struct command *const main_commands[];

/* The subcommand of that name, NULL when there is none. */
const struct command *main_find(const char *name);

extern const struct command cmd_up;
extern const struct command cmd_down;
extern const struct command cmd_status;
extern const struct command cmd_why;
extern const struct command cmd_domains;
extern const struct command cmd_plan;
extern const struct command cmd_quarantine;
extern const struct command cmd_release;
extern const struct command cmd_cache;
extern const struct command cmd_encrypt;
extern const struct command cmd_decrypt;
extern const struct command cmd_images;
extern const struct command cmd_move_store;
extern const struct command cmd_token;
extern const struct command cmd_join;
extern const struct command cmd_completion;
extern const struct command cmd_help;
extern const struct command cmd_version;

/* Option rows that several commands have; the target is the command's own variable. */
#define COMMAND_ROOT(target)                                                                                         \
	{                                                                                                            \
		"root", 0, "DIR", "keep configuration, state and sockets below DIR (at most 64 bytes) instead of /", \
			&(target), NULL                                                                              \
	}
#define COMMAND_OUTPUT(target)                                               \
	{                                                                    \
		"output", 'o', "FORMAT", "'text' or 'json'", &(target), NULL \
	}

/* Whether an --output asks for JSON. ERR_INVALID for words that are no format. */
int main_wants_json(const char *output, bool *ret_json, struct err *err) MUST_CHECK;

#endif
