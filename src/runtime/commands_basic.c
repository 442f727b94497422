/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#include "base/fdio.h"
#include "base/str.h"
#include "runtime/commands.h"
#include "runtime/commands_common.h"
#include "runtime/console.h"
#include "runtime/create.h"
#include "runtime/listen.h"
#include "runtime/signals.h"
#include "sandbox/cgroup.h"

CLEANUP_DEFINE(json, json_t *, json_decref)

void commands_state_done(struct state *state)
{
	state_done(state);
}

int commands_parse(const char *program, const char *summary, const char *operands, int least, int most,
		   const struct option_row *rows, size_t count, int argc, char **argv, int *ret_first, struct err *err)
{
	const struct option_command command = {
		.program = program,
		.operands = operands,
		.summary = summary,
		.rows = rows,
		.row_count = count,
		.least_operands = least,
		.most_operands = most,
	};

	return options_parse(&command, argc, argv, ret_first, err);
}

static int open_root(const struct commands_global *global, const char *id, int *ret_root, struct err *err)
{
	int r = state_check_id(id, err);

	if (r == 0)
		r = state_open_root(global->root, false, ret_root, err);
	return r == -ENOENT ? err_set(err, ERR_NOT_FOUND, "container '%s' does not exist", id) : r;
}

int commands_look(const struct commands_global *global, const char *id, struct state *ret_state, struct err *err)
{
	CLEANUP_CLOSE int root = -1;
	int r = open_root(global, id, &root, err);

	*ret_state = (struct state){.root = -1, .dir = -1};
	return r == 0 ? state_peek(ret_state, root, id, err) : r;
}

int commands_open(const struct commands_global *global, const char *id, bool *ret_broken, struct state *ret_state,
		  struct err *err)
{
	CLEANUP_CLOSE int root = -1;
	int r = open_root(global, id, &root, err);

	*ret_state = (struct state){.root = -1, .dir = -1};
	if (r < 0)
		return r;
	r = state_load(ret_state, root, id, ret_broken, err);
	ret_state->ceiling = global->ceiling;
	return r;
}

/* What is started later unblocks them for itself. */
static void hold_signals(void)
{
	sigset_t all;

	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, NULL);
}

int commands_read_text(const char *path, struct buf *text, struct err *err)
{
	int r;

	if (!str_eq(path, "-"))
		return fdio_read_file(AT_FDCWD, path, text, err);
	r = fdio_read_all(0, text);
	return r < 0 ? err_sys(err, r, "cannot read standard input") : 0;
}

