/* SPDX-License-Identifier: Apache-2.0 */
/* How an image is to lie in the store, and what opens it: handed over with a pull, for one trust domain. */
#ifndef IMAGE_PROTECTION_H
#define IMAGE_PROTECTION_H

#include "base/buf.h"
#include "crypto/layersecret.h"
#include "oci/manifest.h"
#include "policy/domain.h"

#define IMAGE_DOMAIN_KEY_SIZE 32

/* Borrowed for the call; whoever hands it over wipes it. */
struct image_protection {
	enum policy_cache class; /* how the policy wants it kept; a layer that arrives encrypted makes it stricter */
	const char *domain;      /* the trust domain whose containers may use it */
	const uint8_t *key;      /* the domain's key, IMAGE_DOMAIN_KEY_SIZE bytes; NULL: it has none */
};

/* The documents of an image as the registry gave them, verified by digest, for the platform that runs. */
struct image_documents {
	const struct buf *index; /* NULL: the image's digest is the manifest's */
	const struct buf *manifest_bytes;
	const struct manifest *manifest; /* the same, read */
};

/*
 * Decides whether the image may be used, and fills in what the request's protection points to. Called before a byte of a layer is
 * asked for, and before an image is handed out that lies in the store: each start needs what the first pull needed.
 */
typedef int (*image_grant_fn)(void *user, const struct image_documents *documents, struct err *err);

/*
 * Opens the annotations of an encrypted layer with the keys of the domain. Called once a layer, before its first byte is
 * asked for. ERR_DENIED when no key opens it; the message needs no name of the layer.
 */
typedef int (*image_unwrap_fn)(void *user, const struct descriptor *layer, struct layersecret *ret_secret,
			       struct err *err);

#endif
