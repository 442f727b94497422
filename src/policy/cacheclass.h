/* SPDX-License-Identifier: Apache-2.0 */
/* How an image of a pod may lie in the image store (CACHE-1). */
#ifndef POLICY_CACHECLASS_H
#define POLICY_CACHECLASS_H

#include "policy/domain.h"

/*
 * The strictest class of the domain's rules that match the pod's sub-function (NULL: unmapped, matches every rule on one)
 * or the image; Shared when none does.
 */
enum policy_cache policy_cacheclass_of(const struct policy_domain *domain, const char *subfunction, const char *image);

/* The class an image is kept in: what the policy says, and at least Encrypted when a layer of it arrived encrypted. */
enum policy_cache policy_cacheclass_arrived(enum policy_cache class, bool encrypted);

#endif
