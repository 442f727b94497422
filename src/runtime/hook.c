/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/hook.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#include "base/fdio.h"
#include "base/proc.h"
#include "runtime/apparmor.h"
#include "runtime/channel.h"
#include "sandbox/namespaces.h"

/* The state as an unnamed file, so that a hook that never reads cannot block. */
static int state_file(const struct state *state, enum state_status status, int *ret_fd)
{
	json_t *json = state_to_json(state, status);
	CLEANUP_FREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	CLEANUP_CLOSE int fd = memfd_create("state", MFD_CLOEXEC);
	int r;

	json_decref(json);
	if (!text)
		return -ENOMEM;
	if (fd < 0)
		return -errno;
	r = fdio_write_all(fd, text, strlen(text));
	if (r == 0 && lseek(fd, 0, SEEK_SET) < 0)
		r = -errno;
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

static int await(const struct spec_hook *hook, struct proc *proc, struct err *err)
{
	int r, status;
	char words[64];

	r = proc_wait(proc, hook->timeout_s ? hook->timeout_s * 1000 : -1, &status);
	if (r == -ETIMEDOUT) {
		(void)!proc_kill(proc, SIGKILL);
		(void)!proc_wait(proc, -1, &status);
		return err_set(err, r, "no end within %d seconds", hook->timeout_s);
	}
	if (r < 0)
		return err_sys(err, r, "cannot wait for it");
	if (status != 0) {
		proc_describe(words, sizeof(words), status);
		return err_set(err, -ECHILD, "ended with %s", words);
	}
	return 0;
}

static int run_one(const struct spec_hook *hook, const struct state *state, enum state_status status, struct err *err)
{
	const char *const alone[] = {hook->path, NULL};
	CLEANUP_CLOSE int in = -1;
	struct proc_spec spec = {
		.path = hook->path,
		.argv = hook->args.count ? hook->args.items : alone,
		.envp = hook->env.items,
		.out = 1,
		.error = 2,
	};
	struct proc proc;
	int r = state_file(state, status, &in);

	if (r < 0)
		return err_sys(err, r, "cannot pass the state");
	spec.in = in;
	r = proc_spawn(&spec, &proc, err);
	return r == 0 ? await(hook, &proc, err) : r;
}

int hook_run(const struct spec_hook_list *hooks, const char *phase, const struct state *state, enum state_status status,
	     struct err *err)
{
	for (size_t i = 0; i < hooks->count; i++)
		if (run_one(&hooks->items[i], state, status, err) < 0)
			return err_prefix(err, "config.json: hooks.%s[%zu]: '%s'", phase, i, hooks->items[i].path);
	return 0;
}

/* The child's side: the rights of the container's program, the words of the hook. */
static _Noreturn void become(const struct spec_hook *hook, const struct launch *launch, int root, int in, int report)
{
	const char *alone[] = {hook->path, NULL};
	struct spec_process process = *launch->process;
	struct launch own = *launch;
	struct err err = {0};
	int r;

	process.args = hook->args.count ? hook->args : (struct spec_strings){alone, 1};
	process.env = hook->env;
	own.process = &process;
	own.path = hook->path;
	own.preserve_fds = 0;
	own.apparmor = -1;
	/* The first process's own file is no use to another one. */
	r = launch->apparmor < 0 ? 0 : apparmor_open_inside(root, process.apparmor_profile, &own.apparmor, &err);
	if (r == 0 && dup2(in, 0) < 0)
		r = err_sys(&err, -errno, "cannot pass the state");
	if (r == 0)
		r = launch_execute(&own, &err);
	(void)channel_send_error(report, &err);
	_exit(1);
}

/* Nothing of a hook that did not come to its program goes on. */
static int give_up(const struct proc *proc, int r)
{
	(void)kill(proc->pid, SIGKILL);
	while (waitpid(proc->pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (proc->pidfd >= 0)
		(void)close(proc->pidfd);
	return r;
}

static int run_inside(const struct spec_hook *hook, const struct state *state, const struct launch *launch, int root,
		      struct err *err)
{
	CLEANUP_CLOSE int in = -1, report = -1, heard = -1;
	struct proc proc;
	int ends[2], r = state_file(state, STATE_CREATED, &in);

	if (r < 0)
		return err_sys(err, r, "cannot pass the state");
	r = channel_pair(ends, err);
	if (r < 0)
		return r;
	heard = ends[0];
	report = ends[1];
	proc.pid = namespaces_clone(0, -1);
	if (proc.pid == 0)
		become(hook, launch, root, in, report);
	if (proc.pid < 0)
		return err_sys(err, proc.pid, "cannot make a process");
	(void)close(take_fd(&report));
	proc.pidfd = pidfd_open(proc.pid, 0);
	r = proc.pidfd < 0 ? err_sys(err, -errno, "cannot wait for it")
			   : channel_expect(heard, CHANNEL_READY, NULL, err);
	/* The end of what it reports is its execution. */
	if (r == -ECONNRESET && proc.pidfd >= 0)
		return await(hook, &proc, err);
	return give_up(&proc, r);
}

int hook_run_inside(const struct spec_hook_list *hooks, const char *phase, const struct state *state,
		    const struct launch *launch, int root, struct err *err)
{
	for (size_t i = 0; i < hooks->count; i++)
		if (run_inside(&hooks->items[i], state, launch, root, err) < 0)
			return err_prefix(err, "config.json: hooks.%s[%zu]: '%s'", phase, i, hooks->items[i].path);
	return 0;
}
