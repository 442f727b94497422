/* SPDX-License-Identifier: Apache-2.0 */
#include "store/move.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "crypto/key.h"

#define PAGE 50
#define BATCH_BYTES (STORE_TXN_MAX / 2)

static bool stays(const char *key)
{
	return str_eq(key, MOVE_KEY) || str_starts(key, "/leader/");
}

/* Calls each for every entry that moves, all as of one revision. */
static int walk(struct store *store, int (*each)(void *user, const struct store_entry *entry, struct err *err),
		void *user, struct err *err)
{
	char after[STORE_KEY_MAX + 1] = "";
	uint64_t revision = 0;
	bool more = true;
	int r = 0;

	while (r == 0 && more) {
		CLEANUP_STORE_RANGE struct store_range range = {0};

		r = store_list(store, "", after[0] ? after : NULL, PAGE, revision, &range, err);
		for (size_t i = 0; r == 0 && i < range.count; i++)
			if (!stays(range.entries[i].key))
				r = each(user, &range.entries[i], err);
		if (r == 0 && range.count)
			r = str_copy(after, sizeof(after), range.entries[range.count - 1].key);
		revision = range.revision;
		more = range.more;
	}
	return r;
}

/* --- counting --- */

struct count {
	struct move_report report;
	uint8_t chain[2 * CRYPTO_SHA256_SIZE]; /* the digest so far, then that of the next key or value */
};

static void add_to_chain(struct count *count, const void *bytes, size_t len)
{
	crypto_sha256(bytes, len, count->chain + CRYPTO_SHA256_SIZE);
	crypto_sha256(count->chain, sizeof(count->chain), count->chain);
	count->report.bytes += len;
}

static int count_entry(void *user, const struct store_entry *entry, struct err *err)
{
	struct count *count = user;

	(void)err;
	add_to_chain(count, entry->key, strlen(entry->key));
	add_to_chain(count, entry->value, entry->value_len);
	count->report.keys++;
	return 0;
}

static int count_all(struct store *store, struct move_report *ret_report, struct err *err)
{
	struct count count = {.chain = {0}};
	int r = walk(store, count_entry, &count, err);

	str_hex(count.report.sha256, count.chain, CRYPTO_SHA256_SIZE);
	*ret_report = count.report;
	return r;
}

/* --- copying --- */

struct batch {
	struct store *to;
	struct store_op ops[PAGE];
	size_t count, bytes;
};

static void empty(struct batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		free((char *)(uintptr_t)batch->ops[i].key);
		free((void *)(uintptr_t)batch->ops[i].value);
	}
	batch->count = 0;
	batch->bytes = 0;
}

static int flush(struct batch *batch, struct err *err)
{
	int r = batch->count ? store_txn(batch->to, NULL, 0, batch->ops, batch->count, NULL, NULL, err) : 0;

	empty(batch);
	return r;
}

static int copy_entry(void *user, const struct store_entry *entry, struct err *err)
{
	struct batch *batch = user;
	size_t bytes = strlen(entry->key) + entry->value_len;
	char *key, *value;
	int r = 0;

	if (batch->count == PAGE || batch->bytes + bytes > BATCH_BYTES)
		r = flush(batch, err);
	if (r < 0)
		return r;
	key = strdup(entry->key);
	value = malloc(entry->value_len + 1);
	if (!key || !value) {
		free(key);
		free(value);
		return err_set(err, -ENOMEM, "out of memory");
	}
	memcpy(value, entry->value, entry->value_len + 1);
	batch->ops[batch->count++] =
		(struct store_op){.kind = STORE_PUT, .key = key, .value = value, .value_len = entry->value_len};
	batch->bytes += bytes;
	return 0;
}

/* Of a move that was cut off everything is copied again, so what the source has lost since goes first. */
static int remove_entry(void *user, const struct store_entry *entry, struct err *err)
{
	struct store_op op = {.kind = STORE_DELETE, .key = entry->key};

	return store_txn(user, NULL, 0, &op, 1, NULL, NULL, err);
}

static int begin(struct store *to, struct err *err)
{
	struct store_op op = {STORE_PUT, MOVE_KEY, "", 0};
	CLEANUP_STORE_ENTRY struct store_entry moving = {0};
	struct move_report there;
	int r = store_get(to, MOVE_KEY, &moving, err);

	if (r == 0)
		return walk(to, remove_entry, to, err);
	if (r != ERR_NOT_FOUND)
		return r;
	r = count_all(to, &there, err);
	if (r == 0 && there.keys)
		return err_set(err, ERR_EXISTS, "the store to move to has %zu keys already", there.keys);
	return r == 0 ? store_txn(to, NULL, 0, &op, 1, NULL, NULL, err) : r;
}

static int end(struct store *to, struct err *err)
{
	struct store_op op = {.kind = STORE_DELETE, .key = MOVE_KEY};

	return store_txn(to, NULL, 0, &op, 1, NULL, NULL, err);
}

int move_store(struct store *from, struct store *to, struct move_report *ret_report, struct err *err)
{
	struct batch batch = {.to = to};
	struct move_report there = {0};
	int r = begin(to, err);

	if (r == 0)
		r = walk(from, copy_entry, &batch, err);
	if (r == 0)
		r = flush(&batch, err);
	empty(&batch);
	if (r == 0)
		r = count_all(from, ret_report, err);
	if (r == 0)
		r = count_all(to, &there, err);
	if (r == 0 && (there.keys != ret_report->keys || there.bytes != ret_report->bytes ||
		       !str_eq(there.sha256, ret_report->sha256)))
		r = err_set(err, ERR_CORRUPT, "the stores differ: %zu keys with digest %s became %zu with %s",
			    ret_report->keys, ret_report->sha256, there.keys, there.sha256);
	return r == 0 ? end(to, err) : r;
}

int move_check(struct store *store, struct err *err)
{
	CLEANUP_STORE_ENTRY struct store_entry moving = {0};
	int r = store_get(store, MOVE_KEY, &moving, err);

	if (r == ERR_NOT_FOUND)
		return 0;
	if (r < 0)
		return r;
	(void)err_set(err, ERR_BUSY, "a move into this store did not come to its end");
	return err_hint(err, "'bulkhead move-store' ends it");
}
