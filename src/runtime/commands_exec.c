/* SPDX-License-Identifier: Apache-2.0 */
/* The command that runs a further program in a container. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "runtime/commands.h"
#include "runtime/commands_common.h"
#include "runtime/enter.h"

#define LIST_MAX 1024

struct exec_request {
	const char *process_file;
	const char *pid_file;
	const char *cwd;
	const char *user;
	const char *preserve;
	const char *console_socket;
	const char *apparmor;
	const char *label;
	const char *cgroup;
	struct option_list env;
	struct option_list gids;
	struct option_list capabilities;
	bool tty;
	bool detach;
	bool no_new_privs;
	bool ignore_paused;
	const char *env_items[LIST_MAX];
	const char *gid_items[LIST_MAX];
	const char *capability_items[64];
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

/* Once each, or with commas between them. */
static int read_gids(const struct option_list *list, uint32_t *to, struct spec_gids *gids, struct err *err)
{
	for (size_t i = 0; i < list->count; i++) {
		const char *at = list->items[i];

		while (true) {
			size_t len = strcspn(at, ",");
			char number[16];
			uint64_t gid;

			(void)snprintf(number, sizeof(number), "%.*s", len < 15 ? (int)len : 15, at);
			if (str_parse_u64(number, UINT32_MAX - 1, &gid) < 0 || gids->count == LIST_MAX)
				return err_set(err, ERR_INVALID, "--additional-gids: '%.32s' is no list of group ids",
					       list->items[i]);
			to[gids->count++] = (uint32_t)gid;
			if (!at[len])
				break;
			at += len + 1;
		}
	}
	gids->items = to;
	return 0;
}

/* A capability more is one in every set but the inheritable one. */
static int add_capabilities(const struct option_list *list, uint64_t *sets, struct err *err)
{
	for (size_t i = 0; i < list->count; i++) {
		int number = spec_capability_number(list->items[i]);

		if (number < 0)
			return err_set(err, ERR_INVALID, "--cap: unknown capability '%.64s'", list->items[i]);
		for (size_t k = 0; k < SPEC_CAPABILITY_SETS; k++)
			if (k != SPEC_INHERITABLE)
				sets[k] |= 1ull << number;
	}
	return 0;
}

/* The container's environment with more behind it: of a name given twice the later value counts. */
static int add_env(const struct option_list *list, const char **to, size_t most, struct spec_strings *env,
		   struct err *err)
{
	size_t count = 0;

	for (size_t i = 0; i < env->count && count + 1 < most; i++) {
		size_t name = strcspn(env->items[i], "=") + 1;
		bool replaced = false;

		for (size_t k = 0; k < list->count; k++)
			replaced = replaced || strncmp(env->items[i], list->items[k], name) == 0;
		if (!replaced)
			to[count++] = env->items[i];
	}
	for (size_t i = 0; i < list->count && count + 1 < most; i++) {
		if (!strchr(list->items[i], '=') || list->items[i][0] == '=')
			return err_set(err, ERR_INVALID, "--env: '%.64s' is not NAME=VALUE", list->items[i]);
		to[count++] = list->items[i];
	}
	to[count] = NULL;
	*env = (struct spec_strings){to, count};
	return 0;
}

/* What the options change of the container's own process. Lists they make stay in static memory: one process, one exec. */
static int change_process(const struct exec_request *request, struct spec_process *process, struct err *err)
{
	static const char *env[20000];
	static uint32_t gids[LIST_MAX];
	int r = 0;

	if (request->cwd)
		process->cwd = request->cwd;
	if (process->cwd[0] != '/')
		return err_set(err, ERR_INVALID, "--cwd: '%.64s' is no absolute path", process->cwd);
	if (request->user)
		r = read_user(request->user, &process->user, err);
	if (r == 0 && request->gids.count) {
		process->user.additional.count = 0;
		r = read_gids(&request->gids, gids, &process->user.additional, err);
	}
	if (r == 0 && request->env.count)
		r = add_env(&request->env, env, ARRAY_SIZE(env), &process->env, err);
	return r == 0 ? add_capabilities(&request->capabilities, process->capabilities, err) : r;
}

/* Who is given no profile keeps the container's: nothing added goes with less around it than what is there. */
static void settle_profile(const struct exec_request *request, const struct spec_process *original,
			   struct spec_process *process)
{
	if (request->apparmor)
		process->apparmor_profile = request->apparmor;
	else if (!process->apparmor_profile || !process->apparmor_profile[0])
		process->apparmor_profile = original->apparmor_profile;
}

/* What to run: a whole process object, or the container's own with other words. */
static int read_process(const struct exec_request *request, int argc, char **argv, const struct spec_process *original,
			struct spec *own, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(SPEC_BYTES_MAX);
	int r;

	if (request->process_file) {
		r = commands_read_text(request->process_file, &text, err);
		if (r == 0)
			r = spec_parse_process(own, text.data, text.len, err);
	} else {
		own->process = *original;
		own->process.terminal = false;
		own->process.args = (struct spec_strings){(const char **)argv, (size_t)argc};
		r = argc == 0 ? err_set(err, ERR_INVALID, "exec: a program is needed")
			      : change_process(request, &own->process, err);
	}
	own->process.terminal = own->process.terminal || request->tty;
	settle_profile(request, original, &own->process);
	return r;
}

