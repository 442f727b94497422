/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON Web Encryption (RFC 7516, flattened and general JSON serialization) with the algorithms of RFC 7518 that ocicrypt
 * uses: RSA-OAEP, RSA-OAEP-256, ECDH-ES+A128KW, +A192KW, +A256KW, and A256GCM for the content.
 */
#ifndef CRYPTO_JWE_H
#define CRYPTO_JWE_H

#include "base/buf.h"
#include "crypto/recipient.h"
#include "crypto/unwrap.h"

#define JWE_BYTES_MAX ((size_t)65536)
#define JWE_PLAIN_MAX ((size_t)32768)
#define JWE_RECIPIENTS_MAX 8

enum jwe_algorithm { JWE_RSA_OAEP, JWE_RSA_OAEP_256, JWE_ECDH_A128KW, JWE_ECDH_A192KW, JWE_ECDH_A256KW };

/* Whom it is wrapped for, and how; an algorithm that is not of the key's kind is refused. */
struct jwe_recipient {
	const struct recipient *key;
	enum jwe_algorithm algorithm;
};

/* What ocicrypt takes for a key: RSA-OAEP, or ECDH-ES+A256KW. */
enum jwe_algorithm jwe_algorithm_of(const struct recipient *key);

/* Encrypts at most JWE_PLAIN_MAX bytes for 1 to JWE_RECIPIENTS_MAX recipients and appends the JSON text. */
int jwe_seal(const struct jwe_recipient *recipients, size_t count, const void *plain, size_t len, struct buf *to,
	     struct err *err) MUST_CHECK;

struct jwe;

/*
 * Reads a JWE strictly: ERR_SYNTAX for what is no JSON object, ERR_INVALID with the member, -EOPNOTSUPP for "zip", "crit",
 * "aad", "unprotected" and for a JWE none of whose recipients has an algorithm of the above, ERR_TOO_LARGE.
 */
int jwe_parse(const char *bytes, size_t len, struct jwe **ret_jwe, struct err *err) MUST_CHECK;
void jwe_free(struct jwe *jwe);
CLEANUP_DEFINE(jwe, struct jwe *, jwe_free)

/* An upper bound of the bytes it decrypts to. */
size_t jwe_plain_max(const struct jwe *jwe);

/*
 * Decrypts with the first of the keys that a recipient is for. ERR_DENIED when none opens it; to is zeroed then. ret_len
 * bytes are written, at most size (ERR_TOO_LARGE). The plain text appears in to alone, nowhere else in memory.
 */
int jwe_open(const struct jwe *jwe, struct unwrap_key *const *keys, size_t key_count, void *to, size_t size,
	     size_t *ret_len, struct err *err) MUST_CHECK;

#endif
