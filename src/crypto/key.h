/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and signatures over OpenSSL: ECDSA P-256 with SHA-256 throughout (TLS, tickets, tokens). */
#ifndef CRYPTO_KEY_H
#define CRYPTO_KEY_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct crypto_key;

int crypto_key_generate(struct crypto_key **ret_key, struct err *err) MUST_CHECK;
/* Reads a PKCS#8 or SEC1 PEM private key. */
int crypto_key_parse(const char *pem, struct crypto_key **ret_key, struct err *err) MUST_CHECK;
/* Appends the private key as PKCS#8 PEM. */
int crypto_key_format(const struct crypto_key *key, struct buf *pem, struct err *err) MUST_CHECK;
void crypto_key_free(struct crypto_key *key);
CLEANUP_DEFINE(crypto_key, struct crypto_key *, crypto_key_free)

#define CRYPTO_SIGNATURE_MAX 128
/* Signs the bytes; DER ECDSA signature. */
int crypto_sign(const struct crypto_key *key, const void *bytes, size_t len,
		uint8_t signature[static CRYPTO_SIGNATURE_MAX], size_t *ret_len, struct err *err) MUST_CHECK;

#define CRYPTO_SHA256_SIZE 32
void crypto_sha256(const void *bytes, size_t len, uint8_t digest[static CRYPTO_SHA256_SIZE]);

/* Fills with bytes nobody can guess; ends the process when the kernel cannot give any. */
void crypto_random(void *bytes, size_t len);

/* Compares in time that does not depend on the contents. */
int crypto_equal(const void *a, const void *b, size_t len) MUST_CHECK;

/* Standard base64 with padding; decode refuses anything else (-EINVAL). */
int crypto_base64(struct buf *to, const void *bytes, size_t len) MUST_CHECK;
int crypto_unbase64(struct buf *to, const char *text, size_t len) MUST_CHECK;
/* The URL alphabet without padding (RFC 4648 section 5), for bearer tokens; as strict. */
int crypto_base64url(struct buf *to, const void *bytes, size_t len) MUST_CHECK;
int crypto_unbase64url(struct buf *to, const char *text, size_t len) MUST_CHECK;

/*
 * Appends a salted password hash, one line of text (scrypt N=2^14 r=8 p=5: 16 MiB and some 0.2 s). The check takes as long:
 * ERR_UNKNOWN_PEER when the password is another, ERR_SYNTAX when the line is no such hash. Passwords have 1 to 1,024 bytes.
 */
int crypto_password_hash(const char *password, struct buf *to, struct err *err) MUST_CHECK;
/* A line that is checked like any other and that no password is known for: what a name without user is compared with. */
int crypto_password_decoy(struct buf *to, struct err *err) MUST_CHECK;
int crypto_password_check(const char *password, const char *hash, struct err *err) MUST_CHECK;

#endif
