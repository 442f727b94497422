/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/inroot.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"

static int open_resolved(int dir, const char *path, int flags, uint64_t resolve, int *ret_fd)
{
	struct open_how how = {.flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC), .resolve = resolve};
	long fd;

	/* The kernel asks to try again when a rename somewhere on the machine made a ".." uncertain. */
	for (int attempt = 0;; attempt++) {
		fd = syscall(SYS_openat2, dir, path, &how, sizeof(how));
		if (fd >= 0)
			break;
		if ((errno != EAGAIN && errno != EINTR) || attempt == 128)
			return -errno;
	}
	*ret_fd = (int)fd;
	return 0;
}

int inroot_open(int root, const char *path, int flags, int *ret_fd)
{
	return open_resolved(root, path, flags, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS, ret_fd);
}

int inroot_open_plain(int root, const char *path, int flags, bool same_mount, int *ret_fd)
{
	uint64_t resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS;

	return open_resolved(root, path, flags, same_mount ? resolve | RESOLVE_NO_XDEV : resolve, ret_fd);
}

/* Opens the folder a path lies in, making it when needed. The path is cut there; *ret_name is its last part. */
static int open_parent(int root, char *path, int depth, int *ret_fd, const char **ret_name);

static int open_folder(int root, char *path, int depth, int *ret_fd)
{
	CLEANUP_CLOSE int parent = -1;
	const char *name;
	int r = inroot_open(root, path[0] ? path : "/", O_PATH | O_DIRECTORY, ret_fd);

	if (r != -ENOENT)
		return r;
	r = open_parent(root, path, depth, &parent, &name);
	if (r < 0)
		return r;
	if (mkdirat(parent, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	return open_resolved(parent, name, O_PATH | O_DIRECTORY, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, ret_fd);
}

static int open_parent(int root, char *path, int depth, int *ret_fd, const char **ret_name)
{
	size_t len = strlen(path);
	char *slash;

	while (len > 1 && path[len - 1] == '/')
		path[--len] = '\0';
	slash = strrchr(path, '/');
	if (!slash || !slash[1] || depth > 64)
		return -EINVAL;
	*slash = '\0';
	*ret_name = slash + 1;
	/* A name that is "." or ".." where nothing exists cannot be made. */
	if (str_eq(*ret_name, ".") || str_eq(*ret_name, ".."))
		return -ENOENT;
	return open_folder(root, path, depth + 1, ret_fd);
}

static int open_file(int root, char *path, int *ret_fd)
{
	CLEANUP_CLOSE int parent = -1;
	const char *name;
	int made = -1;
	int r = inroot_open(root, path, O_PATH, ret_fd);

	if (r != -ENOENT)
		return r;
	r = open_parent(root, path, 0, &parent, &name);
	if (r < 0)
		return r;
	r = open_resolved(parent, name, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, ret_fd);
	if (r != -ENOENT)
		return r;
	made = openat(parent, name, O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC | O_WRONLY, 0644);
	if (made < 0)
		return -errno;
	(void)close(made);
	return open_resolved(parent, name, O_PATH, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS, ret_fd);
}

int inroot_open_target(int root, const char *path, bool file, int *ret_fd, struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	char copy[PATH_MAX];
	int r = str_copy(copy, sizeof(copy), path);

	if (r < 0)
		return err_sys(err, -ENAMETOOLONG, "mount target '%.64s'", path);
	r = file ? open_file(root, copy, &fd) : open_folder(root, copy, 0, &fd);
	if (r == -EROFS || r == -EACCES || r == -EPERM || r == -EOVERFLOW)
		return err_set(err, r, "mount target '%s' is not in the root file system and cannot be made there",
			       path);
	if (r < 0)
		return err_sys(err, r, "mount target '%s'", path);
	if (fstat(fd, &st) < 0)
		return err_sys(err, -errno, "mount target '%s'", path);
	if (file && S_ISDIR(st.st_mode))
		return err_set(err, -EISDIR, "mount target '%s' is a folder, its source is not", path);
	*ret_fd = take_fd(&fd);
	return 0;
}
