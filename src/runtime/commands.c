/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/commands.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/json_build.h"
#include "base/options.h"
#include "base/str.h"
#include "runtime/bounds.h"
#include "runtime/commands_common.h"
#include "runtime/rootless.h"

static const struct {
	const char *name;
	commands_fn run;
	const char *help;
} commands[] = {
	{"create", commands_create, "make a container that waits to be started"},
	{"start", commands_start, "have a created container execute its program"},
	{"run", commands_run, "create, start, wait and delete"},
	{"state", commands_state, "print the state of a container"},
	{"kill", commands_kill, "send a signal to a container"},
	{"delete", commands_delete, "remove a stopped container"},
	{"exec", commands_exec, "run a further program in a container"},
	{"ps", commands_ps, "list the processes of a container"},
	{"pause", commands_pause, "stop all processes of a container"},
	{"resume", commands_resume, "let a paused container go on"},
	{"update", commands_update, "change the limits of a container"},
	{"events", commands_events, "tell what a container uses"},
	{"spec", commands_spec, "write a config.json to begin with"},
	{"checkpoint", commands_checkpoint, "refused: there is no checkpoint support"},
	{"restore", commands_checkpoint, "refused: there is no checkpoint support"},
	{"list", commands_list, "list the containers"},
	{"supervise", commands_supervise, "hold a pod's namespaces and run its containers"},
	{"check", commands_check, "tell what the machine's ceiling does to a bundle"},
	{"features", commands_features, "print what this runtime can do"},
};

static const char *help_footer(void)
{
	static char text[2048];
	size_t used = (size_t)snprintf(text, sizeof(text), "Commands:\n");

	for (size_t i = 0; i < ARRAY_SIZE(commands) && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "  %-10s %s\n", commands[i].name,
					 commands[i].help);
	return text;
}

/* The text form of the field: time="…" level=error msg="…", with quotes and line ends in it escaped. */
static char *log_line(const char *stamp, const char *level, const char *message)
{
	char quoted[2 * ERR_MESSAGE_MAX + 1];
	size_t used = 0;

	for (const char *at = message; *at && used + 2 < sizeof(quoted); at++) {
		if (*at == '"' || *at == '\\' || *at == '\n')
			quoted[used++] = '\\';
		quoted[used++] = (char)(*at == '\n' ? 'n' : *at);
	}
	quoted[used] = '\0';
	return str_format("time=\"%s\" level=%s msg=\"%s\"", stamp, level, quoted);
}

void commands_log(const struct commands_global *global, const char *level, const char *message)
{
	CLEANUP_CLOSE int fd = global->log ? open(global->log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644) : -1;
	CLEANUP_FREE char *text = NULL;
	char stamp[CLOCK_STAMP_SIZE];
	json_t *json;

	if (fd < 0)
		return;
	clock_format(stamp, clock_wall_ms());
	if (str_eq(global->log_format, "json")) {
		json = json_build("{s:s, s:s, s:s}", "level", level, "msg", message, "time", stamp);
		text = json ? json_dumps(json, JSON_COMPACT) : NULL;
		json_decref(json);
	} else {
		text = log_line(stamp, level, message);
	}
	if (text && fdio_write_all(fd, text, strlen(text)) == 0)
		(void)!write(fd, "\n", 1);
}

/* What an error quotes may come from a tenant: it makes no second line and moves no cursor. */
static void flatten(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static int report(const struct commands_global *global, struct err *err)
{
	flatten(err->msg);
	flatten(err->hint);
	(void)fprintf(stderr, "bulkhead-runtime: %s\n", err->msg);
	if (err->hint[0])
		(void)fprintf(stderr, "hint: %s\n", err->hint);
	commands_log(global, "error", err->msg);
	return err_exit_code(err->code);
}

static int check_global(const struct commands_global *global, struct err *err)
{
	if (global->systemd_cgroup || str_eq(global->cgroup_manager, "systemd"))
		return err_set(err, ERR_INVALID,
			       "the systemd driver for control groups is not supported, only cgroupfs");
	if (!str_eq(global->cgroup_manager, "cgroupfs"))
		return err_set(err, ERR_INVALID, "unknown driver for control groups '%s'", global->cgroup_manager);
	if (!str_eq(global->log_format, "text") && !str_eq(global->log_format, "json"))
		return err_set(err, ERR_INVALID, "unknown log format '%s'", global->log_format);
	return 0;
}

static int dispatch(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	int r = check_global(global, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (str_eq(commands[i].name, argv[0]))
			return commands[i].run(global, argc, argv, ret_exit, err);
	return err_set(err, ERR_INVALID, "unknown command '%.64s'", argv[0]);
}

/* Descriptors 0, 1 and 2 must be something, or what is opened next would stand for them. */
static int fill_standard_fds(void)
{
	int fd;

	if (fcntl(0, F_GETFD) >= 0 && fcntl(1, F_GETFD) >= 0 && fcntl(2, F_GETFD) >= 0)
		return 0;
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	return fd < 0 ? -errno : close(fd);
}

/* The JSON library would else read /dev/urandom by its path, through a descriptor that is not close-on-exec. */
static void seed_hashes(void)
{
	uint32_t seed = 0;

	memcpy(&seed, (const void *)getauxval(AT_RANDOM), sizeof(seed));
	json_object_seed(seed | 1);
}

int commands_main(int argc, char **argv)
{
	struct commands_global global = {.root = COMMANDS_DEFAULT_ROOT,
					 .log_format = "text",
					 .cgroup_manager = "cgroupfs",
					 .argv = argv};
	const struct option_row rows[] = {
		{"root", 0, "DIR", "folder of the containers' state (" COMMANDS_DEFAULT_ROOT ")", &global.root, NULL},
		{"log", 0, "FILE", "also write errors to this file", &global.log, NULL},
		{"log-format", 0, "FORMAT", "text or json", &global.log_format, NULL},
		{"ceiling", 0, "DIR", "folder of the ceiling's files (" BOUNDS_FOLDER ")", &global.ceiling, NULL},
		{"cgroup-manager", 0, "NAME", "cgroupfs, the only one", &global.cgroup_manager, NULL},
		{"systemd-cgroup", 0, NULL, "refused: there is no systemd driver", NULL, &global.systemd_cgroup},
		{"rootless", 0, "WORD", "accepted and ignored", &global.rootless, NULL},
		{"debug", 0, NULL, "accepted and ignored", NULL, &global.debug},
	};
	const struct option_command command = {
		.program = "bulkhead-runtime",
		.operands = "COMMAND …",
		.summary = "Runs OCI containers.",
		.make_footer = help_footer,
		.rows = rows,
		.row_count = ARRAY_SIZE(rows),
		.least_operands = 1,
		.most_operands = INT32_MAX,
		.stop_at_operand = true,
	};
	char own_root[512];
	struct err err = {0};
	int first, status = 0, r = fill_standard_fds();

	if (r < 0)
		return 1;
	seed_hashes();
	r = options_parse(&command, argc, argv, &first, &err);
	if (r == 0 && str_eq(global.root, COMMANDS_DEFAULT_ROOT) && rootless_is()) {
		r = rootless_state_root(own_root, sizeof(own_root), &err);
		global.root = own_root;
	}
	if (r == 0)
		r = dispatch(&global, argc - first, argv + first, &status, &err);
	if (r < 0)
		return report(&global, &err);
	return r > 0 ? 0 : status;
}
