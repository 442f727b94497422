/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a pod with a sensitive image keeps what it writes: file systems in memory that is not swapped, instead of folders on
 * disk (CACHE-5). They hold as long as the machine runs, over restarts of the service, and go with the pod.
 */
#ifndef CIS_PODMEMORY_H
#define CIS_PODMEMORY_H

#include <stdint.h>

#include "base/err.h"

/*
 * Puts one over the folder at path, which is made when it is missing, unless it is there already. bytes is the most it may
 * hold. Where the kernel cannot except a tmpfs from swapping (before 6.4) the pages are the container's that writes them,
 * whose swap limit is 0.
 */
int podmemory_open(const char *path, uint64_t bytes, struct err *err) MUST_CHECK;

/* Takes it away with all that is in it. Nothing happens when there is none. */
int podmemory_close(const char *path, struct err *err) MUST_CHECK;

#endif
