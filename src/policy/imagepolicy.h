/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which keys must have signed which images: ImagePolicy (trust.bulkhead.dev/v1), in the syntax of containers-policy.json(5).
 * Images are judged as they are started, "host/repository@digest". No cryptography here: who calls tells which signatures hold
 * by which key (crypto/imagetrust.h), and gets a decision and one sentence.
 */
#ifndef POLICY_IMAGEPOLICY_H
#define POLICY_IMAGEPOLICY_H

#include "base/buf.h"
#include "policy/fields.h"

#define POLICY_IMAGE_POLICIES_MAX 256                   /* objects in a cluster */
#define POLICY_IMAGE_SCOPES_MAX 1024                    /* of an object */
#define POLICY_IMAGE_REQUIREMENTS_MAX 16                /* of a scope */
#define POLICY_IMAGE_KEYS_MAX 16                        /* of a requirement */
#define POLICY_IMAGE_KEY_MAX ((size_t)4096)             /* base64 of a key in PEM */
#define POLICY_IMAGE_DEMANDS_MAX 64                     /* on one image, by all policies */
#define POLICY_IMAGE_SIGNATURES_MAX 64                  /* of one image that are looked at */
#define POLICY_IMAGE_SIGNATURE_MAX ((size_t)352 * 1024) /* base64 of one */

enum policy_image_kind {
	POLICY_IMAGE_ACCEPT, /* insecureAcceptAnything */
	POLICY_IMAGE_REJECT, /* reject */
	POLICY_IMAGE_SIGNED, /* sigstoreSigned */
};

/* What the image named in a signature must be. */
enum policy_image_identity {
	POLICY_IMAGE_SAME_REPOSITORY,  /* matchRepository, matchRepoDigestOrExact: the repository it is started from */
	POLICY_IMAGE_EXACT_REFERENCE,  /* exactReference: this text */
	POLICY_IMAGE_EXACT_REPOSITORY, /* exactRepository: this repository */
	POLICY_IMAGE_REMAPPED,         /* remapIdentity: the repository with its prefix exchanged */
	POLICY_IMAGE_ANY,              /* matchDigest, an addition to the syntax: the signature need not name one */
};

struct policy_image_requirement {
	enum policy_image_kind kind;
	char **keys; /* base64 of PEM; a signature by one of them is enough */
	size_t key_count;
	enum policy_image_identity identity;
	char *wanted;        /* of the exact ones; the prefix to exchange */
	char *signed_prefix; /* what it is exchanged for */
	json_t *json;        /* the requirement as it was read */
};

/* Parses one requirement; path begins the messages. ERR_INVALID with the field named. */
int policy_image_requirement_parse(const json_t *json, const char *path, struct policy_image_requirement *ret,
				   struct err *err) MUST_CHECK;
void policy_image_requirement_done(struct policy_image_requirement *requirement);

struct policy_image_scope {
	char *name; /* "" for all */
	struct policy_image_requirement *requirements;
	size_t count;
};

struct policy_image {
	char *name;
	struct policy_names domains;        /* trust domains it is for; none: for all */
	struct policy_image_scope fallback; /* "default" */
	struct policy_image_scope *scopes;  /* "transports": {"docker": …} */
	size_t scope_count;
};

/* Parses an ImagePolicy object, strictly: nothing unknown passes. ERR_INVALID with the field named. Freed by the caller. */
int policy_image_parse(const json_t *object, struct policy_image **ret_policy, struct err *err) MUST_CHECK;
void policy_image_free(struct policy_image *policy);
CLEANUP_DEFINE(policy_image, struct policy_image *, policy_image_free)

/*
 * What the policy demands of an image in a trust domain: the requirements of the narrowest scope, all of which must be met.
 * Scopes from narrow to wide: "host/repository@digest", "host/repository", "host/part", "host", "*.domain", "", default. NULL
 * when the policy is not for the domain.
 */
const struct policy_image_scope *policy_image_find(const struct policy_image *policy, const char *domain,
						   const char *image);

/* What one policy demands of an image, and a signature of it as it was found: how both travel in a ticket. */
struct policy_image_demand {
	char *policy;
	struct policy_image_requirement requirement;
};
struct policy_image_signature {
	char *bytes;     /* base64 of the payload, or of the bundle */
	char *signature; /* base64 of the payload's signature; NULL for a bundle */
};

/* A signature that holds by one of a requirement's keys, and what it says. */
struct policy_image_claim {
	const char *key;      /* how the key is called */
	const char *digest;   /* "sha256:…" */
	const char *identity; /* "host/repository[:tag]", "" */
};

struct policy_image_evidence {
	const char *keys; /* how the requirement's keys are called: "key 'sha256:…'" */
	size_t found;     /* signatures of the image that were looked at */
	const struct policy_image_claim *claims;
	size_t count;
};

/* Whether the claim is what the requirement asks of an image. */
bool policy_image_claim_fits(const struct policy_image_requirement *requirement, const char *image,
			     const struct policy_image_claim *claim);

/*
 * Whether the image meets one requirement of the policy of that name. ERR_DENIED with a sentence that names image, key and
 * object, and a hint. evidence may be NULL for requirements without keys.
 */
int policy_image_decide(const struct policy_image_requirement *requirement, const char *policy, const char *image,
			const struct policy_image_evidence *evidence, struct err *err) MUST_CHECK;

#endif
