/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/part.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/proc.h"
#include "base/str.h"
#include "cli/logtail.h"

#define ENVIRONMENT_MAX 32

const struct part part_rows[PART_COUNT] = {
	{"cism", "bulkhead-cism", "API and placement", 30000, 15000},
	{"cir", "bulkhead-cir", "image registry", 30000, 15000},
	{"cis", "bulkhead-cis", "pods of this instance", 60000, 30000},
};

static int out_of_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

/* The start time of a process: field 22 of its stat line, behind the program's name, which may hold anything. */
static int read_start(int pid, uint64_t *ret_ticks)
{
	struct buf text CLEANUP(buf_done) = buf_of(4096);
	char path[64];
	char *at, *save = NULL;
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	r = fdio_read_file(AT_FDCWD, path, &text, NULL);
	if (r < 0)
		return r;
	at = strrchr(text.data, ')');
	at = at ? strtok_r(at + 1, " ", &save) : NULL;
	for (int field = 3; at && field < 22; field++)
		at = strtok_r(NULL, " ", &save);
	return at ? str_parse_u64(at, UINT64_MAX, ret_ticks) : -EINVAL;
}

/* Whether the process runs a program of that name (also one that was replaced on disk since). */
static bool runs_program(int pid, const char *program)
{
	char path[64], target[PATHS_MAX];
	const char *name;
	ssize_t len;

	(void)snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	len = readlink(path, target, sizeof(target) - 1);
	if (len < 0)
		return false;
	target[len] = '\0';
	if (str_ends(target, " (deleted)"))
		target[len - (ssize_t)strlen(" (deleted)")] = '\0';
	name = strrchr(target, '/');
	return name && str_eq(name + 1, program);
}

static char *pid_file(const struct paths *paths, const struct part *part)
{
	return str_format("%s/%s.pid", paths->run, part->name);
}

/* "PID START\n" */
static int parse_pid_file(char *text, int *ret_pid, uint64_t *ret_start)
{
	char *blank = strchr(text, ' '), *end = blank ? strchr(blank, '\n') : NULL;
	uint64_t pid;

	if (!blank || !end)
		return -EINVAL;
	*blank = *end = '\0';
	if (str_parse_u64(text, INT32_MAX, &pid) < 0 || pid == 0)
		return -EINVAL;
	*ret_pid = (int)pid;
	return str_parse_u64(blank + 1, UINT64_MAX, ret_start);
}

int part_find(const struct paths *paths, const struct part *part, struct part_process *ret_process, struct err *err)
{
	struct part_process process = {.pidfd = -1};
	struct buf text CLEANUP(buf_done) = buf_of(256);
	char *path CLEANUP_FREE = pid_file(paths, part);
	uint64_t start = 0;
	int r = path ? fdio_read_file(AT_FDCWD, path, &text, err) : out_of_memory(err);

	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0 && (!text.data || parse_pid_file(text.data, &process.pid, &process.start_ticks) < 0))
		return err_set(err, ERR_INVALID, "'%s' does not hold a process id and its start", path);
	if (r == 0)
		process.pidfd = pidfd_open(process.pid, 0);
	/* Checked behind the opening: the process of the pidfd is the one these answers are about as long as it lives. */
	if (process.pidfd >= 0 && (read_start(process.pid, &start) < 0 || start != process.start_ticks ||
				   !runs_program(process.pid, part->program))) {
		(void)close(process.pidfd);
		process.pidfd = -1;
	}
	*ret_process = process;
	return 0;
}

static bool try_program(const char *folder, const char *below, const char *program, char to[static PATHS_MAX])
{
	return snprintf(to, PATHS_MAX, "%s%s/%s", folder, below, program) < PATHS_MAX && access(to, X_OK) == 0;
}

/* Makes "/a/b/../c/d" "/a/c/d": the path is kept in configuration. */
static bool tidy(char path[static PATHS_MAX])
{
	char *real CLEANUP_FREE = realpath(path, NULL);

	return real && str_copy(path, PATHS_MAX, real) == 0;
}

