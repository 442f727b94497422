/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of JWE share: names and key derivation. Included by jwe.c and jwe_seal.c alone. */
#ifndef CRYPTO_JWE_INTERNAL_H
#define CRYPTO_JWE_INTERNAL_H

#include "crypto/jwe.h"

#define JWE_CEK_SIZE 32
#define JWE_IV_SIZE 12
#define JWE_TAG_SIZE 16
/* Of apu and apv, decoded. */
#define JWE_PARTY_MAX 128

struct jwe_algorithm_row {
	const char *name;
	bool ecdh;
	bool sha256;       /* of RSA-OAEP */
	size_t wrap_bytes; /* of the key that wraps, of ECDH */
};

const struct jwe_algorithm_row *jwe_algorithm_row(enum jwe_algorithm algorithm);
/* -EINVAL for names that have none. */
int jwe_algorithm_find(const char *name, enum jwe_algorithm *ret_algorithm) MUST_CHECK;

struct jwe_party {
	uint8_t bytes[JWE_PARTY_MAX];
	size_t len;
};

/* Concat KDF of SP 800-56A as RFC 7518, section 4.6.2, has it; one round, for at most 32 bytes. -EIO. */
int jwe_derive(const struct jwe_algorithm_row *row, const uint8_t *secret, size_t secret_len,
	       const struct jwe_party *apu, const struct jwe_party *apv, uint8_t key[static 32]) MUST_CHECK;

/* AES key wrap (RFC 3394) of a content key, or back. -EIO; back: -EINVAL when the check value is not there. */
int jwe_wrap(const uint8_t *key, size_t key_len, const uint8_t cek[static JWE_CEK_SIZE],
	     uint8_t to[static JWE_CEK_SIZE + 8]) MUST_CHECK;
int jwe_unwrap(const uint8_t *key, size_t key_len, const uint8_t from[static JWE_CEK_SIZE + 8],
	       uint8_t cek[static JWE_CEK_SIZE]) MUST_CHECK;

#endif
