/* SPDX-License-Identifier: Apache-2.0 */
/* Reads, each from one snapshot of the file: the writer never waits for them, nor they for it. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/str.h"
#include "store/sqlite.h"

/* The first byte string behind all that start with a prefix. */
struct end {
	char bytes[STORE_KEY_MAX + 1];
	int len;
};

static void end_of(const char *prefix, struct end *end)
{
	end->len = (int)store_prefix_end(prefix, end->bytes);
	if (!end->len) {
		/* Everything: longer than any key and not less. */
		memset(end->bytes, 0xff, sizeof(end->bytes));
		end->len = (int)sizeof(end->bytes);
	}
}

static struct sqlite_link *take_reader(struct sqlite_store *sqlite)
{
	(void)pthread_mutex_lock(&sqlite->reader_lock);
	for (;;) {
		for (size_t i = 0; i < SQLITE_READERS; i++) {
			if (sqlite->reader_busy[i])
				continue;
			sqlite->reader_busy[i] = true;
			(void)pthread_mutex_unlock(&sqlite->reader_lock);
			return &sqlite->readers[i];
		}
		(void)pthread_cond_wait(&sqlite->reader_free, &sqlite->reader_lock);
	}
}

static void give_reader(struct sqlite_store *sqlite, struct sqlite_link *link)
{
	(void)pthread_mutex_lock(&sqlite->reader_lock);
	sqlite->reader_busy[link - sqlite->readers] = false;
	(void)pthread_cond_signal(&sqlite->reader_free);
	(void)pthread_mutex_unlock(&sqlite->reader_lock);
}

/* Begins a snapshot and says which revision it is. */
static int begin(struct sqlite_store *sqlite, struct sqlite_link *link, uint64_t *ret_revision, uint64_t *ret_compacted,
		 struct err *err)
{
	int result = sqlite3_exec(link->db, "BEGIN", NULL, NULL, NULL);

	if (result != SQLITE_OK)
		return sqlite_fail(sqlite, link->db, result, "read", err);
	return sqlite_read_meta(sqlite, link, ret_revision, ret_compacted, err);
}

static void end_snapshot(struct sqlite_link *link)
{
	if (!sqlite3_get_autocommit(link->db))
		(void)sqlite3_exec(link->db, "ROLLBACK", NULL, NULL, NULL);
}

static void release(sqlite3_stmt *statement)
{
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
}

static int copy_entry(const char *key, sqlite3_stmt *statement, int value_column, struct store_entry *entry,
		      struct err *err)
{
	const void *value = sqlite3_column_blob(statement, value_column);

	entry->value_len = (size_t)sqlite3_column_bytes(statement, value_column);
	entry->key = strdup(key);
	entry->value = malloc(entry->value_len + 1);
	if (!entry->key || !entry->value) {
		store_entry_done(entry);
		return err_set(err, -ENOMEM, "out of memory");
	}
	if (entry->value_len)
		memcpy(entry->value, value, entry->value_len);
	entry->value[entry->value_len] = '\0';
	return 0;
}

int sqlite_get(struct store *store, const char *key, struct store_entry *ret_entry, struct err *err)
{
	struct sqlite_store *sqlite = (struct sqlite_store *)store;
	struct sqlite_link *link = take_reader(sqlite);
	struct store_entry entry = {0};
	int result, r;

	(void)sqlite3_bind_blob(link->newest, 1, key, (int)strlen(key), SQLITE_STATIC);
	result = sqlite3_step(link->newest);
	if (result == SQLITE_ROW && sqlite3_column_type(link->newest, 2) != SQLITE_NULL) {
		entry.create_revision = (uint64_t)sqlite3_column_int64(link->newest, 1);
		entry.mod_revision = RING_REVISION(sqlite3_column_int64(link->newest, 0));
		r = copy_entry(key, link->newest, 2, &entry, err);
	} else if (result == SQLITE_ROW || result == SQLITE_DONE) {
		r = err_set(err, ERR_NOT_FOUND, "key '%s' does not exist", key);
	} else {
		r = sqlite_fail(sqlite, link->db, result, "read", err);
	}
	release(link->newest);
	give_reader(sqlite, link);
	if (r == 0)
		*ret_entry = entry;
	return r;
}

