/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/enter.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "runtime/apparmor.h"
#include "runtime/attend.h"
#include "runtime/channel.h"
#include "runtime/console.h"
#include "runtime/container.h"
#include "runtime/executable.h"
#include "runtime/launch.h"
#include "runtime/notify.h"
#include "runtime/rootless.h"
#include "runtime/spawn.h"
#include "runtime/traits.h"

/* How long a process may take to enter version 1 groups by itself, which costs less than placing it there. */
#define ENTER_MS 1000

struct entry {
	const struct enter_options *options;
	struct state *state;
	struct container container; /* its spec, mounts and control groups */
	struct seccomp_program compiled;
	const struct seccomp_program *filter;
	int pidfd; /* of the container's first process */
	int proc;  /* the machine's /proc when a profile is to be set, else -1 */
	int root;  /* of a container that has the mount namespace of others, else -1 */
	int channel;
};

static _Noreturn void fail(const struct entry *entry, const struct err *err)
{
	(void)channel_send_error(entry->channel, err);
	_exit(1);
}

static int namespace_flags(const struct spec *spec)
{
	uint64_t flags = 0;

	for (size_t i = 0; i < SPEC_NS_TYPES; i++)
		if (spec->linux_.namespaces[i].wanted)
			flags |= namespaces_flag((enum spec_namespace_type)i);
	return (int)flags;
}

static int become(struct entry *entry, struct err *err)
{
	const struct spec_process *process = entry->options->process;
	int r;

	r = traits_new_keyring(err);
	if (r == 0 && entry->proc >= 0)
		r = apparmor_open(entry->proc, process->apparmor_profile, &entry->container.apparmor, err);
	if (r == 0)
		r = traits_personate(&entry->options->original->spec.linux_, err);
	if (r == 0)
		r = traits_move(0, process->affinity_final, "process.execCPUAffinity.final", err);
	if (r < 0)
		return r;
	if (entry->options->original->spec.linux_.namespaces[SPEC_NS_USER].wanted &&
	    (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0))
		return err_sys(err, -errno, "cannot become root of the user namespace");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, -errno, "cannot become non-dumpable");
	(void)setsid();
	r = entry->root >= 0 ? container_become_root(entry->root, err) : 0;
	if (r == 0)
		r = launch_enter_cwd(process, err);
	if (r == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		r = err_sys(err, -errno, "cannot set no_new_privs");
	if (r < 0)
		return r;
	entry->container.root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (entry->container.root < 0)
		return err_sys(err, -errno, "cannot open the root");
	if (entry->container.console >= 0)
		r = console_attach(entry->container.root, -1, process, entry->container.console, err);
	return r < 0 ? r : container_confine(&entry->container, err);
}

static _Noreturn void run_child(struct entry *entry)
{
	struct launch launch = {.process = entry->options->process,
				.filter = entry->filter,
				.preserve_fds = entry->options->preserve_fds,
				.channel = entry->channel};
	struct err err = {0};

	/* Only when the parent knows of it: else the program would run though `exec` failed. */
	if (channel_expect(entry->channel, CHANNEL_GO, NULL, &err) < 0)
		_exit(1);
	if (become(entry, &err) < 0)
		fail(entry, &err);
	if (channel_send(entry->channel, CHANNEL_READY, 0) < 0)
		_exit(1);
	launch.apparmor = entry->container.apparmor;
	(void)!launch_execute(&launch, &err);
	fail(entry, &err);
}

static int join_namespaces(const struct entry *entry)
{
	int flags = namespace_flags(&entry->options->original->spec);

	return flags ? setns(entry->pidfd, flags) : 0;
}

/* Non-dumpable before it joins anything, and never itself in the container's pid namespace. */
static _Noreturn void run_stage(struct entry *entry)
{
	struct err err = {0};
	pid_t pid;

	/* The lock lives as long as one of its descriptors. */
	state_done(entry->state);
	if (cgroup_enter_legacy(&entry->container.cgroup, cgroup_made(&entry->container.cgroup), &err) < 0 ||
	    launch_prepare(0, -1, entry->options->process, &err) < 0 ||
	    traits_move(0, entry->options->process->affinity_initial, "process.execCPUAffinity.initial", &err) < 0)
		fail(entry, &err);
	if ((setgroups(0, NULL) < 0 && !rootless_is()) || join_namespaces(entry) < 0 ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
		(void)err_sys(&err, -errno, "cannot join the container's namespaces");
		fail(entry, &err);
	}
	pid = namespaces_clone(CLONE_PARENT, -1);
	if (pid == 0)
		run_child(entry);
	if (pid < 0) {
		(void)err_sys(&err, pid, "cannot make a process");
		fail(entry, &err);
	}
	_exit(channel_send(entry->channel, CHANNEL_PID, pid) < 0);
}

