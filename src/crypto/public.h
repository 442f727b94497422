/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Public keys of others, with which the signatures of images are verified: ECDSA on P-256, P-384 and P-521, RSA of 2,048 to
 * 8,192 bits (PKCS #1 v1.5), Ed25519. The platform's own signatures are P-256 alone (key.h).
 */
#ifndef CRYPTO_PUBLIC_H
#define CRYPTO_PUBLIC_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "crypto/key.h"

/* The largest signature: RSA of 8,192 bits. */
#define CRYPTO_PUBLIC_SIGNATURE_MAX 1024
/* "sha256:" and the first 16 hexadecimal digits of the key's SHA-256, NUL. */
#define CRYPTO_PUBLIC_NAME_SIZE 24

struct crypto_public; /* any number of threads at a time */

/* Reads PEM with one "PUBLIC KEY" and nothing behind it. ERR_SYNTAX; ERR_INVALID for a key of another kind. */
int crypto_public_parse(const char *pem, size_t len, struct crypto_public **ret_key, struct err *err) MUST_CHECK;
void crypto_public_free(struct crypto_public *key);
CLEANUP_DEFINE(crypto_public, struct crypto_public *, crypto_public_free)

/* What the key is called in sentences: the beginning of the SHA-256 of its SubjectPublicKeyInfo. */
const char *crypto_public_name(const struct crypto_public *key);

/*
 * Verifies a signature over the bytes: SHA-256, and for curves over P-256 also the curve's own hash (SHA-384, SHA-512), which
 * some signers take. ERR_UNKNOWN_PEER.
 */
int crypto_public_verify(const struct crypto_public *key, const void *bytes, size_t len, const uint8_t *signature,
			 size_t signature_len, struct err *err) MUST_CHECK;

/* The same for bytes of which only the SHA-256 is at hand. Ed25519 signs no digests: ERR_UNKNOWN_PEER. */
int crypto_public_verify_digest(const struct crypto_public *key, const uint8_t digest[static CRYPTO_SHA256_SIZE],
				const uint8_t *signature, size_t signature_len, struct err *err) MUST_CHECK;

#endif
