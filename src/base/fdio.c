/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fdio.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"

int fdio_write_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int fdio_read_all(int fd, struct buf *buf)
{
	while (true) {
		/* One byte more than may be kept shows whether the end came in time. */
		size_t room = buf->max - buf->len, left = buf->cap > buf->len ? buf->cap - buf->len - 1 : 0;
		/* Most files are small: memory for what they might be costs more than a second read. */
		size_t step = left ? left : buf->len ? 65535 : 8191;
		char spare, *at = &spare;
		ssize_t n;
		int r;

		if (room > step)
			room = step;
		if (room) {
			r = buf_reserve(buf, room, &at);
			if (r < 0)
				return r;
		}
		n = read(fd, at, room ? room : 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		if (!room)
			return -EFBIG;
		buf->len += (size_t)n;
		buf->data[buf->len] = '\0';
	}
	return buf_append(buf, "", 0);
}

int fdio_read_exact(int fd, void *bytes, size_t len)
{
	char *at = bytes;

	while (len) {
		ssize_t n = read(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -ENODATA;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

int fdio_read_file(int dir, const char *path, struct buf *buf, struct err *err)
{
	CLEANUP_CLOSE int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	int r;

	if (fd < 0)
		return err_sys(err, -errno, "cannot open '%s'", path);
	if (fstat(fd, &st) < 0)
		return err_sys(err, -errno, "cannot read '%s'", path);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_INVALID, "cannot read '%s': it is not a regular file", path);
	r = fdio_read_all(fd, buf);
	if (r == -EFBIG)
		return err_set(err, r, "cannot read '%s': it is larger than %zu bytes", path, buf->max);
	if (r < 0)
		return err_sys(err, r, "cannot read '%s'", path);
	return 0;
}

static int sync_parent(int dir, const char *path)
{
	const char *slash = strrchr(path, '/');
	CLEANUP_FREE char *parent = slash ? strndup(path, (size_t)(slash - path) + (slash == path)) : strdup(".");
	CLEANUP_CLOSE int fd = -1;

	if (!parent)
		return -ENOMEM;
	fd = openat(dir, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static int replace_file(int dir, const char *path, const void *bytes, size_t len, mode_t mode, bool sync,
			struct err *err)
{
	/* A name of its own for each call: two threads may replace the same file at once, and the last rename wins whole. */
	static atomic_uint calls;
	CLEANUP_FREE char *temporary = str_format("%s.new.%d.%u", path, (int)getpid(), atomic_fetch_add(&calls, 1));
	CLEANUP_CLOSE int fd = -1;
	int r;

	if (!temporary)
		return err_sys(err, -ENOMEM, "cannot write '%s'", path);
	(void)unlinkat(dir, temporary, 0);
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return err_sys(err, -errno, "cannot write '%s'", path);
	r = fdio_write_all(fd, bytes, len);
	/* The mode given counts, whatever the umask. */
	if (r == 0 && fchmod(fd, mode) < 0)
		r = -errno;
	if (r == 0 && sync && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(dir, temporary, dir, path) < 0)
		r = -errno;
	if (r < 0)
		(void)unlinkat(dir, temporary, 0);
	else if (sync)
		r = sync_parent(dir, path);
	if (r < 0)
		return err_sys(err, r, "cannot write '%s'", path);
	return 0;
}

int fdio_replace_file(int dir, const char *path, const void *bytes, size_t len, mode_t mode, struct err *err)
{
	return replace_file(dir, path, bytes, len, mode, true, err);
}

int fdio_publish_file(int dir, const char *path, const void *bytes, size_t len, mode_t mode, struct err *err)
{
	return replace_file(dir, path, bytes, len, mode, false, err);
}

int fdio_mkdir_all(int dir, const char *path, mode_t mode, struct err *err)
{
	CLEANUP_FREE char *copy = strdup(path);

	if (!copy)
		return err_sys(err, -ENOMEM, "cannot make folder '%s'", path);
	for (char *at = copy + 1;; at++) {
		char end = *at;

		if (end != '/' && end != '\0')
			continue;
		*at = '\0';
		if (mkdirat(dir, copy, mode) < 0 && errno != EEXIST)
			return err_sys(err, -errno, "cannot make folder '%s'", copy);
		if (!end)
			return 0;
		*at = '/';
	}
}

int fdio_open_dir(int dir, const char *path, int *ret_fd, struct err *err)
{
	int fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return err_sys(err, -errno, "cannot open folder '%s'", path);
	*ret_fd = fd;
	return 0;
}

/* Empties the folder behind fd, which it closes. Depth is bounded by the path length the kernel gave out. */
static int empty_dir(int fd, dev_t device)
{
	DIR *entries = fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!entries) {
		r = -errno;
		(void)close(fd);
		return r;
	}
	while (r == 0 && (entry = readdir(entries))) {
		struct stat st;
		int child;

		if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
			continue;
		if (unlinkat(fd, entry->d_name, 0) == 0 || errno == ENOENT)
			continue;
		if (errno != EISDIR && errno != EPERM) {
			r = -errno;
			break;
		}
		child = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		if (child < 0 || fstat(child, &st) < 0) {
			r = -errno;
			if (child >= 0)
				(void)close(child);
		} else if (st.st_dev != device) {
			r = -EXDEV;
			(void)close(child);
		} else {
			r = empty_dir(child, device);
		}
		if (r == 0 && unlinkat(fd, entry->d_name, AT_REMOVEDIR) < 0 && errno != ENOENT)
			r = -errno;
	}
	(void)closedir(entries);
	return r;
}

int fdio_remove_tree(int dir, const char *path, struct err *err)
{
	struct stat st;
	int fd, r;

	if (unlinkat(dir, path, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return err_sys(err, -errno, "cannot remove '%s'", path);
	fd = openat(dir, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : err_sys(err, -errno, "cannot remove '%s'", path);
	if (fstat(fd, &st) < 0) {
		r = -errno;
		(void)close(fd);
		return err_sys(err, r, "cannot remove '%s'", path);
	}
	r = empty_dir(fd, st.st_dev);
	if (r == 0 && unlinkat(dir, path, AT_REMOVEDIR) < 0 && errno != ENOENT)
		r = -errno;
	if (r == -EXDEV)
		return err_set(err, -EBUSY, "cannot remove '%s': something is mounted below it", path);
	return r < 0 ? err_sys(err, r, "cannot remove '%s'", path) : 0;
}
