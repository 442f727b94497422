/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/json_build.h"
#include "base/json_text.h"
#include "base/str.h"
#include "runtime/channel.h"
#include "runtime/rest.h"
#include "runtime/state.h"

#define AWAKE_NS 500000000ull

static void drop_client(struct supervise *supervise, size_t index)
{
	loop_remove(supervise->clients[index].source);
	(void)close(supervise->clients[index].fd);
	supervise->clients[index].source = NULL;
	supervise->clients[index].fd = -1;
}

/* A client that does not read what it is sent is dropped rather than waited for. */
static void send_json(struct supervise *supervise, size_t index, const json_t *json)
{
	CLEANUP_FREE char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	if (text && send(supervise->clients[index].fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		drop_client(supervise, index);
}

void supervise_tell(struct supervise *supervise, json_t *event)
{
	for (size_t i = 0; i < SUPERVISE_CLIENTS_MAX; i++)
		if (supervise->clients[i].fd >= 0)
			send_json(supervise, i, event);
	json_decref(event);
}

static const char *text_of(const json_t *request, const char *key, struct err *err)
{
	const json_t *value = json_object_get(request, key);

	if (json_is_string(value) && json_string_length(value))
		return json_string_value(value);
	(void)err_set(err, ERR_INVALID, "'%s' must be a string that is not empty", key);
	return NULL;
}

/* Names become file names of logs and records. */
static const char *name_of(const json_t *request, struct err *err)
{
	const char *name = text_of(request, "container", err);

	if (name && !str_is_dns_label(name)) {
		(void)err_set(err, ERR_INVALID, "container '%.64s' is not a DNS label", name);
		return NULL;
	}
	return name;
}

static struct supervise_container *container_of(struct supervise *supervise, const json_t *request, struct err *err)
{
	const char *name = name_of(request, err);
	struct supervise_container *container = name ? supervise_find(supervise, name) : NULL;

	if (name && !container)
		(void)err_set(err, ERR_NOT_FOUND, "container '%s' does not exist", name);
	return container;
}

static int op_start(struct supervise *supervise, const json_t *request, json_t *answer, struct err *err)
{
	const json_t *attempt = json_object_get(request, "attempt");
	const char *name = name_of(request, err);
	const char *id = name ? text_of(request, "id", err) : NULL;
	const char *bundle = id ? text_of(request, "bundle", err) : NULL;
	int r;

	if (!bundle)
		return err->code;
	if (bundle[0] != '/')
		return err_set(err, ERR_INVALID, "'bundle' must be an absolute path");
	if (attempt && (!json_is_integer(attempt) || json_integer_value(attempt) < 0))
		return err_set(err, ERR_INVALID, "'attempt' must be a whole number");
	r = state_check_id(id, err);
	if (r == 0)
		r = supervise_start(supervise, name, id, bundle, (uint64_t)json_integer_value(attempt), err);
	if (r == 0)
		(void)json_object_set_new(answer, "pid", json_integer(supervise_find(supervise, name)->pid));
	return r;
}

static int op_kill(struct supervise *supervise, const json_t *request, json_t *answer, struct err *err)
{
	const json_t *number = json_object_get(request, "signal");
	struct supervise_container *container = container_of(supervise, request, err);

	if (!container)
		return err->code;
	if (!json_is_integer(number) || json_integer_value(number) < 1 || json_integer_value(number) > 64)
		return err_set(err, ERR_INVALID, "'signal' must be a number from 1 to 64");
	if (!container->pid)
		return err_set(err, ERR_NOT_FOUND, "container '%s' has ended", container->name);
	if (kill(container->pid, (int)json_integer_value(number)) < 0)
		return err_sys(err, -errno, "container '%s'", container->name);
	return 0;
}

static int op_delete(struct supervise *supervise, const json_t *request, json_t *answer, struct err *err)
{
	struct supervise_container *container = container_of(supervise, request, err);

	return container ? supervise_delete(supervise, container, err) : err->code;
}

static int op_status(struct supervise *supervise, const json_t *request, json_t *answer, struct err *err)
{
	json_t *list = json_array();

	for (size_t i = 0; i < supervise->container_count; i++)
		(void)json_array_append_new(list, supervise_describe(supervise->containers[i]));
	return json_object_set_new(answer, "containers", list) < 0 ? err_set(err, -ENOMEM, "no memory") : 0;
}

static int remove_all(struct supervise *supervise, struct err *err)
{
	while (supervise->container_count) {
		int r = supervise_delete(supervise, supervise->containers[0], err);

		if (r < 0)
			return r;
	}
	return 0;
}

static int op_shutdown(struct supervise *supervise, const json_t *request, json_t *answer, struct err *err)
{
	int r = remove_all(supervise, err);

	if (r == 0)
		loop_stop(supervise->loop, 0);
	return r;
}

static int serve(struct supervise *supervise, const json_t *request, json_t *answer, struct err *err)
{
	static const struct {
		const char *name;
		int (*run)(struct supervise *supervise, const json_t *request, json_t *answer, struct err *err);
	} ops[] = {
		{"start", op_start},   {"kill", op_kill},         {"delete", op_delete},
		{"status", op_status}, {"shutdown", op_shutdown},
	};
	const char *op = text_of(request, "op", err);

	if (!op)
		return err->code;
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		if (str_eq(ops[i].name, op))
			return ops[i].run(supervise, request, answer, err);
	return err_set(err, ERR_INVALID, "unknown operation '%.64s'", op);
}

static void answer(struct supervise *supervise, size_t index, const char *bytes, size_t len)
{
	struct err err = {0};
	json_t *request = json_text_read(bytes, len, &err), *reply = json_object();
	int r = request ? serve(supervise, request, reply, &err) : err_prefix(&err, "not JSON");

	(void)json_object_set_new(reply, "ok", json_boolean(r == 0));
	if (r < 0)
		(void)json_object_set_new(reply, "error", json_string(err.msg));
	/* An event on the way may have found that the client is gone. */
	if (supervise->clients[index].fd >= 0)
		send_json(supervise, index, reply);
	json_decref(reply);
	json_decref(request);
}

static void on_client(void *user, int fd, uint32_t events)
{
	struct supervise *supervise = user;
	CLEANUP_FREE char *bytes = malloc(SUPERVISE_PACKET_MAX + 1);
	size_t index = 0;
	ssize_t n;

	while (index < SUPERVISE_CLIENTS_MAX && supervise->clients[index].fd != fd)
		index++;
	if (index == SUPERVISE_CLIENTS_MAX)
		return;
	n = bytes ? recv(fd, bytes, SUPERVISE_PACKET_MAX + 1, MSG_DONTWAIT) : -1;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || n > SUPERVISE_PACKET_MAX)
		drop_client(supervise, index);
	else
		answer(supervise, index, bytes, (size_t)n);
}

static bool is_own_user(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 && peer.uid == geteuid();
}

static void on_connection(void *user, int fd, uint32_t events)
{
	struct supervise *supervise = user;
	int peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (peer < 0)
		return;
	for (size_t i = 0; is_own_user(peer) && i < SUPERVISE_CLIENTS_MAX; i++) {
		if (supervise->clients[i].fd >= 0)
			continue;
		if (loop_add_fd(supervise->loop, peer, EPOLLIN, on_client, supervise, &supervise->clients[i].source) <
		    0)
			break;
		supervise->clients[i].fd = peer;
		return;
	}
	(void)close(peer);
}

static void on_signal(void *user, const struct signalfd_siginfo *info)
{
	struct supervise *supervise = user;
	struct err ignored;

	if (info->ssi_signo == SIGCHLD)
		supervise_reap(supervise);
	else if (remove_all(supervise, &ignored) == 0)
		loop_stop(supervise->loop, 0);
}

static int listen_at(struct supervise *supervise, struct err *err)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t before;
	int r;

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/control", supervise->dir);
	/* One left behind by a supervisor that was killed; a living one has the folder locked. */
	(void)unlinkat(supervise->dir, "control", 0);
	before = umask(0177);
	r = fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 16) < 0 ? -errno
													     : 0;
	(void)umask(before);
	if (r < 0)
		return err_sys(err, r, "cannot make the control socket");
	supervise->listener = take_fd(&fd);
	return 0;
}

