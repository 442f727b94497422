/* SPDX-License-Identifier: Apache-2.0 */
/* When which revision was the newest: what the bounds of the past are measured by. Internal to the folder, not thread-safe. */
#ifndef STORE_MARKS_H
#define STORE_MARKS_H

#include "store/store.h"

#define MARKS_MAX 256

struct mark {
	uint64_t ms, revision, bytes;
};

struct marks {
	struct store_history limits;
	struct mark marks[MARKS_MAX];
	size_t first, count;
};

/* No marks; zero members of limits (may be NULL) take the defaults that store.h names. */
void marks_init(struct marks *marks, const struct store_history *limits);

/* Notes that revision was the newest at now_ms, after so many bytes of values in all, unless the last mark is close. */
void marks_note(struct marks *marks, uint64_t now_ms, uint64_t revision, uint64_t bytes);

/* Up to which revision the past is to be forgotten, 0: nothing. */
uint64_t marks_target(const struct marks *marks, uint64_t now_ms, uint64_t revision, uint64_t bytes);

#endif
