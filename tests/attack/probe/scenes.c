/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of scenes that scenes.py sets up: each wants a container of its own kind. */
#include "probe.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

/* The working folder is one of the host. */
static int folder(const struct facts *facts)
{
	const char *name = strrchr(facts->secret, '/');

	return name ? probe_read_secret(AT_FDCWD, name + 1) : PROBE_INAPPLICABLE;
}

static int capabilities(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return probe_result(syscall(SYS_capget, &header, data));
}

static int inherited(const struct facts *facts)
{
	struct __user_cap_data_struct data[2] = {{0}};
	int r = capabilities(data);

	return r < 0 ? r : data[0].inheritable ? 0 : -EPERM;
}

/* Started from a set-user-id file of the image, as an ordinary user. */
static int raised(const struct facts *facts)
{
	struct __user_cap_data_struct data[2] = {{0}};
	int r = capabilities(data);

	return r < 0 ? r : data[0].effective ? 0 : -EPERM;
}

/* The mask over /proc/version is what the image said that /dev/null was. */
static int redirected(const struct facts *facts)
{
	int fd = probe_open_proc("/proc/version", O_RDWR);

	return fd < 0 ? fd : 0;
}

/* The container runs, though what it calls /proc is not. */
static int started(const struct facts *facts)
{
	return 0;
}

/* A device that a volume brought along. */
static int device(const struct facts *facts)
{
	int fd = open("/volume/disk", O_RDONLY | O_CLOEXEC);
	uint64_t size;

	return fd < 0 ? -errno : probe_result(ioctl(fd, BLKGETSIZE64, &size));
}

/* A program in a volume that would be root's for whoever runs it on the host. */
static int left(const struct facts *facts)
{
	int fd = open("/volume/left", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

	return fd < 0 ? -errno : probe_result(fchmod(fd, 04755));
}

/* What was bound is a folder of the host. */
static int bound(const struct facts *facts)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/tmp/bound/%s", facts->open);
	return probe_read_secret(AT_FDCWD, path);
}

/* What the runtime gave as a terminal is a setting of the kernel. */
static int console(const struct facts *facts)
{
	struct statfs fs;

	if (fstatfs(STDIN_FILENO, &fs) < 0)
		return -errno;
	return fs.f_type == PROC_SUPER_MAGIC && (fcntl(STDIN_FILENO, F_GETFL) & O_ACCMODE) == O_RDWR ? 0 : -ENOTTY;
}

static uint64_t microseconds(clockid_t clock)
{
	struct timespec now = {0};

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* More than half of a processor for a second and a half, which is much longer than a period of the scheduler's limit. */
static int processor(const struct facts *facts)
{
	uint64_t begin = microseconds(CLOCK_MONOTONIC), used = microseconds(CLOCK_PROCESS_CPUTIME_ID), now = begin;

	while (now - begin < 1500000)
		now = microseconds(CLOCK_MONOTONIC);
	used = microseconds(CLOCK_PROCESS_CPUTIME_ID) - used;
	return used > (now - begin) / 2 ? 0 : -EDQUOT;
}

static const struct probe probes[] = {
	{"left", "", "", left},           {"folder", "", "", folder},         {"inherited", "", "", inherited},
	{"raised", "", "", raised},       {"redirected", "", "", redirected}, {"started", "", "", started},
	{"device", "", "", device},       {"bound", "", "", bound},           {"console", "", "", console},
	{"processor", "", "", processor},
};

const struct probe_list probe_scenes = {probes, sizeof(probes) / sizeof(probes[0])};
