/* SPDX-License-Identifier: Apache-2.0 */
/* The file an image is written into, chunk by chunk, its first block last. */
#ifndef IMAGE_IMAGEFILE_H
#define IMAGE_IMAGEFILE_H

#include <stdint.h>

#include "image/erofs_format.h"

#include "base/cleanup.h"
#include "base/err.h"

#define IMAGEFILE_CHUNK (128u << 10)

struct imagefile;
struct seal;

/* Writes to an empty file, which the caller keeps open; sealed unless seal, which is taken over, is NULL. -ENOMEM. */
int imagefile_new(int fd, struct seal *seal, struct imagefile **ret_file) MUST_CHECK;
void imagefile_free(struct imagefile *file);
CLEANUP_DEFINE(imagefile, struct imagefile *, imagefile_free)

/* An erofs_write_fn whose user is the struct imagefile. */
int imagefile_put(void *file, const void *bytes, size_t len, struct err *err) MUST_CHECK;

/* Writes what is left and the first block. */
int imagefile_finish(struct imagefile *file, const uint8_t first[static EROFS_BLOCK], struct err *err) MUST_CHECK;

#endif
