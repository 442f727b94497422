/* SPDX-License-Identifier: Apache-2.0 */
/* Resources beyond the container's limits. */
#include "probe.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TOO_MANY 512

static int fork_bomb(const struct facts *facts)
{
	unsigned int wanted = facts->processes + 8, count = 0;
	pid_t pids[TOO_MANY];
	int error = 0;

	if (facts->processes == 0 || wanted > TOO_MANY)
		return PROBE_INAPPLICABLE;
	while (count < wanted) {
		pid_t pid = fork();

		if (pid == 0) {
			(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
			while (true)
				(void)pause();
		}
		if (pid < 0) {
			error = errno;
			break;
		}
		pids[count++] = pid;
	}
	for (unsigned int i = 0; i < count; i++) {
		(void)kill(pids[i], SIGKILL);
		(void)waitpid(pids[i], NULL, 0);
	}
	return -error;
}

/* Makes this process the one that is killed when memory runs out. */
static void be_first(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, "1000", 4) == 4)
		(void)close(fd);
}

static int memory_hog(const struct facts *facts)
{
	size_t len = facts->memory + facts->memory / 4;
	char *at;

	if (facts->memory == 0)
		return PROBE_INAPPLICABLE;
	be_first();
	at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		return -errno;
	for (size_t i = 0; i < len; i += 4096)
		at[i] = 1;
	return 0;
}

/* Memory that belongs to no process: the pages of an unnamed file. */
static int file_hog(const struct facts *facts)
{
	static const char block[65536] = "x";
	int fd = memfd_create("hog", MFD_CLOEXEC);

	if (facts->memory == 0)
		return PROBE_INAPPLICABLE;
	be_first();
	for (uint64_t done = 0; done < facts->memory + facts->memory / 4; done += sizeof(block))
		if (fd < 0 || write(fd, block, sizeof(block)) < 0)
			return -errno;
	return 0;
}

/* Room that files take which hold nothing, and which size limits do not count. */
static int inode_flood(const struct facts *facts)
{
	const unsigned int most = 6000;
	unsigned int count = 0;
	int folder, error = 0;

	if (mkdir("/tmp/flood", 0700) < 0)
		return -errno;
	folder = open("/tmp/flood", O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (char name[16]; count < most; count++) {
		(void)snprintf(name, sizeof(name), "%u", count);
		if (mknodat(folder, name, S_IFREG | 0600, 0) < 0) {
			error = errno;
			break;
		}
	}
	for (char name[16]; count-- > 0;) {
		(void)snprintf(name, sizeof(name), "%u", count);
		(void)unlinkat(folder, name, 0);
	}
	(void)rmdir("/tmp/flood");
	return -error;
}

/* Memory that belongs to no process and no file: what was written into pipes and is not read. */
static int pipe_flood(const struct facts *facts)
{
	static const char block[65536] = "x";
	const int each = 1 << 20;
	int ends[2];

	if (facts->memory == 0)
		return PROBE_INAPPLICABLE;
	be_first();
	for (uint64_t done = 0; done < facts->memory + facts->memory / 4;) {
		if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0 || fcntl(ends[1], F_SETPIPE_SZ, each) < 0)
			return -errno;
		for (ssize_t got; (got = write(ends[1], block, sizeof(block))) > 0;)
			done += (uint64_t)got;
		if (errno != EAGAIN)
			return -errno;
	}
	return 0;
}

static int socket_flood(const struct facts *facts)
{
	static const char block[32768] = "x";
	int ends[2];

	if (facts->memory == 0)
		return PROBE_INAPPLICABLE;
	be_first();
	for (uint64_t done = 0; done < facts->memory + facts->memory / 4;) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) < 0)
			return -errno;
		for (ssize_t got; (got = send(ends[1], block, sizeof(block), MSG_NOSIGNAL)) > 0;)
			done += (uint64_t)got;
		if (errno != EAGAIN)
			return -errno;
	}
	return 0;
}

/* Last in line when memory runs out, before everything of the host. */
static int oom_shield(const struct facts *facts)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	return fd < 0 ? -errno : probe_result(write(fd, "-900", 4));
}

/* Ahead of everything of the host whenever it wants to run. */
static int realtime(const struct facts *facts)
{
	const struct sched_param param = {.sched_priority = 1};

	return probe_result(sched_setscheduler(0, SCHED_FIFO, &param));
}

static int limit_raise(const struct facts *facts)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return -errno;
	if (limit.rlim_max == RLIM_INFINITY)
		return PROBE_INAPPLICABLE;
	limit.rlim_cur = limit.rlim_max = limit.rlim_max + 4096;
	return probe_result(setrlimit(RLIMIT_MEMLOCK, &limit));
}

#define LIMITS "exhaustion"

static const struct probe probes[] = {
	{"fork_bomb", LIMITS, "fork bomb", fork_bomb},       {"memory_hog", LIMITS, "memory", memory_hog},
	{"file_hog", LIMITS, "memory of files", file_hog},   {"inode_flood", LIMITS, "inodes", inode_flood},
	{"pipe_flood", LIMITS, "pipes", pipe_flood},         {"socket_flood", LIMITS, "sockets", socket_flood},
	{"oom_shield", LIMITS, "oom_score_adj", oom_shield}, {"realtime", LIMITS, "sched_setscheduler", realtime},
	{"limit_raise", LIMITS, "setrlimit", limit_raise},
};

const struct probe_list probe_limits = {probes, sizeof(probes) / sizeof(probes[0])};
