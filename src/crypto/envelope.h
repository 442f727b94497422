/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signed envelope of docs/protocols.md: {"payload","signature","certificate"}. What it carries is opened to a reader
 * only after certificate, purpose and signature were found good; the payload is never parsed here.
 */
#ifndef CRYPTO_ENVELOPE_H
#define CRYPTO_ENVELOPE_H

#include "crypto/certificate.h"

#define CRYPTO_ENVELOPE_TYPE "application/vnd.bulkhead.signed.v1+json"
#define CRYPTO_ENVELOPE_MAX ((size_t)2 << 20)

/* Signs the payload and appends the envelope. certificate_pem is the key's binding certificate, as it was issued. */
int crypto_envelope_seal(const struct crypto_key *key, const char *certificate_pem, const void *payload, size_t len,
			 struct buf *to, struct err *err) MUST_CHECK;

/*
 * Verifies an envelope against the CA and appends its payload; nothing is appended on failure. ERR_TOO_LARGE, ERR_SYNTAX
 * (not exactly the three members, not canonical base64, bytes behind the object), otherwise as crypto_verify.
 */
int crypto_envelope_open(const char *ca_pem, enum crypto_purpose purpose, const void *bytes, size_t len,
			 struct buf *payload, struct err *err) MUST_CHECK;

#endif
