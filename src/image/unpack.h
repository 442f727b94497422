/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the layers of an image on top of each other (OCI image specification 1.1, "Image Layer Filesystem Changeset") into one
 * EROFS image. No file is made: names and metadata are kept in a tree, data goes straight into the image. Set-user-id and
 * set-group-id bits of files and all extended attributes but user.* are dropped: containers have no_new_privs and gain
 * nothing from them.
 */
#ifndef IMAGE_UNPACK_H
#define IMAGE_UNPACK_H

#include <stdint.h>

#include "image/erofs_write.h"
#include "image/source.h"

/* Memory for names and metadata: some 250,000 files. */
#define UNPACK_TREE_MAX ((size_t)28 << 20)

struct unpack;

struct unpack_limits {
	uint64_t bytes;   /* of all layers, each file rounded up to 4096 */
	uint64_t entries; /* of all layers */
};

struct unpack_totals {
	uint64_t bytes;
	uint64_t entries;
};

/* Unpacks into an image that put takes from its second block on. -ENOMEM. */
int unpack_new(erofs_write_fn put, void *user, const struct unpack_limits *limits,
	       struct unpack **ret_unpack) MUST_CHECK;
void unpack_free(struct unpack *unpack);
CLEANUP_DEFINE(unpack, struct unpack *, unpack_free)

/*
 * Applies the next layer, an uncompressed tar stream, and reads it to its end. ERR_INVALID or ERR_TOO_LARGE
 * "entry 'NAME': …", the errors of the source and of put. After an error the image is of no use.
 */
int unpack_layer(struct unpack *unpack, source_fn source, void *user, struct err *err) MUST_CHECK;

/* After the last layer: writes the metadata and fills the image's first block. */
int unpack_finish(struct unpack *unpack, struct unpack_totals *ret_totals, uint8_t first[static EROFS_BLOCK],
		  struct err *err) MUST_CHECK;

#endif
