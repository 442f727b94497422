/* SPDX-License-Identifier: Apache-2.0 */
/* What a pod asks for, read out of its object. Pure: used at admission and again at the binding. */
#ifndef CISM_PODFACTS_H
#define CISM_PODFACTS_H

#include <jansson.h>

#include "policy/domain.h"

#define PODFACTS_CONTAINERS_MAX 64

/* Zeroed to begin with. */
struct podfacts_walk {
	size_t list, index;
	char path[64]; /* of the container just given: "spec.containers[0]" */
};
/* The next container of the pod, init containers first; NULL at the end. */
json_t *podfacts_next(const json_t *pod, struct podfacts_walk *walk);

/* The images of its containers; borrowed. Returns how many (at most PODFACTS_CONTAINERS_MAX). */
size_t podfacts_images(const json_t *pod, const char *images[static PODFACTS_CONTAINERS_MAX]);

/* What it requests: the sum over containers, or the largest init container where that is more. ERR_INVALID names the field. */
int podfacts_requests(const json_t *pod, int64_t *ret_cpu_milli, int64_t *ret_memory_bytes, struct err *err) MUST_CHECK;

/* Its sub-function by the domain's map; NULL: unmapped. ERR_DENIED when its label says otherwise. */
int podfacts_subfunction(const json_t *pod, const struct policy_domain *domain, const char **ret_name,
			 struct err *err) MUST_CHECK;

/* Whether the domain allows what the pod asks for: isolation class, sub-function label, cache classes, capabilities. */
int podfacts_allowed(const json_t *pod, const struct policy_domain *domain, struct err *err) MUST_CHECK;

#endif
