/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A strict streaming reader of tar archives as image layers have them: ustar, pax (POSIX.1-2017, pax "Interchange
 * Format") and GNU's long names. What two readers could understand differently is refused: sparse files, data behind
 * links and folders, names given twice, devices and pipes, missing end marks, bytes behind the end.
 */
#ifndef IMAGE_TAR_H
#define IMAGE_TAR_H

#include <stdint.h>
#include <time.h>

#include "base/err.h"
#include "image/source.h"

#define TAR_NAME_SIZE 4096
#define TAR_XATTRS_MAX 32
#define TAR_EXTENDED_MAX (1u << 20) /* bytes of one pax header */
#define TAR_DEPTH_MAX 128           /* components of a name: what removes a tree holds a descriptor for each */
#define TAR_ID_MAX 65535
#define TAR_FILE_MAX (UINT64_C(1) << 40)

enum tar_type { TAR_FILE, TAR_LINK, TAR_SYMLINK, TAR_FOLDER };

struct tar_xattr {
	const char *name; /* "user.origin" */
	const char *value;
	size_t len;
};

/* Valid until the next tar_next. */
struct tar_entry {
	enum tar_type type;
	char name[TAR_NAME_SIZE];   /* relative, no empty, "." or ".." component; empty: the root folder itself */
	char target[TAR_NAME_SIZE]; /* of a hard link: as name; of a symbolic link: as written */
	uint32_t mode;              /* permission bits, 07777 */
	uint32_t uid, gid;          /* at most TAR_ID_MAX */
	struct timespec mtime;      /* not before 1970 */
	uint64_t size;              /* of a file, else 0 */
	struct tar_xattr xattrs[TAR_XATTRS_MAX];
	size_t xattr_count;
};

struct tar;

int tar_new(source_fn source, void *user, struct tar **ret_tar) MUST_CHECK;
void tar_free(struct tar *tar);
CLEANUP_DEFINE(tar, struct tar *, tar_free)

/*
 * The next entry; what is left of the last one's data is skipped. 1: *ret_entry is filled; 0: the end mark was seen and
 * nothing but zeros follows. ERR_INVALID "entry 'NAME': …"; ERR_TOO_LARGE; or the source's error.
 */
int tar_next(struct tar *tar, const struct tar_entry **ret_entry, struct err *err) MUST_CHECK;

/* The next piece of the entry's data, valid until the next call. 1 with *ret_len > 0; 0 at its end. */
int tar_data(struct tar *tar, const char **ret_bytes, size_t *ret_len, struct err *err) MUST_CHECK;

/* Writes name for people: control bytes and quotes replaced, cut to size. Returns to. */
const char *tar_quote(char *to, size_t size, const char *name);

#endif
