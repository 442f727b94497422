/* SPDX-License-Identifier: Apache-2.0 */
/* The capability sets of the process that will run the container's program. Sets are bit masks, bit n: capability n. */
#ifndef SANDBOX_CAPABILITY_H
#define SANDBOX_CAPABILITY_H

#include <stdint.h>

#include "base/err.h"

struct capability_sets {
	uint64_t bounding;
	uint64_t permitted;
	uint64_t effective;
	uint64_t ambient;
};

/*
 * What a process may really get out of what was asked: permitted within bounding, effective and ambient within
 * permitted. The inheritable set is not asked for: it equals ambient, as the kernel demands, and is else empty.
 */
struct capability_sets capability_compute(const struct capability_sets *asked);

/* First half, before the user changes: cuts the bounding set, clears ambient, keeps permitted over setresuid. */
int capability_prepare(const struct capability_sets *sets, struct err *err) MUST_CHECK;

/*
 * Second half, after the user changed: sets exactly these sets and locks the secure bits: no further ambient, setuid
 * keeps dropping capabilities, and for a uid other than 0 root's privilege is off for good.
 */
int capability_apply(const struct capability_sets *sets, uint32_t uid, struct err *err) MUST_CHECK;

#endif
