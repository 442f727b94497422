/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers of the runtime switched off one by one, to show what each of them holds. The runtime's own objects are linked
 * with this file instead of with the calls named in meson.build (ld --wrap): nothing of it is in the runtime itself.
 * BULKHEAD_LAYERS_OFF names the layers, by commas. Layers that config.json can leave out are left out there (attack.py).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>
#include <linux/openat2.h>

#include "base/err.h"
#include "base/proc.h"
#include "base/str.h"
#include "runtime/console.h"
#include "runtime/executable.h"
#include "runtime/launch.h"
#include "sandbox/sysctls.h"

long __real_syscall(long number, ...);
long __wrap_syscall(long number, ...);
int __real_prctl(int option, ...);
int __wrap_prctl(int option, ...);
pid_t __real_setsid(void);
pid_t __wrap_setsid(void);
int __real_close_range(unsigned int first, unsigned int last, int flags);
int __wrap_close_range(unsigned int first, unsigned int last, int flags);
int __real_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned int flags);
int __wrap_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned int flags);
int __real_open_tree(int dir, const char *path, unsigned int flags);
int __wrap_open_tree(int dir, const char *path, unsigned int flags);
int __real_fstat64(int fd, struct stat *to);
int __wrap_fstat64(int fd, struct stat *to);
int __real_fstatfs64(int fd, struct statfs *to);
int __wrap_fstatfs64(int fd, struct statfs *to);
int __real_launch_enter_cwd(const struct spec_process *process, struct err *err);
int __wrap_launch_enter_cwd(const struct spec_process *process, struct err *err);
int __real_sysctls_check(const struct spec_pairs *sysctls, const bool own[static SPEC_NS_TYPES], const char *field,
			 struct err *err);
int __wrap_sysctls_check(const struct spec_pairs *sysctls, const bool own[static SPEC_NS_TYPES], const char *field,
			 struct err *err);
int __real_executable_protect(char *const *argv, struct err *err);
int __wrap_executable_protect(char *const *argv, struct err *err);
int __real_console_attach(int root, int dev, const struct spec_process *process, int socket, struct err *err);
int __wrap_console_attach(int root, int dev, const struct spec_process *process, int socket, struct err *err);
int __real_proc_spawn(const struct proc_spec *spec, struct proc *ret_proc, struct err *err);
int __wrap_proc_spawn(const struct proc_spec *spec, struct proc *ret_proc, struct err *err);

static bool is_off(const char *layer)
{
	const char *at = getenv("BULKHEAD_LAYERS_OFF");
	size_t len = strlen(layer);

	for (; at && *at; at += strcspn(at, ","), at += *at == ',')
		if (strncmp(at, layer, len) == 0 && (at[len] == ',' || at[len] == '\0'))
			return true;
	return false;
}

/* The last set of capabilities asked for: without no_new_privs only CAP_SYS_ADMIN installs a filter, so it waits. */
static struct {
	bool is_set;
	struct __user_cap_header_struct header;
	struct __user_cap_data_struct data[2];
} waiting;

static long set_capabilities(const void *header, const struct __user_cap_data_struct *data)
{
	if (is_off("capabilities"))
		return 0;
	if (!is_off("no_new_privs") || (data[0].effective >> CAP_SYS_ADMIN & 1))
		return __real_syscall(SYS_capset, header, data);
	memcpy(&waiting.header, header, sizeof(waiting.header));
	memcpy(waiting.data, data, sizeof(waiting.data));
	waiting.is_set = true;
	return 0;
}

static long install_filter(long operation, long flags, long filter)
{
	long r = is_off("seccomp") ? 0 : __real_syscall(SYS_seccomp, operation, flags, filter);

	if (r >= 0 && waiting.is_set)
		return __real_syscall(SYS_capset, &waiting.header, waiting.data) < 0 ? -1 : r;
	return r;
}

/* Paths as they were opened before openat2: absolute links lead to the root of the process, which is the host's. */
static long open_path(long dir, const char *path, const struct open_how *how, long size)
{
	struct open_how plain = *how;

	if (!is_off("paths"))
		return __real_syscall(SYS_openat2, dir, path, how, size);
	path += strspn(path, "/");
	plain.resolve = 0;
	return __real_syscall(SYS_openat2, dir, *path ? path : ".", &plain, size);
}

