/* SPDX-License-Identifier: Apache-2.0 */
/* Paths below cir_files.repositories and .blobs; shared by the files of cir_files.h. */
#ifndef CIR_CIR_FILES_INTERNAL_H
#define CIR_CIR_FILES_INTERNAL_H

#include "cir/cir_files.h"

/* A repository (255), a folder, a subject and a digest or tag. */
#define CIR_PATH_SIZE 640
/* "sha512/ab/" and 128 digits. */
#define CIR_CONTENTS_PATH_SIZE 160

/* "NAME/FOLDER[/FIRST[/SECOND]]"; NULL parts are left out. All parts were validated. */
void cir_files_path(char to[static CIR_PATH_SIZE], const char *repository, const char *folder, const char *first,
		    const char *second);
/* The same for a digest's mark. */
void cir_files_mark_path(char to[static CIR_PATH_SIZE], const char *repository, const char *folder,
			 const struct digest *digest);
void cir_files_contents_path(char to[static CIR_CONTENTS_PATH_SIZE], const struct digest *digest);

/* Fsyncs the folder that holds path. */
int cir_files_sync_parent(int dir, const char *path) MUST_CHECK;
int cir_files_open_bytes(const struct cir_files *files, const struct digest *digest, int *ret_fd,
			 struct stat *ret_status) MUST_CHECK;
/* Replaces a file whole, after fsync. */
int cir_files_put_file(const struct cir_files *files, int dir, const char *path, const void *bytes,
		       size_t len) MUST_CHECK;
/* Makes a file unless there is one: 1 when it did. Of many who try at once one does. */
int cir_files_put_new(const struct cir_files *files, int dir, const char *path, const void *bytes,
		      size_t len) MUST_CHECK;
int cir_files_get_file(int dir, const char *path, struct buf *to) MUST_CHECK;
int cir_files_remove_file(int dir, const char *path) MUST_CHECK;

/* The size that a mark says, 0 when it cannot be read. */
uint64_t cir_files_mark_size(const struct cir_files *files, const char *path);
/* Charges all that is stored. */
int cir_files_charge_all(const struct cir_files *files, struct err *err) MUST_CHECK;

/* Fills the error for a code; -ENOENT becomes ERR_NOT_FOUND. */
int cir_files_failed(struct err *err, int code, const char *what, const char *repository, const struct digest *digest);

#endif
