/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/str.h"
#include "cli/command.h"

static const struct option_command options = {
	.program = "bulkhead completion",
	.operands = "bash|zsh",
	.summary = "Prints the completion of a shell, made from the same tables as the help.",
	.footer = "Example:\n  source <(bulkhead completion bash)",
	.least_operands = 1,
	.most_operands = 1,
};

static void print_words(const struct option_command *command)
{
	for (size_t i = 0; i < command->row_count; i++)
		(void)printf("--%s ", command->rows[i].name);
	(void)printf("--help --version");
}

static void print_bash(void)
{
	(void)printf(
		"_bulkhead() {\n\tlocal current=${COMP_WORDS[COMP_CWORD]} "
		"previous=${COMP_WORDS[COMP_CWORD-1]}\n\tlocal words\n"
		"\tCOMPREPLY=()\n\tcase $previous in\n\t--root)\n\t\tcompopt -o dirnames 2>/dev/null\n\t\treturn ;;\n"
		"\t-o | --output) words='json text' ;;\n\t--deployment) words='BareMetal Nested Hybrid' "
		";;\n\t*)\n\t\tcase ${COMP_WORDS[1]} in\n");
	for (size_t i = 0; main_commands[i]; i++) {
		(void)printf("\t\t%s) words='", main_commands[i]->name);
		if (main_commands[i] == &cmd_completion)
			(void)printf("bash zsh ");
		print_words(main_commands[i]->options);
		(void)printf("' ;;\n");
	}
	(void)printf("\t\tesac ;;\n\tesac\n\tif ((COMP_CWORD == 1)); then\n\t\twords='");
	for (size_t i = 0; main_commands[i]; i++)
		(void)printf("%s ", main_commands[i]->name);
	(void)printf("--help --version'\n\tfi\n\tmapfile -t COMPREPLY < <(compgen -W \"$words\" -- "
		     "\"$current\")\n}\ncomplete -F _bulkhead bulkhead\n");
}

/* zsh names, describes and completes the same words in its own way. */
static void print_zsh(void)
{
	(void)printf("#compdef bulkhead\n_bulkhead() {\n\tif ((CURRENT == 2)); then\n\t\tcompadd");
	for (size_t i = 0; main_commands[i]; i++)
		(void)printf(" %s", main_commands[i]->name);
	(void)printf(" -- --help --version\n\t\treturn\n\tfi\n\tcase ${words[2]} in\n");
	for (size_t i = 0; main_commands[i]; i++) {
		(void)printf("\t%s) compadd -- ", main_commands[i]->name);
		if (main_commands[i] == &cmd_completion)
			(void)printf("bash zsh ");
		print_words(main_commands[i]->options);
		(void)printf(" ;;\n");
	}
	(void)printf("\tesac\n}\ncompdef _bulkhead bulkhead\n");
}

static int run(int argc, char **argv, struct err *err)
{
	(void)argc;
	if (str_eq(argv[0], "bash"))
		print_bash();
	else if (str_eq(argv[0], "zsh"))
		print_zsh();
	else
		return err_set(err, ERR_INVALID, "no completion for shell '%s', only for bash and zsh", argv[0]);
	return 0;
}

const struct command cmd_completion = {"completion", &options, run};
