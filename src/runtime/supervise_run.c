/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/json_build.h"
#include "base/str.h"
#include "runtime/channel.h"
#include "runtime/create.h"
#include "runtime/supervise.h"
#include "sandbox/cgroup.h"
#include "sandbox/namespaces.h"
#include "sandbox/sysctls.h"

/* A child that does one thing and reports it over a channel; what it opened goes with it. */
static pid_t fork_worker(int *ret_channel, int *ret_child_end, struct err *err)
{
	int ends[2], r = channel_pair(ends, err);
	pid_t pid;

	if (r < 0)
		return r;
	pid = namespaces_clone(0, -1);
	*ret_channel = ends[0];
	*ret_child_end = ends[1];
	if (pid == 0) {
		sigset_t none;

		(void)sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		return 0;
	}
	(void)close(ends[1]);
	if (pid < 0) {
		(void)close(ends[0]);
		return err_sys(err, pid, "cannot make a process");
	}
	return pid;
}

static void reap_worker(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static int raise_loopback(struct err *err)
{
	CLEANUP_CLOSE int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		return err_sys(err, -errno, "cannot bring the loopback interface up");
	return 0;
}

static int fill_namespaces(const struct supervise *supervise, struct err *err)
{
	const struct supervise_spec *spec = &supervise->spec;
	CLEANUP_CLOSE int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (proc < 0)
		return err_sys(err, -errno, "cannot open '/proc'");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || setns(supervise->namespaces[SPEC_NS_USER], CLONE_NEWUSER) < 0)
		return err_sys(err, -errno, "cannot enter the pod's user namespace");
	if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		return err_sys(err, -errno, "cannot become root of the pod's user namespace");
	if (unshare(CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
		return err_sys(err, -errno, "cannot make the pod's namespaces");
	if (sethostname(spec->hostname, strlen(spec->hostname)) < 0)
		return err_sys(err, -errno, "cannot set the pod's host name");
	if (raise_loopback(err) < 0)
		return err->code;
	return sysctls_write(proc, &spec->sysctls, "pod.json: sysctls", err);
}

static int keep_namespaces(struct supervise *supervise, pid_t pid, struct err *err)
{
	static const struct {
		enum spec_namespace_type type;
		const char *file;
	} kept[] = {{SPEC_NS_NETWORK, "net"}, {SPEC_NS_IPC, "ipc"}, {SPEC_NS_UTS, "uts"}};

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		char path[64];
		int r;

		(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)pid, kept[i].file);
		r = namespaces_open(kept[i].type, path, &supervise->namespaces[kept[i].type], err);
		if (r < 0)
			return r;
	}
	return 0;
}

int supervise_make_namespaces(struct supervise *supervise, struct err *err)
{
	struct spec_idmap map = {0, supervise->spec.uid_base, supervise->spec.uid_count};
	const struct spec_idmaps maps = {&map, 1};
	int channel, end, r = namespaces_make_user(&maps, &maps, &supervise->namespaces[SPEC_NS_USER], err);
	pid_t pid;

	if (r < 0)
		return err_prefix(err, "pod.json: uidBase");
	pid = fork_worker(&channel, &end, err);
	if (pid == 0) {
		struct err failure = {0};

		(void)close(channel);
		if (fill_namespaces(supervise, &failure) < 0)
			(void)channel_send_error(end, &failure);
		else if (channel_send(end, CHANNEL_NAMESPACES, 0) == 0)
			(void)!channel_expect(end, CHANNEL_GO, NULL, &failure);
		_exit(0);
	}
	if (pid < 0)
		return pid;
	r = channel_expect(channel, CHANNEL_NAMESPACES, NULL, err);
	if (r == 0)
		r = keep_namespaces(supervise, pid, err);
	(void)close(channel);
	reap_worker(pid);
	return r;
}

struct supervise_container *supervise_find(struct supervise *supervise, const char *name)
{
	for (size_t i = 0; i < supervise->container_count; i++)
		if (str_eq(supervise->containers[i]->name, name))
			return supervise->containers[i];
	return NULL;
}

static void pump(void *user, int fd, uint32_t events)
{
	struct supervise_stream *stream = user;
	struct supervise_container *container =
		(void *)((char *)stream->log - offsetof(struct supervise_container, log));
	size_t index = (size_t)(stream - container->streams);

	(void)fd;
	(void)events;
	/* The source goes first: the pump closes the descriptor it stands on. */
	if (!supervise_log_pump(stream)) {
		loop_remove(container->sources[index]);
		container->sources[index] = NULL;
	}
}

static void free_container(struct supervise_container *container)
{
	if (!container)
		return;
	for (size_t i = 0; i < 2; i++) {
		loop_remove(container->sources[i]);
		if (container->streams[i].fd >= 0)
			(void)close(container->streams[i].fd);
	}
	supervise_log_close(&container->log);
	free(container->name);
	free(container->id);
	free(container);
}