int part_program(const char *program, char to[static PATHS_MAX], struct err *err)
{
	const char *libexec = getenv("BULKHEAD_LIBEXEC");
	char folder[PATHS_MAX] = "", below[64];
	ssize_t len = readlink("/proc/self/exe", folder, sizeof(folder) - 1);
	char *slash = len > 0 ? strrchr(folder, '/') : NULL;

	if (libexec) {
		if (try_program(libexec, "", program, to))
			return 0;
		(void)err_set(err, ERR_NOT_FOUND, "program '%s' is not in '%s'", program, libexec);
		return err_hint(err, "BULKHEAD_LIBEXEC names the folder");
	}
	if (slash)
		*slash = '\0';
	(void)snprintf(below, sizeof(below), "/../%s", strchr(program, '-') ? strchr(program, '-') + 1 : "");
	if ((slash &&
	     (try_program(folder, "", program, to) || (try_program(folder, below, program, to) && tidy(to)))) ||
	    try_program("/usr/bin", "", program, to))
		return 0;
	(void)err_set(err, ERR_NOT_FOUND, "program '%s' is neither in '%s' nor in '/usr/bin'", program, folder);
	return err_hint(err, "install it, or set BULKHEAD_LIBEXEC to its folder");
}

/* The environment of a daemon: a path for the programs it runs, and the BULKHEAD_ variables of ours. */
static void fill_environment(const char *environment[static ENVIRONMENT_MAX])
{
	size_t count = 0;

	environment[count++] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	environment[count++] = "LC_ALL=C.UTF-8";
	for (char **variable = environ; *variable && count < ENVIRONMENT_MAX - 1; variable++)
		if (str_starts(*variable, "BULKHEAD_"))
			environment[count++] = *variable;
	environment[count] = NULL;
}

static int open_log(const struct paths *paths, const struct part *part, char log[static PATHS_MAX], int *ret_fd,
		    struct err *err)
{
	if (snprintf(log, PATHS_MAX, "%s/log/%s.log", paths->state, part->name) >= PATHS_MAX)
		return err_set(err, -ENAMETOOLONG, "the root folder's name is too long");
	*ret_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	return *ret_fd < 0 ? err_sys(err, -errno, "cannot open '%s'", log) : 0;
}

static int spawn(const char *root, const char *program, int log, int ready, struct proc *ret_proc, struct err *err)
{
	const char *argv[] = {program, "--ready-fd", "3", "--root", root, NULL};
	const char *environment[ENVIRONMENT_MAX];
	struct proc_spec spec = {
		.path = program,
		.argv = argv,
		.envp = environment,
		.in = -1,
		.out = -1,
		.error = log,
		.keep = &ready,
		.keep_count = 1,
		.new_session = true,
	};

	fill_environment(environment);
	return proc_spawn(&spec, ret_proc, err);
}

/* Waits for the byte. A closed pipe without it is a daemon that ended or never will be ready. */
static int wait_ready(int fd, unsigned timeout_ms)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	char byte = 0;
	int r;

	do
		r = poll(&poll_fd, 1, (int)timeout_ms);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		return r < 0 ? -errno : -ETIMEDOUT;
	return read(fd, &byte, 1) == 1 && byte == '1' ? 0 : -EPIPE;
}

int part_forget(const struct paths *paths, const struct part *part, struct err *err)
{
	char *path CLEANUP_FREE = pid_file(paths, part);

	if (!path)
		return out_of_memory(err);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, -errno, "cannot remove '%s'", path);
	return 0;
}

/* What became of a daemon that is not ready: ended by itself, or ended now. */
static int explain(const struct paths *paths, const struct part *part, struct proc *proc, const char *log,
		   off_t log_start, int r, struct err *err)
{
	char words[128] = "it does not say that it is ready";
	int status;

	if (r == -ETIMEDOUT || proc_wait(proc, 2000, &status) < 0) {
		(void)!proc_kill(proc, SIGKILL);
		(void)!proc_wait(proc, -1, &status);
	} else {
		proc_describe(words, sizeof(words), status);
	}
	(void)!part_forget(paths, part, NULL);
	(void)err_set(err, ERR_UNAVAILABLE, "%s did not start: %s", part->name, words);
	logtail_append(log, log_start, err);
	return err_hint(err, "all of its log is in '%.200s'", log);
}

static int write_pid(const struct paths *paths, const struct part *part, int pid, struct err *err)
{
	char *path CLEANUP_FREE = pid_file(paths, part);
	char text[64];
	uint64_t start;
	int r = read_start(pid, &start);

	if (!path)
		return out_of_memory(err);
	if (r < 0)
		return err_sys(err, r, "cannot read the start time of %s", part->name);
	(void)snprintf(text, sizeof(text), "%d %llu\n", pid, (unsigned long long)start);
	return fdio_replace_file(AT_FDCWD, path, text, strlen(text), 0644, err);
}

