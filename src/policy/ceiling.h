/* SPDX-License-Identifier: Apache-2.0 */
/* Capabilities: none by default, what a container adds is bounded by its domain's ceiling (ISO-3). */
#ifndef POLICY_CEILING_H
#define POLICY_CEILING_H

#include "policy/domain.h"

/* The number of a capability by Kubernetes' name ("NET_BIND_SERVICE", without CAP_), -ENOENT for others. */
int policy_capability_number(const char *name) MUST_CHECK;
/* The name of a number, NULL for unknown ones. */
const char *policy_capability_name(unsigned number);

/* Adds a capability to a ceiling. ERR_INVALID for unknown names and for those no ceiling may hold (SYS_ADMIN, SYS_MODULE …). */
int policy_ceiling_add(uint64_t *ceiling, const char *name, struct err *err) MUST_CHECK;

/*
 * The set a container gets: what it adds, less what it drops. ERR_DENIED names the capability, the container and the
 * TrustDomain whose ceiling it exceeds; ERR_INVALID an unknown name. "ALL" may only be dropped.
 */
int policy_ceiling_compute(const struct policy_domain *domain, const char *container, const char *const *add,
			   size_t add_count, const char *const *drop, size_t drop_count, uint64_t *ret_set,
			   struct err *err) MUST_CHECK;

#endif
