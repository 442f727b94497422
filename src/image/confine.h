/* SPDX-License-Identifier: Apache-2.0 */
/* What the processes that touch an image's bytes take from themselves before they read the first one. */
#ifndef IMAGE_CONFINE_H
#define IMAGE_CONFINE_H

#include <stddef.h>

#include "base/privilege.h"

struct confine {
	enum privilege_part part;
	const char *const *calls; /* system calls; every other fails with EPERM */
	size_t call_count;
	size_t memory; /* bytes of private memory */
};

/*
 * Leaves the calling process with the user id of its part, the capability to lock memory alone, an empty folder as its file
 * system, no network, no core, all of its memory locked, and the system calls it names. Descriptors that are open stay.
 * -EPERM when it is not started as root.
 */
int confine_self(const struct confine *confine, struct err *err) MUST_CHECK;

#endif
