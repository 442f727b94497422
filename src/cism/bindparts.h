/* SPDX-License-Identifier: Apache-2.0 */
/* What a binding writes beside the ledger: images by digest, the signed ticket, the pod as it is stored. */
#ifndef CISM_BINDPARTS_H
#define CISM_BINDPARTS_H

#include "base/buf.h"
#include "cism/bindfacts.h"
#include "policy/ticket.h"

struct bindparts {
	json_t *pod;                 /* as it will be stored */
	struct policy_ticket ticket; /* borrows domain_spec */
	struct buf envelope;
};
static inline struct bindparts bindparts_of(void)
{
	return (struct bindparts){.envelope = buf_of(STORE_VALUE_MAX)};
}
void bindparts_done(struct bindparts *parts);
#define CLEANUP_BINDPARTS __attribute__((cleanup(bindparts_done)))

/* What the caller knows already, so that the store is not asked. */
struct bindparts_known {
	const char *certificate; /* of the instance, in hexadecimal */
	bool no_policies;        /* there are no ImagePolicies in the rules the decision compares */
};

/*
 * Makes the parts; registries may be asked, each for some seconds. known may be NULL. Errors of registries and policies as
 * tags_resolve() and imagepolicies_verify() have them; ERR_NOT_FOUND when the instance was never seen.
 */
int bindparts_make(struct cism *cism, const struct bindfacts *facts, const struct placement_verdict *chosen,
		   const struct bindparts_known *known, struct bindparts *to, struct err *err) MUST_CHECK;

/* Whether the registry is asked even for images with a digest: what the pod is turns on the repository's name. */
bool bindparts_asks(const struct bindfacts *facts);

#endif
