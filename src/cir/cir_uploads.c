/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_uploads.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/str.h"
#include "crypto/key.h"

#define EXPIRE_NS (3600 * UINT64_C(1000000000))
#define BLOCK_SIZE 65536
/* So many bytes at a time are on their way to the disk while more come: the fsync at the end has little left to wait for. */
#define BEHIND_SIZE (8 * UINT64_C(1048576))

struct cir_uploads {
	const struct cir_files *files;
	pthread_mutex_t lock;
	struct cir_upload *list;
	size_t count;
};

static void upload_free(struct cir_uploads *uploads, struct cir_upload *upload)
{
	if (upload->fd >= 0) {
		(void)close(upload->fd);
		(void)unlinkat(uploads->files->uploads, upload->id, 0);
	}
	if (upload->charged)
		cir_quota_give(uploads->files->quota, upload->repository, upload->size, 1);
	digest_stream_free(upload->stream);
	free(upload);
}

int cir_uploads_new(const struct cir_files *files, struct cir_uploads **ret_uploads, struct err *err)
{
	struct cir_uploads *uploads = calloc(1, sizeof(*uploads));

	if (!uploads)
		return err_set(err, -ENOMEM, "no memory for uploads");
	uploads->files = files;
	(void)pthread_mutex_init(&uploads->lock, NULL);
	*ret_uploads = uploads;
	return 0;
}

void cir_uploads_free(struct cir_uploads *uploads)
{
	struct cir_upload *next;

	if (!uploads)
		return;
	for (struct cir_upload *at = uploads->list; at; at = next) {
		next = at->next;
		upload_free(uploads, at);
	}
	(void)pthread_mutex_destroy(&uploads->lock);
	free(uploads);
}

static int upload_open(const struct cir_uploads *uploads, const char *repository, enum digest_algorithm algorithm,
		       struct cir_upload *upload)
{
	uint8_t random[(CIR_UPLOAD_ID_SIZE - 1) / 2];
	int r;

	crypto_random(random, sizeof(random));
	str_hex(upload->id, random, sizeof(random));
	upload->algorithm = algorithm;
	upload->busy = true;
	r = str_copy(upload->repository, sizeof(upload->repository), repository);
	if (r == 0)
		r = digest_stream_new(algorithm, &upload->stream);
	if (r < 0)
		return r;
	upload->fd = openat(uploads->files->uploads, upload->id, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return upload->fd < 0 ? -errno : 0;
}

static size_t count_of(const struct cir_uploads *uploads, const char *owner)
{
	size_t count = 0;

	for (const struct cir_upload *at = uploads->list; at; at = at->next)
		count += str_eq(at->owner, owner);
	return count;
}

int cir_uploads_begin(struct cir_uploads *uploads, const char *repository, const char *owner,
		      enum digest_algorithm algorithm, struct cir_upload **ret_upload, struct err *err)
{
	struct cir_upload *upload = calloc(1, sizeof(*upload));
	int r;

	if (!upload)
		return err_set(err, -ENOMEM, "no memory for an upload");
	upload->fd = -1;
	(void)snprintf(upload->owner, sizeof(upload->owner), "%s", owner);
	r = upload_open(uploads, repository, algorithm, upload);
	r = r < 0 ? err_sys(err, r, "cannot begin an upload")
		  : cir_quota_take(uploads->files->quota, repository, 0, 1, err);
	if (r < 0) {
		upload_free(uploads, upload);
		return r;
	}
	upload->charged = true;
	(void)pthread_mutex_lock(&uploads->lock);
	if (uploads->count == CIR_UPLOADS_MAX) {
		r = err_set(err, ERR_BUSY, "%d uploads are on their way already", CIR_UPLOADS_MAX);
	} else if (count_of(uploads, upload->owner) >= CIR_UPLOADS_SHARE) {
		r = err_set(err, ERR_BUSY, "%d uploads of '%s' are on their way already", CIR_UPLOADS_SHARE,
			    upload->owner);
	} else {
		upload->next = uploads->list;
		uploads->list = upload;
		uploads->count++;
	}
	(void)pthread_mutex_unlock(&uploads->lock);
	if (r < 0)
		upload_free(uploads, upload);
	else
		*ret_upload = upload;
	return r;
}

int cir_uploads_take(struct cir_uploads *uploads, const char *repository, const char *id,
		     struct cir_upload **ret_upload, struct err *err)
{
	struct cir_upload *at;
	int r = 0;

