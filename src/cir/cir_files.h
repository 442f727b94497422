/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the registry keeps on disk, below one folder. Contents are stored once, by digest; a repository has marks of what it
 * holds, tags, and what refers to what. Everything appears by rename after fsync, contents before what names them, so that
 * a crash leaves at most contents that nothing names.
 *
 *	blobs/ALGORITHM/XX/HEX                         the bytes of blobs and manifests
 *	uploads/ID                                     being uploaded; emptied at start
 *	quarantine/DIGEST                              contents that were found not to have their digest
 *	repositories/NAME/_blobs/DIGEST                a mark: its size
 *	repositories/NAME/_manifests/DIGEST            its size, a space, its media type
 *	repositories/NAME/_tags/TAG                    a digest
 *	repositories/NAME/_referrers/SUBJECT/DIGEST    the referrer's descriptor
 */
#ifndef CIR_CIR_FILES_H
#define CIR_CIR_FILES_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/err.h"
#include "cir/cir_cache.h"
#include "cir/cir_guard.h"
#include "cir/cir_quota.h"
#include "cir/cir_verified.h"
#include "oci/digest.h"

#define CIR_MEDIA_TYPE_SIZE 256
/* The most names a listing reads from one folder. */
#define CIR_LIST_MAX 100000

struct cir_files {
	int blobs, repositories, uploads, quarantine;
	struct cir_guard *guard;
	struct cir_verified *verified;
	struct cir_quota *quota;
	struct cir_cache *cache;
};
#define CIR_FILES_NONE ((struct cir_files){-1, -1, -1, -1, NULL, NULL, NULL, NULL})

/*
 * Opens the folders below state, making what is missing, and drops unfinished uploads. ERR_BUSY while another process has
 * the folder open. What is touched is not collected for grace_seconds. What is stored is charged to the quota.
 */
int cir_files_open(int state, unsigned grace_seconds, struct cir_files *ret_files, struct err *err) MUST_CHECK;
void cir_files_close(struct cir_files *files);

/* --- contents, whoever holds them --- */
/* ERR_NOT_FOUND. */
int cir_files_contents_open(const struct cir_files *files, const struct digest *digest, int *ret_fd,
			    struct stat *ret_status, struct err *err) MUST_CHECK;
/* Takes the contents out of service, unless they are others by now than those that were seen. 1 when it did. */
int cir_files_quarantine(const struct cir_files *files, const struct digest *digest, const struct stat *seen,
			 struct err *err) MUST_CHECK;
/* Removes contents unless they changed after a time of the wall clock or are touched: 1 when it did. */
int cir_files_contents_drop(const struct cir_files *files, const struct digest *digest, int64_t before_s,
			    struct err *err) MUST_CHECK;

/* --- blobs --- */
/* Opens a blob of a repository: ERR_NOT_FOUND unless the repository holds it. */
int cir_files_blob_open(const struct cir_files *files, const char *repository, const struct digest *digest, int *ret_fd,
			uint64_t *ret_size, struct err *err) MUST_CHECK;
/*
 * Turns the upload, whose bytes were found to have the digest, into a blob of the repository; the upload's name is gone then.
 * Its bytes and an object were charged to the repository: 1 when it has them from now on, 0 when it had the blob before.
 * Holds the guard itself.
 */
int cir_files_blob_publish(const struct cir_files *files, const char *upload, int fd, const char *repository,
			   const struct digest *digest, struct err *err) MUST_CHECK;
/* Like blob_open without opening, for a peer who counts on the blob from now on. The caller holds the guard. */
int cir_files_blob_touch(const struct cir_files *files, const char *repository, const struct digest *digest,
			 uint64_t *ret_size, struct err *err) MUST_CHECK;
/* Has a repository let a blob go as cir_files_contents_drop does; the folder is not fsynced. */
int cir_files_blob_drop(const struct cir_files *files, const char *repository, const struct digest *digest,
			int64_t before_s, struct err *err) MUST_CHECK;
