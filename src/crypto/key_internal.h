/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share about keys; nobody else includes it. */
#ifndef CRYPTO_KEY_INTERNAL_H
#define CRYPTO_KEY_INTERNAL_H

#include <openssl/evp.h>
#include <stdbool.h>

#include "crypto/key.h"

struct crypto_key {
	EVP_PKEY *pkey; /* always a P-256 private key */
};

/* SHA-256, fetched once: a fetch a call contends between threads. Never NULL: ends the process when OpenSSL has none. */
const EVP_MD *crypto_md_sha256(void);

/* Sets err to text and OpenSSL's last word about it, empties OpenSSL's error queue and returns code. */
int crypto_openssl_error(struct err *err, int code, const char *text);

/* An encrypted key has no passphrase here: without this for a callback OpenSSL would ask the terminal. */
int crypto_no_passphrase(char *to, int size, int writing, void *user);

/* Whether the key is an ECDSA key on P-256. */
bool crypto_pkey_is_p256(const EVP_PKEY *pkey);

#endif
