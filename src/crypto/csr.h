/* SPDX-License-Identifier: Apache-2.0 */
/* Requests for certificates (PKCS #10, RFC 2986): the private key stays where it was made. */
#ifndef CRYPTO_CSR_H
#define CRYPTO_CSR_H

#include "crypto/key.h"

#define CRYPTO_CSR_MAX ((size_t)8 * 1024)

/* Appends a request for that subject as PEM, signed by the key. organization may be NULL. */
int crypto_csr_make(const struct crypto_key *key, const char *common_name, const char *organization, struct buf *pem,
		    struct err *err) MUST_CHECK;

struct crypto_csr {
	char common_name[128];
	char organization[128];                 /* empty: none */
	struct crypto_key *key;                 /* the public half alone: signs nothing. Owned */
	uint8_t key_sha256[CRYPTO_SHA256_SIZE]; /* of its SubjectPublicKeyInfo */
};

/*
 * Reads a request, which is one PEM text and nothing else: signed by its own key on P-256, one common name, at most one
 * organization, no other part of a subject, no attributes. ERR_SYNTAX, ERR_INVALID, ERR_TOO_LARGE; ERR_UNKNOWN_PEER for a
 * signature by another key.
 */
int crypto_csr_read(const char *pem, struct crypto_csr *ret_csr, struct err *err) MUST_CHECK;
void crypto_csr_done(struct crypto_csr *csr);

#endif
