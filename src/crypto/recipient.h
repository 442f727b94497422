/* SPDX-License-Identifier: Apache-2.0 */
/* Public keys that something is wrapped for: the other half of unwrap.h. */
#ifndef CRYPTO_RECIPIENT_H
#define CRYPTO_RECIPIENT_H

#include "crypto/unwrap.h"

struct recipient;

/* Reads a public key or a certificate in PEM. ERR_SYNTAX, ERR_INVALID for other kinds and sizes. */
int recipient_parse(const char *pem, size_t len, struct recipient **ret_recipient, struct err *err) MUST_CHECK;

/* The owner of a point on a curve, uncompressed. ERR_INVALID. */
int recipient_of_point(enum unwrap_kind kind, const uint8_t *point, size_t len, struct recipient **ret_recipient,
		       struct err *err) MUST_CHECK;
void recipient_free(struct recipient *recipient);
CLEANUP_DEFINE(recipient, struct recipient *, recipient_free)

enum unwrap_kind recipient_kind(const struct recipient *recipient);

/* Wraps with RSAES-OAEP into a block of at most UNWRAP_RSA_MAX bytes. */
int recipient_oaep(const struct recipient *recipient, bool sha256, const uint8_t *bytes, size_t len,
		   uint8_t block[static UNWRAP_RSA_MAX], size_t *ret_len, struct err *err) MUST_CHECK;

/* Makes a key pair on the recipient's curve, forgets its private half, yields its point and the secret agreed on. */
int recipient_agree(const struct recipient *recipient, uint8_t point[static UNWRAP_POINT_MAX],
		    uint8_t secret[static UNWRAP_SECRET_MAX], size_t *ret_secret_len, struct err *err) MUST_CHECK;

#endif