/* The pid file is written before the daemon is ready: a `down` after a crash of this command still finds it. */
static int bring_up(const struct paths *paths, const struct part *part, struct proc *proc, int ready, const char *log,
		    off_t log_start, struct err *err)
{
	int r = write_pid(paths, part, proc->pid, err);

	if (r < 0) {
		int status;

		(void)!proc_kill(proc, SIGKILL);
		(void)!proc_wait(proc, -1, &status);
		return r;
	}
	r = wait_ready(ready, part->start_ms);
	if (r < 0)
		return explain(paths, part, proc, log, log_start, r, err);
	(void)close(proc->pidfd);
	return 0;
}

int part_start(const struct paths *paths, const char *root, const struct part *part, uint64_t *ret_ms, struct err *err)
{
	uint64_t begin = clock_monotonic_ns();
	char program[PATHS_MAX], log[PATHS_MAX];
	int log_fd CLEANUP_CLOSE = -1, ready CLEANUP_CLOSE = -1, ready_child CLEANUP_CLOSE = -1;
	struct proc proc = {.pid = -1, .pidfd = -1};
	int pipes[2];
	off_t log_start;
	int r = part_program(part->program, program, err);

	if (r == 0)
		r = open_log(paths, part, log, &log_fd, err);
	if (r < 0)
		return r;
	log_start = lseek(log_fd, 0, SEEK_END);
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return err_sys(err, -errno, "cannot make a pipe");
	ready = pipes[0];
	ready_child = pipes[1];
	r = spawn(root, program, log_fd, ready_child, &proc, err);
	if (r < 0)
		return r;
	(void)close(take_fd(&ready_child));
	r = bring_up(paths, part, &proc, ready, log, log_start, err);
	if (r == 0)
		*ret_ms = (clock_monotonic_ns() - begin) / 1000000;
	return r;
}

int part_up(const struct paths *paths, const char *root, const struct part *part, struct err *err)
{
	struct part_process process;
	uint64_t ms;
	int r = part_find(paths, part, &process, err);

	if (r < 0)
		return r;
	if (process.pidfd >= 0) {
		(void)printf("%-5s  runs already (pid %d)\n", part->name, process.pid);
		(void)close(process.pidfd);
		return 0;
	}
	(void)printf("%-5s  starting: %s\n", part->name, part->what);
	(void)fflush(stdout);
	r = part_start(paths, root, part, &ms, err);
	if (r == 0)
		(void)printf("%-5s  ready after %llu.%02llu s\n", part->name, (unsigned long long)ms / 1000,
			     (unsigned long long)ms % 1000 / 10);
	(void)fflush(stdout);
	return r;
}

/* Waits for the end of a process that is no child of ours. */
static bool has_ended(int pidfd, unsigned timeout_ms)
{
	struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
	int r;

	do
		r = poll(&poll_fd, 1, (int)timeout_ms);
	while (r < 0 && errno == EINTR);
	return r > 0;
}

int part_stop(const struct paths *paths, const struct part *part, struct part_process *process, bool *ret_killed,
	      struct err *err)
{
	int pidfd CLEANUP_CLOSE = take_fd(&process->pidfd);

	*ret_killed = false;
	if (pidfd_send_signal(pidfd, SIGTERM, NULL, 0) < 0 && errno != ESRCH)
		return err_sys(err, -errno, "cannot stop %s (pid %d)", part->name, process->pid);
	if (!has_ended(pidfd, part->stop_ms)) {
		*ret_killed = true;
		if (pidfd_send_signal(pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
			return err_sys(err, -errno, "cannot kill %s (pid %d)", part->name, process->pid);
		if (!has_ended(pidfd, part->stop_ms))
			return err_set(err, ERR_BUSY, "%s (pid %d) does not end even when killed", part->name,
				       process->pid);
	}
	return part_forget(paths, part, err);
}

int part_lock(const struct paths *paths, int *ret_fd, struct err *err)
{
	char *path CLEANUP_FREE = str_format("%s/up.lock", paths->state);
	int fd;

	if (!path)
		return out_of_memory(err);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_sys(err, -errno, "cannot open '%s'", path);
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		(void)close(fd);
		return err_set(err, ERR_BUSY, "another 'bulkhead up' or 'down' is at work on '%s'", paths->state);
	}
	*ret_fd = fd;
	return 0;
}
