/* SPDX-License-Identifier: Apache-2.0 */
/* Commands for a container that runs: exec, ps, pause, resume, update. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/options.h"
#include "base/str.h"
#include "runtime/commands.h"
#include "runtime/commands_common.h"
#include "runtime/enter.h"
#include "sandbox/cgroup.h"

static int open_groups(const struct state *state, struct cgroup *cgroup, struct err *err)
{
	int r = cgroup_init(cgroup, state->cgroup, err);

	return r == 0 ? cgroup_open(cgroup, err) : r;
}

static int freeze(const struct commands_global *global, const char *program, const char *summary, bool frozen, int argc,
		  char **argv, struct err *err)
{
	CLEANUP(commands_state_done) struct state state = {.root = -1, .dir = -1};
	struct cgroup cgroup = {0};
	enum state_status status, wanted = frozen ? STATE_RUNNING : STATE_PAUSED;
	int first, r = commands_parse(program, summary, "ID", 1, 1, NULL, 0, argc, argv, &first, err);

	if (r == 0)
		r = commands_open(global, argv[first], NULL, &state, err);
	if (r)
		return r;
	status = commands_status(&state);
	if (status != wanted)
		return err_set(err, ERR_INVALID, "container '%s' cannot be %s: it is %s", state.id,
			       frozen ? "paused" : "resumed", state_status_name(status));
	r = open_groups(&state, &cgroup, err);
	if (r == 0)
		r = cgroup_freeze(&cgroup, frozen, err);
	cgroup_done(&cgroup);
	return r;
}

int commands_pause(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	return freeze(global, "bulkhead-runtime pause", "Stops all processes of a container.", true, argc, argv, err);
}

int commands_resume(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	return freeze(global, "bulkhead-runtime resume", "Lets a paused container go on.", false, argc, argv, err);
}

int commands_ps(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	CLEANUP(commands_state_done) struct state state = {.root = -1, .dir = -1};
	CLEANUP_FREE pid_t *pids = NULL;
	const char *format = "table";
	const struct option_row rows[] = {{"format", 'f', "FORMAT", "table or json", &format, NULL}};
	struct cgroup cgroup = {0};
	size_t count = 0;
	int first, r = commands_parse("bulkhead-runtime ps", "Lists the processes of a container.", "ID", 1, 1, rows,
				      ARRAY_SIZE(rows), argc, argv, &first, err);

	if (r == 0 && !str_eq(format, "table") && !str_eq(format, "json"))
		return err_set(err, ERR_INVALID, "unknown format '%s'", format);
	if (r == 0)
		r = commands_open(global, argv[first], NULL, &state, err);
	if (r)
		return r;
	r = open_groups(&state, &cgroup, err);
	if (r == 0)
		r = cgroup_pids(&cgroup, &pids, &count, err);
	cgroup_done(&cgroup);
	if (r < 0)
		return r;
	(void)fputs(str_eq(format, "json") ? "[" : "PID\n", stdout);
	for (size_t i = 0; i < count; i++)
		(void)printf(str_eq(format, "json") ? "%s%d" : "%s%d\n", i && str_eq(format, "json") ? "," : "",
			     (int)pids[i]);
	(void)fputs(str_eq(format, "json") ? "]\n" : "", stdout);
	return 0;
}

/* A file's text, "-" being standard input. */
static int read_text(const char *path, struct buf *text, struct err *err)
{
	int r;

	if (!str_eq(path, "-"))
		return fdio_read_file(AT_FDCWD, path, text, err);
	r = fdio_read_all(0, text);
	return r < 0 ? err_sys(err, r, "cannot read standard input") : 0;
}

int commands_update(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	CLEANUP(commands_state_done) struct state state = {.root = -1, .dir = -1};
	CLEANUP_BUF struct buf text = buf_of(SPEC_BYTES_MAX);
	CLEANUP_SPEC struct spec spec = {0};
	struct bounds bounds CLEANUP(bounds_done) = {0};
	const char *path = NULL;
	const struct option_row rows[] = {
		{"resources", 'r', "FILE", "the new limits as JSON, - for standard input", &path, NULL}};
	struct cgroup cgroup = {0};
	int first, r = commands_parse("bulkhead-runtime update", "Changes the limits of a container.", "ID", 1, 1, rows,
				      ARRAY_SIZE(rows), argc, argv, &first, err);

	if (r)
		return r;
	if (!path)
		return err_set(err, ERR_INVALID, "update: --resources is needed");
	r = read_text(path, &text, err);
	if (r == 0)
		r = spec_parse_resources(&spec, text.data, text.len, err);
	if (r == 0)
		r = commands_load_bounds(global, &bounds, err);
	if (r == 0)
		r = bounds_apply_resources(&bounds, &spec.linux_.resources, err);
	commands_log_bounds(global, &bounds);
	if (r == 0)
		r = commands_open(global, argv[first], NULL, &state, err);
	if (r == 0)
		r = open_groups(&state, &cgroup, err);
	if (r == 0)
		r = cgroup_change(&cgroup, &spec.linux_.resources, err);
	cgroup_done(&cgroup);
	return r;
}

struct exec_request {
	const char *process_file;
	const char *pid_file;
	const char *cwd;
	const char *user;
	const char *preserve;
	const char *console_socket;
	bool tty;
	bool detach;
};

