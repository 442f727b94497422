/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "store/engine.h"

#define BATCH 64 /* events handed over between two looks at the ring */

struct store_watch {
	struct store *store;
	char *prefix;
	uint64_t seen; /* id up to which everything was handed over */
	struct ring_listener *listener;
};

static int out_of_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

void store_entry_done(struct store_entry *entry)
{
	free(entry->key);
	free(entry->value);
	*entry = (struct store_entry){0};
}

void store_range_done(struct store_range *range)
{
	for (size_t i = 0; i < range->count; i++)
		store_entry_done(&range->entries[i]);
	free(range->entries);
	*range = (struct store_range){0};
}

static bool is_power_of_two(size_t number)
{
	return (number & (number - 1)) == 0;
}

int store_range_add(struct store_range *range, const struct store_entry *entry, struct err *err)
{
	if (is_power_of_two(range->count)) {
		size_t room = range->count ? range->count * 2 : 1;
		struct store_entry *entries = reallocarray(range->entries, room, sizeof(*entries));

		if (!entries)
			return out_of_memory(err);
		range->entries = entries;
	}
	range->entries[range->count++] = *entry;
	return 0;
}

size_t store_prefix_end(const char *prefix, char end[static STORE_KEY_MAX])
{
	size_t len = strlen(prefix);

	/* The last byte that can grow does. */
	while (len && (unsigned char)prefix[len - 1] == 0xff)
		len--;
	memcpy(end, prefix, len);
	if (len)
		end[len - 1]++;
	return len;
}

int store_conflict(const struct store_compare *compare, bool exists, struct err *err)
{
	if (!compare->mod_revision)
		return err_set(err, ERR_CONFLICT, "key '%s' exists already", compare->key);
	return err_set(err, ERR_CONFLICT, "key '%s' was %s meanwhile", compare->key, exists ? "changed" : "deleted");
}

void store_close(struct store *store)
{
	struct ring *ring;

	if (!store)
		return;
	ring = store->ring;
	store->engine->close(store);
	ring_free(ring);
}

static int check_key(const char *key, struct err *err)
{
	size_t len = strlen(key);

	if (len == 0 || len > STORE_KEY_MAX)
		return err_set(err, ERR_TOO_LARGE, "key of %zu bytes, 1 to %d are allowed", len, STORE_KEY_MAX);
	return 0;
}

static int check_op(const struct store_transaction *transaction, size_t index, struct err *err)
{
	const struct store_op *op = &transaction->ops[index];

	if (op->kind == STORE_PUT && op->value_len > STORE_VALUE_MAX)
		return err_set(err, ERR_TOO_LARGE, "value of key '%s' has %zu bytes, at most %zu are allowed", op->key,
			       op->value_len, STORE_VALUE_MAX);
	for (size_t i = 0; i < index; i++)
		if (str_eq(transaction->ops[i].key, op->key))
			return err_set(err, ERR_INVALID, "transaction changes key '%s' twice", op->key);
	return check_key(op->key, err);
}

static int check_transaction(const struct store_transaction *transaction, struct err *err)
{
	size_t bytes = 0;
	int r = 0;

	if (transaction->compare_count > STORE_OPS_MAX || transaction->op_count > STORE_OPS_MAX)
		return err_set(err, ERR_TOO_LARGE,
			       "transaction of %zu compares and %zu operations, at most %d each are allowed",
			       transaction->compare_count, transaction->op_count, STORE_OPS_MAX);
	for (size_t i = 0; i < transaction->compare_count && r == 0; i++) {
		r = check_key(transaction->compares[i].key, err);
		bytes += strlen(transaction->compares[i].key);
	}
	for (size_t i = 0; i < transaction->op_count && r == 0; i++) {
		r = check_op(transaction, i, err);
		bytes += strlen(transaction->ops[i].key) + transaction->ops[i].value_len;
	}
	if (r == 0 && bytes > STORE_TXN_MAX)
		return err_set(err, ERR_TOO_LARGE, "transaction of %zu bytes, at most %zu are allowed", bytes,
			       STORE_TXN_MAX);
	return r;
}

int store_txn(struct store *store, const struct store_compare *compares, size_t compare_count,
	      const struct store_op *ops, size_t op_count, uint64_t *ret_revision, size_t *ret_failed, struct err *err)
{
	struct store_transaction transaction = {compares, compare_count, ops, op_count};
	uint64_t revision;
	size_t failed = 0;
	int r = check_transaction(&transaction, err);

	if (r < 0)
		return r;
	r = store->engine->txn(store, &transaction, &revision, &failed, err);
	if (r == ERR_CONFLICT && ret_failed)
		*ret_failed = failed;
	if (r == 0 && ret_revision)
		*ret_revision = revision;
	return r;
}