/*
 * In the container's groups the stage is found by whoever takes the container away, who is not to wait for it: it has the
 * container's share of the processors, which may be next to none.
 */
static int release_lock(const struct entry *entry, pid_t stage, int pidfd, struct err *err)
{
	const struct cgroup *cgroup = &entry->container.cgroup;
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};
	int r = 0;

	if (!cgroup->only_unified && poll(&ended, 1, ENTER_MS) <= 0)
		r = cgroup_place_legacy(cgroup, stage, err);
	if (r < 0)
		(void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
	state_unlock(entry->state);
	return r;
}

/* In the container's groups it may sleep as long as they are frozen. */
static int await_stage(const struct entry *entry, pid_t stage, struct err *err)
{
	CLEANUP_CLOSE int pidfd = pidfd_open(stage, 0);
	const struct attend attend = {stage, pidfd, entry->options->signals};
	int r = pidfd < 0 ? err_sys(err, -errno, "cannot wait for process %d", (int)stage)
			  : release_lock(entry, stage, pidfd, err);

	if (r == 0)
		r = attend_channel(&attend, -1, err);
	while (r == 0 && waitpid(stage, NULL, 0) < 0 && errno == EINTR)
		;
	return r;
}

/* From the process's number to its program, or to the error that it tells of. */
static int await_program(struct entry *entry, int channel, pid_t pid, struct err *err)
{
	CLEANUP_CLOSE int pidfd = pidfd_open(pid, 0);
	const struct attend attend = {pid, pidfd, entry->options->signals};
	int r = pidfd < 0 ? err_sys(err, -errno, "cannot wait for process %d", (int)pid)
			  : child_write_pid(entry->options->pid_file, pid, err);

	if (r < 0)
		return r;
	if (channel_send(channel, CHANNEL_GO, 0) < 0)
		r = err_set(err, -EPIPE, "the process ended before it was ready");
	/* It says when it has become all but the program; silence from there to the connection's end is the program. */
	if (r == 0)
		r = attend_channel(&attend, channel, err);
	if (r == 0)
		r = channel_collect(channel, CHANNEL_READY, NULL, err);
	if (r == 0)
		r = notify_wait(entry->state, &attend, STATE_RUNNING, channel, err);
	if (r < 0)
		child_forget_pid(entry->options->pid_file);
	return r;
}

static int spawn(struct entry *entry, pid_t *ret_pid, struct err *err)
{
	int ends[2], r = channel_pair(ends, err);
	int32_t pid = 0;
	pid_t stage;

	if (r < 0)
		return r;
	stage = namespaces_clone(0, cgroup_unified_fd(&entry->container.cgroup));
	if (stage == 0) {
		(void)close(ends[0]);
		entry->channel = ends[1];
		run_stage(entry);
	}
	(void)close(ends[1]);
	if (stage < 0) {
		(void)close(ends[0]);
		return err_sys(err, stage, "cannot make a process");
	}
	r = await_stage(entry, stage, err);
	if (r == 0)
		r = channel_collect(ends[0], CHANNEL_PID, &pid, err);
	if (r == 0)
		r = await_program(entry, ends[0], pid, err);
	(void)close(ends[0]);
	if (r == 0) {
		*ret_pid = pid;
		return 0;
	}
	/* Given up, it may be of those that no signal ends before they are thawed. */
	if (pid > 0)
		(void)waitpid(pid, NULL, r == -EINTR || r == -ETIMEDOUT ? WNOHANG : 0);
	return r;
}

/*
 * What enters a frozen group freezes with it, and this command waits for it. Whoever wants that must not keep `resume`
 * from the container meanwhile.
 */
static int check_paused(struct entry *entry, struct err *err)
{
	if (!cgroup_is_frozen(&entry->container.cgroup))
		return 0;
	if (!entry->options->await_thaw)
		return err_set(err, ERR_INVALID, "container '%s' cannot be entered: it is paused", entry->state->id);
	state_unlock(entry->state);
	return 0;
}

static bool wants_profile(const struct spec_process *process)
{
	return process->apparmor_profile && process->apparmor_profile[0];
}

