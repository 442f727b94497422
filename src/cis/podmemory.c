/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/podmemory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/fdio.h"
#include "sandbox/mountfd.h"

static bool is_open(const char *path)
{
	struct statx stx;

	return statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, 0, &stx) == 0 && stx.stx_attributes & STATX_ATTR_MOUNT_ROOT;
}

static int make(uint64_t bytes, int *ret_fd, struct err *err)
{
	const uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
	char size[40];
	const char *words[] = {"mode=0755", size, "noswap"};
	struct err ignored;

	(void)snprintf(size, sizeof(size), "size=%llu", (unsigned long long)bytes);
	if (mountfd_new("tmpfs", "bulkhead", words, 3, attributes, ret_fd, &ignored) == 0)
		return 0;
	return mountfd_new("tmpfs", "bulkhead", words, 2, attributes, ret_fd, err);
}

int podmemory_open(const char *path, uint64_t bytes, struct err *err)
{
	CLEANUP_CLOSE int place = -1, fresh = -1;
	int r = fdio_mkdir_all(AT_FDCWD, path, 0755, err);

	if (r < 0 || is_open(path))
		return r;
	r = fdio_open_dir(AT_FDCWD, path, &place, err);
	if (r == 0)
		r = make(bytes, &fresh, err);
	if (r < 0)
		return r;
	r = mountfd_attach(fresh, place);
	if (r == 0)
		r = mountfd_set(fresh, false, 0, 0, MS_PRIVATE);
	return r < 0 ? err_sys(err, r, "cannot put '%s' into memory", path) : 0;
}

int podmemory_close(const char *path, struct err *err)
{
	if (is_open(path) && umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
		return err_sys(err, -errno, "cannot take '%s' out of memory", path);
	return 0;
}
