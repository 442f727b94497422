/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private keys in a PKCS#11 token, named by a URI of RFC 7512: what is wrapped is opened in the token, the key never leaves
 * it. The URI needs the query attribute module-path, and pin-source (a file) or pin-value where the token wants a PIN.
 * Not thread-safe, and not for use on both sides of a fork.
 */
#ifndef CRYPTO_TOKEN_H
#define CRYPTO_TOKEN_H

#include "crypto/unwrap.h"

/*
 * Opens the one private key that a URI names; freed by unwrap_key_free. ERR_SYNTAX for what is no such URI, ERR_NOT_FOUND,
 * ERR_DENIED when the token refuses the PIN, ERR_UNAVAILABLE with the token's code otherwise. RSA keys do SHA-256 where
 * the token has that.
 */
int token_key_open(const char *uri, struct unwrap_key **ret_key, struct err *err) MUST_CHECK;

#endif
