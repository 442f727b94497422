/* SPDX-License-Identifier: Apache-2.0 */
/* The container's mounts: what covers and protects is not to be taken away, nor anything new to be mounted. */
#include "probe.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int mount_at(const char *type, const char *data)
{
	(void)mkdir("/tmp/at", 0755);
	return probe_result(mount("probe", "/tmp/at", type, MS_NOSUID, data));
}

static int leave(int result)
{
	(void)umount2("/tmp/at", MNT_DETACH);
	return result;
}

static int new_mount(const struct facts *facts)
{
	int r = mount_at("tmpfs", "size=64k");

	return r < 0 ? r : leave(0);
}

static int open_sysrq(void)
{
	int fd = probe_open_proc("/tmp/at/sysrq-trigger", O_WRONLY);

	return fd < 0 ? fd : 0;
}

/* A second procfs carries no masks. */
static int fresh_proc(const struct facts *facts)
{
	int r = mount_at("proc", NULL);

	return r < 0 ? r : leave(open_sysrq());
}

static int fresh_sys(const struct facts *facts)
{
	int r = mount_at("sysfs", NULL);

	return r < 0 ? r : leave(probe_rewrite("/tmp/at/module/printk/parameters/time"));
}

static int debug_files(const struct facts *facts)
{
	int r = mount_at("debugfs", NULL);

	return r < 0 ? r : leave(0);
}

/* Whoever owns a hierarchy of version 1 names the program that the kernel runs as the host's root. */
static int release_agent(const struct facts *facts)
{
	int r = mount_at("cgroup", "none,name=bulkhead-probe"), fd;

	if (r < 0)
		return r;
	fd = open("/tmp/at/release_agent", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return leave(-errno);
	return leave(probe_result(write(fd, "/nowhere", 8)));
}

/* What succeeds shall not change the mounts that the next probes see. */
static void stand_alone(void)
{
	if (unshare(CLONE_NEWNS) == 0)
		(void)mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

/* Takes off what lies over the file, if anything does, and reads what the mask was for. */
static int unmask(const struct facts *facts)
{
	int fd;

	stand_alone();
	if (umount2("/proc/kcore", MNT_DETACH) < 0 && errno != EINVAL)
		return errno == ENOENT ? PROBE_INAPPLICABLE : -errno;
	fd = probe_open_proc("/proc/kcore", O_RDONLY);
	return fd < 0 ? fd : 0;
}

static int unprotect(const struct facts *facts)
{
	stand_alone();
	if (umount2("/proc/sys", MNT_DETACH) < 0 && errno != EINVAL)
		return -errno;
	return probe_rewrite("/proc/sys/kernel/core_pattern");
}

static int remount(const struct facts *facts)
{
	stand_alone();
	if (mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL) < 0 && errno != EINVAL)
		return -errno;
	return probe_rewrite("/proc/sys/kernel/core_pattern");
}

static int remount_new(const struct facts *facts)
{
	struct mount_attr attr = {.attr_clr = MOUNT_ATTR_RDONLY};

	stand_alone();
	if (syscall(SYS_mount_setattr, AT_FDCWD, "/proc/sys", 0, &attr, sizeof(attr)) < 0 && errno != EINVAL)
		return -errno;
	return probe_rewrite("/proc/sys/kernel/core_pattern");
}

/* A copy of the tree without what lies over it. */
static int clone_tree(const struct facts *facts)
{
	return probe_result(syscall(SYS_open_tree, AT_FDCWD, "/proc", OPEN_TREE_CLONE));
}

static int bind_dir(const struct facts *facts)
{
	(void)mkdir("/tmp/at", 0755);
	if (mount("/proc", "/tmp/at", NULL, MS_BIND, NULL) < 0)
		return -errno;
	return leave(open_sysrq());
}

/* The classic way out of a chroot begins with one more. */
static int change_root(const struct facts *facts)
{
	return probe_result(chroot("/tmp"));
}

static int pivot(const struct facts *facts)
{
	stand_alone();
	(void)mount_at("tmpfs", "size=64k");
	(void)mkdir("/tmp/at/old", 0755);
	if (syscall(SYS_pivot_root, "/tmp/at", "/tmp/at/old") < 0)
		return leave(-errno);
	return 0;
}

#define MOUNTS "mounts"

static const struct probe probes[] = {
	{"new_mount", MOUNTS, "mount", new_mount},
	{"fresh_proc", MOUNTS, "CVE-2025-31133", fresh_proc},
	{"fresh_sys", MOUNTS, "sysfs anew", fresh_sys},
	{"debug_files", MOUNTS, "debugfs", debug_files},
	{"release_agent", MOUNTS, "CVE-2022-0492", release_agent},
	{"remount", MOUNTS, "remount", remount},
	{"remount_new", MOUNTS, "mount_setattr", remount_new},
	{"clone_tree", MOUNTS, "open_tree", clone_tree},
	{"bind", MOUNTS, "bind mount", bind_dir},
	{"change_root", MOUNTS, "chroot", change_root},
	{"unmask", MOUNTS, "umount of masks", unmask},
	{"unprotect", MOUNTS, "umount of masks", unprotect},
	{"pivot", MOUNTS, "pivot_root", pivot},
};

const struct probe_list probe_mounts = {probes, sizeof(probes) / sizeof(probes[0])};
