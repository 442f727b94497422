/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an instance asks and is told about the keys of one image of a bound pod (docs/protocols.md, "Image keys"), and
 * whether that lets it start. Payloads only; the signature around the answer and the JWE in it are crypto's.
 */
#ifndef POLICY_KEYGRANT_H
#define POLICY_KEYGRANT_H

#include "base/buf.h"
#include "policy/domain.h"

#define POLICY_KEYREQUEST_MAX ((size_t)3 * 1024 * 1024) /* bytes of a request */
#define POLICY_KEYGRANT_MAX ((size_t)256 * 1024)        /* bytes of an answer's payload */
#define POLICY_KEYGRANT_LAYERS_MAX 128

struct policy_keyrequest {
	char *image;     /* as the ticket names it: host/repository@digest */
	char *recipient; /* base64url of a point on P-256, uncompressed: a key made for the answer alone */
	char *index;     /* base64 of the index that the image's digest is of; NULL when it is the manifest's */
	char *manifest;  /* base64 of the manifest that will run */
};

/* Strictly: every field, nothing unknown. ERR_SYNTAX or ERR_INVALID with the field named. */
int policy_keyrequest_parse(const char *bytes, size_t len, struct policy_keyrequest *ret_request,
			    struct err *err) MUST_CHECK;
int policy_keyrequest_format(const struct policy_keyrequest *request, struct buf *to, struct err *err) MUST_CHECK;
void policy_keyrequest_done(struct policy_keyrequest *request);
#define CLEANUP_POLICY_KEYREQUEST __attribute__((cleanup(policy_keyrequest_done)))

struct policy_keygrant {
	char *uid, *instance; /* the pod, and where it is bound to */
	char *domain;
	char *image;                              /* as in the request */
	char *manifest;                           /* digest of the manifest in the request */
	char *layers[POLICY_KEYGRANT_LAYERS_MAX]; /* digests of its encrypted layers, in its order */
	size_t layer_count;
	int64_t expires_ms;
	char *keys; /* a JWE: the domain's cache key, then for each layer what opens it */
};

int policy_keygrant_parse(const char *bytes, size_t len, struct policy_keygrant *ret_grant, struct err *err) MUST_CHECK;
int policy_keygrant_format(const struct policy_keygrant *grant, struct buf *to, struct err *err) MUST_CHECK;
void policy_keygrant_done(struct policy_keygrant *grant);
#define CLEANUP_POLICY_KEYGRANT __attribute__((cleanup(policy_keygrant_done)))

/* An image that is about to be pulled or started, as the instance sees it. */
struct policy_keygrant_facts {
	const char *uid, *instance, *domain, *image;
	const char *manifest; /* digest of the manifest for the platform that runs, not of another of the index */
	char *const *layers;  /* digests of its encrypted layers, in its order */
	size_t layer_count;
};

/* Whether the class or an encrypted layer makes the image need keys. */
bool policy_keygrant_needed(enum policy_cache class, size_t encrypted_layers);

/*
 * Whether the keys handed over are for this image, for this pod, here: the same question at the first pull and at every start.
 * grant NULL: none was handed over. ERR_DENIED with the domain, the image and the layer. CACHE-4
 */
int policy_keygrant_check(const struct policy_keygrant *grant, const struct policy_keygrant_facts *facts,
			  struct err *err) MUST_CHECK;

#endif
