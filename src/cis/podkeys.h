/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether a pod may use an image, and with which keys: asked by the image store at the first pull and at every start alike,
 * once the manifest of the platform that runs is known. Keys come from the CISM, for this pod and this image (docs/adr/0012).
 */
#ifndef CIS_PODKEYS_H
#define CIS_PODKEYS_H

#include "cis/cis.h"
#include "policy/keygrant.h"

struct podkeys {
	const struct pod *pod;
	const struct http_client_config *client;
	const char *image;
	struct image_protection protection; /* for the request; filled in by podkeys_grant */
	struct policy_keygrant_facts facts;
	char manifest[DIGEST_TEXT_SIZE];
	char *layers[POLICY_KEYGRANT_LAYERS_MAX]; /* digests of the encrypted ones; point into texts */
	char texts[POLICY_KEYGRANT_LAYERS_MAX][DIGEST_TEXT_SIZE];
	uint8_t *cache_key; /* memory for secrets, or NULL */
};

/* Readies it for one image of a pod and puts it into the request. podkeys_done wipes it once the image is there. */
int podkeys_init(struct podkeys *keys, const struct pod *pod, const struct http_client_config *client,
		 struct image_request *request, struct err *err) MUST_CHECK;
void podkeys_done(struct podkeys *keys);
#define CLEANUP_PODKEYS __attribute__((cleanup(podkeys_done)))

#endif
