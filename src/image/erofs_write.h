/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes an EROFS image in one pass: the data of files as it comes, each from a block's beginning, then the metadata, and
 * the first block last. What a later layer replaces stays in the image as blocks that no file has.
 */
#ifndef IMAGE_EROFS_WRITE_H
#define IMAGE_EROFS_WRITE_H

#include "image/erofs_format.h"
#include "image/tree.h"

/* Takes the next bytes of the image, from its second block on. Negative errno with err filled. */
typedef int (*erofs_write_fn)(void *user, const void *bytes, size_t len, struct err *err);

struct erofs_write {
	erofs_write_fn put;
	void *user;
	uint64_t at; /* bytes of the image so far, its first block among them */
};

static inline struct erofs_write erofs_write_of(erofs_write_fn put, void *user)
{
	return (struct erofs_write){.put = put, .user = user, .at = EROFS_BLOCK};
}

/* The block that data put next begins at. Call erofs_write_pad before the next file. ERR_TOO_LARGE over 2^32 blocks. */
int erofs_write_block(const struct erofs_write *write, uint32_t *ret_block, struct err *err) MUST_CHECK;
int erofs_write_data(struct erofs_write *write, const void *bytes, size_t len, struct err *err) MUST_CHECK;
int erofs_write_pad(struct erofs_write *write, struct err *err) MUST_CHECK;

/* The most bytes that the extended attributes of one file take. */
#define EROFS_WRITE_XATTRS_MAX 3072u

/* Writes the metadata and fills the first block. Sets the inodes' nid; the tree's links' targets stay as they are. */
int erofs_write_finish(struct erofs_write *write, struct tree *tree, uint8_t first[static EROFS_BLOCK],
		       struct err *err) MUST_CHECK;

#endif
