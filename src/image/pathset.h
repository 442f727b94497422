/* SPDX-License-Identifier: Apache-2.0 */
/* A set of paths of bounded memory: 16 bytes of each path's SHA-256. Paths are never taken out. */
#ifndef IMAGE_PATHSET_H
#define IMAGE_PATHSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct pathset {
	uint8_t (*slots)[16]; /* all zero: free */
	size_t capacity;      /* a power of two */
	size_t count, max;
};

/* An empty set for at most max paths; allocates nothing yet. */
static inline struct pathset pathset_of(size_t max)
{
	return (struct pathset){.max = max};
}

void pathset_done(struct pathset *set);

/* Adds the first len bytes of path; *ret_new (may be NULL) tells whether they were not there. -ENOMEM; -EFBIG over the maximum. */
int pathset_add(struct pathset *set, const char *path, size_t len, bool *ret_new) MUST_CHECK;

/* Whether the path is there; -EIO when libcrypto refuses. */
int pathset_has(const struct pathset *set, const char *path, bool *ret_has) MUST_CHECK;

#endif
