/* SPDX-License-Identifier: Apache-2.0 */
/* Whether an image's signatures are what an ImagePolicy demands: verified here, decided in policy/imagepolicy.h. */
#ifndef CRYPTO_IMAGETRUST_H
#define CRYPTO_IMAGETRUST_H

#include "policy/imagepolicy.h"

/* Whether every key of the policy can be read. ERR_INVALID names the scope. */
int imagetrust_check_keys(const struct policy_image *policy, struct err *err) MUST_CHECK;

/*
 * Whether the image ("host/repository@digest") meets the demand by one of its signatures; which one is *ret_used, or count for a
 * demand that needs none. ERR_DENIED with a sentence that names image, key and object; ERR_INVALID for a key that cannot be read.
 */
int imagetrust_check(const struct policy_image_demand *demand, const char *image,
		     const struct policy_image_signature *signatures, size_t count, size_t *ret_used,
		     struct err *err) MUST_CHECK;

#endif