static int write_state(const struct supervise *supervise, struct err *err)
{
	json_t *namespaces = json_object(), *json;
	CLEANUP_FREE char *text = NULL;
	uint64_t start = 0;
	int r = state_process_start(getpid(), &start);

	for (size_t i = 0; i < SPEC_NS_TYPES; i++) {
		char path[64];

		if (supervise->namespaces[i] < 0)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), supervise->namespaces[i]);
		(void)json_object_set_new(namespaces, spec_namespace_name((enum spec_namespace_type)i),
					  json_string(path));
	}
	json = json_build("{s:i, s:I, s:o}", "pid", (int)getpid(), "startTime", (json_int_t)start, "namespaces",
			  namespaces);
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	json_decref(json);
	if (r < 0 || !text)
		return err_set(err, -ENOMEM, "cannot describe the supervisor");
	return fdio_replace_file(supervise->dir, "state.json", text, strlen(text), 0600, err);
}

/* Half a second after it woke up: sleeps, with little memory, until there is something to do. */
static void on_calm(void *user)
{
	struct supervise *supervise = user;
	struct pollfd wait = {.fd = loop_descriptor(supervise->loop), .events = POLLIN};

	(void)malloc_trim(0);
	rest_until(&wait, 1);
	loop_set_timer(supervise->calm, clock_monotonic_ns() + AWAKE_NS);
}

