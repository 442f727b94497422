/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decryption of a layer's stream (ocicrypt, AES_256_CTR_HMAC_SHA256), and its making: AES-256-CTR, and HMAC-SHA256 over the
 * cipher text by the same key. CTR alone lets whoever stores a layer change any bit of it, and the HMAC's verdict comes
 * with the last byte: what was read before counts for nothing until decrypt_finish agreed.
 */
#ifndef IMAGE_DECRYPT_H
#define IMAGE_DECRYPT_H

#include "crypto/layersecret.h"
#include "image/source.h"

struct decrypt;

/* Cipher text comes from source(user). The secret is copied into OpenSSL's contexts, which wipe it. -ENOMEM, -EIO. */
int decrypt_new(const struct layersecret *secret, source_fn source, void *user,
		struct decrypt **ret_decrypt) MUST_CHECK;
void decrypt_free(struct decrypt *decrypt);
CLEANUP_DEFINE(decrypt, struct decrypt *, decrypt_free)

/* A source_fn whose user is the struct decrypt: the layer as compressed. */
int decrypt_read(void *decrypt, char *to, size_t size, size_t *ret_len, struct err *err) MUST_CHECK;

/*
 * Reads what is left, if anything, and tells whether the whole stream was what the owner of the key encrypted: ERR_CORRUPT
 * for another HMAC. Called once, also after an error of whoever read the plain text, for then this is the better reason.
 */
int decrypt_finish(struct decrypt *decrypt, struct err *err) MUST_CHECK;

/*
 * After decrypt_finish: whether the plain layer is the one the private options name by its digest. That is meant to be the
 * digest of the layer as compressed; where skopeo compresses what it encrypts, it is the one of what it compressed. content: the
 * digest of the layer's uncompressed bytes, which the caller has verified, or NULL. ERR_CORRUPT when it is neither.
 */
int decrypt_check(struct decrypt *decrypt, const struct digest *content, struct err *err) MUST_CHECK;

/* After decrypt_finish: the digest of the plain layer as compressed. */
void decrypt_digest(const struct decrypt *decrypt, struct digest *ret_digest);

/* --- the other way --- */

struct encrypt;

/* Makes a key and a nonce for one layer. -ENOMEM, -EIO. */
int encrypt_new(struct encrypt **ret_encrypt) MUST_CHECK;
void encrypt_free(struct encrypt *encrypt);
CLEANUP_DEFINE(encrypt, struct encrypt *, encrypt_free)

/* Encrypts len bytes in place. -EIO. */
int encrypt_update(struct encrypt *encrypt, char *bytes, size_t len) MUST_CHECK;

/* What opens all that was encrypted; the caller wipes it. -EIO. */
int encrypt_finish(struct encrypt *encrypt, struct layersecret *ret_secret) MUST_CHECK;

#endif