long __wrap_syscall(long number, ...)
{
	long args[6];
	va_list list;

	va_start(list, number);
	for (size_t i = 0; i < 6; i++)
		args[i] = va_arg(list, long);
	va_end(list);
	if (number == SYS_capset)
		return set_capabilities((const void *)args[0], (const struct __user_cap_data_struct *)args[1]);
	if (number == SYS_seccomp)
		return install_filter(args[0], args[1], args[2]);
	if (number == SYS_openat2)
		return open_path(args[0], (const char *)args[1], (const struct open_how *)args[2], args[3]);
	if (number == SYS_landlock_restrict_self && is_off("landlock"))
		return 0;
	return __real_syscall(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

static bool is_left_out(int option)
{
	switch (option) {
	case PR_SET_NO_NEW_PRIVS:
		return is_off("no_new_privs");
	case PR_SET_DUMPABLE:
		return is_off("dumpable");
	case PR_CAPBSET_DROP:
	case PR_SET_SECUREBITS:
	case PR_CAP_AMBIENT:
		return is_off("capabilities");
	default:
		return false;
	}
}

int __wrap_prctl(int option, ...)
{
	unsigned long args[4];
	va_list list;

	va_start(list, option);
	for (size_t i = 0; i < 4; i++)
		args[i] = va_arg(list, unsigned long);
	va_end(list);
	return is_left_out(option) ? 0 : __real_prctl(option, args[0], args[1], args[2], args[3]);
}

pid_t __wrap_setsid(void)
{
	return is_off("session") ? getpid() : __real_setsid();
}

int __wrap_close_range(unsigned int first, unsigned int last, int flags)
{
	return is_off("descriptors") && (flags & CLOSE_RANGE_CLOEXEC) ? 0 : __real_close_range(first, last, flags);
}

/* The image's /dev as it was used before: nothing is laid over it, and its null is what masks are made of. */
static int null_of_image = -1;

static bool is_dev(int mount)
{
	struct stat st;

	return fstatat(mount, "ptmx", &st, AT_SYMLINK_NOFOLLOW) == 0 && fstatat(mount, "full", &st, 0) == 0;
}

int __wrap_open_tree(int dir, const char *path, unsigned int flags)
{
	if (!is_off("dev") || strcmp(path, "null") != 0)
		return __real_open_tree(dir, path, flags);
	null_of_image = __real_open_tree(AT_FDCWD, "/dev/null", flags);
	return null_of_image;
}

int __wrap_fstat64(int fd, struct stat *to)
{
	int r = __real_fstat64(fd, to);

	if (r == 0 && fd >= 0 && fd == null_of_image) {
		to->st_mode = S_IFCHR | 0666;
		to->st_rdev = makedev(1, 3);
	}
	return r;
}

int __wrap_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned int flags)
{
	struct mount_attr attr = {.attr_clr = (is_off("readonly") ? MOUNT_ATTR_RDONLY : 0) |
					      (is_off("nodev") ? MOUNT_ATTR_NODEV : 0)};

	if (is_off("dev") && is_dev(from))
		return 0;
	/* What the kernel has locked stays: then another layer holds it. */
	if (attr.attr_clr && mount_setattr(from, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		(void)!mount_setattr(from, "", AT_EMPTY_PATH, &attr, sizeof(attr));
	return __real_move_mount(from, from_path, to, to_path, flags);
}

int __wrap_fstatfs64(int fd, struct statfs *to)
{
	int r = __real_fstatfs64(fd, to);

	/* What a volume or an image may lie on. */
	if (r == 0 && is_off("procfs") &&
	    (to->f_type == EXT4_SUPER_MAGIC || to->f_type == TMPFS_MAGIC || to->f_type == OVERLAYFS_SUPER_MAGIC))
		to->f_type = PROC_SUPER_MAGIC;
	return r;
}

int __wrap_launch_enter_cwd(const struct spec_process *process, struct err *err)
{
	if (!is_off("cwd"))
		return __real_launch_enter_cwd(process, err);
	return chdir(process->cwd) < 0 ? err_sys(err, -errno, "cwd '%s'", process->cwd) : 0;
}

int __wrap_sysctls_check(const struct spec_pairs *sysctls, const bool own[static SPEC_NS_TYPES], const char *field,
			 struct err *err)
{
	return is_off("sysctls") ? 0 : __real_sysctls_check(sysctls, own, field, err);
}

int __wrap_executable_protect(char *const *argv, struct err *err)
{
	return is_off("executable") ? 0 : __real_executable_protect(argv, err);
}

int __wrap_proc_spawn(const struct proc_spec *spec, struct proc *ret_proc, struct err *err)
{
	struct proc_spec copy = *spec;

	if (is_off("hooks"))
		copy.envp = (const char *const *)environ;
	return __real_proc_spawn(&copy, ret_proc, err);
}

static int send_descriptor(int socket, int fd)
{
	struct iovec part = {.iov_base = (char[]){"x"}, .iov_len = 1};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS}};
	const struct msghdr message = {.msg_iov = &part,
				       .msg_iovlen = 1,
				       .msg_control = &control,
				       .msg_controllen = sizeof(control)};

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	return sendmsg(socket, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* What was opened by its name becomes standard input alone: so the probe is heard, and writes nothing into it. */
static int attach_by_name(int socket)
{
	CLEANUP_CLOSE int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC), slave = -1, peer = -1;
	unsigned int number;
	int unlocked = 0;
	char path[64];

	if (master < 0 || ioctl(master, TIOCSPTLCK, &unlocked) < 0 || ioctl(master, TIOCGPTN, &number) < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "/dev/pts/%u", number);
	slave = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
	peer = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0 || peer < 0 || dup2(slave, 0) < 0 || dup2(peer, 1) < 0 || dup2(peer, 2) < 0)
		return -errno;
	return send_descriptor(socket, master);
}

int __wrap_console_attach(int root, int dev, const struct spec_process *process, int socket, struct err *err)
{
	int r;

	if (!is_off("terminal"))
		return __real_console_attach(root, dev, process, socket, err);
	r = attach_by_name(socket);
	return r < 0 ? err_sys(err, r, "cannot open a terminal by its name") : 0;
}
