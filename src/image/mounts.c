/* SPDX-License-Identifier: Apache-2.0 */
#include "image/mounts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "base/fdio.h"
#include "base/str.h"
#include "image/erofs_format.h"
#include "sandbox/mountfd.h"

#define LOOP_MAJOR 7
#define LOOP_TRIES 64

/* Whether a mount of its own is at the end of a path. */
static bool is_mount_point(int dir, const char *name)
{
	struct statx stx;

	return statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &stx) == 0 &&
	       stx.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

bool mounts_exist(const char *path)
{
	return is_mount_point(AT_FDCWD, path);
}

int mounts_open(const char *path, int *ret_dir, struct err *err)
{
	static const char *const words[] = {"mode=0700", "size=1m"};
	CLEANUP_CLOSE int place = -1, fresh = -1;
	int r = fdio_mkdir_all(AT_FDCWD, path, 0700, err);

	if (r < 0)
		return r;
	if (is_mount_point(AT_FDCWD, path))
		return fdio_open_dir(AT_FDCWD, path, ret_dir, err);
	r = fdio_open_dir(AT_FDCWD, path, &place, err);
	if (r == 0)
		r = mountfd_new("tmpfs", "bulkhead", words, ARRAY_SIZE(words),
				MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &fresh, err);
	if (r < 0)
		return r;
	r = mountfd_attach(fresh, place);
	/* Attached below a shared mount it has become shared. */
	if (r == 0)
		r = mountfd_set(fresh, false, 0, 0, MS_PRIVATE);
	if (r < 0)
		return err_sys(err, r, "cannot mount the folder of images '%s'", path);
	return fdio_open_dir(AT_FDCWD, path, ret_dir, err);
}

int mounts_close(const char *path, int dir, struct err *err)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *names = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *name;
	int r = 0;

	while (names && r == 0 && (name = readdir(names)))
		if (name->d_name[0] != '.')
			r = mounts_detach(dir, name->d_name, err);
	if (names)
		(void)closedir(names);
	else if (copy >= 0)
		(void)close(copy);
	if (r < 0)
		return r;
	if (umount2(path, MNT_DETACH) < 0 || rmdir(path) < 0)
		return err_sys(err, -errno, "cannot remove the folder of images '%s'", path);
	return 0;
}

/* --- mounting --- */

/* A detached mount of what source names. data are further words for the file system, or NULL. */
static int mount_source(const char *source, const char *word, int *ret_fd)
{
	CLEANUP_CLOSE int fs = fsopen("erofs", FSOPEN_CLOEXEC);

	if (fs < 0)
		return -errno;
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_FLAG, "ro", NULL, 0) < 0 ||
	    (word && fsconfig(fs, FSCONFIG_SET_FLAG, word, NULL, 0) < 0) ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	*ret_fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
	return *ret_fd < 0 ? -errno : 0;
}

static int mount_file(int file, int *ret_fd)
{
	char source[64];
	int r;

	(void)snprintf(source, sizeof(source), "/proc/self/fd/%d", file);
	/* Without a second copy of what is read in the page cache, where the kernel knows how. */
	r = mount_source(source, "directio", ret_fd);
	return r == -EINVAL ? mount_source(source, NULL, ret_fd) : r;
}

/* A free loop device over the file; it goes away with its last user. */
static int open_loop(int file, int *ret_loop, unsigned *ret_number)
{
	CLEANUP_CLOSE int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
	struct loop_config config = {.fd = (unsigned)file,
				     .block_size = EROFS_BLOCK,
				     .info.lo_flags = LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO};

	if (control < 0)
		return -errno;
	for (unsigned tries = 0; tries < LOOP_TRIES; tries++) {
		int number = ioctl(control, LOOP_CTL_GET_FREE), loop;
		char path[32];

		if (number < 0)
			return -errno;
		(void)snprintf(path, sizeof(path), "/dev/loop%d", number);
		loop = open(path, O_RDONLY | O_CLOEXEC);
		if (loop < 0)
			return -errno;
		if (ioctl(loop, LOOP_CONFIGURE, &config) == 0) {
			*ret_loop = loop;
			*ret_number = (unsigned)number;
			return 0;
		}
		(void)close(loop);
		/* Another was faster. */
		if (errno != EBUSY)
			return -errno;
	}
	return -EBUSY;
}

static int mount_loop(int file, int *ret_fd)
{
	CLEANUP_CLOSE int loop = -1;
	unsigned number = 0;
	char source[32];
	int r = open_loop(file, &loop, &number);

	if (r < 0)
		return r;
	(void)snprintf(source, sizeof(source), "/dev/loop%u", number);
	return mount_source(source, NULL, ret_fd);
}

static int make_mount(int file, int *ret_fd, struct err *err)
{
	int r = mount_file(file, ret_fd);

	/* Files of some file systems cannot be mounted from, and older kernels mount block devices alone. */
	if (r == -ENOTBLK || r == -EINVAL)
		r = mount_loop(file, ret_fd);
	if (r == -ENODEV || r == -ENOENT) {
		(void)err_set(err, -EOPNOTSUPP, "this kernel cannot mount images: it has no %s",
			      r == -ENODEV ? "EROFS" : "loop devices");
		(void)err_hint(err, "load the kernel module '%s'", r == -ENODEV ? "erofs" : "loop");
		return -EOPNOTSUPP;
	}
	/* EUCLEAN and its kin: what the kernel finds wrong in the image. */
	if (r == -EUCLEAN || r == -EINVAL || r == -EBADMSG)
		return err_set(err, ERR_CORRUPT, "the file is no EROFS image");
	return r < 0 ? err_sys(err, r, "cannot mount the image") : 0;
}

bool mounts_has(int dir, const char *name)
{
	return is_mount_point(dir, name);
}

int mounts_attach(int dir, const char *name, int file, struct err *err)
{
	CLEANUP_CLOSE int place = -1, mount = -1;
	int r;

	if (mounts_has(dir, name))
		return 0;
	if (mkdirat(dir, name, 0700) < 0 && errno != EEXIST)
		return err_sys(err, -errno, "cannot make a folder for the image");
	r = fdio_open_dir(dir, name, &place, err);
	if (r == 0)
		r = make_mount(file, &mount, err);
	if (r == 0) {
		r = mountfd_attach(mount, place);
		if (r < 0)
			r = err_sys(err, r, "cannot attach the image");
	}
	if (r < 0)
		(void)unlinkat(dir, name, AT_REMOVEDIR);
	return r;
}

int mounts_detach(int dir, const char *name, struct err *err)
{
	CLEANUP_FREE char *path = str_format("/proc/self/fd/%d/%s", dir, name);

	if (!path)
		return err_sys(err, -ENOMEM, "cannot take an image away");
	if (mounts_has(dir, name) && umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		return err_sys(err, -errno, "cannot take an image away");
	if (unlinkat(dir, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
		return err_sys(err, -errno, "cannot take an image away");
	return 0;
}

const char *mounts_mechanism(int dir, const char *name)
{
	struct stat st;

	if (!mounts_has(dir, name) || fstatat(dir, name, &st, 0) < 0)
		return NULL;
	return major(st.st_dev) == LOOP_MAJOR ? "loop" : "file";
}
