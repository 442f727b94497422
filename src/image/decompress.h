/* SPDX-License-Identifier: Apache-2.0 */
/* Decompression of a layer's stream: plain, gzip (several members too), zstd (several frames, windows up to 32 MiB). */
#ifndef IMAGE_DECOMPRESS_H
#define IMAGE_DECOMPRESS_H

#include <stdint.h>

#include "image/source.h"
#include "oci/media.h"

/* A stream may grow to this many bytes for each of its own, beyond the first DECOMPRESS_FREE: what grows more is a bomb. */
#define DECOMPRESS_RATIO_MAX 200
#define DECOMPRESS_FREE (UINT64_C(64) << 20)

struct decompress;

/* Bytes come from source(user). -ENOMEM. */
int decompress_new(enum media_compression compression, source_fn source, void *user,
		   struct decompress **ret_decompress) MUST_CHECK;
void decompress_free(struct decompress *decompress);
CLEANUP_DEFINE(decompress, struct decompress *, decompress_free)

/*
 * A source_fn whose user is the struct decompress. ERR_INVALID for a stream that is damaged, cut off, or followed by other
 * bytes; ERR_TOO_LARGE for a bomb.
 */
int decompress_read(void *decompress, char *to, size_t size, size_t *ret_len, struct err *err) MUST_CHECK;

#endif
