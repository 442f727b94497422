/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys that were handed to this instance for images of its pods: in memory for secrets, each pod's by itself, wiped
 * when the pod goes. They are nowhere else, and the service starts without any. Functions may be called from any thread.
 */
#ifndef CIS_KEYRING_H
#define CIS_KEYRING_H

#include "crypto/layersecret.h"
#include "policy/keygrant.h"

#define KEYRING_CACHE_KEY 32

struct keyring;

int keyring_new(struct keyring **ret_keyring, struct err *err) MUST_CHECK;
/* Wipes all. NULL is accepted. */
void keyring_free(struct keyring *keyring);

/*
 * Opens what a grant carries with the key it was asked for with and keeps it, in place of what was kept for that pod and
 * image. The grant is taken over, also on failure. ERR_DENIED when it is for another key, ERR_INVALID for another length.
 */
int keyring_put(struct keyring *keyring, struct policy_keygrant *grant, struct unwrap_key *key,
		struct err *err) MUST_CHECK;

/* Whether the pod may start the image: policy_keygrant_check with what is kept. Takes microseconds, asks nobody. CACHE-4 */
int keyring_check(struct keyring *keyring, const struct policy_keygrant_facts *facts, struct err *err) MUST_CHECK;

/* The key of the domain's cache, and what opens a layer. The caller wipes them. ERR_DENIED. */
int keyring_cache_key(struct keyring *keyring, const struct policy_keygrant_facts *facts,
		      uint8_t key[static KEYRING_CACHE_KEY], struct err *err) MUST_CHECK;
int keyring_layer(struct keyring *keyring, const struct policy_keygrant_facts *facts, const char *layer,
		  struct layersecret *ret_secret, struct err *err) MUST_CHECK;

/* Wipes what is kept for a pod. */
void keyring_drop(struct keyring *keyring, const char *uid);

/* How many images of pods there are keys for. */
size_t keyring_count(struct keyring *keyring);

#endif
