/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Uploads on their way. Each is a file and the digest of what it holds so far. One request works on an upload at a time; one
 * that nobody touches for an hour is dropped, and all are when the registry starts.
 */
#ifndef CIR_CIR_UPLOADS_H
#define CIR_CIR_UPLOADS_H

#include "cir/cir_files.h"
#include "cir/cir_route.h"

#define CIR_UPLOADS_MAX 1000
/* How many of them one client may have on their way. */
#define CIR_UPLOADS_SHARE 250
#define CIR_UPLOADS_OWNER_SIZE 96
#define CIR_UPLOAD_BYTES_MAX (UINT64_C(1) << 40)

struct cir_upload {
	struct cir_upload *next;
	char id[CIR_UPLOAD_ID_SIZE];
	char repository[REFERENCE_REPOSITORY_SIZE];
	char owner[CIR_UPLOADS_OWNER_SIZE];
	int fd;
	uint64_t size;
	struct digest_stream *stream; /* of what algorithm says, over all size bytes */
	enum digest_algorithm algorithm;
	uint64_t touched_ns;
	bool busy, charged; /* charged: size bytes and an object, to the repository */
};

struct cir_uploads;

/* files is kept by reference. */
int cir_uploads_new(const struct cir_files *files, struct cir_uploads **ret_uploads, struct err *err) MUST_CHECK;
void cir_uploads_free(struct cir_uploads *uploads);

/*
 * Begins one and takes it for the caller. algorithm is the one its digest will most likely have; owner says whose it is. ERR_BUSY
 * over the maximum, or over the owner's share; -EDQUOT.
 */
int cir_uploads_begin(struct cir_uploads *uploads, const char *repository, const char *owner,
		      enum digest_algorithm algorithm, struct cir_upload **ret_upload, struct err *err) MUST_CHECK;
/* Takes one that was begun; ERR_NOT_FOUND, ERR_BUSY while another request has it. */
int cir_uploads_take(struct cir_uploads *uploads, const char *repository, const char *id,
		     struct cir_upload **ret_upload, struct err *err) MUST_CHECK;
/* Gives it back; what was written stays. NULL is accepted. */
void cir_uploads_release(struct cir_uploads *uploads, struct cir_upload *upload);
/* Drops it and its file. */
void cir_uploads_drop(struct cir_uploads *uploads, struct cir_upload *upload);
/* How many are on their way. */
size_t cir_uploads_count(struct cir_uploads *uploads);
/* Drops those that rest too long. */
void cir_uploads_expire(struct cir_uploads *uploads);

/* Appends; all or nothing. -ENOSPC, -EDQUOT, -EFBIG, -EIO. */
int cir_uploads_write(struct cir_uploads *uploads, struct cir_upload *upload, const void *bytes, size_t len,
		      struct err *err) MUST_CHECK;
/* Verifies the digest and publishes the bytes as a blob; the upload is gone then, or on ERR_CORRUPT when they differ. */
int cir_uploads_finish(struct cir_uploads *uploads, struct cir_upload *upload, const struct digest *digest,
		       struct err *err) MUST_CHECK;

#endif