static int read_user(const char *text, struct spec_user *user, struct err *err)
{
	char copy[32];
	uint64_t uid, gid = 0;
	char *colon;

	if (str_copy(copy, sizeof(copy), text) < 0)
		return err_set(err, ERR_INVALID, "--user: '%.32s' is too long", text);
	colon = strchr(copy, ':');
	if (colon)
		*colon = '\0';
	if (str_parse_u64(copy, UINT32_MAX - 1, &uid) < 0 ||
	    (colon && str_parse_u64(colon + 1, UINT32_MAX - 1, &gid) < 0))
		return err_set(err, ERR_INVALID, "--user: '%s' is not UID or UID:GID", text);
	*user = (struct spec_user){.uid = (uint32_t)uid, .gid = (uint32_t)gid};
	return 0;
}

/* What to run: a whole process object, or the container's own with other words. */
static int read_process(const struct exec_request *request, int argc, char **argv, const struct spec *spec,
			struct spec *own, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(SPEC_BYTES_MAX);
	int r;

	if (request->process_file) {
		r = read_text(request->process_file, &text, err);
		if (r == 0)
			r = spec_parse_process(own, text.data, text.len, err);
	} else {
		own->process = spec->process;
		own->process.terminal = request->tty;
		own->process.args = (struct spec_strings){(const char **)argv, (size_t)argc};
		if (request->cwd)
			own->process.cwd = request->cwd;
		r = argc == 0 ? err_set(err, ERR_INVALID, "exec: a program is needed") : 0;
		if (r == 0 && request->user)
			r = read_user(request->user, &own->process.user, err);
	}
	own->process.terminal = own->process.terminal || request->tty;
	return r;
}

/* The ceiling as it is now, for the container may have started under another. */
static int bound_process(const struct commands_global *global, struct spec_process *process, struct err *err)
{
	struct bounds bounds CLEANUP(bounds_done) = {0};
	int r = commands_load_bounds(global, &bounds, err);

	if (r == 0)
		r = bounds_apply_process(&bounds, process, err);
	commands_log_bounds(global, &bounds);
	return r;
}

static int exec_in(const struct commands_global *global, const struct exec_request *request, int argc, char **argv,
		   int *ret_exit, struct err *err)
{
	CLEANUP(commands_state_done) struct state state = {.root = -1, .dir = -1};
	CLEANUP_SPEC struct spec spec = {0}, own = {0};
	CLEANUP_CLOSE int signals = -1, console = -1;
	struct enter_options options = {.spec = &spec,
					.process = &own.process,
					.console_socket = request->console_socket,
					.ret_console = request->detach ? NULL : &console,
					.argv = global->argv};
	uint64_t preserve;
	pid_t pid;
	int r;

	if (str_parse_u64(request->preserve, 1024, &preserve) < 0)
		return err_set(err, ERR_INVALID, "--preserve-fds: '%.32s' is no number up to 1024", request->preserve);
	options.preserve_fds = (int)preserve;
	r = commands_open(global, argv[0], NULL, &state, err);
	if (r == 0)
		r = state_load_spec(&state, &spec, err);
	/* What enters a frozen group freezes with it, and this command would wait for it. */
	if (r == 0 && commands_status(&state) == STATE_PAUSED)
		r = err_set(err, ERR_INVALID, "container '%s' cannot be entered: it is paused", state.id);
	if (r == 0)
		r = read_process(request, argc - 1, argv + 1, &spec, &own, err);
	if (r == 0)
		r = bound_process(global, &own.process, err);
	if (r == 0 && !request->detach)
		r = commands_hold_signals(&signals, err);
	if (r == 0)
		r = enter_container(&state, &options, &pid, err);
	if (r == 0)
		r = commands_write_pid(request->pid_file, pid, err);
	if (r < 0 || request->detach)
		return r;
	return commands_wait(pid, signals, console, ret_exit, err);
}

int commands_exec(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	struct exec_request request = {.preserve = "0"};
	const struct option_row rows[] = {
		{"process", 'p', "FILE", "the process as JSON", &request.process_file, NULL},
		{"pid-file", 0, "FILE", "write the process id there", &request.pid_file, NULL},
		{"cwd", 0, "DIR", "working folder", &request.cwd, NULL},
		{"user", 'u', "UID[:GID]", "run as", &request.user, NULL},
		{"preserve-fds", 0, "N", "keep descriptors 3 to 2+N", &request.preserve, NULL},
		{"console-socket", 0, "SOCKET", "where the terminal's master end is sent", &request.console_socket,
		 NULL},
		{"tty", 't', NULL, "give the program a terminal", NULL, &request.tty},
		{"detach", 'd', NULL, "do not wait for the end", NULL, &request.detach},
	};
	const struct option_command command = {
		.program = "bulkhead-runtime exec",
		.operands = "ID [PROGRAM …]",
		.summary = "Runs a further program in a container.",
		.rows = rows,
		.row_count = ARRAY_SIZE(rows),
		.least_operands = 1,
		.most_operands = INT32_MAX,
		.stop_at_operand = true,
	};
	int first, r = options_parse(&command, argc, argv, &first, err);

	return r ? r : exec_in(global, &request, argc - first, argv + first, ret_exit, err);
}
