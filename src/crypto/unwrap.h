/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private keys that open what was wrapped for them: RSA of 2048 to 4096 bits (RSAES-OAEP, RFC 8017) and EC keys on P-256,
 * P-384 and P-521 (ECDH, SP 800-56A). In memory here, in a PKCS#11 token by token.h: its keys never leave it.
 */
#ifndef CRYPTO_UNWRAP_H
#define CRYPTO_UNWRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum unwrap_kind { UNWRAP_RSA, UNWRAP_P256, UNWRAP_P384, UNWRAP_P521 };

/* Bytes of an RSA block, of an uncompressed point (04, x, y), of an agreed secret (x). */
#define UNWRAP_RSA_MAX 512
#define UNWRAP_POINT_MAX 133
#define UNWRAP_SECRET_MAX 66

struct unwrap_key;

/* Reads a private key in PEM without a passphrase: PKCS#8, PKCS#1 or SEC1. ERR_SYNTAX, ERR_INVALID for other kinds and sizes. */
int unwrap_key_parse(const char *pem, size_t len, struct unwrap_key **ret_key, struct err *err) MUST_CHECK;

/* A new key on P-256 for one answer. */
int unwrap_key_generate(struct unwrap_key **ret_key, struct err *err) MUST_CHECK;
void unwrap_key_free(struct unwrap_key *key);
CLEANUP_DEFINE(unwrap_key, struct unwrap_key *, unwrap_key_free)

enum unwrap_kind unwrap_key_kind(const struct unwrap_key *key);

/* Bytes of a block of an RSA key, of a coordinate of an EC key. */
size_t unwrap_key_size(const struct unwrap_key *key);

/* The public point of an EC key of memory, uncompressed; its size is 1 + 2 * unwrap_key_size. */
int unwrap_key_point(const struct unwrap_key *key, uint8_t point[static UNWRAP_POINT_MAX], struct err *err) MUST_CHECK;

/* "P-256" and so on, as JWK has it; NULL for RSA. */
const char *unwrap_curve_name(enum unwrap_kind kind);
/* Bytes of a coordinate on the curve. */
size_t unwrap_curve_size(enum unwrap_kind kind);

/*
 * Opens an OAEP block (hash of label and MGF1: SHA-1, or SHA-256). Whatever fails is ERR_DENIED: it was wrapped for another
 * key. *ret_len is at most size.
 */
int unwrap_oaep(const struct unwrap_key *key, bool sha256, const uint8_t *block, size_t len, uint8_t *to, size_t size,
		size_t *ret_len, struct err *err) MUST_CHECK;

/* Agrees on a secret with the owner of a point on the key's curve; ERR_INVALID for what is no such point. */
int unwrap_agree(const struct unwrap_key *key, const uint8_t *point, size_t len,
		 uint8_t secret[static UNWRAP_SECRET_MAX], size_t *ret_len, struct err *err) MUST_CHECK;

#endif
