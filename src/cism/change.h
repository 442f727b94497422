/* SPDX-License-Identifier: Apache-2.0 */
/* One store transaction in the making: compares and operations that own what they need until the commit. */
#ifndef CISM_CHANGE_H
#define CISM_CHANGE_H

#include <jansson.h>

#include "store/store.h"

struct change {
	struct store_compare compares[STORE_OPS_MAX];
	struct store_op ops[STORE_OPS_MAX];
	size_t compare_count;
	size_t op_count;
	int failed; /* the first error while it was built; commit returns it */
};

/* An empty change. A failed addition is remembered and reported by change_commit, so that additions need no checks. */
void change_init(struct change *change);
void change_done(struct change *change);
#define CLEANUP_CHANGE __attribute__((cleanup(change_done)))

/* The key must last have changed at revision (0: must not exist). The same key twice is taken once. */
void change_compare(struct change *change, const char *key, uint64_t revision);
/* Writes the key: a JSON object, or bytes. */
void change_put(struct change *change, const char *key, const json_t *value);
void change_put_bytes(struct change *change, const char *key, const void *bytes, size_t len);
void change_delete(struct change *change, const char *key);

/* As store_txn. ERR_CONFLICT when a compare did not hold. */
int change_commit(struct change *change, struct store *store, uint64_t *ret_revision, struct err *err) MUST_CHECK;

#endif
