/* SPDX-License-Identifier: Apache-2.0 */
/* Lies in wait inside of a container for a process of the runtime that joins it. */
#include "probe.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUNTIME "bulkhead-" /* what the names of its processes begin with */
#define SECONDS 90

struct attempt {
	const char *name;
	int (*try)(const char *folder, pid_t pid);
	int answer;
	pid_t highest;         /* the last process that refused */
	unsigned int refusals; /* how many processes did */
};

static uint64_t program;
static int program_fd = -1; /* the runtime's program, opened through its process */

static int try_open(const char *folder, const char *name, int flags)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	return open(path, flags | O_CLOEXEC);
}

static int close_it(int fd)
{
	int r = probe_result(fd);

	if (fd >= 0)
		(void)close(fd);
	return r;
}

static int open_program(const char *folder)
{
	int fd = try_open(folder, "exe", O_RDONLY);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (st.st_ino == program)
		return fd;
	(void)close(fd);
	return -ESRCH;
}

/* The file is kept: it cannot be written to while it is executed. */
static int try_program(const char *folder, pid_t pid)
{
	int fd = program_fd < 0 ? open_program(folder) : program_fd;

	if (fd < 0)
		return fd;
	program_fd = fd;
	return -ETXTBSY;
}

/* The file of a process on its way out opens and is empty: without memory nothing is read, not even an error. */
static int try_memory(const char *folder, pid_t pid)
{
	int fd = try_open(folder, "mem", O_RDWR);
	ssize_t got;
	char byte;

	if (fd < 0)
		return -errno;
	got = pread(fd, &byte, 1, 4096);
	(void)close(fd);
	return got == 0 ? -ESRCH : 0;
}

/* Those above the three that its program is given. */
static int try_descriptors(const char *folder, pid_t pid)
{
	int error = ENOENT;

	for (int fd = 3; fd < 32; fd++) {
		char path[64], target[256];

		(void)snprintf(path, sizeof(path), "%s/fd/%d", folder, fd);
		if (readlink(path, target, sizeof(target)) >= 0)
			return 0;
		if (errno != ENOENT)
			error = errno;
	}
	return -error;
}

static int try_root(const char *folder, pid_t pid)
{
	return close_it(try_open(folder, "root", O_PATH));
}

/*
 * Only a process that stands is let go by PTRACE_DETACH, and one that stays traced stands still at its next signal for
 * good. The end of the tracer lets go whatever it has, so it is a process of its own.
 */
static int try_trace(const char *folder, pid_t pid)
{
	pid_t tracer = fork();
	int status = 0;

	if (tracer == 0)
		_exit(ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0 ? errno : 0);
	if (tracer < 0 || waitpid(tracer, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static struct attempt attempts[] = {
	{.name = "join_program", .try = try_program, .answer = -ENOENT},
	{.name = "join_memory", .try = try_memory, .answer = -ENOENT},
	{.name = "join_descriptors", .try = try_descriptors, .answer = -ENOENT},
	{.name = "join_root", .try = try_root, .answer = -ENOENT},
	{.name = "join_trace", .try = try_trace, .answer = -ENOENT},
};

#define ATTEMPTS (sizeof(attempts) / sizeof(attempts[0]))

static bool is_runtime(const char *folder)
{
	char name[sizeof(RUNTIME)] = "";
	int fd = try_open(folder, "comm", O_RDONLY);
	ssize_t got = fd < 0 ? -1 : read(fd, name, sizeof(name) - 1);

	if (fd >= 0)
		(void)close(fd);
	return got > 0 && strcmp(name, RUNTIME) == 0;
}

/* What succeeded on something that is still the runtime counts; afterwards it is a process of the container. */
static void try_all(pid_t pid)
{
	char folder[32];

	(void)snprintf(folder, sizeof(folder), "/proc/%d", (int)pid);
	for (size_t i = 0; i < ATTEMPTS; i++) {
		int answer;

		if (attempts[i].answer == 0 || !is_runtime(folder))
			continue;
		answer = attempts[i].try(folder, pid);
		/* A process on its way out, or one that became the program, refuses nothing. */
		if (answer == -ENOENT || answer == -ESRCH || (answer == 0 && !is_runtime(folder)))
			continue;
		attempts[i].answer = answer;
		if (answer < 0 && pid > attempts[i].highest) {
			attempts[i].highest = pid;
			attempts[i].refusals++;
		}
	}
}

static void end_it(pid_t pid)
{
	char folder[32];
	int fd;

	(void)snprintf(folder, sizeof(folder), "/proc/%d", (int)pid);
	fd = open_program(folder);
	if (fd < 0)
		return;
	(void)close(fd);
	(void)kill(pid, SIGKILL);
}

static void for_each_process(void (*what)(pid_t pid))
{
	DIR *processes = opendir("/proc");
	struct dirent *entry;

	while (processes && (entry = readdir(processes))) {
		pid_t pid = (pid_t)atoi(entry->d_name);

		if (pid > 0 && pid != getpid())
			what(pid);
	}
	if (processes)
		(void)closedir(processes);
}

/* Once its last process has ended the program could be written over. */
static void write_program(void)
{
	char path[64];
	int fd = -1;

	if (program_fd < 0)
		return;
	for_each_process(end_it);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", program_fd);
	for (int times = 0; times < 100; times++) {
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd >= 0 || errno != ETXTBSY)
			break;
		(void)usleep(50000);
	}
	attempts[0].answer = probe_result(fd);
}

/* Each way is one, or enough processes refused it. */
static bool saw_enough(unsigned int refusals)
{
	for (size_t i = 0; i < ATTEMPTS; i++)
		if (attempts[i].answer < 0 && attempts[i].refusals < refusals && (i > 0 || program_fd < 0))
			return false;
	return true;
}

void probe_watch(const struct facts *facts)
{
	time_t end = time(NULL) + SECONDS;

	program = facts->program;
	while (access("/volume/stop", F_OK) < 0 && time(NULL) < end) {
		for_each_process(try_all);
		if (saw_enough(facts->refusals))
			(void)close(open("/volume/seen", O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
		(void)usleep(50);
	}
	write_program();
	for (size_t i = 0; i < ATTEMPTS; i++) {
		const char *name = strerrorname_np(-attempts[i].answer);
		bool seen = attempts[i].answer != -ENOENT;

		probe_print(attempts[i].name,
			    !seen                    ? "unseen"
			    : attempts[i].answer < 0 ? "held"
						     : "escaped",
			    attempts[i].answer < 0 ? name : "");
	}
}
