/* SPDX-License-Identifier: Apache-2.0 */
/* All ImagePolicies: what they demand of an image, and whether its signatures in the registry meet that. */
#ifndef CISM_IMAGEPOLICIES_H
#define CISM_IMAGEPOLICIES_H

#include "cism/cism.h"
#include "policy/imagepolicy.h"
#include "policy/ticket.h"

struct imagepolicies {
	struct policy_image **items;
	size_t count;
};

/* ERR_INVALID names an object that cannot be read: without it nothing can be decided, so that nothing is started. */
int imagepolicies_read(struct cism *cism, struct imagepolicies *ret_policies, struct err *err) MUST_CHECK;
void imagepolicies_done(struct imagepolicies *policies);
#define CLEANUP_IMAGEPOLICIES __attribute__((cleanup(imagepolicies_done)))

/*
 * Verifies the pull's image ("host/repository@digest") for a trust domain: fills the pull's demands, and of the signatures that
 * its registry has those that meet them. ERR_DENIED with the sentence; ERR_UNAVAILABLE.
 */
int imagepolicies_verify(struct cism *cism, const struct imagepolicies *policies, const char *domain,
			 struct policy_pull *pull, struct err *err) MUST_CHECK;

#endif
