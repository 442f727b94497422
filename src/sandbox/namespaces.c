/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/namespaces.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/fdio.h"
#include "base/str.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

uint64_t namespaces_flag(enum spec_namespace_type type)
{
	static const uint64_t flags[SPEC_NS_TYPES] = {
		[SPEC_NS_USER] = CLONE_NEWUSER,     [SPEC_NS_MOUNT] = CLONE_NEWNS,  [SPEC_NS_PID] = CLONE_NEWPID,
		[SPEC_NS_NETWORK] = CLONE_NEWNET,   [SPEC_NS_IPC] = CLONE_NEWIPC,   [SPEC_NS_UTS] = CLONE_NEWUTS,
		[SPEC_NS_CGROUP] = CLONE_NEWCGROUP, [SPEC_NS_TIME] = CLONE_NEWTIME,
	};

	return flags[type];
}

int namespaces_open(enum spec_namespace_type type, const char *path, int *ret_fd, struct err *err)
{
	const char *name = spec_namespace_name(type);
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return err_sys(err, -errno, "cannot open %s namespace '%s'", name, path);
	if (ioctl(fd, NS_GET_NSTYPE) != (int)namespaces_flag(type))
		return err_set(err, ERR_INVALID, "'%s' is not a %s namespace", path, name);
	*ret_fd = take_fd(&fd);
	return 0;
}

pid_t namespaces_clone(uint64_t flags, int cgroup)
{
	struct clone_args args = {.flags = flags, .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD};
	long pid;

	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup;
	}
	pid = syscall(SYS_clone3, &args, sizeof(args));
	return pid < 0 ? -errno : (pid_t)pid;
}

/* A child that lives in a user namespace and does nothing, so that /proc shows the namespace. */
struct holder {
	pid_t pid;
	int release; /* closing it ends the child */
};

static void holder_end(const struct holder *holder)
{
	(void)close(holder->release);
	(void)kill(holder->pid, SIGKILL);
	while (waitpid(holder->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void holder_run(int join, int wait, int ready)
{
	char byte = 1;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (join >= 0 && setns(join, CLONE_NEWUSER) < 0)
		_exit(1);
	if (write(ready, &byte, 1) == 1)
		while (read(wait, &byte, 1) < 0 && errno == EINTR)
			;
	_exit(0);
}

/* Starts the child in the user namespace to join, or in a new one (-1), and waits until it is there. */
static int holder_start(int join, struct holder *ret_holder)
{
	CLEANUP_CLOSE int wait = -1, release = -1, ready = -1, told = -1;
	int pipes[2];
	char byte;
	pid_t pid;

	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	wait = pipes[0];
	release = pipes[1];
	if (pipe2(pipes, O_CLOEXEC) < 0)
		return -errno;
	told = pipes[0];
	ready = pipes[1];
	pid = namespaces_clone(join < 0 ? CLONE_NEWUSER : 0, -1);
	if (pid < 0)
		return pid;
	if (pid == 0) {
		(void)close(release);
		holder_run(join, wait, ready);
	}
	(void)close(take_fd(&ready));
	*ret_holder = (struct holder){.pid = pid, .release = take_fd(&release)};
	if (fdio_read_exact(told, &byte, 1) < 0) {
		holder_end(ret_holder);
		return -EPERM;
	}
	return 0;
}

static int write_map(pid_t pid, const char *file, const struct spec_idmaps *maps)
{
	CLEANUP_BUF struct buf text = buf_of(65536);
	CLEANUP_CLOSE int fd = -1;
	char path[64];
	int r = 0;

	for (size_t i = 0; r == 0 && i < maps->count; i++)
		r = buf_printf(&text, "%u %u %u\n", maps->items[i].container, maps->items[i].host, maps->items[i].size);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return write(fd, text.data, text.len) < 0 ? -errno : 0;
}

int namespaces_write_maps(pid_t pid, const struct spec_idmaps *uids, const struct spec_idmaps *gids, struct err *err)
{
	int r = write_map(pid, "uid_map", uids);

	if (r < 0)
		return err_sys(err, r, "config.json: linux.uidMappings: the kernel refuses them");
	r = write_map(pid, "gid_map", gids);
	return r < 0 ? err_sys(err, r, "config.json: linux.gidMappings: the kernel refuses them") : 0;
}

int namespaces_make_user(const struct spec_idmaps *uids, const struct spec_idmaps *gids, int *ret_fd, struct err *err)
{
	struct holder holder;
	char path[64];
	int r, fd = -1;

	if (uids->count == 0 || gids->count == 0)
		return err_set(err, ERR_INVALID, "config.json: linux.%s: a new user namespace needs it",
			       uids->count ? "gidMappings" : "uidMappings");
	r = holder_start(-1, &holder);
	if (r < 0)
		return err_sys(err, r, "cannot make a user namespace");
	r = namespaces_write_maps(holder.pid, uids, gids, err);
	if (r == 0) {
		(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)holder.pid);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			r = err_sys(err, -errno, "cannot open the new user namespace");
	}
	holder_end(&holder);
	if (r == 0)
		*ret_fd = fd;
	return r;
}

static int read_map(pid_t pid, const char *file, struct idmap *map)
{
	CLEANUP_BUF struct buf text = buf_of(65536);
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	r = fdio_read_file(AT_FDCWD, path, &text, NULL);
	return r < 0 ? r : idmap_parse(text.data ? text.data : "", text.len, map);
}

int namespaces_read_maps(pid_t pid, struct idmap *uids, struct idmap *gids, struct err *err)
{
	int r = read_map(pid, "uid_map", uids);

	if (r == 0)
		r = read_map(pid, "gid_map", gids);
	return r < 0 ? err_sys(err, r, "cannot read the maps of the user namespace") : 0;
}

int namespaces_read_maps_of(int user, struct idmap *uids, struct idmap *gids, struct err *err)
{
	struct holder holder;
	int r = holder_start(user, &holder);

	if (r < 0)
		return err_sys(err, r, "cannot join the user namespace");
	r = namespaces_read_maps(holder.pid, uids, gids, err);
	holder_end(&holder);
	return r;
}
