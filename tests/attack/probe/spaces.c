/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces: new ones make an unprivileged user root somewhere, and kernel code behind that was rarely reviewed. */
#include "probe.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int user_unshare(const struct facts *facts)
{
	return probe_result(unshare(CLONE_NEWUSER));
}

static int user_clone(const struct facts *facts)
{
	long pid = syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		_exit(0);
	return probe_result(pid);
}

/* Its flags lie in memory, where a filter cannot see them. */
static int user_clone3(const struct facts *facts)
{
	struct clone_args args = {.flags = CLONE_NEWUSER, .exit_signal = SIGCHLD};
	long pid = syscall(SYS_clone3, &args, sizeof(args));

	if (pid == 0)
		_exit(0);
	return probe_result(pid);
}

static int mount_space(const struct facts *facts)
{
	return probe_result(unshare(CLONE_NEWNS));
}

/* The socket option that replaced netfilter's tables without enough checks; an unknown size is refused after the gate. */
static int tables_replace(const struct facts *facts)
{
	char table[84] = "filter";
	int fd;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return -errno;
	fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, IPPROTO_IP, 64, table, sizeof(table)) < 0 && errno == EPERM)
		return -errno;
	return 0;
}

/* The overflow lay in the option parser of file system contexts, which a nested user namespace opens. */
static int context_nested(const struct facts *facts)
{
	long fd;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -errno;
	fd = syscall(SYS_fsopen, "tmpfs", 0);
	if (fd < 0)
		return -errno;
	return probe_result(syscall(SYS_fsconfig, fd, 1, "size", "4096", 0));
}

static int overlay_nested(const struct facts *facts)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return -errno;
	return probe_result(syscall(SYS_fsopen, "overlay", 0));
}

/* Into the mount namespace of a process outside, and from there to what it sees. */
static int join_host(const struct facts *facts)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)facts->victim);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNS) < 0)
		return -errno;
	return probe_read_secret(AT_FDCWD, facts->secret);
}

/* As the descriptor of a process, which names all its namespaces at once. */
static int join_process(const struct facts *facts)
{
	int fd = (int)syscall(SYS_pidfd_open, facts->victim, 0);

	if (fd < 0 || setns(fd, CLONE_NEWNS) < 0)
		return -errno;
	return probe_read_secret(AT_FDCWD, facts->secret);
}

#define SPACES "namespaces"

static const struct probe probes[] = {
	{"user_unshare", SPACES, "nested user namespace", user_unshare},
	{"user_clone", SPACES, "nested user namespace", user_clone},
	{"user_clone3", SPACES, "nested user namespace", user_clone3},
	{"mount_space", SPACES, "CVE-2022-0492", mount_space},
	{"tables_replace", SPACES, "CVE-2016-3134", tables_replace},
	{"context_nested", SPACES, "CVE-2022-0185", context_nested},
	{"overlay_nested", SPACES, "CVE-2021-3493", overlay_nested},
	{"join_host", SPACES, "setns", join_host},
	{"join_process", SPACES, "setns by pidfd", join_process},
};

const struct probe_list probe_spaces = {probes, sizeof(probes) / sizeof(probes[0])};
