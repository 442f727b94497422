/* SPDX-License-Identifier: Apache-2.0 */
/* Time: monotonic for waiting, wall clock for people and certificates. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#include "base/cleanup.h"

/* Nanoseconds since boot; never goes back. */
uint64_t clock_monotonic_ns(void);

/* Milliseconds since 1970, UTC. */
int64_t clock_wall_ms(void);

/* "2026-11-21T20:21:00Z" and NUL. */
#define CLOCK_STAMP_SIZE 21

/* Writes the time as RFC 3339 in UTC with whole seconds, as Kubernetes' metav1.Time has it. Years 1970 to 9999. */
void clock_format(char to[static CLOCK_STAMP_SIZE], int64_t wall_ms);

/* Reads RFC 3339 with 'Z' or an offset and an optional fraction; -EINVAL otherwise. */
int clock_parse(const char *stamp, int64_t *ret_wall_ms) MUST_CHECK;

#endif