/* What is missing would be what this program opens meanwhile. */
static int check_open(int count, int listened, struct err *err)
{
	for (int fd = 3; fd < 3 + count; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			return err_set(err, ERR_INVALID, "%s: descriptor %d is not open",
				       fd < 3 + listened ? "LISTEN_FDS" : "--preserve-fds", fd);
	return 0;
}

int commands_preserved(const char *word, int *ret_count, struct err *err)
{
	int listened = listen_count(), r;
	uint64_t count;

	if (str_parse_u64(word, 1024, &count) < 0)
		return err_set(err, ERR_INVALID, "--preserve-fds: '%.32s' is no number up to 1024", word);
	r = check_open((int)count + listened, listened, err);
	if (r == 0)
		*ret_count = (int)count + listened;
	return r;
}

static int create_from(const struct commands_global *global, const char *program, const char *summary, int argc,
		       char **argv, bool *detach, bool *keep, int *ret_console, struct state *ret_state,
		       struct err *err)
{
	struct bounds bounds CLEANUP(bounds_done) = {0};
	struct create_options options = {.argv = global->argv, .bounds = &bounds};
	const char *preserve = "0";
	bool no_pivot = false, no_new_keyring = false, no_subreaper = false;
	const struct option_row rows[] = {
		{"bundle", 'b', "DIR", "folder of config.json (the present one)", &options.bundle, NULL},
		{"pid-file", 0, "FILE", "write the process id there", &options.pid_file, NULL},
		{"console-socket", 0, "SOCKET", "where the terminal's master end is sent", &options.console_socket,
		 NULL},
		{"preserve-fds", 0, "N", "keep descriptors 3 to 2+N", &preserve, NULL},
		{"no-pivot", 0, NULL, "refused: the root is always pivoted to", NULL, &no_pivot},
		{"no-new-keyring", 0, NULL, "keep the caller's session keyring", NULL, &no_new_keyring},
		/* The rest is for `run` alone. */
		{"no-subreaper", 0, NULL, "always so", NULL, &no_subreaper},
		{"keep", 0, NULL, "do not delete it when it has ended", NULL, keep},
		{"detach", 'd', NULL, "do not wait for the end", NULL, detach},
	};
	CLEANUP_CLOSE int root = -1;
	int first, r;

	r = commands_parse(program, summary, "ID", 1, 1, rows, detach ? ARRAY_SIZE(rows) : ARRAY_SIZE(rows) - 3, argc,
			   argv, &first, err);
	if (r)
		return r;
	if (no_pivot)
		return err_set(err, ERR_INVALID, "--no-pivot is not supported");
	r = commands_preserved(preserve, &options.preserve_fds, err);
	if (r < 0)
		return r;
	options.keep_keyring = no_new_keyring;
	options.id = argv[first];
	options.ret_console = detach && *detach ? NULL : ret_console;
	options.start = detach != NULL;
	options.hold_signals = detach && !*detach ? hold_signals : NULL;
	r = state_check_id(options.id, err);
	if (r == 0)
		r = commands_load_bounds(global, &bounds, err);
	if (r == 0)
		r = state_open_root(global->root, true, &root, err);
	if (r == 0)
		r = create_container(root, &options, ret_state, err);
	commands_log_bounds(global, &bounds);
	return r;
}

int commands_create(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	CLEANUP(commands_state_done) struct state state = {.root = -1, .dir = -1};

	return create_from(global, "bulkhead-runtime create", "Makes a container that waits to be started.", argc, argv,
			   NULL, NULL, NULL, &state, err);
}

int commands_start(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	CLEANUP(commands_state_done) struct state state = {.root = -1, .dir = -1};
	int first;
	int r = commands_parse("bulkhead-runtime start", "Has a created container execute its program.", "ID", 1, 1,
			       NULL, 0, argc, argv, &first, err);

	if (r == 0)
		r = commands_open(global, argv[first], NULL, &state, err);
	return r == 0 ? create_start(&state, err) : r;
}

enum state_status commands_status(const struct state *state)
{
	enum state_status status = state_status_of(state);
	struct cgroup cgroup;
	struct err ignored;

	if (status != STATE_RUNNING || cgroup_init(&cgroup, state->cgroup, &ignored) < 0)
		return status;
	if (cgroup_open(&cgroup, &ignored) == 0 && cgroup_is_frozen(&cgroup))
		status = STATE_PAUSED;
	cgroup_done(&cgroup);
	return status;
}

static int print_json(const json_t *json, struct err *err)
{
	CLEANUP_FREE char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;

	if (!text)
		return err_set(err, -ENOMEM, "no memory");
	return puts(text) < 0 || fflush(stdout) != 0 ? err_sys(err, -EIO, "cannot print") : 0;
}

int commands_state(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	CLEANUP(commands_state_done) struct state state = {.root = -1, .dir = -1};
	CLEANUP(cleanup_json) json_t *json = NULL;
	int first;
	int r = commands_parse("bulkhead-runtime state", "Prints the state of a container.", "ID", 1, 1, NULL, 0, argc,
			       argv, &first, err);

	if (r == 0)
		r = commands_look(global, argv[first], &state, err);
	if (r)
		return r;
	json = state_to_json(&state, commands_status(&state));
	return print_json(json, err);
}

static int signal_all(const struct state *state, int number, struct err *err)
{
	struct cgroup cgroup;
	int r = cgroup_init(&cgroup, state->cgroup, err);

	if (r == 0)
		r = cgroup_open(&cgroup, err);
	if (r == 0)
		r = cgroup_kill(&cgroup, number, err);
	cgroup_done(&cgroup);
	return r;
}

int commands_kill(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	CLEANUP(commands_state_done) struct state state = {.root = -1, .dir = -1};
	bool all = false;
	const struct option_row rows[] = {{"all", 'a', NULL, "signal every process of the container", NULL, &all}};
	enum state_status status;
	int first, number = SIGTERM;
	int r = commands_parse("bulkhead-runtime kill", "Sends a signal to a container.", "ID [SIGNAL]", 1, 2, rows,
			       ARRAY_SIZE(rows), argc, argv, &first, err);

	if (r == 0 && first + 1 < argc)
		r = signals_parse(argv[first + 1], &number, err);
	if (r == 0)
		r = commands_open(global, argv[first], NULL, &state, err);
	if (r)
		return r;
	status = commands_status(&state);
	/* The group of one that did not come to its end may be another one's. */
	if (all && status != STATE_CREATING)
		return signal_all(&state, number, err);
	if (status == STATE_STOPPED || status == STATE_CREATING)
		/* Callers of runc look for the words "container not running". */
		return err_set(err, ERR_INVALID, "container not running: '%s' cannot be signalled: it is %s", state.id,
			       state_status_name(status));
	r = state_signal(&state, number);
	if (r < 0)
		return err_sys(err, r, "container '%s': cannot send signal %d", state.id, number);
	/* A frozen process takes no signal, not even this one, before it is thawed. */
	return status == STATE_PAUSED && number == SIGKILL ? signal_all(&state, number, err) : 0;
}

int commands_delete(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	CLEANUP(commands_state_done) struct state state = {.root = -1, .dir = -1};
	bool force = false, broken = false;
	const struct option_row rows[] = {
		{"force", 'f', NULL, "also when it runs; no error when there is none", NULL, &force}};
	enum state_status status;
	int first;
	int r = commands_parse("bulkhead-runtime delete", "Removes a stopped container.", "ID", 1, 1, rows,
			       ARRAY_SIZE(rows), argc, argv, &first, err);

	if (r)
		return r;
	r = commands_open(global, argv[first], force ? &broken : NULL, &state, err);
	if (r == ERR_NOT_FOUND && force)
		return 0;
	if (r < 0)
		return r;
	status = commands_status(&state);
	if (!force && status != STATE_STOPPED && status != STATE_CREATING)
		return err_set(err, ERR_INVALID, "container '%s' cannot be deleted: it is %s", state.id,
			       state_status_name(status));
	state.ended = status == STATE_STOPPED;
	return create_destroy(&state, err);
}

int commands_hold_signals(int *ret_fd, struct err *err)
{
	sigset_t all;

	hold_signals();
	(void)sigfillset(&all);
	*ret_fd = signalfd(-1, &all, SFD_CLOEXEC);
	return *ret_fd < 0 ? err_sys(err, -errno, "cannot wait for signals") : 0;
}

static int wait_at_console(struct child *child, int signals, int console, int *ret_exit, struct err *err)
{
	CLEANUP_CLOSE int master = -1;
	int r = console_receive(console, &master, err);

	return r == 0 ? console_relay(master, child, signals, ret_exit, err) : r;
}

int commands_wait(struct child *child, int signals, int console, int *ret_exit, struct err *err)
{
	struct pollfd ready[] = {{.fd = signals, .events = POLLIN}, {.events = POLLIN}};
	struct signalfd_siginfo info;
	bool ended;
	int status;

	if (console >= 0)
		return wait_at_console(child, signals, console, ret_exit, err);
	while (true) {
		int r = child_ended(child, &ended, &status, err);

		if (r < 0)
			return r;
		if (ended)
			break;
		ready[1].fd = child_event(child);
		if (poll(ready, ARRAY_SIZE(ready), -1) < 0 && errno != EINTR)
			return err_sys(err, -errno, "cannot wait for signals");
		if (ready[0].revents && read(signals, &info, sizeof(info)) == sizeof(info) && info.ssi_signo != SIGCHLD)
			child_signal(child, (int)info.ssi_signo);
	}
	*ret_exit = child_exit_status(status);
	return 0;
}

int commands_run(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	CLEANUP(commands_state_done) struct state state = {.root = -1, .dir = -1};
	CLEANUP_CLOSE int signals = -1, console = -1;
	struct child child = CHILD_NONE;
	struct err ignored;
	bool detach = false, keep = false;
	int r = create_from(global, "bulkhead-runtime run", "Creates, starts, waits for and deletes a container.", argc,
			    argv, &detach, &keep, &console, &state, err);

	if (r)
		return r;
	r = detach ? 0 : commands_hold_signals(&signals, err);
	if (r < 0) {
		(void)!create_destroy(&state, &ignored);
		return r;
	}
	if (detach)
		return 0;
	/* Others must be able to signal and look while it runs. */
	state_unlock(&state);
	child.pid = state.pid;
	r = commands_wait(&child, signals, console, ret_exit, err);
	if (keep)
		return r;
	state.ended = r == 0;
	if (r == 0)
		r = state_lock(&state, err);
	if (r == ERR_NOT_FOUND)
		return 0;
	return r == 0 ? create_destroy(&state, err) : r;
}