static int check_request(const struct exec_request *request, struct err *err)
{
	if (request->label)
		return err_set(err, ERR_INVALID, "--process-label is not supported: there is no SELinux here");
	if (request->cgroup && !str_eq(request->cgroup, "/"))
		return err_set(err, ERR_INVALID, "--cgroup is not supported: programs join the container's own group");
	return 0;
}

/* The ceiling as it is now, for the container may have started under another. */
static int bound_process(const struct commands_global *global, struct bounds *bounds, struct spec_process *process,
			 struct err *err)
{
	int r = commands_load_bounds(global, bounds, err);

	if (r == 0)
		r = bounds_apply_process(bounds, process, err);
	commands_log_bounds(global, bounds);
	return r;
}

static int exec_in(const struct commands_global *global, const struct exec_request *request, int argc, char **argv,
		   int *ret_exit, struct err *err)
{
	CLEANUP(commands_state_done) struct state state = {.root = -1, .dir = -1};
	CLEANUP_SPEC struct spec own = {0};
	CLEANUP(original_done) struct original original = {0};
	CLEANUP_CLOSE int signals = -1, console = -1;
	struct bounds bounds CLEANUP(bounds_done) = {0};
	struct enter_options options = {.bounds = &bounds,
					.original = &original,
					.process = &own.process,
					.console_socket = request->console_socket,
					.pid_file = request->pid_file,
					.ret_console = request->detach ? NULL : &console,
					.prepare = request->process_file,
					.await_thaw = request->ignore_paused,
					/* Whoever is told the number waits for it. */
					.own_child = request->detach && request->pid_file,
					.argv = global->argv};
	CLEANUP_CHILD struct child child = CHILD_NONE;
	int r = check_request(request, err);

	if (r == 0)
		r = commands_preserved(request->preserve, &options.preserve_fds, err);
	if (r == 0)
		r = commands_open(global, argv[0], NULL, &state, err);
	if (r == 0)
		r = original_load(&original, &state, err);
	if (r == 0)
		r = read_process(request, argc - 1, argv + 1, &original.own.process, &own, err);
	if (r == 0)
		r = bound_process(global, &bounds, &own.process, err);
	if (r == 0 && !request->detach)
		r = commands_hold_signals(&signals, err);
	options.signals = signals;
	if (r == 0)
		r = enter_container(&state, &options, &child, err);
	if (r < 0 || request->detach)
		return r;
	return commands_wait(&child, signals, console, ret_exit, err);
}

int commands_exec(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	struct exec_request request = {.preserve = "0"};
	const struct option_row rows[] = {
		{"process", 'p', "FILE", "the process as JSON, - for standard input", &request.process_file, NULL},
		{"pid-file", 0, "FILE", "write the process id there", &request.pid_file, NULL},
		{"cwd", 0, "DIR", "working folder", &request.cwd, NULL},
		{"env", 'e', "NAME=VALUE", "a variable more, repeatable", NULL, NULL, &request.env},
		{"user", 'u', "UID[:GID]", "run as", &request.user, NULL},
		{"additional-gids", 'g', "GID", "a further group, repeatable", NULL, NULL, &request.gids},
		{"cap", 'c', "NAME", "a capability more, repeatable", NULL, NULL, &request.capabilities},
		{"preserve-fds", 0, "N", "keep descriptors 3 to 2+N", &request.preserve, NULL},
		{"console-socket", 0, "SOCKET", "where the terminal's master end is sent", &request.console_socket,
		 NULL},
		{"tty", 't', NULL, "give the program a terminal", NULL, &request.tty},
		{"detach", 'd', NULL, "do not wait for the end", NULL, &request.detach},
		{"no-new-privs", 0, NULL, "always so", NULL, &request.no_new_privs},
		{"ignore-paused", 0, NULL, "enter a paused container, and wait there", NULL, &request.ignore_paused},
		{"apparmor", 0, "PROFILE", "AppArmor profile of the program", &request.apparmor, NULL},
		{"process-label", 0, "LABEL", "refused: there is no SELinux support", &request.label, NULL},
		{"cgroup", 0, "PATH", "refused but for /: programs join the container's group", &request.cgroup, NULL},
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
	int first, r;

	request.env = (struct option_list){request.env_items, 0, LIST_MAX};
	request.gids = (struct option_list){request.gid_items, 0, LIST_MAX};
	request.capabilities = (struct option_list){request.capability_items, 0, ARRAY_SIZE(request.capability_items)};
	r = options_parse(&command, argc, argv, &first, err);
	return r ? r : exec_in(global, &request, argc - first, argv + first, ret_exit, err);
}
