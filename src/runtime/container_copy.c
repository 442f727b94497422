/* SPDX-License-Identifier: Apache-2.0 */
/* What a folder of the root holds, copied into the tmpfs that will lie over it ("tmpcopyup"). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "base/str.h"
#include "runtime/container.h"
#include "sandbox/inroot.h"

/* The image says how much there is; the size of the tmpfs is what bounds it when config.json names one. */
#define BYTES_MAX (1ll << 30)
#define ENTRIES_MAX 65536
#define DEPTH_MAX 32

struct copy {
	int64_t bytes;
	size_t entries;
	struct err *err;
};

static int fail(struct copy *copy, int code, const char *name)
{
	return err_sys(copy->err, code, "tmpcopyup: '%.255s'", name);
}

/* Owner and mode; the owner first, for a change of it takes bits off the mode. */
static int finish(int fd, const struct stat *st)
{
	const struct timespec times[] = {st->st_atim, st->st_mtim};

	return fchown(fd, st->st_uid, st->st_gid) < 0 || fchmod(fd, st->st_mode & 07777) < 0 || futimens(fd, times) < 0
		       ? -errno
		       : 0;
}

static int pass_bytes(int from, int to, int64_t left)
{
	while (left > 0) {
		ssize_t n = sendfile(to, from, NULL, (size_t)left);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		left -= n > 0 ? n : 0;
	}
	return 0;
}

static int copy_file(struct copy *copy, int from, int to, const char *name)
{
	CLEANUP_CLOSE int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	struct stat st;
	int r;

	if (out < 0 || fstat(from, &st) < 0)
		return -errno;
	if (st.st_size > BYTES_MAX - copy->bytes)
		return -EFBIG;
	copy->bytes += st.st_size;
	r = pass_bytes(from, out, st.st_size);
	return r == 0 ? finish(out, &st) : r;
}

static int copy_link(int from, int to, const char *name, const struct stat *st)
{
	char target[4096];
	ssize_t n = readlinkat(from, name, target, sizeof(target));

	if (n < 0 || n == (ssize_t)sizeof(target))
		return n < 0 ? -errno : -ENAMETOOLONG;
	target[n] = '\0';
	return symlinkat(target, to, name) < 0 || fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0
		       ? -errno
		       : 0;
}

static int copy_entries(struct copy *copy, int from, int to, int depth);

static int copy_folder(struct copy *copy, int from, int to, const char *name, int depth)
{
	CLEANUP_CLOSE int out = -1;
	struct stat st;
	int r;

	if (fstat(from, &st) < 0 || mkdirat(to, name, 0700) < 0)
		return fail(copy, -errno, name);
	out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (out < 0)
		return fail(copy, -errno, name);
	r = copy_entries(copy, from, out, depth + 1);
	if (r < 0)
		return r;
	r = finish(out, &st);
	return r < 0 ? fail(copy, r, name) : 0;
}

/* Links are copied and never followed; no mount is entered; devices, sockets and pipes are left out, they come with mounts. */
static int copy_entry(struct copy *copy, int from, int to, const char *name, int depth)
{
	CLEANUP_CLOSE int in = -1;
	struct stat st;
	int r;

	if (++copy->entries > ENTRIES_MAX)
		return fail(copy, -EFBIG, name);
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(copy, -errno, name);
	if (S_ISLNK(st.st_mode)) {
		r = copy_link(from, to, name, &st);
		return r < 0 ? fail(copy, r, name) : 0;
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
		return 0;
	r = inroot_open_plain(from, name, O_RDONLY | O_NONBLOCK | O_NOCTTY, true, &in);
	if (r == -EXDEV)
		return 0;
	if (r < 0 || fstat(in, &st) < 0)
		return fail(copy, r < 0 ? r : -errno, name);
	if (S_ISDIR(st.st_mode))
		return copy_folder(copy, in, to, name, depth);
	r = S_ISREG(st.st_mode) ? copy_file(copy, in, to, name) : 0;
	return r < 0 ? fail(copy, r, name) : 0;
}

static int copy_entries(struct copy *copy, int from, int to, int depth)
{
	int r = depth > DEPTH_MAX ? fail(copy, -ELOOP, "folders in folders") : 0;
	int fd = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!entries) {
		if (fd >= 0)
			(void)close(fd);
		return r < 0 ? r : fail(copy, -EIO, "folder");
	}
	while (r == 0 && (entry = readdir(entries)))
		if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
			r = copy_entry(copy, dirfd(entries), to, entry->d_name, depth);
	(void)closedir(entries);
	return r;
}

static bool says(const struct mountfd_options *options, const char *key)
{
	for (size_t i = 0; i < options->data_count; i++)
		if (str_starts(options->data[i], key))
			return true;
	return false;
}

/* The folder itself, as far as the mount's options do not say. */
static int take_after(const struct mountfd_options *options, int from, int to)
{
	struct stat st;

	if (fstat(from, &st) < 0)
		return -errno;
	if (!says(options, "uid=") && !says(options, "gid=") && fchown(to, st.st_uid, st.st_gid) < 0)
		return -errno;
	return !says(options, "mode=") && fchmod(to, st.st_mode & 07777) < 0 ? -errno : 0;
}

int container_copy_up(const struct mountfd_options *options, int target, int tmpfs, struct err *err)
{
	CLEANUP_CLOSE int to = openat(tmpfs, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct copy copy = {.err = err};
	int r = to < 0 ? fail(&copy, -errno, ".") : copy_entries(&copy, target, to, 0);

	if (r < 0)
		return r;
	r = take_after(options, target, to);
	if (r == 0 && options->set & MOUNT_ATTR_RDONLY)
		r = mountfd_set(tmpfs, false, MOUNT_ATTR_RDONLY, 0, 0);
	return r < 0 ? fail(&copy, r, ".") : 0;
}
