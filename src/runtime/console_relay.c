/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <termios.h>

#include "runtime/console.h"

/* More than a pty holds. */
#define LAST_OUTPUT 65536

/* Bytes on their way in one direction; nothing more is read before they are written. */
struct flow {
	int from; /* -1 once it has ended */
	int to;
	size_t start, end;
	char bytes[4096];
};

struct relay {
	int master;
	int signals;
	struct child *child;
	bool raw; /* the caller's terminal was changed */
	struct termios before;
	struct flow in, out;
};

static void copy_size(int master)
{
	struct winsize size;

	if (ioctl(0, TIOCGWINSZ, &size) == 0)
		(void)ioctl(master, TIOCSWINSZ, &size);
}

static void make_raw(struct relay *relay)
{
	struct termios raw;

	if (tcgetattr(0, &relay->before) < 0)
		return;
	raw = relay->before;
	cfmakeraw(&raw);
	relay->raw = tcsetattr(0, TCSANOW, &raw) == 0;
}

/* Whoever reads no more, and a pty without processes, end the flow; the child's end is heard of otherwise. */
static void fill(struct flow *flow)
{
	ssize_t n = read(flow->from, flow->bytes, sizeof(flow->bytes));

	if (n > 0) {
		flow->start = 0;
		flow->end = (size_t)n;
	} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
		flow->from = -1;
	}
}

static void drain(struct flow *flow)
{
	ssize_t n = write(flow->to, flow->bytes + flow->start, flow->end - flow->start);

	if (n >= 0) {
		flow->start += (size_t)n;
	} else if (errno != EINTR && errno != EAGAIN) {
		flow->start = flow->end;
		flow->from = -1;
	}
}

static struct pollfd interest(const struct flow *flow)
{
	if (flow->start < flow->end)
		return (struct pollfd){.fd = flow->to, .events = POLLOUT};
	return (struct pollfd){.fd = flow->from, .events = POLLIN};
}

static void move(struct flow *flow, short events)
{
	if (!events)
		return;
	if (flow->start < flow->end)
		drain(flow);
	else
		fill(flow);
}

/* The signal that came; 0 when none did. */
static int take_signal(const struct relay *relay)
{
	struct signalfd_siginfo info;

	return read(relay->signals, &info, sizeof(info)) == sizeof(info) ? (int)info.ssi_signo : 0;
}

static void pass_signal(struct relay *relay)
{
	int number = take_signal(relay);

	if (number == SIGWINCH)
		copy_size(relay->master);
	else if (number && number != SIGCHLD)
		child_signal(relay->child, number);
}

static bool is_to_end(const struct relay *relay)
{
	int number = take_signal(relay);

	return number && number != SIGCHLD && number != SIGWINCH;
}

/*
 * What the child wrote before its end is still in the pty: that much is passed on. Others in the container may write for
 * ever, and who reads may be slow or not read at all, until a signal says that it has been long enough.
 */
static void finish_output(struct relay *relay)
{
	struct flow *out = &relay->out;
	size_t left = LAST_OUTPUT;

	while (out->from >= 0) {
		bool full = out->start < out->end;
		struct pollfd fds[] = {interest(out), {.fd = relay->signals, .events = POLLIN}};

		if ((!full && left == 0) || (poll(fds, 2, full ? -1 : 0) <= 0 && errno != EINTR))
			break;
		if (fds[1].revents && is_to_end(relay))
			break;
		if (!full && !fds[0].revents)
			break;
		move(out, fds[0].revents);
		if (!full && out->start < out->end)
			left -= out->end < left ? out->end : left;
	}
}

static int run(struct relay *relay, int *ret_status, struct err *err)
{
	while (true) {
		struct pollfd fds[4] = {{.fd = relay->signals, .events = POLLIN}};
		bool ended;
		int r = child_ended(relay->child, &ended, ret_status, err);

		if (r < 0)
			return r;
		if (ended)
			break;
		fds[1] = interest(&relay->in);
		fds[2] = interest(&relay->out);
		fds[3] = (struct pollfd){.fd = child_event(relay->child), .events = POLLIN};
		if (poll(fds, 4, -1) < 0 && errno != EINTR)
			return err_sys(err, -errno, "cannot wait for the terminal");
		if (fds[0].revents)
			pass_signal(relay);
		move(&relay->in, fds[1].revents);
		move(&relay->out, fds[2].revents);
	}
	finish_output(relay);
	return 0;
}

int console_relay(int master, struct child *child, int signals, int *ret_exit, struct err *err)
{
	struct relay relay = {
		.master = master,
		.signals = signals,
		.child = child,
		.in = {.from = 0, .to = master},
		.out = {.from = master, .to = 1},
	};
	int status, r;

	if (fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return err_sys(err, -errno, "cannot use the terminal");
	copy_size(master);
	make_raw(&relay);
	r = run(&relay, &status, err);
	if (relay.raw)
		(void)tcsetattr(0, TCSADRAIN, &relay.before);
	if (r == 0)
		*ret_exit = child_exit_status(status);
	return r;
}