/* Has another repository hold a blob of size that is stored already, and charges it. -EDQUOT. The caller holds the guard. */
int cir_files_blob_mark(const struct cir_files *files, const char *repository, const struct digest *digest,
			uint64_t size, struct err *err) MUST_CHECK;
int cir_files_blob_remove(const struct cir_files *files, const char *repository, const struct digest *digest,
			  struct err *err) MUST_CHECK;

/* --- manifests --- */
/* Reads a manifest of a repository; its bytes are verified. ERR_NOT_FOUND, ERR_CORRUPT. */
int cir_files_manifest_read(const struct cir_files *files, const char *repository, const struct digest *digest,
			    struct buf *bytes, char type[static CIR_MEDIA_TYPE_SIZE], struct err *err) MUST_CHECK;
bool cir_files_manifest_exists(const struct cir_files *files, const char *repository, const struct digest *digest);
/* The caller holds the guard. */
int cir_files_manifest_write(const struct cir_files *files, const char *repository, const struct digest *digest,
			     const void *bytes, size_t len, const char *type, struct err *err) MUST_CHECK;
/* Removes a manifest and the tags that name it. */
int cir_files_manifest_remove(const struct cir_files *files, const char *repository, const struct digest *digest,
			      struct err *err) MUST_CHECK;

int cir_files_tag_read(const struct cir_files *files, const char *repository, const char *tag,
		       struct digest *ret_digest, struct err *err) MUST_CHECK;
/* Points a tag at a manifest. ERR_EXISTS when it points at another one already and may not move. */
int cir_files_tag_write(const struct cir_files *files, const char *repository, const char *tag,
			const struct digest *digest, bool may_move, struct err *err) MUST_CHECK;
int cir_files_tag_remove(const struct cir_files *files, const char *repository, const char *tag,
			 struct err *err) MUST_CHECK;

/* descriptor is JSON text. */
int cir_files_referrer_write(const struct cir_files *files, const char *repository, const struct digest *subject,
			     const struct digest *digest, const char *descriptor, struct err *err) MUST_CHECK;
int cir_files_referrer_remove(const struct cir_files *files, const char *repository, const struct digest *subject,
			      const struct digest *digest, struct err *err) MUST_CHECK;
/* Appends the descriptor of one referrer by its name in a listing. */
int cir_files_referrer_read(const struct cir_files *files, const char *repository, const struct digest *subject,
			    const char *name, struct buf *to, struct err *err) MUST_CHECK;

/* --- listings: sorted names, in byte order --- */
struct cir_list {
	char **names;
	size_t count, size;
};
void cir_list_done(struct cir_list *list);
#define CLEANUP_CIR_LIST __attribute__((cleanup(cir_list_done)))
/* ERR_NOT_FOUND when the repository does not exist. */
int cir_files_list_tags(const struct cir_files *files, const char *repository, struct cir_list *list,
			struct err *err) MUST_CHECK;
int cir_files_list_referrers(const struct cir_files *files, const char *repository, const struct digest *subject,
			     struct cir_list *list, struct err *err) MUST_CHECK;

/*
 * Calls back for every folder that is a repository, for every name in a repository's folder ("_blobs"; none when there is no
 * such folder), for all contents. Ends with what the callback returns unless it is 0; an error of the disk is one.
 */
int cir_files_each_repository(const struct cir_files *files, int (*each)(const char *repository, void *user),
			      void *user) MUST_CHECK;
int cir_files_each_name(const struct cir_files *files, const char *repository, const char *folder,
			int (*each)(const char *name, void *user), void *user) MUST_CHECK;
int cir_files_each_contents(const struct cir_files *files, int (*each)(const struct digest *digest, void *user),
			    void *user) MUST_CHECK;

/* What lies in quarantine, by digest. */
int cir_files_list_quarantine(const struct cir_files *files, struct cir_list *list, struct err *err) MUST_CHECK;
/* Repositories with at least one manifest folder. */
int cir_files_list_repositories(const struct cir_files *files, struct cir_list *list, struct err *err) MUST_CHECK;

#endif
