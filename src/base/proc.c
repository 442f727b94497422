/* SPDX-License-Identifier: Apache-2.0 */
#include "base/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fdio.h"

#define KEEP_MAX 64
#define TAIL_MAX 4096

/* What a child that could not exec writes into its report pipe: the errno. */
static void child_fail(int report)
{
	int code = errno;

	_exit(fdio_write_all(report, &code, sizeof(code)) < 0 ? 126 : 127);
}

static void reset_signals(void)
{
	sigset_t none;

	for (int i = 1; i < _NSIG; i++)
		(void)signal(i, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Puts the descriptors of the spec at 0, 1, 2, 3, … and marks all others close-on-exec. */
static int place_descriptors(const struct proc_spec *spec, int *report)
{
	int from[3 + KEEP_MAX], count = 3 + (int)spec->keep_count;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (null < 0)
		return -1;
	from[0] = spec->in >= 0 ? spec->in : null;
	from[1] = spec->out >= 0 ? spec->out : null;
	from[2] = spec->error >= 0 ? spec->error : null;
	for (size_t i = 0; i < spec->keep_count; i++)
		from[3 + i] = spec->keep[i];
	/* First all go out of the way of the numbers they are to have. */
	*report = fcntl(*report, F_DUPFD_CLOEXEC, count);
	if (*report < 0)
		return -1;
	for (int i = 0; i < count; i++) {
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, count);
		if (from[i] < 0)
			return -1;
	}
	for (int i = 0; i < count; i++)
		if (dup2(from[i], i) < 0)
			return -1;
	return (int)syscall(SYS_close_range, count, ~0u, CLOSE_RANGE_CLOEXEC);
}

static void child_run(const struct proc_spec *spec, pid_t parent, int report)
{
	static const char *const no_environment[] = {NULL};
	const char *const *envp = spec->envp ? spec->envp : no_environment;

	if (spec->new_session && setsid() < 0)
		child_fail(report);
	if (spec->die_with_parent) {
		if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
			child_fail(report);
		/* The parent may have gone before the request was made. */
		if (getppid() != parent)
			_exit(127);
	}
	if (place_descriptors(spec, &report) < 0)
		child_fail(report);
	reset_signals();
	(void)execve(spec->path, (char *const *)spec->argv, (char *const *)envp);
	child_fail(report);
}

static pid_t fork_quietly(const struct proc_spec *spec, int report)
{
	pid_t pid, parent = getpid();
	sigset_t all, before;

	/* No handler of the parent may run in the child. */
	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	pid = fork();
	if (pid == 0)
		child_run(spec, parent, report);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pid;
}

int proc_spawn(const struct proc_spec *spec, struct proc *ret_proc, struct err *err)
{
	struct proc proc = {.pid = -1, .pidfd = -1};
	int report[2], code = 0, r;

	if (spec->keep_count > KEEP_MAX)
		return err_set(err, ERR_INVALID, "cannot run '%s': more than %d descriptors", spec->path, KEEP_MAX);
	if (pipe2(report, O_CLOEXEC) < 0)
		return err_sys(err, -errno, "cannot run '%s'", spec->path);
	proc.pid = fork_quietly(spec, report[1]);
	r = proc.pid < 0 ? -errno : 0;
	(void)close(report[1]);
	if (r == 0) {
		r = fdio_read_exact(report[0], &code, sizeof(code));
		/* The end without a report is the exec that worked. */
		r = r == 0 ? -code : r == -ENODATA ? 0 : r;
		if (r == 0) {
			proc.pidfd = pidfd_open(proc.pid, 0);
			r = proc.pidfd < 0 ? -errno : 0;
		}
		if (r < 0) {
			(void)kill(proc.pid, SIGKILL);
			(void)waitpid(proc.pid, NULL, 0);
		}
	}
	(void)close(report[0]);
	if (r < 0)
		return err_sys(err, r, "cannot run '%s'", spec->path);
	*ret_proc = proc;
	return 0;
}

/* Milliseconds until the deadline (of clock_monotonic_ns; 0 is never), rounded up; as poll(2) takes it. */
static int left_ms(uint64_t deadline)
{
	uint64_t now = clock_monotonic_ns(), ms;

	if (!deadline)
		return -1;
	if (now >= deadline)
		return 0;
	ms = (deadline - now + 999999) / 1000000;
	return ms > INT32_MAX ? INT32_MAX : (int)ms;
}

static uint64_t deadline_of(int timeout_ms)
{
	return timeout_ms < 0 ? 0 : clock_monotonic_ns() + (uint64_t)timeout_ms * 1000000u;
}

int proc_wait(struct proc *proc, int timeout_ms, int *ret_status)
{
	struct pollfd poller = {.fd = proc->pidfd, .events = POLLIN};
	uint64_t deadline = deadline_of(timeout_ms);
	int status, n;

	do {
		n = poll(&poller, 1, left_ms(deadline));
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -ETIMEDOUT;
	while (waitpid(proc->pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	(void)close(proc->pidfd);
	*proc = (struct proc){.pid = -1, .pidfd = -1};
	*ret_status = status;
	return 0;
}

int proc_kill(const struct proc *proc, int signal)
{
	return syscall(SYS_pidfd_send_signal, proc->pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

void proc_describe(char *to, size_t size, int status)
{
	if (WIFEXITED(status))
		(void)snprintf(to, size, "exit status %d", WEXITSTATUS(status));
	else if (WIFSIGNALED(status))
		(void)snprintf(to, size, "signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		(void)snprintf(to, size, "status 0x%x", (unsigned int)status);
}

/* One stream of a program that runs to its end. */
struct stream {
	int fd;           /* our end, -1 when the other end closed */
	struct buf *into; /* NULL: only the tail is kept */
	struct buf tail;
};

static int stream_keep(struct stream *stream, const char *bytes, size_t len)
{
	int r = stream->into ? buf_append(stream->into, bytes, len) : 0;

	if (r < 0)
		return r;
	if (len > TAIL_MAX) {
		bytes += len - TAIL_MAX;
		len = TAIL_MAX;
	}
	if (stream->tail.len + len > TAIL_MAX)
		buf_consume(&stream->tail, stream->tail.len + len - TAIL_MAX);
	return buf_append(&stream->tail, bytes, len);
}

/* Reads what there is without waiting; closes our end at the end of the stream. */
static int stream_drain(struct stream *stream)
{
	char bytes[16384];

	while (stream->fd >= 0) {
		ssize_t n = read(stream->fd, bytes, sizeof(bytes));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if (n == 0) {
			(void)close(take_fd(&stream->fd));
			return 0;
		}
		r = stream_keep(stream, bytes, (size_t)n);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Reads both streams until the program ends. What its descendants still print afterwards is not waited for. */
static int streams_pump(struct stream streams[2], const struct proc *proc, uint64_t deadline)
{
	while (true) {
		struct pollfd pollers[3] = {
			{.fd = streams[0].fd, .events = POLLIN},
			{.fd = streams[1].fd, .events = POLLIN},
			{.fd = proc->pidfd, .events = POLLIN},
		};
		int n = poll(pollers, 3, left_ms(deadline)), r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ETIMEDOUT;
		r = stream_drain(&streams[0]);
		if (r == 0)
			r = stream_drain(&streams[1]);
		if (r < 0 || pollers[2].revents)
			return r;
	}
}

/* A descriptor to read the input from; -1 stands for an empty one. */
static int input_open(const char *input, int *ret_fd)
{
	CLEANUP_CLOSE int fd = -1;
	int r;

	*ret_fd = -1;
	if (!input)
		return 0;
	fd = memfd_create("input", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = fdio_write_all(fd, input, strlen(input));
	if (r < 0)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static const char *last_line(struct buf *tail)
{
	char *line;

	while (tail->len && (tail->data[tail->len - 1] == '\n' || tail->data[tail->len - 1] == ' '))
		tail->data[--tail->len] = '\0';
	if (!tail->len)
		return "";
	line = strrchr(tail->data, '\n');
	return line ? line + 1 : tail->data;
}

static int run_result(const char *path, int r, int status, int timeout_ms, struct buf *tail, struct err *err)
{
	const char *line = last_line(tail);
	char words[64];

	if (r == -ETIMEDOUT)
		return err_set(err, r, "'%s' did not end within %d ms and was killed", path, timeout_ms);
	if (r == -EFBIG)
		return err_set(err, r, "'%s' printed more than its limit and was killed", path);
	if (r < 0)
		return err_sys(err, r, "cannot run '%s'", path);
	if (status == 0)
		return 0;
	proc_describe(words, sizeof(words), status);
	return err_set(err, -EREMOTEIO, "'%s' failed with %s%s%s", path, words, *line ? ": " : "", line);
}

/* Starts the program with pipes for what it prints; our ends do not block. */
static int run_start(const char *path, const char *const *argv, const char *input, struct stream streams[2],
		     struct proc *ret_proc, struct err *err)
{
	extern char **environ;
	CLEANUP_CLOSE int in = -1, out = -1, error = -1;
	int pair[2], r = input_open(input, &in);

	if (r < 0)
		return err_sys(err, r, "cannot run '%s'", path);
	for (int i = 0; i < 2; i++) {
		if (pipe2(pair, O_CLOEXEC) < 0)
			return err_sys(err, -errno, "cannot run '%s'", path);
		streams[i].fd = pair[0];
		*(i ? &error : &out) = pair[1];
		if (fcntl(pair[0], F_SETFL, O_NONBLOCK) < 0)
			return err_sys(err, -errno, "cannot run '%s'", path);
	}
	return proc_spawn(&(struct proc_spec){.path = path,
					      .argv = argv,
					      .envp = (const char *const *)environ,
					      .in = in,
					      .out = out,
					      .error = error,
					      .die_with_parent = true},
			  ret_proc, err);
}

/* Kills what went wrong with r and passes r on; a process that has just ended needs no signal. */
static int kill_for(const struct proc *proc, int r)
{
	int killed = proc_kill(proc, SIGKILL);

	return killed < 0 && killed != -ESRCH ? killed : r;
}

int proc_run(const char *path, const char *const *argv, const char *input, struct buf *out, struct buf *error,
	     int timeout_ms, struct err *err)
{
	struct stream streams[2] = {
		{.fd = -1, .into = out, .tail = buf_of(TAIL_MAX)},
		{.fd = -1, .into = error, .tail = buf_of(TAIL_MAX)},
	};
	struct proc proc;
	int status = 0, r;

	r = run_start(path, argv, input, streams, &proc, err);
	if (r == 0) {
		r = streams_pump(streams, &proc, deadline_of(timeout_ms));
		r = r < 0 ? kill_for(&proc, r) : 0;
		if (proc_wait(&proc, -1, &status) < 0 && r == 0)
			r = -ECHILD;
		r = run_result(path, r, status, timeout_ms, &streams[1].tail, err);
	}
	for (int i = 0; i < 2; i++) {
		if (streams[i].fd >= 0)
			(void)close(streams[i].fd);
		buf_done(&streams[i].tail);
	}
	return r;
}
