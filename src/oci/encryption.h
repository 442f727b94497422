/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The annotations of an encrypted layer (ocicrypt): "org.opencontainers.image.enc.pubopts", and for each way keys are
 * wrapped one of "org.opencontainers.image.enc.keys.SCHEME" with one or several packets, comma between them. Text only;
 * what the packets say is read by crypto/layercipher.h.
 */
#ifndef OCI_ENCRYPTION_H
#define OCI_ENCRYPTION_H

#include <stddef.h>

#include <jansson.h>

#include "base/err.h"

/* The most packets of a layer, and the most bytes of one, or of the public options, in base64. */
#define ENCRYPTION_PACKETS_MAX 8
#define ENCRYPTION_TEXT_MAX 65536

#define ENCRYPTION_PUBLIC "org.opencontainers.image.enc.pubopts"
#define ENCRYPTION_KEYS "org.opencontainers.image.enc.keys."
#define ENCRYPTION_KEYS_JWE ENCRYPTION_KEYS "jwe"

struct encryption_text {
	const char *at; /* base64 inside of the annotation: not terminated */
	size_t len;
};

struct encryption {
	struct encryption_text public_options;
	struct encryption_text packets[ENCRYPTION_PACKETS_MAX]; /* each a JWE */
	size_t packet_count;                                    /* at least 1 */
};

/*
 * Reads the annotations of a layer whose media type ends with "+encrypted" (NULL: it has none); the texts live as long as
 * they. Other schemes beside jwe are passed over. ERR_INVALID names the annotation; -EOPNOTSUPP names the schemes when jwe
 * is not among them (pgp, pkcs7, pkcs11, provider.NAME).
 */
int encryption_read(const json_t *annotations, struct encryption *ret_encryption, struct err *err) MUST_CHECK;

#endif
