/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What opens one encrypted layer: ocicrypt's public options, which stand in an annotation, and private options, which are
 * what its JWE holds. One cipher is known, AES_256_CTR_HMAC_SHA256.
 */
#ifndef CRYPTO_LAYERSECRET_H
#define CRYPTO_LAYERSECRET_H

#include "base/buf.h"
#include "crypto/unwrap.h"
#include "oci/digest.h"
#include "oci/encryption.h"

/* Bytes of either options as JSON. */
#define LAYERSECRET_OPTIONS_MAX ((size_t)4096)

struct layersecret {
	uint8_t key[32];      /* of AES-256-CTR and of the HMAC */
	uint8_t nonce[16];    /* the first counter block */
	uint8_t hmac[32];     /* HMAC-SHA256 over the cipher text, from the public options */
	struct digest digest; /* of the plain layer as compressed */
};

/* Reads the public options (base64 of JSON) into ->hmac. ERR_INVALID, -EOPNOTSUPP for another cipher. */
int layersecret_public(const struct encryption_text *options, struct layersecret *to, struct err *err) MUST_CHECK;

/* Reads the private options (JSON) into all but ->hmac. The text is the caller's to wipe; jansson's
 * own copies stay in freed memory: what opens layers is a process that ends with its answer. */
int layersecret_private(const char *text, size_t len, struct layersecret *to, struct err *err) MUST_CHECK;

/*
 * Both, with the first of the keys that opens one of the layer's packets. ERR_DENIED when none does; a packet that cannot
 * be read is an error even if another opens.
 */
int layersecret_open(const struct encryption *encryption, struct unwrap_key *const *keys, size_t key_count,
		     struct layersecret *ret_secret, struct err *err) MUST_CHECK;

/* Appends the options as JSON: what layersecret_public and layersecret_private read. */
int layersecret_format_public(const struct layersecret *secret, struct buf *to) MUST_CHECK;
int layersecret_format_private(const struct layersecret *secret, struct buf *to) MUST_CHECK;

/* As bytes of one length, for what is handed over encrypted. */
#define LAYERSECRET_PACKED 145
void layersecret_pack(const struct layersecret *secret, uint8_t to[static LAYERSECRET_PACKED]);
/* ERR_INVALID for an algorithm of the digest that is none. */
int layersecret_unpack(const uint8_t from[static LAYERSECRET_PACKED], struct layersecret *ret_secret) MUST_CHECK;

#endif
