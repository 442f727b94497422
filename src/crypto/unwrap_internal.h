/* SPDX-License-Identifier: Apache-2.0 */
/* What keys of memory and keys of a token have in common; included by unwrap.c, recipient.c and token.c alone. */
#ifndef CRYPTO_UNWRAP_INTERNAL_H
#define CRYPTO_UNWRAP_INTERNAL_H

#include <openssl/evp.h>

#include "crypto/unwrap.h"

struct unwrap_operations {
	int (*oaep)(const struct unwrap_key *key, bool sha256, const uint8_t *block, size_t len, uint8_t *to,
		    size_t size, size_t *ret_len, struct err *err);
	int (*agree)(const struct unwrap_key *key, const uint8_t *point, size_t len, uint8_t *secret, size_t *ret_len,
		     struct err *err);
	void (*free)(struct unwrap_key *key);
};

/* The first member of each kind's own structure. */
struct unwrap_key {
	const struct unwrap_operations *operations;
	enum unwrap_kind kind;
	size_t size; /* of a block or a coordinate, bytes */
};

/* Which kind an OpenSSL key is, private or public; ERR_INVALID for one that is none. */
int unwrap_kind_of(const EVP_PKEY *pkey, enum unwrap_kind *ret_kind, size_t *ret_size, struct err *err) MUST_CHECK;

/* A public key on a curve from its point; ERR_INVALID when it is not on the curve. */
int unwrap_point_parse(enum unwrap_kind kind, const uint8_t *point, size_t len, EVP_PKEY **ret_pkey,
		       struct err *err) MUST_CHECK;

/* ECDH with OpenSSL keys. */
int unwrap_derive(EVP_PKEY *own, EVP_PKEY *peer, uint8_t secret[static UNWRAP_SECRET_MAX], size_t *ret_len,
		  struct err *err) MUST_CHECK;

#endif
