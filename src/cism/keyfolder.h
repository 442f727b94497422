/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of the trust domains as an operator lays them down: etc/bulkhead/keys/DOMAIN/, root's alone, with
 *
 *	NAME.pem      a private key that images are encrypted for: RSA, P-256, P-384, P-521
 *	NAME.pkcs11   the URI of such a key in a token (RFC 7512)
 *	NAME.pin      a PIN that a URI names as pin-source; not read here
 *	cache.key     base64 of the 32 bytes that protect the domain's images in the caches of instances, or
 *	cache.jwe     the same 32 bytes as a JWE for one of the private keys
 *
 * Read anew for each question, so that what was removed is gone. CACHE-4
 */
#ifndef CISM_KEYFOLDER_H
#define CISM_KEYFOLDER_H

#include "crypto/unwrap.h"

#define KEYFOLDER_PATH "keys"
#define KEYFOLDER_KEYS_MAX 16
#define KEYFOLDER_CACHE_KEY 32

struct keyfolder {
	struct unwrap_key *keys[KEYFOLDER_KEYS_MAX];
	size_t key_count;
	uint8_t cache_key[KEYFOLDER_CACHE_KEY];
};

/*
 * Reads the keys of a domain below the folder etc. ERR_NOT_FOUND, ERR_DENIED for a file that others than root could have
 * read or written, ERR_INVALID, ERR_SYNTAX; the message names the file. The caller ends with keyfolder_done.
 */
int keyfolder_read(int etc, const char *domain, struct keyfolder *ret_folder, struct err *err) MUST_CHECK;

/* Wipes it. */
void keyfolder_done(struct keyfolder *folder);
#define CLEANUP_KEYFOLDER __attribute__((cleanup(keyfolder_done)))

#endif
