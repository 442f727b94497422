/* SPDX-License-Identifier: Apache-2.0 */
/* Content digests of the OCI image specification ("Digests"): sha256 and sha512, whole or over a stream. */
#ifndef OCI_DIGEST_H
#define OCI_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum digest_algorithm { DIGEST_SHA256, DIGEST_SHA512 };

#define DIGEST_BYTES_MAX 64
/* "sha512:", 128 hexadecimal digits, NUL. */
#define DIGEST_TEXT_SIZE 136

struct digest {
	enum digest_algorithm algorithm;
	uint8_t bytes[DIGEST_BYTES_MAX]; /* the first 32 count for sha256 */
};

/* Reads "sha256:" or "sha512:" and exactly the right number of lower-case hexadecimal digits; ERR_INVALID otherwise. */
int digest_parse(const char *text, struct digest *ret_digest, struct err *err) MUST_CHECK;

/* Writes "algorithm:hex" and NUL. */
void digest_format(const struct digest *digest, char to[static DIGEST_TEXT_SIZE]);

/* "sha256" or "sha512". */
const char *digest_algorithm_name(enum digest_algorithm algorithm);

/* The hexadecimal part alone, and NUL: a file name. */
void digest_hex(const struct digest *digest, char to[static DIGEST_TEXT_SIZE]);

bool digest_equal(const struct digest *a, const struct digest *b);

/* The digest of bytes at hand. -ENOMEM, or -EIO when libcrypto refuses. */
int digest_of(enum digest_algorithm algorithm, const void *bytes, size_t len, struct digest *ret_digest) MUST_CHECK;

/* ERR_CORRUPT "digest is X, not Y" when the bytes are not those of the digest. */
int digest_verify(const struct digest *expected, const void *bytes, size_t len, struct err *err) MUST_CHECK;

/* A digest that grows with a stream. One thread at a time. */
struct digest_stream;

int digest_stream_new(enum digest_algorithm algorithm, struct digest_stream **ret_stream) MUST_CHECK;
void digest_stream_free(struct digest_stream *stream);
CLEANUP_DEFINE(digest_stream, struct digest_stream *, digest_stream_free)

/* -EIO when libcrypto refuses. */
int digest_stream_update(struct digest_stream *stream, const void *bytes, size_t len) MUST_CHECK;

/* The digest of all that was fed; the stream takes nothing more. */
int digest_stream_finish(struct digest_stream *stream, struct digest *ret_digest) MUST_CHECK;

/* Finishes and compares: ERR_CORRUPT as digest_verify. */
int digest_stream_verify(struct digest_stream *stream, const struct digest *expected, struct err *err) MUST_CHECK;

#endif
