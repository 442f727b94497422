/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/notify.h"

#include <errno.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fdpass.h"
#include "base/json_build.h"
#include "base/str.h"
#include "runtime/channel.h"

#define STACK_SIZE 32768
#define AGENT_SECONDS 10
#define PENDING (-1)
#define REFUSED (-2)

/* What the two threads share. */
struct handover {
	int channel;
	atomic_int listener;  /* PENDING, REFUSED, or the descriptor */
	atomic_bool finished; /* the agent has it */
	_Alignas(16) char stack[STACK_SIZE];
};

/* The second thread. It shares everything with the first, errno too, which that does not touch meanwhile. */
static int hand_over(void *argument)
{
	struct handover *handover = argument;
	struct err ignored;
	int listener;

	while ((listener = atomic_load(&handover->listener)) == PENDING)
		(void)sched_yield();
	if (listener == REFUSED)
		return 0;
	if (channel_send_fd(handover->channel, CHANNEL_LISTENER, listener) < 0 ||
	    channel_expect(handover->channel, CHANNEL_GO, NULL, &ignored) < 0)
		_exit(1);
	atomic_store(&handover->finished, true);
	return 0;
}

/* No system call: each may be one that the filter stops. */
static void spin(const struct handover *handover)
{
	while (!atomic_load(&handover->finished)) {
#if defined(__x86_64__)
		__builtin_ia32_pause();
#endif
	}
}

int notify_install(const struct seccomp_program *filter, int channel, struct err *err)
{
	const int flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;
	struct handover *handover;
	int listener = -1, r;

	if (!filter->notifies)
		return seccomp_install(filter, NULL, err);
	handover = malloc(sizeof(*handover));
	if (!handover)
		return err_set(err, -ENOMEM, "no memory");
	handover->channel = channel;
	atomic_init(&handover->listener, PENDING);
	atomic_init(&handover->finished, false);
	if (clone(hand_over, handover->stack + STACK_SIZE, flags, handover) < 0)
		return err_sys(err, -errno, "cannot make a thread that hands the listener of the filter over");
	r = seccomp_install(filter, &listener, err);
	/* The second thread may still be on its stack: the memory stays until the program replaces it. */
	atomic_store(&handover->listener, r < 0 ? REFUSED : listener);
	if (r == 0)
		spin(handover);
	return r;
}

/* The container process state of the specification. */
static char *process_state(const struct state *state, pid_t pid, enum state_status status,
			   const struct spec_seccomp *seccomp)
{
	json_t *json = json_build("{s:s, s:[s], s:i, s:s*, s:o}", "ociVersion", "1.2.0", "fds", "seccompFd", "pid",
				  (int)pid, "metadata", seccomp->listener_metadata, "state",
				  state_to_json(state, status));
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text;
}

static int connect_agent(const char *path, int *ret_fd)
{
	const struct timeval patience = {.tv_sec = AGENT_SECONDS};
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int r = str_copy(address.sun_path, sizeof(address.sun_path), path);

	if (r < 0)
		return r;
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* The descriptor comes with the first byte; a state that is longer than what the socket takes at once follows it. */
static int send_state(int agent, const char *text, int listener)
{
	size_t len = strlen(text), done = 0;

	while (done < len) {
		ssize_t n = fdpass_send(agent, text + done, len - done, &listener, done == 0);

		if (n < 0)
			return (int)n;
		done += (size_t)n;
	}
	return 0;
}

static int pass_on(const struct state *state, pid_t pid, enum state_status status, int listener, struct err *err)
{
	CLEANUP_SPEC struct spec spec = {0};
	CLEANUP_FREE char *text = NULL;
	CLEANUP_CLOSE int agent = -1;
	int r = state_load_spec(state, &spec, err);

	if (r < 0)
		return r;
	text = process_state(state, pid, status, &spec.linux_.seccomp);
	r = text ? connect_agent(spec.linux_.seccomp.listener_path, &agent) : -ENOMEM;
	if (r == 0)
		r = send_state(agent, text, listener);
	return r < 0 ? err_sys(err, r, "config.json: linux.seccomp.listenerPath: cannot hand the listener to '%s'",
			       spec.linux_.seccomp.listener_path)
		     : 0;
}

int notify_wait(const struct state *state, const struct attend *process, enum state_status status, int channel,
		struct err *err)
{
	while (true) {
		CLEANUP_CLOSE int listener = -1;
		int r = process->pidfd < 0 ? 0 : attend_channel(process, channel, err);

		if (r < 0)
			return r;
		r = channel_expect_fd(channel, CHANNEL_READY, &listener, err);
		if (r == 0 && listener >= 0)
			r = pass_on(state, process->pid, status, listener, err);
		if (r < 0 || listener < 0)
			return r == -ECONNRESET && listener < 0 ? 0 : r;
		if (channel_send(channel, CHANNEL_GO, 0) < 0)
			return err_set(err, -EPIPE, "the process ended before it was ready");
	}
}