	(void)pthread_mutex_lock(&uploads->lock);
	for (at = uploads->list; at; at = at->next)
		if (str_eq(at->id, id) && str_eq(at->repository, repository))
			break;
	if (!at)
		r = err_set(err, ERR_NOT_FOUND, "there is no upload '%s' in repository '%s'", id, repository);
	else if (at->busy)
		r = err_set(err, ERR_BUSY, "another request works on upload '%s'", id);
	else
		at->busy = true;
	(void)pthread_mutex_unlock(&uploads->lock);
	if (r == 0)
		*ret_upload = at;
	return r;
}

void cir_uploads_release(struct cir_uploads *uploads, struct cir_upload *upload)
{
	if (!upload)
		return;
	(void)pthread_mutex_lock(&uploads->lock);
	upload->busy = false;
	upload->touched_ns = clock_monotonic_ns();
	(void)pthread_mutex_unlock(&uploads->lock);
}

static void unlink_upload(struct cir_uploads *uploads, struct cir_upload *upload)
{
	struct cir_upload **at = &uploads->list;

	while (*at != upload)
		at = &(*at)->next;
	*at = upload->next;
	uploads->count--;
}

void cir_uploads_drop(struct cir_uploads *uploads, struct cir_upload *upload)
{
	(void)pthread_mutex_lock(&uploads->lock);
	unlink_upload(uploads, upload);
	(void)pthread_mutex_unlock(&uploads->lock);
	upload_free(uploads, upload);
}

size_t cir_uploads_count(struct cir_uploads *uploads)
{
	size_t count;

	(void)pthread_mutex_lock(&uploads->lock);
	count = uploads->count;
	(void)pthread_mutex_unlock(&uploads->lock);
	return count;
}

void cir_uploads_expire(struct cir_uploads *uploads)
{
	uint64_t now = clock_monotonic_ns();
	struct cir_upload *next;

	(void)pthread_mutex_lock(&uploads->lock);
	for (struct cir_upload *at = uploads->list; at; at = next) {
		next = at->next;
		if (at->busy || now < at->touched_ns + EXPIRE_NS)
			continue;
		unlink_upload(uploads, at);
		upload_free(uploads, at);
	}
	(void)pthread_mutex_unlock(&uploads->lock);
}

/* Begins writing out each piece that is full with the bytes that come; what fails shows at the fsync. */
static void write_behind(const struct cir_upload *upload, size_t len)
{
	uint64_t from = upload->size / BEHIND_SIZE, to = (upload->size + len) / BEHIND_SIZE;

	if (to > from)
		(void)sync_file_range(upload->fd, (off_t)(from * BEHIND_SIZE), (off_t)((to - from) * BEHIND_SIZE),
				      SYNC_FILE_RANGE_WRITE);
}

int cir_uploads_write(struct cir_uploads *uploads, struct cir_upload *upload, const void *bytes, size_t len,
		      struct err *err)
{
	struct cir_quota *quota = uploads->files->quota;
	int r;

	if (len > CIR_UPLOAD_BYTES_MAX - upload->size)
		return err_set(err, ERR_TOO_LARGE, "the upload is over %llu bytes",
			       (unsigned long long)CIR_UPLOAD_BYTES_MAX);
	r = cir_quota_take(quota, upload->repository, len, 0, err);
	if (r < 0)
		return r;
	r = fdio_write_all(upload->fd, bytes, len);
	if (r == 0)
		r = digest_stream_update(upload->stream, bytes, len);
	if (r == 0) {
		write_behind(upload, len);
		upload->size += len;
		return 0;
	}
	cir_quota_give(quota, upload->repository, len, 0);
	/* What a failed write left behind is cut off, so that file and digest stay in step. */
	if (ftruncate(upload->fd, (off_t)upload->size) < 0 || lseek(upload->fd, (off_t)upload->size, SEEK_SET) < 0)
		return err_sys(err, -errno, "cannot store the upload");
	return err_sys(err, r, "cannot store the upload");
}

/* The digest by another algorithm than the one that ran along. */
static int verify_again(const struct cir_upload *upload, const struct digest *digest, struct err *err)
{
	CLEANUP(cleanup_digest_stream) struct digest_stream *stream = NULL;
	CLEANUP_FREE char *block = malloc(BLOCK_SIZE);
	int r = block ? digest_stream_new(digest->algorithm, &stream) : -ENOMEM;

	for (uint64_t at = 0; r == 0 && at < upload->size;) {
		ssize_t n = pread(upload->fd, block, BLOCK_SIZE, (off_t)at);

		if (n <= 0)
			r = n < 0 ? -errno : -EIO;
		else
			r = digest_stream_update(stream, block, (size_t)n);
		at += n > 0 ? (uint64_t)n : 0;
	}
	return r < 0 ? err_sys(err, r, "cannot verify the upload") : digest_stream_verify(stream, digest, err);
}

int cir_uploads_finish(struct cir_uploads *uploads, struct cir_upload *upload, const struct digest *digest,
		       struct err *err)
{
	int r;

	if (digest->algorithm == upload->algorithm)
		r = digest_stream_verify(upload->stream, digest, err);
	else
		r = verify_again(upload, digest, err);
	if (r == 0)
		r = cir_files_blob_publish(uploads->files, upload->id, upload->fd, upload->repository, digest, err);
	if (r == 1)
		upload->charged = false;
	/* A digest that was finished takes no more bytes: right or wrong, the upload ends here. */
	cir_uploads_drop(uploads, upload);
	return r < 0 ? r : 0;
}
