/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Group commit: one thread takes all transactions that wait, runs them one after the other inside one transaction of
 * SQLite, each with its own compares and its own revision, and answers them after the one fsync they share.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/crashpoint.h"
#include "store/sqlite.h"

#define BATCH_MAX 256
#define COMPACT_STEP 1000 /* revisions forgotten in one transaction */
#define IDLE_S 10

/* A key's present as the writer sees it. */
struct present {
	uint64_t id; /* 0: does not exist */
	uint64_t create_revision;
	const void *value; /* valid until the statement is reset */
	size_t value_len;
};

static int read_present(struct sqlite_store *sqlite, const char *key, struct present *ret, struct err *err)
{
	sqlite3_stmt *statement = sqlite->writer.newest;
	int result;

	(void)sqlite3_reset(statement);
	(void)sqlite3_bind_blob(statement, 1, key, (int)strlen(key), SQLITE_STATIC);
	result = sqlite3_step(statement);
	*ret = (struct present){0};
	if (result == SQLITE_DONE)
		return 0;
	if (result != SQLITE_ROW)
		return sqlite_fail(sqlite, sqlite->writer.db, result, "read", err);
	if (sqlite3_column_type(statement, 2) == SQLITE_NULL)
		return 0;
	ret->id = (uint64_t)sqlite3_column_int64(statement, 0);
	ret->create_revision = (uint64_t)sqlite3_column_int64(statement, 1);
	ret->value = sqlite3_column_blob(statement, 2);
	ret->value_len = (size_t)sqlite3_column_bytes(statement, 2);
	if (!ret->value)
		ret->value = "";
	return 0;
}

static int check_compares(struct sqlite_store *sqlite, struct sqlite_request *request)
{
	const struct store_transaction *transaction = request->transaction;

	for (size_t i = 0; i < transaction->compare_count; i++) {
		const struct store_compare *compare = &transaction->compares[i];
		struct present present;
		int r = read_present(sqlite, compare->key, &present, request->err);

		if (r < 0)
			return r;
		if (RING_REVISION(present.id) == compare->mod_revision)
			continue;
		request->failed = i;
		return store_conflict(compare, present.id, request->err);
	}
	return 0;
}

static int insert_row(struct sqlite_store *sqlite, const struct store_event *event, unsigned index, struct err *err)
{
	sqlite3_stmt *statement = sqlite->writer.insert;
	int result;

	(void)sqlite3_bind_int64(statement, 1, (sqlite3_int64)RING_ID(event->revision, index));
	(void)sqlite3_bind_blob(statement, 2, event->key, (int)strlen(event->key), SQLITE_STATIC);
	(void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)event->create_revision);
	if (event->kind == STORE_EVENT_PUT)
		(void)sqlite3_bind_blob(statement, 4, event->value_len ? event->value : "", (int)event->value_len,
					SQLITE_STATIC);
	else
		(void)sqlite3_bind_null(statement, 4);
	result = sqlite3_step(statement);
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	return result == SQLITE_DONE ? 0 : sqlite_fail(sqlite, sqlite->writer.db, result, "write", err);
}

/* Applies one operation as the next event of the request; deleting what is not there is none. */
static int apply(struct sqlite_store *sqlite, struct sqlite_request *request, const struct store_op *op,
		 uint64_t revision)
{
	struct present present;
	struct store_event event = {.revision = revision, .key = op->key};
	int r = read_present(sqlite, op->key, &present, request->err);

	if (r < 0 || (op->kind == STORE_DELETE && !present.id))
		return r;
	event.kind = op->kind == STORE_PUT ? STORE_EVENT_PUT : STORE_EVENT_DELETE;
	event.create_revision = present.id ? present.create_revision : revision;
	event.previous = present.id ? present.value : NULL;
	event.previous_len = present.value_len;
	if (op->kind == STORE_PUT) {
		event.value = op->value_len ? op->value : "";
		event.value_len = op->value_len;
	}
	request->events[request->event_count] = ring_event_new(&event, (unsigned)request->event_count);
	if (!request->events[request->event_count])
		return err_set(request->err, -ENOMEM, "out of memory");
	r = insert_row(sqlite, &event, (unsigned)request->event_count, request->err);
	request->event_count++;
	return r;
}

static void drop_events(struct sqlite_request *request)
{
	for (size_t i = 0; i < request->event_count; i++)
		ring_event_drop(request->events[i]);
	request->event_count = 0;
}