int store_get(struct store *store, const char *key, struct store_entry *ret_entry, struct err *err)
{
	return store->engine->get(store, key, ret_entry, err);
}

int store_list(struct store *store, const char *prefix, const char *after, size_t limit, uint64_t at_revision,
	       struct store_range *ret_range, struct err *err)
{
	struct store_range range = {0};
	int r;

	if (strlen(prefix) > STORE_KEY_MAX || (after && strlen(after) > STORE_KEY_MAX))
		return err_set(err, ERR_TOO_LARGE, "key over %d bytes", STORE_KEY_MAX);
	r = store->engine->list(store, prefix, after, limit, at_revision, &range, err);
	if (r < 0)
		store_range_done(&range);
	else
		*ret_range = range;
	return r;
}

uint64_t store_revision(struct store *store)
{
	return ring_revision(store->ring);
}

int store_future(uint64_t revision, uint64_t newest, struct err *err)
{
	return err_set(err, ERR_INVALID, "revision %llu is in the future, the newest is %llu",
		       (unsigned long long)revision, (unsigned long long)newest);
}

int store_reach(struct store *store, uint64_t revision, struct err *err)
{
	return revision <= store_revision(store) ? 0 : store->engine->reach(store, revision, err);
}

int store_health(struct store *store, struct err *err)
{
	return store->engine->health(store, err);
}

/* Whether the past behind seen is still there. */
static int check_seen(struct store *store, const char *prefix, uint64_t seen, struct err *err)
{
	struct ring_event *event = NULL;
	size_t count = 0;
	uint64_t until;
	int r = 0;

	if (!ring_collect(store->ring, prefix, &seen, 0, &event, &count, &until))
		r = store->engine->history(store, prefix, &seen, until, 0, &event, &count, err);
	return r;
}

int store_watch_open(struct store *store, const char *prefix, uint64_t from_revision, void (*ready)(void *user),
		     void *user, struct store_watch **ret_watch, struct err *err)
{
	struct store_watch *watch;
	uint64_t seen = RING_ID_END(from_revision ? from_revision : store_revision(store));
	int r = strlen(prefix) > STORE_KEY_MAX ? ERR_TOO_LARGE : check_seen(store, prefix, seen, err);

	if (r < 0)
		return r;
	watch = calloc(1, sizeof(*watch));
	if (!watch)
		return out_of_memory(err);
	watch->store = store;
	watch->seen = seen;
	watch->prefix = strdup(prefix);
	watch->listener = watch->prefix ? ring_listen(store->ring, prefix, ready, user) : NULL;
	if (!watch->listener) {
		free(watch->prefix);
		free(watch);
		return out_of_memory(err);
	}
	*ret_watch = watch;
	return 0;
}

void store_watch_close(struct store_watch *watch)
{
	if (!watch)
		return;
	ring_unlisten(watch->store->ring, watch->listener);
	free(watch->prefix);
	free(watch);
}

/* Hands over at most limit events from the ring or, behind it, from history. */
static int next_batch(struct store_watch *watch, size_t limit,
		      void (*each)(void *user, const struct store_event *event), void *user, struct err *err)
{
	struct ring_event *events[BATCH];
	uint64_t seen = watch->seen, until;
	size_t count = 0;
	int r = 0;

	if (!ring_collect(watch->store->ring, watch->prefix, &seen, limit, events, &count, &until))
		r = watch->store->engine->history(watch->store, watch->prefix, &seen, until, limit, events, &count,
						  err);
	if (r < 0)
		return r;
	watch->seen = seen;
	for (size_t i = 0; i < count; i++) {
		each(user, ring_event_get(events[i]));
		ring_event_drop(events[i]);
	}
	return (int)count;
}

int store_watch_next(struct store_watch *watch, size_t limit, void (*each)(void *user, const struct store_event *event),
		     void *user, struct err *err)
{
	size_t total = 0;

	while (total < limit) {
		uint64_t before = watch->seen;
		int count = next_batch(watch, limit - total < BATCH ? limit - total : BATCH, each, user, err);

		if (count < 0)
			return count;
		total += (size_t)count;
		if (count == 0 && watch->seen == before)
			break;
	}
	return (int)total;
}

uint64_t store_watch_position(struct store_watch *watch)
{
	uint64_t revision = RING_REVISION(watch->seen);

	return watch->seen == RING_ID_END(revision) ? revision : revision - 1;
}
