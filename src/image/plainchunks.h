/* SPDX-License-Identifier: Apache-2.0 */
/* The chunks that a process decrypted last, for the next reads nearby: few, locked in memory, wiped when they go. */
#ifndef IMAGE_PLAINCHUNKS_H
#define IMAGE_PLAINCHUNKS_H

#include "image/seal.h"

#define PLAINCHUNKS_PIECES 10 /* chunks that one read may touch: FUSE asks for 1 MiB at most */

struct plainchunks_piece {
	const uint8_t *bytes;
	size_t len;
	size_t slot;
};

/* Once a process, before it locks its memory. */
int plainchunks_open(struct err *err) MUST_CHECK;

/*
 * What a file (a number of the caller's) has at a place, as pieces that stay until plainchunks_release; fewer bytes at its
 * end. Negative errno with nothing to release. Any number of threads, of which some wait while others hold all chunks.
 */
int plainchunks_read(const struct unseal *unseal, size_t file, uint64_t at, size_t size,
		     struct plainchunks_piece pieces[static PLAINCHUNKS_PIECES], size_t *ret_count) MUST_CHECK;
void plainchunks_release(const struct plainchunks_piece *pieces, size_t count);

/* Wipes what there is of a file, which nobody reads. */
void plainchunks_forget(size_t file);

#endif