/* The worker's part: everything the supervisor holds is closed before the runtime's own steps begin. */
static _Noreturn void run_create(const struct supervise *supervise, const struct supervise_container *container,
				 const char *bundle, const int *output, int end)
{
	struct bounds bounds = {0};
	const struct create_options options = {.id = container->id, .bundle = bundle, .bounds = &bounds};
	struct state state = {.root = -1, .dir = -1};
	struct err err = {0};
	int root = -1, r;

	if (dup2(output[0], 1) < 0 || dup2(output[1], 2) < 0 || dup2(end, 3) < 0 || fcntl(3, F_SETFD, FD_CLOEXEC) < 0 ||
	    close_range(4, ~0u, 0) < 0)
		_exit(1);
	/* What is made in the container has the modes asked for; the supervisor's own files are its alone. */
	(void)umask(0022);
	r = bounds_load(&bounds, supervise->ceiling, &err);
	if (r == 0)
		r = state_open_root(supervise->spec.runtime_root, true, &root, &err);
	if (r == 0)
		r = create_container(root, &options, &state, &err);
	if (r == 0) {
		r = create_start(&state, &err);
		if (r < 0) {
			struct err ignored;

			(void)!create_destroy(&state, &ignored);
		}
	}
	if (r < 0)
		(void)channel_send_error(3, &err);
	else
		(void)channel_send(3, CHANNEL_PID, state.pid);
	_exit(0);
}

static int spawn_create(struct supervise *supervise, struct supervise_container *container, const char *bundle,
			const int *output, struct err *err)
{
	int channel, end, r;
	int32_t started = 0;
	pid_t pid = fork_worker(&channel, &end, err);

	if (pid == 0)
		run_create(supervise, container, bundle, output, end);
	if (pid < 0)
		return pid;
	r = channel_expect(channel, CHANNEL_PID, &started, err);
	(void)close(channel);
	reap_worker(pid);
	container->pid = started;
	return r;
}

static int open_stream(struct supervise_container *container, size_t index, int *ret_write, struct err *err)
{
	static const char *const names[] = {"stdout", "stderr"};
	struct supervise_stream *stream = &container->streams[index];
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_sys(err, -errno, "cannot make a pipe");
	*ret_write = ends[1];
	stream->log = &container->log;
	stream->name = names[index];
	stream->fd = ends[0];
	/* Only this end does not block: the container's is shared with no one here. */
	if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
		return err_sys(err, -errno, "cannot make a pipe");
	r = loop_add_fd(container->supervise->loop, ends[0], EPOLLIN, pump, stream, &container->sources[index]);
	return r < 0 ? err_sys(err, r, "cannot read from the container") : 0;
}

static struct supervise_container *new_container(struct supervise *supervise, const char *name, const char *id,
						 uint64_t attempt)
{
	struct supervise_container *container = calloc(1, sizeof(*container));

	if (!container)
		return NULL;
	container->supervise = supervise;
	container->log.fd = container->streams[0].fd = container->streams[1].fd = -1;
	container->attempt = attempt;
	container->name = strdup(name);
	container->id = strdup(id);
	if (!container->name || !container->id) {
		free_container(container);
		return NULL;
	}
	return container;
}

static int launch(struct supervise_container *container, const char *bundle, struct err *err)
{
	struct supervise *supervise = container->supervise;
	int output[2] = {-1, -1};
	int r = supervise_log_open(&container->log, supervise->spec.log_dir, container->name, container->attempt, err);

	for (size_t i = 0; r == 0 && i < 2; i++)
		r = open_stream(container, i, &output[i], err);
	if (r == 0)
		r = spawn_create(supervise, container, bundle, output, err);
	for (size_t i = 0; i < 2; i++)
		if (output[i] >= 0)
			(void)close(output[i]);
	return r;
}

static void remove_record(struct supervise *supervise, const char *name)
{
	char path[300];

	if (snprintf(path, sizeof(path), "exits/%s.json", name) < (int)sizeof(path))
		(void)unlinkat(supervise->dir, path, 0);
}

int supervise_start(struct supervise *supervise, const char *name, const char *id, const char *bundle, uint64_t attempt,
		    struct err *err)
{
	struct supervise_container *container = supervise_find(supervise, name);
	int r;