static int set_up(struct supervise *supervise, struct err *err)
{
	struct loop_source *source;
	sigset_t signals;
	int r = loop_new(&supervise->loop, err);

	if (r == 0)
		r = supervise_make_namespaces(supervise, err);
	if (r == 0)
		r = listen_at(supervise, err);
	if (r < 0)
		return r;
	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGCHLD);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	r = loop_add_signals(supervise->loop, &signals, on_signal, supervise, &source);
	if (r == 0)
		r = loop_add_fd(supervise->loop, supervise->listener, EPOLLIN, on_connection, supervise, &source);
	if (r < 0)
		return err_sys(err, r, "cannot set up the event loop");
	rest_prepare();
	r = loop_add_timer(supervise->loop, clock_monotonic_ns() + AWAKE_NS, on_calm, supervise, &supervise->calm);
	if (r < 0)
		return err_sys(err, r, "cannot set up the event loop");
	return write_state(supervise, err);
}

static void tear_down(struct supervise *supervise)
{
	struct err ignored;

	(void)unlinkat(supervise->dir, "control", 0);
	(void)unlinkat(supervise->dir, "state.json", 0);
	(void)!fdio_remove_tree(supervise->dir, "exits", &ignored);
	loop_free(supervise->loop);
	supervise_spec_done(&supervise->spec);
}

/* Detached: own session, nothing of the starter's, orphans of the pod come here. */
static int detach(struct err *err)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
		return err_sys(err, -errno, "cannot detach");
	(void)close(null);
	(void)umask(0077);
	(void)signal(SIGPIPE, SIG_IGN);
	if (chdir("/") < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, -errno, "cannot detach");
	return 0;
}

static _Noreturn void run(struct supervise *supervise, int channel)
{
	struct err err = {0};
	int r = detach(&err);

	if (r == 0)
		r = set_up(supervise, &err);
	if (r < 0) {
		(void)channel_send_error(channel, &err);
		tear_down(supervise);
		_exit(1);
	}
	(void)channel_send(channel, CHANNEL_READY, 0);
	(void)close(channel);
	r = loop_run(supervise->loop);
	tear_down(supervise);
	_exit(r < 0);
}

static int read_pod(struct supervise *supervise, const char *dir, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(65536);
	int r = fdio_open_dir(AT_FDCWD, dir, &supervise->dir, err);

	if (r < 0)
		return r;
	/* Held for life: a second supervisor of the same pod finds it locked. */
	if (flock(supervise->dir, LOCK_EX | LOCK_NB) < 0)
		return err_set(err, ERR_EXISTS, "'%s' has a supervisor already", dir);
	r = fdio_read_file(supervise->dir, "pod.json", &text, err);
	return r < 0 ? r : supervise_spec_parse(&supervise->spec, text.data, text.len, err);
}

int supervise_command(const char *dir, const char *ceiling, struct err *err)
{
	static struct supervise supervise = {.dir = -1, .listener = -1};
	int ends[2], status, r;
	pid_t pid;

	for (size_t i = 0; i < SPEC_NS_TYPES; i++)
		supervise.namespaces[i] = -1;
	for (size_t i = 0; i < SUPERVISE_CLIENTS_MAX; i++)
		supervise.clients[i].fd = -1;
	supervise.ceiling = ceiling ? realpath(ceiling, NULL) : NULL;
	if (ceiling && !supervise.ceiling)
		return err_sys(err, -errno, "ceiling '%s': cannot be opened", ceiling);
	r = read_pod(&supervise, dir, err);
	if (r == 0)
		r = channel_pair(ends, err);
	if (r < 0)
		return r;
	pid = fork();
	if (pid < 0)
		return err_sys(err, -errno, "cannot make a process");
	if (pid == 0) {
		(void)close(ends[0]);
		if (setsid() < 0)
			_exit(1);
		pid = fork();
		if (pid == 0)
			run(&supervise, ends[1]);
		_exit(pid < 0);
	}
	(void)close(ends[1]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return channel_expect(ends[0], CHANNEL_READY, NULL, err);
}
