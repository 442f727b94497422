/* SPDX-License-Identifier: Apache-2.0 */
/* What an engine behind store.h provides. Internal to the folder. */
#ifndef STORE_ENGINE_H
#define STORE_ENGINE_H

#include "store/ring.h"
#include "store/store.h"

struct store_transaction {
	const struct store_compare *compares;
	size_t compare_count;
	const struct store_op *ops;
	size_t op_count;
};

struct store_engine {
	int (*txn)(struct store *store, const struct store_transaction *transaction, uint64_t *ret_revision,
		   size_t *ret_failed, struct err *err);
	int (*get)(struct store *store, const char *key, struct store_entry *ret_entry, struct err *err);
	int (*list)(struct store *store, const char *prefix, const char *after, size_t limit, uint64_t at_revision,
		    struct store_range *ret_range, struct err *err);
	/*
	 * Events of the prefix with ids above *seen and up to `until`, at most limit; *seen becomes the id up to which all is in
	 * them. ERR_EXPIRED when *seen is compacted away. The caller drops the events.
	 */
	int (*history)(struct store *store, const char *prefix, uint64_t *seen, uint64_t until, size_t limit,
		       struct ring_event **ret_events, size_t *ret_count, struct err *err);
	int (*reach)(struct store *store, uint64_t revision, struct err *err); /* one above the ring's */
	int (*health)(struct store *store, struct err *err);
	void (*close)(struct store *store); /* frees the engine's part; the ring is freed by the caller */
};

/* Begins every engine's own struct. */
struct store {
	const struct store_engine *engine;
	struct ring *ring;
};

/* Adds an entry to a range, which owns its key and value from then on; on -ENOMEM the caller still does. */
int store_range_add(struct store_range *range, const struct store_entry *entry, struct err *err) MUST_CHECK;

/* Writes the first byte string behind all that start with the prefix; returns its length, 0 when nothing is behind them. */
size_t store_prefix_end(const char *prefix, char end[static STORE_KEY_MAX]);

/* Says that a revision is none yet: ERR_INVALID. */
int store_future(uint64_t revision, uint64_t newest, struct err *err);

/* Says that a compare did not hold, and whether its key is there: ERR_CONFLICT. */
int store_conflict(const struct store_compare *compare, bool exists, struct err *err);

#endif