static int add_row(sqlite3_stmt *statement, struct store_range *range, struct err *err)
{
	char key[STORE_KEY_MAX + 1];
	size_t len = (size_t)sqlite3_column_bytes(statement, 0);
	struct store_entry entry = {
		.create_revision = (uint64_t)sqlite3_column_int64(statement, 2),
		.mod_revision = RING_REVISION(sqlite3_column_int64(statement, 3)),
	};
	int r;

	if (len > STORE_KEY_MAX)
		return err_set(err, ERR_CORRUPT, "key of %zu bytes in the store", len);
	memcpy(key, sqlite3_column_blob(statement, 0), len);
	key[len] = '\0';
	r = copy_entry(key, statement, 1, &entry, err);
	if (r == 0)
		r = store_range_add(range, &entry, err);
	if (r < 0)
		store_entry_done(&entry);
	return r;
}

static int read_rows(struct sqlite_store *sqlite, struct sqlite_link *link, size_t limit, struct store_range *range,
		     struct err *err)
{
	int result;

	while ((result = sqlite3_step(link->list)) == SQLITE_ROW) {
		int r;

		if (limit && range->count == limit) {
			range->more = true;
			return 0;
		}
		r = add_row(link->list, range, err);
		if (r < 0)
			return r;
	}
	return result == SQLITE_DONE ? 0 : sqlite_fail(sqlite, link->db, result, "read", err);
}

static int choose_revision(uint64_t at_revision, uint64_t revision, uint64_t compacted, uint64_t *ret, struct err *err)
{
	if (at_revision > revision)
		return store_future(at_revision, revision, err);
	if (at_revision && at_revision < compacted)
		return err_set(err, ERR_EXPIRED, "revision %llu is compacted away, the oldest kept is %llu",
			       (unsigned long long)at_revision, (unsigned long long)compacted);
	*ret = at_revision ? at_revision : revision;
	return 0;
}

int sqlite_list(struct store *store, const char *prefix, const char *after, size_t limit, uint64_t at_revision,
		struct store_range *ret_range, struct err *err)
{
	struct sqlite_store *sqlite = (struct sqlite_store *)store;
	struct sqlite_link *link = take_reader(sqlite);
	bool behind = after && strcmp(after, prefix) >= 0;
	const char *from = behind ? after : prefix;
	uint64_t revision = 0, compacted = 0;
	struct end end;
	int r = begin(sqlite, link, &revision, &compacted, err);

	if (r == 0)
		r = choose_revision(at_revision, revision, compacted, &ret_range->revision, err);
	if (r == 0) {
		end_of(prefix, &end);
		/* With its NUL a key is the lower bound of all keys behind it. */
		(void)sqlite3_bind_blob(link->list, 1, from, (int)strlen(from) + behind, SQLITE_STATIC);
		(void)sqlite3_bind_blob(link->list, 2, end.bytes, end.len, SQLITE_STATIC);
		(void)sqlite3_bind_int64(link->list, 3, (sqlite3_int64)RING_ID_END(ret_range->revision));
		(void)sqlite3_bind_int64(link->list, 4, limit && limit < INT_MAX ? (sqlite3_int64)limit + 1 : -1);
		r = read_rows(sqlite, link, limit, ret_range, err);
		release(link->list);
	}
	end_snapshot(link);
	give_reader(sqlite, link);
	return r;
}

/* The value a key had before the event; *ret_found false when it had none. */
static int read_previous(struct sqlite_store *sqlite, struct sqlite_link *link, uint64_t id, struct store_event *event,
			 struct err *err)
{
	int result;

	(void)sqlite3_bind_blob(link->before, 1, event->key, (int)strlen(event->key), SQLITE_STATIC);
	(void)sqlite3_bind_int64(link->before, 2, (sqlite3_int64)id);
	result = sqlite3_step(link->before);
	if (result == SQLITE_ROW && sqlite3_column_type(link->before, 0) != SQLITE_NULL) {
		event->previous = sqlite3_column_blob(link->before, 0);
		event->previous_len = (size_t)sqlite3_column_bytes(link->before, 0);
		if (!event->previous)
			event->previous = "";
	}
	return result == SQLITE_ROW || result == SQLITE_DONE ? 0 : sqlite_fail(sqlite, link->db, result, "read", err);
}

