/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/crashpoint.h"
#include "base/fdio.h"
#include "base/str.h"
#include "cir/cir_files_internal.h"
#include "crypto/key.h"
#include "oci/manifest.h"

#define NAME_SIZE 48

static int open_folder(int state, const char *name, int *ret_fd, struct err *err)
{
	int r = fdio_mkdir_all(state, name, 0700, err);

	return r < 0 ? r : fdio_open_dir(state, name, ret_fd, err);
}

static int open_folders(int state, struct cir_files *files, struct err *err)
{
	int r = open_folder(state, "blobs", &files->blobs, err);

	/* The guard is in memory: two processes on one folder would collect each other's uploads. */
	if (r == 0 && flock(files->blobs, LOCK_EX | LOCK_NB) < 0)
		r = err_set(err, ERR_BUSY, "another registry has this folder open");
	if (r == 0)
		r = fdio_remove_tree(state, "uploads", err);
	if (r == 0)
		r = open_folder(state, "uploads", &files->uploads, err);
	if (r == 0)
		r = open_folder(state, "repositories", &files->repositories, err);
	if (r == 0)
		r = open_folder(state, "quarantine", &files->quarantine, err);
	if (r == 0 && fsync(state) < 0)
		r = err_sys(err, -errno, "cannot write the registry's folder");
	return r;
}

int cir_files_open(int state, unsigned grace_seconds, struct cir_files *ret_files, struct err *err)
{
	struct cir_files files = CIR_FILES_NONE;
	int r = open_folders(state, &files, err);

	if (r == 0)
		r = cir_guard_new(grace_seconds, &files.guard, err);
	if (r == 0)
		r = cir_verified_new(&files.verified, err);
	if (r == 0)
		r = cir_quota_new(&files.quota, err);
	if (r == 0)
		r = cir_cache_new(&files.cache, err);
	if (r == 0)
		r = cir_files_charge_all(&files, err);
	if (r < 0) {
		cir_files_close(&files);
		return r;
	}
	*ret_files = files;
	return 0;
}

