/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "cli/command.h"

const struct command *const main_commands[] = {
	&cmd_up,         &cmd_down,       &cmd_status, &cmd_why,     &cmd_domains, &cmd_plan,    &cmd_quarantine,
	&cmd_release,    &cmd_token,      &cmd_join,   &cmd_images,  &cmd_cache,   &cmd_encrypt, &cmd_decrypt,
	&cmd_move_store, &cmd_completion, &cmd_help,   &cmd_version, NULL,
};

static const struct option_command program = {
	.program = "bulkhead",
	.operands = "COMMAND [ARGUMENT]...",
	.summary = "Runs containers of parties that do not trust each other, and keeps them apart.",
	.footer = "Commands:\n"
		  "  up          start the CISM, the registry and the instance of this machine\n"
		  "  down        stop them and keep their state\n"
		  "  status      show the parts, the instances, the trust domains and their pods\n"
		  "  why         say in one sentence why a pod is where it is, or not\n"
		  "  domains     show which trust domains may share an instance or a server\n"
		  "  plan        show what a change of trust domains would displace\n"
		  "  quarantine  believe an instance or server no more until it is installed anew\n"
		  "  release     end the charge of a pod that will never confirm its stop\n"
		  "  token       let an instance join: make, list and revoke join tokens\n"
		  "  join        make this machine an instance of a cluster\n"
		  "  cache       show which images the instance holds, and make some unreadable\n"
		  "  encrypt     encrypt the images of an OCI layout\n"
		  "  decrypt     decrypt the images of an OCI layout\n"
		  "  images      show the images of the registry, move them to and from folders\n"
		  "  move-store  move the CISM's state from its file to etcd\n"
		  "  completion  print the completion of a shell\n"
		  "  help        show the help of a command\n"
		  "  version     show the version and what this machine's kernel offers\n"
		  "\n'bulkhead COMMAND --help' describes one command.",
	.rows = NULL,
	.row_count = 0,
	.least_operands = 1,
	.most_operands = 1 << 20,
	.stop_at_operand = true,
};

const struct command *main_find(const char *name)
{
	for (size_t i = 0; main_commands[i]; i++)
		if (str_eq(main_commands[i]->name, name))
			return main_commands[i];
	return NULL;
}

int main_wants_json(const char *output, bool *ret_json, struct err *err)
{
	if (output && !str_eq(output, "json") && !str_eq(output, "text"))
		return err_set(err, ERR_INVALID, "unknown output format '%s'", output);
	*ret_json = output && str_eq(output, "json");
	return 0;
}

static int report(const struct err *err)
{
	(void)fflush(stdout);
	(void)fprintf(stderr, "bulkhead: %s\n", err->msg);
	if (err->hint[0])
		(void)fprintf(stderr, "hint: %s\n", err->hint);
	return err_exit_code(err->code);
}

static int wrong_usage(const struct err *err)
{
	(void)report(err);
	return 2;
}

int main(int argc, char **argv)
{
	const struct command *command;
	struct err err = {0};
	int first, r = options_parse(&program, argc, argv, &first, &err);

	if (r)
		return r > 0 ? 0 : wrong_usage(&err);
	command = main_find(argv[first]);
	if (!command) {
		(void)err_set(&err, ERR_INVALID, "unknown command '%s'", argv[first]);
		(void)err_hint(&err, "'bulkhead --help' lists the commands");
		return wrong_usage(&err);
	}
	argc -= first;
	argv += first;
	r = options_parse(command->options, argc, argv, &first, &err);
	if (r)
		return r > 0 ? 0 : wrong_usage(&err);
	r = command->run(argc - first, argv + first, &err);
	if (r < 0)
		return report(&err);
	if (fflush(stdout) != 0 || ferror(stdout))
		return 1;
	return r;
}