/* Runs one request inside the open transaction; *revision is the newest so far. A failure of the store itself is returned. */
static int run_request(struct sqlite_store *sqlite, struct sqlite_request *request, uint64_t *revision)
{
	int r = check_compares(sqlite, request);

	request->code = r;
	if (r == ERR_CONFLICT)
		return 0;
	for (size_t i = 0; i < request->transaction->op_count && r == 0; i++)
		r = apply(sqlite, request, &request->transaction->ops[i], *revision + 1);
	(void)sqlite3_reset(sqlite->writer.newest);
	(void)sqlite3_clear_bindings(sqlite->writer.newest);
	request->code = r;
	if (r == 0 && request->event_count)
		(*revision)++;
	request->revision = *revision;
	return r;
}

static int run_sql(struct sqlite_store *sqlite, const char *sql, struct err *err)
{
	int result = sqlite3_exec(sqlite->writer.db, sql, NULL, NULL, NULL);

	return result == SQLITE_OK ? 0 : sqlite_fail(sqlite, sqlite->writer.db, result, "write", err);
}

static int set_number(struct sqlite_store *sqlite, sqlite3_stmt *statement, uint64_t number, struct err *err)
{
	int result;

	(void)sqlite3_bind_int64(statement, 1, (sqlite3_int64)number);
	result = sqlite3_step(statement);
	(void)sqlite3_reset(statement);
	return result == SQLITE_DONE ? 0 : sqlite_fail(sqlite, sqlite->writer.db, result, "write", err);
}

static void roll_back(struct sqlite_store *sqlite)
{
	(void)sqlite3_reset(sqlite->writer.newest);
	if (!sqlite3_get_autocommit(sqlite->writer.db))
		(void)sqlite3_exec(sqlite->writer.db, "ROLLBACK", NULL, NULL, NULL);
}

/* Runs requests in one transaction of SQLite. On failure nothing of any of them is stored. */
static int run_together(struct sqlite_store *sqlite, struct sqlite_request *const *requests, size_t count,
			struct err *err)
{
	uint64_t revision = sqlite->revision;
	int r = run_sql(sqlite, "BEGIN IMMEDIATE", err);

	for (size_t i = 0; i < count && r == 0; i++) {
		r = run_request(sqlite, requests[i], &revision);
		if (r < 0 && requests[i]->err)
			*err = *requests[i]->err;
	}
	if (r == 0 && revision != sqlite->revision)
		r = set_number(sqlite, sqlite->writer.advance, revision, err);
	crashpoint("store-before-commit");
	if (r == 0)
		r = run_sql(sqlite, "COMMIT", err);
	crashpoint("store-after-commit");
	if (r < 0) {
		roll_back(sqlite);
		return r;
	}
	sqlite->revision = revision;
	return 0;
}

static void publish(struct sqlite_store *sqlite, struct sqlite_request *const *requests, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct sqlite_request *request = requests[i];

		if (!request->event_count)
			continue;
		for (size_t j = 0; j < request->event_count; j++)
			sqlite->bytes += ring_event_get(request->events[j])->value_len;
		ring_publish(sqlite->store.ring, request->events, request->event_count, request->revision);
		request->event_count = 0;
	}
}

static void fail_all(struct sqlite_request *const *requests, size_t count, int code, const struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		drop_events(requests[i]);
		requests[i]->code = code;
		if (requests[i]->err)
			*requests[i]->err = *err;
	}
}

/* Runs requests together; when that fails, each on its own, so that one that cannot be stored fails alone. */
static void run_batch(struct sqlite_store *sqlite, struct sqlite_request *const *requests, size_t count)
{
	struct err err = {0};
	int r = run_together(sqlite, requests, count, &err);

	if (r < 0) {
		fail_all(requests, count, r, &err);
		for (size_t i = 0; i < count && count > 1; i++)
			run_batch(sqlite, &requests[i], 1);
		return;
	}
	publish(sqlite, requests, count);
}

/* Waits for requests; false when the store closes and none is left. */
static bool wait_for_work(struct sqlite_store *sqlite, struct timespec deadline)
{
	while (!sqlite->first && !sqlite->closing)
		if (pthread_cond_timedwait(&sqlite->wake, &sqlite->lock, &deadline) == ETIMEDOUT)
			break;
	return sqlite->first || !sqlite->closing;
}

static size_t take_requests(struct sqlite_store *sqlite, struct sqlite_request **requests)
{
	size_t count = 0;

	while (sqlite->first && count < BATCH_MAX) {
		requests[count++] = sqlite->first;
		sqlite->first = sqlite->first->next;
	}
	if (!sqlite->first)
		sqlite->last = &sqlite->first;
	return count;
}

