/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of tar.c: what the headers before an entry's own say about it: pax records and GNU's long names. */
#ifndef IMAGE_TAR_EXTENDED_H
#define IMAGE_TAR_EXTENDED_H

#include <stdbool.h>

#include "base/buf.h"
#include "image/tar.h"

struct tar_extended {
	struct buf pax, global, long_name, long_target;
	bool has_pax;
	const char *name;   /* shorter than TAR_NAME_SIZE; NULL when not given */
	const char *target; /* likewise */
	bool has_uid, has_gid, has_size, has_mtime;
	uint64_t uid, gid, size;
	struct timespec mtime;
	struct tar_xattr xattrs[TAR_XATTRS_MAX];
	size_t xattr_count;
};

void tar_extended_init(struct tar_extended *extended);
void tar_extended_done(struct tar_extended *extended);

/* Forgets what belonged to the last entry. */
void tar_extended_clear(struct tar_extended *extended);

/* Where the data of an extension header of this type goes; NULL when the type is no extension. */
struct buf *tar_extended_buffer(struct tar_extended *extended, char type);

/* Understands the data just read. Strings point into the buffers. */
int tar_extended_take(struct tar_extended *extended, char type, struct err *err) MUST_CHECK;

#endif
