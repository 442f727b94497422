/* SPDX-License-Identifier: Apache-2.0 */
/* What a pod is, by the platform's map from images to sub-functions; its own label may only agree (PLC-3). */
#ifndef POLICY_SUBFUNCTION_H
#define POLICY_SUBFUNCTION_H

#include "policy/domain.h"

/* What a pod shows of itself. */
struct policy_marks {
	const char *const *images; /* of all its containers */
	size_t image_count;
	const char *namespace;
	const char *account; /* its service account; NULL or empty: "default" */
	const char *label;   /* what it calls its sub-function itself; NULL: nothing */
};

/*
 * The sub-function of a pod. *ret_name is borrowed from the domain, NULL when the pod is unmapped: an image without entry,
 * or with several, or images of several sub-functions. ERR_DENIED when the domain has a map and the label says otherwise;
 * the message names pod's label, image and map.
 */
int policy_subfunction_of(const struct policy_domain *domain, const struct policy_marks *marks, const char **ret_name,
			  struct err *err) MUST_CHECK;

/*
 * Whether a pattern of a TrustDomain matches an image reference: one without '@' is compared with the repository (tag and
 * digest cut off), one with '@' with repository@digest.
 */
bool policy_subfunction_image_matches(const char *pattern, const char *image);

#endif
