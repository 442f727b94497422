/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of containers that ask for none. */
#ifndef RUNTIME_BOUNDS_DEFAULTS_H
#define RUNTIME_BOUNDS_DEFAULTS_H

#include "runtime/bounds.h"

/* What the machine has: its processors and memory, the most process ids. */
void bounds_defaults_machine(struct runtime_ceiling_machine *machine);

/*
 * A copy of the configuration with the limits it lacks, for json_decref; NULL when it lacks none. What the machine cannot
 * set, or what is limited above the container's group already, gets none unless a ceiling file asks for it.
 */
int bounds_defaults_limits(struct bounds *bounds, const struct spec *spec, json_t **ret_config,
			   struct err *err) MUST_CHECK;

/* A quota in thousandths of a processor, rounded up. A period that is not set is the kernel's own. */
uint64_t bounds_defaults_share(int64_t quota, int64_t period);

/*
 * The quota that thousandths of a processor are. The period, 0 when it is not set, is changed where the kernel would not
 * take it or the quota: that is a millisecond at least.
 */
int64_t bounds_defaults_quota(uint64_t share, int64_t *period);

/* A member of an object, made when it is not there; NULL without memory or when it is something else. */
json_t *bounds_defaults_object(json_t *object, const char *name);

#endif