	if (container && container->pid)
		return err_set(err, ERR_EXISTS, "container '%s' runs already", name);
	if (container) {
		r = supervise_delete(supervise, container, err);
		if (r < 0)
			return r;
	}
	if (supervise->container_count == SUPERVISE_CONTAINERS_MAX)
		return err_set(err, ERR_BUSY, "a pod has at most %d containers", SUPERVISE_CONTAINERS_MAX);
	container = new_container(supervise, name, id, attempt);
	if (!container)
		return err_set(err, -ENOMEM, "no memory");
	r = launch(container, bundle, err);
	if (r < 0) {
		free_container(container);
		return r;
	}
	remove_record(supervise, name);
	container->held = true;
	container->started_ms = clock_wall_ms();
	supervise->containers[supervise->container_count++] = container;
	/* It may have ended before it was in the list, and its signal with it. */
	supervise_reap(supervise);
	return 0;
}

json_t *supervise_describe(const struct supervise_container *container)
{
	char started[CLOCK_STAMP_SIZE], finished[CLOCK_STAMP_SIZE];
	json_t *json = json_build("{s:s, s:s, s:I, s:s, s:i, s:b, s:s}", "name", container->name, "id", container->id,
				  "attempt", (json_int_t)container->attempt, "state",
				  container->pid ? "running" : "exited", "pid", (int)container->pid, "oomKilled",
				  container->oom_killed, "error", "");

	clock_format(started, container->started_ms);
	clock_format(finished, container->finished_ms);
	if (json)
		(void)json_object_set_new(json, "startedAt", json_string(started));
	if (json && !container->pid) {
		(void)json_object_set_new(json, "finishedAt", json_string(finished));
		(void)json_object_set_new(json, "exitCode", json_integer(container->exit_code));
		(void)json_object_set_new(json, "signal", json_integer(container->signal));
	}
	return json;
}

/* Whether the kernel killed something in the container's group for memory. */
static bool was_oom_killed(const struct supervise_container *container)
{
	struct state state = {.root = -1, .dir = -1};
	struct cgroup cgroup = {0};
	struct err ignored;
	int root = -1;
	uint64_t kills = 0;

	if (state_open_root(container->supervise->spec.runtime_root, false, &root, &ignored) < 0)
		return false;
	if (state_peek(&state, root, container->id, &ignored) == 0 &&
	    cgroup_init(&cgroup, state.cgroup, &ignored) == 0 && cgroup_open(&cgroup, &ignored) == 0)
		kills = cgroup_oom_kills(&cgroup);
	cgroup_done(&cgroup);
	state_done(&state);
	(void)close(root);
	return kills > 0;
}

/* So that an instance service that was not there finds how the container ended. */
static void write_record(const struct supervise_container *container)
{
	json_t *json = supervise_describe(container);
	CLEANUP_FREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	char path[300];
	struct err ignored;

	json_decref(json);
	(void)mkdirat(container->supervise->dir, "exits", 0700);
	if (text && snprintf(path, sizeof(path), "exits/%s.json", container->name) < (int)sizeof(path))
		(void)!fdio_replace_file(container->supervise->dir, path, text, strlen(text), 0600, &ignored);
}

static void note_end(struct supervise_container *container, int status)
{
	json_t *event;

	container->pid = 0;
	container->finished_ms = clock_wall_ms();
	container->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	container->exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	container->oom_killed = container->exit_code != 0 && was_oom_killed(container);
	/* What it wrote last is still in the pipes. */
	for (size_t i = 0; i < 2; i++)
		for (int round = 0; round < 64 && container->sources[i]; round++)
			pump(&container->streams[i], -1, 0);
	write_record(container);
	event = supervise_describe(container);
	if (!event)
		return;
	(void)json_object_set_new(event, "event", json_string("exited"));
	(void)json_object_set_new(event, "container", json_string(container->name));
	supervise_tell(container->supervise, event);
}

void supervise_reap(struct supervise *supervise)
{
	int status;
	pid_t pid;

	/* Processes that outlived the runtime's steps are adopted here: they too are waited for. */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < supervise->container_count; i++)
			if (supervise->containers[i]->pid == pid)
				note_end(supervise->containers[i], status);
}

static int destroy(struct supervise_container *container, struct err *err)
{
	struct state state = {.root = -1, .dir = -1};
	bool broken;
	int root = -1, r = state_open_root(container->supervise->spec.runtime_root, false, &root, err);

	if (r < 0)
		return r;
	r = state_load(&state, root, container->id, &broken, err);
	state.ceiling = container->supervise->ceiling;
	if (r == 0)
		r = create_destroy(&state, err);
	state_done(&state);
	(void)close(root);
	return r == ERR_NOT_FOUND ? 0 : r;
}

int supervise_delete(struct supervise *supervise, struct supervise_container *container, struct err *err)
{
	int r = container->held ? destroy(container, err) : 0;

	if (r < 0)
		return r;
	container->held = false;
	supervise_reap(supervise);
	for (size_t i = 0; i < supervise->container_count; i++) {
		if (supervise->containers[i] != container)
			continue;
		supervise->containers[i] = supervise->containers[--supervise->container_count];
		free_container(container);
		break;
	}
	return 0;
}
