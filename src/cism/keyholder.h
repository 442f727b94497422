/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process that may read the keys of the trust domains (docs/adr/0012-image-keys.md): 'bulkhead-cism hold-keys', started
 * before the service gives up root, without network to serve. It answers one question: open these layers with the keys of
 * that domain, and encrypt what opens them to this key of an instance. No key is ever in the service's own memory.
 */
#ifndef CISM_KEYHOLDER_H
#define CISM_KEYHOLDER_H

#include "base/buf.h"
#include "oci/encryption.h"
#include "oci/manifest.h"

#define KEYHOLDER_WORD "hold-keys"
#define KEYHOLDER_LAYERS_MAX 128

/* The whole main program of that process: descriptor 0 is its channel, 3 the folder etc/bulkhead. */
int keyholder_main(void);

struct keyholder;

/* Starts the process. executable NULL: the running one. etc stays the caller's. */
int keyholder_start(const char *executable, int etc, struct keyholder **ret_holder, struct err *err) MUST_CHECK;
/* Ends it. NULL is accepted. */
void keyholder_stop(struct keyholder *holder);

struct keyholder_question {
	const char *domain;
	const char *recipient; /* base64url of a point on P-256 */
	char digests[KEYHOLDER_LAYERS_MAX][DIGEST_TEXT_SIZE];
	struct encryption layers[KEYHOLDER_LAYERS_MAX]; /* the encrypted ones alone */
	size_t count;
};

/*
 * Asks; blocks, from any thread, one question at a time. Appends the text of a JWE that holds the domain's cache key (32
 * bytes), then LAYERSECRET_PACKED bytes a layer. ERR_DENIED with domain and layer when no key of the domain opens it,
 * ERR_NOT_FOUND when the domain has no keys, ERR_UNAVAILABLE when the process is gone.
 */
int keyholder_ask(struct keyholder *holder, const struct keyholder_question *question, struct buf *jwe,
		  struct err *err) MUST_CHECK;

#endif
