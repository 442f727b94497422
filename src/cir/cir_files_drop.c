/* SPDX-License-Identifier: Apache-2.0 */
/* What goes: contents that are corrupt, marks and contents that nobody needs. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "cir/cir_files.h"
#include "cir/cir_files_internal.h"

static int contents_failed(struct err *err, int code, const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	if (code == -ENOENT)
		return err_set(err, ERR_NOT_FOUND, "there are no contents '%s'", text);
	return err_sys(err, code, "contents '%s'", text);
}

int cir_files_contents_open(const struct cir_files *files, const struct digest *digest, int *ret_fd,
			    struct stat *ret_status, struct err *err)
{
	int r = cir_files_open_bytes(files, digest, ret_fd, ret_status);

	return r < 0 ? contents_failed(err, r, digest) : 0;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

int cir_files_quarantine(const struct cir_files *files, const struct digest *digest, const struct stat *seen,
			 struct err *err)
{
	char path[CIR_CONTENTS_PATH_SIZE], name[DIGEST_TEXT_SIZE];
	struct stat now;
	int r = 0;

	cir_files_contents_path(path, digest);
	digest_format(digest, name);
	cir_guard_close(files->guard);
	if (fstatat(files->blobs, path, &now, AT_SYMLINK_NOFOLLOW) < 0)
		r = errno == ENOENT ? 0 : -errno;
	else if (same_file(&now, seen))
		r = renameat(files->blobs, path, files->quarantine, name) < 0 ? -errno : 1;
	cir_guard_open(files->guard);
	cir_cache_forget_all(files->cache);
	if (r == 1 && (cir_files_sync_parent(files->blobs, path) < 0 || fsync(files->quarantine) < 0))
		r = -errno;
	return r < 0 ? contents_failed(err, r, digest) : r;
}

/* Unlinks what is older than before_s and not touched. The guard is closed. */
static int drop_file(const struct cir_files *files, int dir, const char *path, const struct digest *digest,
		     int64_t before_s)
{
	struct stat status;

	if (cir_guard_is_touched(files->guard, digest))
		return 0;
	if (fstatat(dir, path, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (status.st_mtim.tv_sec >= before_s)
		return 0;
	return unlinkat(dir, path, 0) < 0 ? -errno : 1;
}

int cir_files_contents_drop(const struct cir_files *files, const struct digest *digest, int64_t before_s,
			    struct err *err)
{
	char path[CIR_CONTENTS_PATH_SIZE];
	int r;

	cir_files_contents_path(path, digest);
	cir_guard_close(files->guard);
	r = drop_file(files, files->blobs, path, digest, before_s);
	cir_guard_open(files->guard);
	return r < 0 ? contents_failed(err, r, digest) : r;
}

int cir_files_blob_drop(const struct cir_files *files, const char *repository, const struct digest *digest,
			int64_t before_s, struct err *err)
{
	char path[CIR_PATH_SIZE];
	uint64_t size;
	int r;

	cir_files_mark_path(path, repository, "_blobs", digest);
	size = cir_files_mark_size(files, path);
	cir_guard_close(files->guard);
	r = drop_file(files, files->repositories, path, digest, before_s);
	cir_guard_open(files->guard);
	if (r == 1)
		cir_quota_give(files->quota, repository, size, 1);
	return r < 0 ? cir_files_failed(err, r, "blob", repository, digest) : r;
}