static int add_event(struct sqlite_store *sqlite, struct sqlite_link *link, struct ring_event **ret_event,
		     uint64_t *ret_id, struct err *err)
{
	sqlite3_stmt *statement = link->history;
	uint64_t id = (uint64_t)sqlite3_column_int64(statement, 0);
	bool is_put = sqlite3_column_type(statement, 2) != SQLITE_NULL;
	size_t len = (size_t)sqlite3_column_bytes(statement, 1);
	char key[STORE_KEY_MAX + 1];
	struct store_event event = {
		.kind = is_put ? STORE_EVENT_PUT : STORE_EVENT_DELETE,
		.revision = RING_REVISION(id),
		.create_revision = (uint64_t)sqlite3_column_int64(statement, 3),
		.key = key,
	};
	int r;

	if (len > STORE_KEY_MAX)
		return err_set(err, ERR_CORRUPT, "key of %zu bytes in the store", len);
	memcpy(key, sqlite3_column_blob(statement, 1), len);
	key[len] = '\0';
	if (is_put) {
		event.value = sqlite3_column_blob(statement, 2);
		event.value_len = (size_t)sqlite3_column_bytes(statement, 2);
		if (!event.value)
			event.value = "";
	}
	r = read_previous(sqlite, link, id, &event, err);
	*ret_event = r == 0 ? ring_event_new(&event, (unsigned)(id & 127)) : NULL;
	release(link->before);
	*ret_id = id;
	return r == 0 && !*ret_event ? err_set(err, -ENOMEM, "out of memory") : r;
}

static int read_events(struct sqlite_store *sqlite, struct sqlite_link *link, uint64_t *seen, uint64_t until,
		       size_t limit, struct ring_event **ret_events, size_t *ret_count, struct err *err)
{
	size_t count = 0;
	int result = SQLITE_DONE, r = 0;

	while (r == 0 && count < limit && (result = sqlite3_step(link->history)) == SQLITE_ROW) {
		r = add_event(sqlite, link, &ret_events[count], seen, err);
		if (r == 0)
			count++;
	}
	if (r == 0 && result != SQLITE_ROW && result != SQLITE_DONE)
		r = sqlite_fail(sqlite, link->db, result, "read", err);
	if (r < 0) {
		while (count)
			ring_event_drop(ret_events[--count]);
		return r;
	}
	if (result == SQLITE_DONE && limit)
		*seen = until;
	*ret_count = count;
	return 0;
}

int sqlite_history(struct store *store, const char *prefix, uint64_t *seen, uint64_t until, size_t limit,
		   struct ring_event **ret_events, size_t *ret_count, struct err *err)
{
	struct sqlite_store *sqlite = (struct sqlite_store *)store;
	struct sqlite_link *link = take_reader(sqlite);
	uint64_t revision = 0, compacted = 0;
	struct end end;
	int r = begin(sqlite, link, &revision, &compacted, err);

	if (r == 0 && RING_REVISION(*seen) < compacted)
		r = err_set(err, ERR_EXPIRED, "revision %llu is compacted away, the oldest kept is %llu",
			    (unsigned long long)RING_REVISION(*seen), (unsigned long long)compacted);
	if (r == 0) {
		end_of(prefix, &end);
		(void)sqlite3_bind_int64(link->history, 1, (sqlite3_int64)*seen);
		(void)sqlite3_bind_int64(link->history, 2, (sqlite3_int64)until);
		(void)sqlite3_bind_blob(link->history, 3, prefix, (int)strlen(prefix), SQLITE_STATIC);
		(void)sqlite3_bind_blob(link->history, 4, end.bytes, end.len, SQLITE_STATIC);
		(void)sqlite3_bind_int64(link->history, 5, (sqlite3_int64)limit);
		r = read_events(sqlite, link, seen, until, limit, ret_events, ret_count, err);
		release(link->history);
	}
	end_snapshot(link);
	give_reader(sqlite, link);
	return r;
}
