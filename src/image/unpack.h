/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Puts the layers of an image on top of each other into one folder (OCI image specification 1.1, "Image Layer Filesystem
 * Changeset"). Nothing is ever opened through a link or outside of the folder. Set-user-id and set-group-id bits of files
 * and all extended attributes but user.* are dropped: containers have no_new_privs and gain nothing from them.
 */
#ifndef IMAGE_UNPACK_H
#define IMAGE_UNPACK_H

#include <stdint.h>

#include "image/source.h"

struct unpack;

struct unpack_limits {
	uint64_t bytes;   /* of all layers, each file rounded up to 4096 */
	uint64_t entries; /* of all layers */
};

struct unpack_totals {
	uint64_t bytes;
	uint64_t entries;
};

/* Unpacks into the empty folder root, a descriptor that the caller keeps open. Needs the capability to change owners. */
int unpack_new(int root, const struct unpack_limits *limits, struct unpack **ret_unpack) MUST_CHECK;
void unpack_free(struct unpack *unpack);
CLEANUP_DEFINE(unpack, struct unpack *, unpack_free)

/*
 * Applies the next layer, an uncompressed tar stream, and reads it to its end. ERR_INVALID or ERR_TOO_LARGE
 * "entry 'NAME': …", the source's errors, those of the file system. After an error the folder is of no use.
 */
int unpack_layer(struct unpack *unpack, source_fn source, void *user, struct err *err) MUST_CHECK;

/* After the last layer: sets the times of the folders. */
int unpack_finish(struct unpack *unpack, struct unpack_totals *ret_totals, struct err *err) MUST_CHECK;

#endif