static void answer(struct sqlite_store *sqlite, struct sqlite_request *const *requests, size_t count)
{
	(void)pthread_mutex_lock(&sqlite->lock);
	for (size_t i = 0; i < count; i++) {
		requests[i]->done = true;
		(void)pthread_cond_signal(&requests[i]->finished);
	}
}

static struct timespec in_seconds(unsigned seconds)
{
	struct timespec at;

	(void)clock_gettime(CLOCK_MONOTONIC, &at);
	at.tv_sec += seconds;
	return at;
}

void *sqlite_write_loop(void *store)
{
	struct sqlite_store *sqlite = store;
	struct sqlite_request *requests[BATCH_MAX];
	bool more = false;

	(void)pthread_mutex_lock(&sqlite->lock);
	while (wait_for_work(sqlite, in_seconds(more ? 0 : IDLE_S))) {
		size_t count = take_requests(sqlite, requests);

		(void)pthread_mutex_unlock(&sqlite->lock);
		if (count)
			run_batch(sqlite, requests, count);
		answer(sqlite, requests, count);
		(void)pthread_mutex_unlock(&sqlite->lock);
		marks_note(&sqlite->marks, clock_monotonic_ns() / 1000000, sqlite->revision, sqlite->bytes);
		more = sqlite_compact(sqlite);
		(void)pthread_mutex_lock(&sqlite->lock);
	}
	(void)pthread_mutex_unlock(&sqlite->lock);
	return NULL;
}

int sqlite_txn(struct store *store, const struct store_transaction *transaction, uint64_t *ret_revision,
	       size_t *ret_failed, struct err *err)
{
	struct sqlite_store *sqlite = (struct sqlite_store *)store;
	struct sqlite_request request = {.transaction = transaction, .err = err};

	(void)pthread_cond_init(&request.finished, NULL);
	(void)pthread_mutex_lock(&sqlite->lock);
	*sqlite->last = &request;
	sqlite->last = &request.next;
	(void)pthread_cond_signal(&sqlite->wake);
	while (!request.done)
		(void)pthread_cond_wait(&request.finished, &sqlite->lock);
	(void)pthread_mutex_unlock(&sqlite->lock);
	(void)pthread_cond_destroy(&request.finished);
	*ret_failed = request.failed;
	*ret_revision = request.revision;
	return request.code;
}

static int forget(struct sqlite_store *sqlite, sqlite3_stmt *statement, uint64_t from, uint64_t to, struct err *err)
{
	int result;

	(void)sqlite3_bind_int64(statement, 1, (sqlite3_int64)RING_ID_END(from));
	(void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)RING_ID_END(to));
	result = sqlite3_step(statement);
	(void)sqlite3_reset(statement);
	return result == SQLITE_DONE ? 0 : sqlite_fail(sqlite, sqlite->writer.db, result, "compact", err);
}

/*
 * Behind the compacted revision only each key's newest version is left, so a version that is to go is one that a version
 * in the new piece supersedes, or a deletion in it.
 */
static int forget_piece(struct sqlite_store *sqlite, uint64_t to, struct err *err)
{
	int r = run_sql(sqlite, "BEGIN IMMEDIATE", err);

	if (r == 0)
		r = forget(sqlite, sqlite->writer.compact, sqlite->compacted, to, err);
	if (r == 0)
		r = forget(sqlite, sqlite->writer.bury, sqlite->compacted, to, err);
	if (r == 0)
		r = set_number(sqlite, sqlite->writer.compacted, to, err);
	if (r == 0)
		r = run_sql(sqlite, "COMMIT", err);
	return r;
}

bool sqlite_compact(struct sqlite_store *sqlite)
{
	uint64_t target = marks_target(&sqlite->marks, clock_monotonic_ns() / 1000000, sqlite->revision, sqlite->bytes);
	struct err err;

	/* Small remainders wait until they are worth a transaction. */
	if (target <= sqlite->compacted || target - sqlite->compacted < sqlite->marks.limits.revisions / 100)
		return false;
	if (target > sqlite->compacted + COMPACT_STEP)
		target = sqlite->compacted + COMPACT_STEP;
	if (forget_piece(sqlite, target, &err) < 0) {
		/* Nothing is lost by not forgetting: the next round tries again. */
		roll_back(sqlite);
		return false;
	}
	sqlite->compacted = target;
	return true;
}
