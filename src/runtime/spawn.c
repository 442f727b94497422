/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/socket.h>

#include "base/fdpass.h"
#include "runtime/attend.h"
#include "runtime/bounds.h"
#include "runtime/channel.h"
#include "runtime/launch.h"
#include "runtime/spawner.h"
#include "sandbox/cgroup.h"

/* A spawner that was stopped, or a container without processor time, does not hold the caller up for longer. */
#define PATIENCE_MS 1000
/* When it is time to ask whether the container is paused. */
#define USUAL_MS 20

static size_t list_fds(const struct spawn_request *request, int channel, int console, int *fds)
{
	size_t count = 0;

	fds[count++] = channel;
	for (int fd = 0; fd < 3 + (int)request->preserve_fds; fd++)
		fds[count++] = fd;
	if (console >= 0)
		fds[count++] = console;
	return count;
}

static int send_request(int session, const struct spawn_request *request, const struct buf *bytes, int channel,
			int console)
{
	int fds[SPAWNER_FDS_MAX];
	ssize_t n = fdpass_send(session, bytes->data, bytes->len, fds, list_fds(request, channel, console, fds));

	return n < 0 ? (int)n : 0;
}

static bool is_paused(const struct state *state)
{
	struct cgroup cgroup = {0};
	struct err ignored;
	bool paused = cgroup_init(&cgroup, state->cgroup, &ignored) == 0 && cgroup_open(&cgroup, &ignored) == 0 &&
		      cgroup_is_frozen(&cgroup);

	cgroup_done(&cgroup);
	return paused;
}

static bool has_spoken(int session, const struct state *state)
{
	struct pollfd ready = {.fd = session, .events = POLLIN};

	return poll(&ready, 1, USUAL_MS) > 0 || (!is_paused(state) && poll(&ready, 1, PATIENCE_MS) > 0);
}

/*
 * The process tells who it is, and the kernel vouches for it. 1 when none comes in time, or when the spawner tells of its
 * end instead: it had no memory, no number or no descriptor left.
 */
static int meet(int session, const struct state *state, struct child *child, struct err *err)
{
	struct channel_packet packet;
	struct fdpass message = {.bytes = &packet, .len = sizeof(packet), .fds = &child->pidfd, .count = 1};

	if (!has_spoken(session, state) || fdpass_receive(session, &message, MSG_DONTWAIT) != sizeof(packet) ||
	    packet.kind == CHANNEL_END)
		return 1;
	child->pid = message.sender;
	if (packet.kind != CHANNEL_PID || child->pid <= 0 || child->pidfd < 0)
		return err_set(err, -EPROTO, "the container's process sent something else than expected");
	/* The spawner of another version of this program does not understand the request. */
	return packet.value == SPAWN_REQUEST_VERSION ? 0 : 1;
}

/* It says when it has become all but the program; silence from there to the connection's end is the program. */
static int await_program(const struct child *child, int channel, int signals, struct err *err)
{
	const struct attend attend = {child->pid, child->pidfd, signals};
	int r = attend_channel(&attend, channel, err);

	if (r == 0)
		r = channel_collect(channel, CHANNEL_READY, NULL, err);
	if (r == 0)
		r = attend_channel(&attend, channel, err);
	if (r < 0)
		return r;
	r = channel_collect(channel, CHANNEL_READY, NULL, err);
	return r == -ECONNRESET ? 0 : r;
}

/* What only the machine's own root may set is set from here, before the process goes on. */
static int set_limits(const struct spawn_request *request, const struct child *child, struct err *err)
{
	int r;

	if (pidfd_send_signal(child->pidfd, 0, NULL, 0) < 0)
		return err_set(err, -ECONNRESET, "the container's process ended before it was ready");
	r = bounds_lower_limits(request->bounds, child->pid, err);
	return r == 0 && request->prepare ? launch_prepare(child->pid, child->pidfd, &request->process, err) : r;
}

static int instruct(int session, const struct spawn_request *request, const struct buf *bytes, int console,
		    const struct child *child, struct err *err)
{
	CLEANUP_CLOSE int ours = -1, theirs = -1;
	int ends[2], r = channel_pair(ends, err);

	if (r < 0)
		return r;
	ours = ends[0];
	theirs = ends[1];
	r = set_limits(request, child, err);
	if (r == 0)
		r = child_write_pid(request->pid_file, child->pid, err);
	if (r < 0)
		return r;
	r = send_request(session, request, bytes, theirs, console);
	if (r < 0)
		(void)err_sys(err, r, "cannot tell the container's process what to be");
	(void)close(take_fd(&theirs));
	if (r == 0)
		r = await_program(child, ours, request->signals, err);
	if (r < 0)
		child_forget_pid(request->pid_file);
	return r;
}

/* Without waiting: a queue that is full is a spawner that does not serve. */
static int reach(const struct state *state, int *ret_session)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_un address;
	const int yes = 1;

	spawner_address(state, &address);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof(yes)) < 0 ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_session = take_fd(&fd);
	return 0;
}

int spawn_process(struct state *state, const struct spawn_request *request, int console, struct child *ret_child,
		  struct err *err)
{
	CLEANUP_CLOSE int session = -1;
	CLEANUP_CHILD struct child child = CHILD_NONE;
	CLEANUP_BUF struct buf bytes = {0};
	int r;

	/* Whoever answers lives in the container, and so does then whom this stands for, whatever had its number before. */
	child.first = pidfd_open(state->pid, 0);
	/* The request is written while the process comes up. */
	if (child.first < 0 || request->preserve_fds + 5 > SPAWNER_FDS_MAX || reach(state, &session) < 0 ||
	    spawn_request_format(request, &bytes) < 0)
		return 1;
	r = meet(session, state, &child, err);
	if (r)
		return r;
	state_unlock(state);
	r = instruct(session, request, &bytes, console, &child, err);
	if (r < 0)
		return r;
	child.session = take_fd(&session);
	*ret_child = child;
	child = CHILD_NONE;
	return 0;
}