/* The namespace's own root is not that of the container then. */
static int open_root(struct entry *entry, struct err *err)
{
	const struct enter_options *options = entry->options;
	char path[64];
	int r;

	if (!container_is_guest(&options->original->spec))
		return 0;
	r = container_check_guest(options->process, err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/%d/root", (int)entry->state->pid);
	entry->root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return entry->root < 0 ? err_sys(err, -errno, "cannot open the container's root") : 0;
}

static int prepare(struct entry *entry, struct err *err)
{
	const struct state *state = entry->state;
	uint64_t start;
	int r = state->cgroup[0] ? cgroup_init(&entry->container.cgroup, state->cgroup, err) : 0;

	if (r == 0)
		r = cgroup_open(&entry->container.cgroup, err);
	if (r == 0)
		r = check_paused(entry, err);
	if (r == 0)
		r = container_list_mounts(&entry->container, err);
	if (r < 0)
		return r;
	if (wants_profile(entry->options->process))
		entry->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = open_root(entry, err);
	if (r < 0)
		return r;
	entry->pidfd = pidfd_open(state->pid, 0);
	/* The descriptor stands for the process that was meant if that is still the one behind the number. */
	if (entry->pidfd < 0 || state_process_start(state->pid, &start) < 0 || start != state->start_time)
		return err_set(err, ERR_NOT_FOUND, "container '%s' has ended", state->id);
	return 0;
}

/* From outside: as a child of this process. */
static int join(struct entry *entry, struct child *ret_child, struct err *err)
{
	int r = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? err_sys(err, -errno, "cannot become non-dumpable") : 0;

	*ret_child = CHILD_NONE;
	if (r == 0)
		r = original_load_spec(entry->options->original, err);
	if (r == 0)
		r = prepare(entry, err);
	return r == 0 ? spawn(entry, &ret_child->pid, err) : r;
}

/* From inside; 1 when that cannot be. */
static int ask_spawner(const struct entry *entry, struct child *ret_child, struct err *err)
{
	const struct enter_options *options = entry->options;
	const struct spec_process *process = options->process;
	const struct spawn_request request = {
		.process = *process,
		.filter = *entry->filter,
		.preserve_fds = (uint32_t)options->preserve_fds,
		.prepare = options->prepare,
		.pid_file = options->pid_file,
		.bounds = options->bounds,
		.signals = options->signals,
	};

	/* What asks an agent needs a thread, and memory for it; a profile needs the machine's /proc. */
	if (options->own_child || entry->filter->notifies || wants_profile(process) || process->affinity_initial ||
	    process->affinity_final)
		return 1;
	return spawn_process(entry->state, &request, entry->container.console, ret_child, err);
}

static int start(struct entry *entry, struct child *ret_child, struct err *err)
{
	const struct enter_options *options = entry->options;
	int r = original_filter(options->original, options->process, bounds_calls(options->bounds), &entry->compiled,
				&entry->filter, err);

	if (r == 0)
		r = console_prepare(options->process, options->console_socket, options->ret_console,
				    &entry->container.console, err);
	if (r == 0)
		r = ask_spawner(entry, ret_child, err);
	return r == 1 ? join(entry, ret_child, err) : r;
}

static int protect_executable(const struct state *state, char *const *argv, struct err *err)
{
	struct idmap uids, gids;
	int r = namespaces_read_maps(state->pid, &uids, &gids, err);

	return r == 0 && executable_is_exposed(&uids, &gids) ? executable_protect(argv, err) : r;
}

int enter_container(struct state *state, const struct enter_options *options, struct child *ret_child, struct err *err)
{
	struct entry entry = {.options = options, .state = state, .pidfd = -1, .proc = -1, .root = -1, .channel = -1};
	enum state_status status = state_status_of(state);
	int r;

	if (status != STATE_RUNNING)
		return err_set(err, ERR_INVALID, "container '%s' cannot be entered: it is %s", state->id,
			       state_status_name(status));
	/* Before anything that cannot be done twice. */
	r = protect_executable(state, options->argv, err);
	container_init(&entry.container, &options->original->spec, NULL);
	if (r == 0)
		r = start(&entry, ret_child, err);
	seccomp_program_done(&entry.compiled);
	if (entry.pidfd >= 0)
		(void)close(entry.pidfd);
	if (entry.proc >= 0)
		(void)close(entry.proc);
	if (entry.root >= 0)
		(void)close(entry.root);
	container_done(&entry.container);
	return r;
}