static void close_one(int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

void cir_files_close(struct cir_files *files)
{
	close_one(&files->blobs);
	close_one(&files->repositories);
	close_one(&files->uploads);
	close_one(&files->quarantine);
	cir_guard_free(take_ptr(files->guard));
	cir_verified_free(take_ptr(files->verified));
	cir_quota_free(take_ptr(files->quota));
	cir_cache_free(take_ptr(files->cache));
}

void cir_files_path(char to[static CIR_PATH_SIZE], const char *repository, const char *folder, const char *first,
		    const char *second)
{
	(void)snprintf(to, CIR_PATH_SIZE, "%s/%s%s%s%s%s", repository, folder, first ? "/" : "", first ? first : "",
		       second ? "/" : "", second ? second : "");
}

void cir_files_contents_path(char to[static CIR_CONTENTS_PATH_SIZE], const struct digest *digest)
{
	char hex[DIGEST_TEXT_SIZE];

	digest_hex(digest, hex);
	(void)snprintf(to, CIR_CONTENTS_PATH_SIZE, "%s/%.2s/%s", digest_algorithm_name(digest->algorithm), hex, hex);
}

int cir_files_sync_parent(int dir, const char *path)
{
	char parent[CIR_PATH_SIZE];
	CLEANUP_CLOSE int fd = -1;
	char *slash;

	if (str_copy(parent, sizeof(parent), path) < 0)
		return -ENAMETOOLONG;
	slash = strrchr(parent, '/');
	if (!slash)
		return fsync(dir) < 0 ? -errno : 0;
	*slash = '\0';
	fd = openat(dir, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* Makes the folders above path that are missing, each safe on disk before the next. */
static int make_parents(int dir, const char *path)
{
	char part[CIR_PATH_SIZE];
	int r = 0;

	if (str_copy(part, sizeof(part), path) < 0)
		return -ENAMETOOLONG;
	for (char *at = part; r == 0 && (at = strchr(at, '/')); *at++ = '/') {
		*at = '\0';
		if (mkdirat(dir, part, 0700) == 0)
			r = cir_files_sync_parent(dir, part);
		else if (errno != EEXIST)
			r = -errno;
	}
	return r;
}

/* Moves a finished, fsynced temporary file to its place; flags of renameat2. */
static int place(const struct cir_files *files, const char *temporary, int dir, const char *path, unsigned flags)
{
	int r = 0;

	if (renameat2(files->uploads, temporary, dir, path, flags) < 0) {
		r = errno == ENOENT ? make_parents(dir, path) : -errno;
		if (r == 0 && renameat2(files->uploads, temporary, dir, path, flags) < 0)
			r = -errno;
	}
	return r == 0 ? cir_files_sync_parent(dir, path) : r;
}

static void temporary_name(char to[static NAME_SIZE])
{
	uint8_t random[16];
	char hex[2 * sizeof(random) + 1];

	crypto_random(random, sizeof(random));
	str_hex(hex, random, sizeof(random));
	(void)snprintf(to, NAME_SIZE, "new-%s", hex);
}

static int put(const struct cir_files *files, int dir, const char *path, const void *bytes, size_t len, unsigned flags)
{
	CLEANUP_CLOSE int fd = -1;
	char name[NAME_SIZE];
	int r;

	temporary_name(name);
	fd = openat(files->uploads, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = fdio_write_all(fd, bytes, len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = place(files, name, dir, path, flags);
	if (r < 0)
		(void)unlinkat(files->uploads, name, 0);
	return r;
}

/* Replaces the file at path whole. */
int cir_files_put_file(const struct cir_files *files, int dir, const char *path, const void *bytes, size_t len)
{
	return put(files, dir, path, bytes, len, 0);
}

/* Makes the file unless there is one: 1 when it did. Of many who try at once one does. */
int cir_files_put_new(const struct cir_files *files, int dir, const char *path, const void *bytes, size_t len)
{
	int r = put(files, dir, path, bytes, len, RENAME_NOREPLACE);

	return r == -EEXIST ? 0 : r < 0 ? r : 1;
}

int cir_files_remove_file(int dir, const char *path)
{
	return unlinkat(dir, path, 0) < 0 ? -errno : cir_files_sync_parent(dir, path);
}

int cir_files_get_file(int dir, const char *path, struct buf *to)
{
	CLEANUP_CLOSE int fd = openat(dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fdio_read_all(fd, to);
}

static bool is_there(int dir, const char *path)
{
	return faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

void cir_files_mark_path(char to[static CIR_PATH_SIZE], const char *repository, const char *folder,
			 const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	cir_files_path(to, repository, folder, text, NULL);
}

int cir_files_failed(struct err *err, int code, const char *what, const char *repository, const struct digest *digest)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	if (code == -ENOENT)
		return err_set(err, ERR_NOT_FOUND, "%s '%s' is not in repository '%s'", what, text, repository);
	return err_sys(err, code, "%s '%s' of repository '%s'", what, text, repository);
}

/* --- contents --- */

int cir_files_open_bytes(const struct cir_files *files, const struct digest *digest, int *ret_fd,
			 struct stat *ret_status)
{
	CLEANUP_CLOSE int fd = -1;
	char path[CIR_CONTENTS_PATH_SIZE];

	cir_files_contents_path(path, digest);
	fd = openat(files->blobs, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0 || fstat(fd, ret_status) < 0)
		return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* --- blobs --- */

int cir_files_blob_open(const struct cir_files *files, const char *repository, const struct digest *digest, int *ret_fd,
			uint64_t *ret_size, struct err *err)
{
	char path[CIR_PATH_SIZE];
	struct stat status;
	int r;

	cir_files_mark_path(path, repository, "_blobs", digest);
	r = is_there(files->repositories, path) ? cir_files_open_bytes(files, digest, ret_fd, &status) : -ENOENT;
	if (r < 0)
		return cir_files_failed(err, r, "blob", repository, digest);
	*ret_size = (uint64_t)status.st_size;
	return 0;
}

/* Lets the mark look new. Not at each look: the time matters after a restart alone, and grace is long. */
static int freshen(const struct cir_files *files, const char *path)
{
	struct stat mark;
	int64_t age;

	if (fstatat(files->repositories, path, &mark, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	age = clock_wall_ms() / 1000 - (int64_t)mark.st_mtim.tv_sec;
	if (age >= 0 && age < cir_guard_grace(files->guard) / 8)
		return 0;
	return utimensat(files->repositories, path, NULL, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

int cir_files_blob_touch(const struct cir_files *files, const char *repository, const struct digest *digest,
			 uint64_t *ret_size, struct err *err)
{
	char path[CIR_PATH_SIZE], blob[CIR_CONTENTS_PATH_SIZE];
	struct stat status;
	int r;

	cir_files_mark_path(path, repository, "_blobs", digest);
	cir_files_contents_path(blob, digest);
	r = freshen(files, path);
	if (r == 0 && fstatat(files->blobs, blob, &status, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r < 0)
		return cir_files_failed(err, r, "blob", repository, digest);
	/* The guard keeps the collector away until then. What is not there is not touched: else asking would fill the guard. */
	cir_guard_touch(files->guard, digest);
	*ret_size = (uint64_t)status.st_size;
	return 0;
}

/* 1 when the repository did not hold the blob before. */
static int mark_blob(const struct cir_files *files, const char *repository, const struct digest *digest, uint64_t size)
{
	char path[CIR_PATH_SIZE], text[24];

	cir_files_mark_path(path, repository, "_blobs", digest);
	cir_guard_touch(files->guard, digest);
	if (freshen(files, path) == 0)
		return 0;
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)size);
	return cir_files_put_new(files, files->repositories, path, text, strlen(text));
}

int cir_files_blob_publish(const struct cir_files *files, const char *upload, int fd, const char *repository,
			   const struct digest *digest, struct err *err)
{
	char path[CIR_CONTENTS_PATH_SIZE];
	struct stat status;
	int r;

	cir_files_contents_path(path, digest);
	if (fsync(fd) < 0)
		return cir_files_failed(err, -errno, "blob", repository, digest);
	cir_guard_use(files->guard);
	cir_guard_touch(files->guard, digest);
	r = place(files, upload, files->blobs, path, 0);
	crashpoint("cir-blob-renamed");
	if (r == 0 && fstat(fd, &status) < 0)
		r = -errno;
	if (r == 0) {
		cir_verified_add(files->verified, digest, &status);
		r = mark_blob(files, repository, digest, (uint64_t)status.st_size);
	}
	cir_guard_used(files->guard);
	return r < 0 ? cir_files_failed(err, r, "blob", repository, digest) : r;
}

int cir_files_blob_mark(const struct cir_files *files, const char *repository, const struct digest *digest,
			uint64_t size, struct err *err)
{
	char path[CIR_PATH_SIZE];
	int r;

	cir_files_mark_path(path, repository, "_blobs", digest);
	cir_guard_touch(files->guard, digest);
	if (freshen(files, path) == 0)
		return 0;
	r = cir_quota_take(files->quota, repository, size, 1, err);
	if (r < 0)
		return r;
	r = mark_blob(files, repository, digest, size);
	if (r != 1)
		cir_quota_give(files->quota, repository, size, 1);
	return r < 0 ? cir_files_failed(err, r, "blob", repository, digest) : 0;
}

/* Removes a mark, and gives back what was charged for it. */
static int remove_mark(const struct cir_files *files, const char *repository, const char *path)
{
	uint64_t size = cir_files_mark_size(files, path);
	int r = cir_files_remove_file(files->repositories, path);

	if (r == 0)
		cir_quota_give(files->quota, repository, size, 1);
	return r;
}

int cir_files_blob_remove(const struct cir_files *files, const char *repository, const struct digest *digest,
			  struct err *err)
{
	char path[CIR_PATH_SIZE];
	int r;

	cir_files_mark_path(path, repository, "_blobs", digest);
	r = remove_mark(files, repository, path);
	return r < 0 ? cir_files_failed(err, r, "blob", repository, digest) : 0;
}

/* --- manifests --- */

/* "SIZE TYPE" */
static int read_type(const struct cir_files *files, const char *path, char type[static CIR_MEDIA_TYPE_SIZE])
{
	CLEANUP_BUF struct buf told = buf_of(CIR_MEDIA_TYPE_SIZE + 24);
	int r = cir_files_get_file(files->repositories, path, &told);
	const char *space;

	if (r < 0)
		return r;
	space = told.len ? strchr(told.data, ' ') : NULL;
	return str_copy(type, CIR_MEDIA_TYPE_SIZE, space ? space + 1 : "");
}

int cir_files_manifest_read(const struct cir_files *files, const char *repository, const struct digest *digest,
			    struct buf *bytes, char type[static CIR_MEDIA_TYPE_SIZE], struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	char path[CIR_PATH_SIZE];
	struct stat status;
	int r;

	cir_files_mark_path(path, repository, "_manifests", digest);
	r = read_type(files, path, type);
	if (r == 0)
		r = cir_files_open_bytes(files, digest, &fd, &status);
	if (r == 0)
		r = fdio_read_all(fd, bytes);
	if (r < 0)
		return cir_files_failed(err, r, "manifest", repository, digest);
	return digest_verify(digest, bytes->data, bytes->len, err);
}

bool cir_files_manifest_exists(const struct cir_files *files, const char *repository, const struct digest *digest)
{
	char path[CIR_PATH_SIZE];

	cir_files_mark_path(path, repository, "_manifests", digest);
	return is_there(files->repositories, path);
}

/* 1 when the repository did not have the manifest before. */
static int put_manifest(const struct cir_files *files, const char *mark, const struct digest *digest, const void *bytes,
			size_t len, const char *type)
{
	char blob[CIR_CONTENTS_PATH_SIZE], text[CIR_MEDIA_TYPE_SIZE + 24];
	int r;

	cir_files_contents_path(blob, digest);
	(void)snprintf(text, sizeof(text), "%zu %s", len, type);
	r = cir_files_put_file(files, files->blobs, blob, bytes, len);
	if (r == 0)
		r = cir_files_put_new(files, files->repositories, mark, text, strlen(text));
	/* What it was called before may be wrong: the last one who pushes it is believed. */
	if (r == 0)
		r = cir_files_put_file(files, files->repositories, mark, text, strlen(text));
	return r;
}

int cir_files_manifest_write(const struct cir_files *files, const char *repository, const struct digest *digest,
			     const void *bytes, size_t len, const char *type, struct err *err)
{
	bool known = cir_files_manifest_exists(files, repository, digest);
	char path[CIR_PATH_SIZE];
	int r = known ? 0 : cir_quota_take(files->quota, repository, len, 1, err);

	if (r < 0)
		return r;
	cir_files_mark_path(path, repository, "_manifests", digest);
	cir_guard_touch(files->guard, digest);
	r = put_manifest(files, path, digest, bytes, len, type);
	crashpoint("cir-manifest-linked");
	/* Its tags may stand there with another media type. */
	if (known)
		cir_cache_forget_all(files->cache);
	if (!known && r != 1)
		cir_quota_give(files->quota, repository, len, 1);
	/* Deleted in between by another: what is there was not charged. */
	if (known && r == 1)
		r = cir_quota_found(files->quota, repository, len, 1);
	return r < 0 ? cir_files_failed(err, r, "manifest", repository, digest) : 0;
}

/* Tags that name the manifest go first: a tag never names what is not there. */
static int remove_tags_of(const struct cir_files *files, const char *repository, const struct digest *digest,
			  struct err *err)
{
	CLEANUP_CIR_LIST struct cir_list tags = {0};
	int r = cir_files_list_tags(files, repository, &tags, err);

	for (size_t i = 0; r == 0 && i < tags.count; i++) {
		struct digest named;

		if (cir_files_tag_read(files, repository, tags.names[i], &named, err) == 0 &&
		    digest_equal(&named, digest))
			r = cir_files_tag_remove(files, repository, tags.names[i], err);
	}
	return r;
}

int cir_files_manifest_remove(const struct cir_files *files, const char *repository, const struct digest *digest,
			      struct err *err)
{
	char path[CIR_PATH_SIZE], text[DIGEST_TEXT_SIZE];
	int r;

	if (!cir_files_manifest_exists(files, repository, digest))
		return cir_files_failed(err, -ENOENT, "manifest", repository, digest);
	r = remove_tags_of(files, repository, digest, err);
	if (r < 0)
		return r;
	cir_files_mark_path(path, repository, "_manifests", digest);
	r = remove_mark(files, repository, path);
	digest_format(digest, text);
	cir_cache_forget(files->cache, repository, text);
	return r < 0 ? cir_files_failed(err, r, "manifest", repository, digest) : 0;
}
