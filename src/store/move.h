/* SPDX-License-Identifier: Apache-2.0 */
/* Moving all keys of one store to another. */
#ifndef STORE_MOVE_H
#define STORE_MOVE_H

#include "store/store.h"

/* Stands in the target while keys are on their way: whoever serves from a store in which it is would serve half of it. */
#define MOVE_KEY "/moving"

struct move_report {
	size_t keys;
	uint64_t bytes;  /* of keys and values */
	char sha256[65]; /* of all keys and values in order, the same in both stores */
};

/*
 * Copies every key and its value (not its revisions) and compares both by counting and digest. Nobody may write to either
 * meanwhile. What one process holds while it runs (/leader/) stays behind. ERR_EXISTS when the target has keys already; one
 * in which a move was cut off is filled anew. ERR_CORRUPT when they differ afterwards.
 */
int move_store(struct store *from, struct store *to, struct move_report *ret_report, struct err *err) MUST_CHECK;

/* Whether a move into the store has not come to its end: ERR_BUSY with what to do. */
int move_check(struct store *store, struct err *err) MUST_CHECK;

#endif
