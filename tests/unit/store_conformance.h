/* SPDX-License-Identifier: Apache-2.0 */
/* What every engine behind store.h must do. The including test gives `open_store` and `reopen_store`. */
#ifndef STORE_CONFORMANCE_H
#define STORE_CONFORMANCE_H

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "store/store.h"

/* An empty store with the history limits (NULL: the engine's); the same store closed and opened again. Fail the test on error. */
static struct store *open_store(const struct store_history *history);
static struct store *reopen_store(struct store *store);

static uint64_t must_put(struct store *store, const char *key, const char *value)
{
	struct store_op op = {STORE_PUT, key, value, strlen(value)};
	struct err err = {0};
	uint64_t revision = 0;

	if (store_txn(store, NULL, 0, &op, 1, &revision, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	return revision;
}

static uint64_t must_delete(struct store *store, const char *key)
{
	struct store_op op = {STORE_DELETE, key, NULL, 0};
	uint64_t revision = 0;

	assert_int_equal(store_txn(store, NULL, 0, &op, 1, &revision, NULL, NULL), 0);
	return revision;
}

static void test_put_get_delete(void **state)
{
	struct store *store = open_store(NULL);
	struct store_entry entry = {0};
	struct err err = {0};
	uint64_t start = store_revision(store), first, second;

	(void)state;
	first = must_put(store, "a", "1");
	second = must_put(store, "a", "22");
	/* An engine may need revisions of its own, at first. */
	assert_true(first > start);
	assert_int_equal(second, first + 1);
	assert_int_equal(store_revision(store), second);
	assert_int_equal(store_get(store, "a", &entry, &err), 0);
	assert_string_equal(entry.value, "22");
	assert_int_equal(entry.value_len, 2);
	assert_int_equal(entry.create_revision, first);
	assert_int_equal(entry.mod_revision, second);
	store_entry_done(&entry);
	assert_true(must_delete(store, "a") >= second + 1);
	assert_int_equal(store_get(store, "a", &entry, &err), ERR_NOT_FOUND);
	assert_string_equal(err.msg, "key 'a' does not exist");
	assert_true(must_delete(store, "a") >= second + 1);
	assert_true(must_put(store, "a", "") >= second + 2);
	assert_int_equal(store_get(store, "a", &entry, &err), 0);
	assert_int_equal(entry.value_len, 0);
	assert_int_equal(entry.create_revision, entry.mod_revision);
	store_entry_done(&entry);
	store_close(store);
}

static void test_compare(void **state)
{
	struct store *store = open_store(NULL);
	uint64_t revision = must_put(store, "a", "1"), got = 0;
	struct store_compare compares[] = {{"b", 0}, {"a", revision}};
	struct store_op ops[] = {{STORE_PUT, "b", "x", 1}, {STORE_DELETE, "a", NULL, 0}};
	struct store_entry entry = {0};
	size_t failed = 9;
	struct err err = {0};

	(void)state;
	assert_int_equal(store_txn(store, compares, 2, ops, 2, &got, &failed, &err), 0);
	assert_int_equal(got, revision + 1);
	assert_int_equal(failed, 9);
	assert_int_equal(store_txn(store, compares, 2, ops, 2, &got, &failed, &err), ERR_CONFLICT);
	assert_string_equal(err.msg, "key 'b' exists already");
	assert_int_equal(failed, 0);
	assert_int_equal(store_txn(store, &compares[1], 1, ops, 1, &got, &failed, &err), ERR_CONFLICT);
	assert_string_equal(err.msg, "key 'a' was deleted meanwhile");
	(void)must_put(store, "a", "2");
	assert_int_equal(store_txn(store, &compares[1], 1, ops, 1, &got, &failed, &err), ERR_CONFLICT);
	assert_string_equal(err.msg, "key 'a' was changed meanwhile");
	assert_int_equal(store_get(store, "b", &entry, NULL), 0);
	assert_int_equal(entry.mod_revision, revision + 1);
	store_entry_done(&entry);
	compares[1].mod_revision = store_revision(store);
	assert_int_equal(store_txn(store, &compares[1], 1, NULL, 0, &got, NULL, &err), 0);
	assert_int_equal(got, store_revision(store));
	store_close(store);
}

static void test_bad_transactions(void **state)
{
	struct store *store = open_store(NULL);
	struct store_op twice[] = {{STORE_PUT, "a", "x", 1}, {STORE_DELETE, "a", NULL, 0}};
	struct store_op many[STORE_OPS_MAX + 1] = {{0}};
	char *large = calloc(1, STORE_VALUE_MAX + 1), key[STORE_KEY_MAX + 2] = {0};
	struct store_op over = {STORE_PUT, "a", large, STORE_VALUE_MAX + 1},
			most = {STORE_PUT, "a", large, STORE_VALUE_MAX};
	struct store_op both[] = {{STORE_PUT, "a", large, STORE_VALUE_MAX},
				  {STORE_PUT, "b", large, STORE_TXN_MAX - STORE_VALUE_MAX}};
	struct store_op nameless = {STORE_PUT, "", "x", 1}, long_key = {STORE_PUT, key, "x", 1};
	struct err err = {0};

	(void)state;
	memset(key, 'k', sizeof(key) - 1);
	assert_int_equal(store_txn(store, NULL, 0, twice, 2, NULL, NULL, &err), ERR_INVALID);
	assert_string_equal(err.msg, "transaction changes key 'a' twice");
	assert_int_equal(store_txn(store, NULL, 0, many, STORE_OPS_MAX + 1, NULL, NULL, &err), ERR_TOO_LARGE);
	assert_int_equal(store_txn(store, NULL, 0, &over, 1, NULL, NULL, &err), ERR_TOO_LARGE);
	assert_string_equal(err.msg, "value of key 'a' has 1433601 bytes, at most 1433600 are allowed");
	assert_int_equal(store_txn(store, NULL, 0, both, 2, NULL, NULL, &err), ERR_TOO_LARGE);
	assert_string_equal(err.msg, "transaction of 1536002 bytes, at most 1536000 are allowed");
	assert_int_equal(store_txn(store, NULL, 0, &nameless, 1, NULL, NULL, &err), ERR_TOO_LARGE);
	assert_int_equal(store_txn(store, NULL, 0, &long_key, 1, NULL, NULL, &err), ERR_TOO_LARGE);
	assert_int_equal(store_txn(store, NULL, 0, &most, 1, NULL, NULL, &err), 0);
	free(large);
	store_close(store);
}

static void expect_list(struct store *store, const char *prefix, const char *after, size_t limit, uint64_t at,
			const char *keys, bool more)
{
	struct store_range range CLEANUP_STORE_RANGE = {0};
	char got[256] = "";
	struct err err = {0};

	if (store_list(store, prefix, after, limit, at, &range, &err) < 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < range.count; i++) {
		size_t len = strlen(got);

		(void)snprintf(got + len, sizeof(got) - len, "%s%s=%s", i ? " " : "", range.entries[i].key,
			       range.entries[i].value);
	}
	assert_string_equal(got, keys);
	assert_int_equal(range.more, more);
	assert_int_equal(range.revision, at ? at : store_revision(store));
}

static void test_list(void **state)
{
	struct store *store = open_store(NULL);
	struct store_range range = {0};
	struct err err = {0};
	uint64_t before, middle;

	(void)state;
	before = store_revision(store);
	(void)must_put(store, "/p", "0");
	(void)must_put(store, "/p/b", "2");
	(void)must_put(store, "/p/a", "1");
	middle = must_put(store, "/q", "9");
	(void)must_put(store, "/p/a", "11");
	(void)must_delete(store, "/p/b");
	(void)must_put(store, "/p/c\xff", "3");
	expect_list(store, "/p/", NULL, 0, 0, "/p/a=11 /p/c\xff=3", false);
	expect_list(store, "/p", NULL, 0, 0, "/p=0 /p/a=11 /p/c\xff=3", false);
	expect_list(store, "", NULL, 0, 0, "/p=0 /p/a=11 /p/c\xff=3 /q=9", false);
	expect_list(store, "/p/c\xff", NULL, 0, 0, "/p/c\xff=3", false);
	expect_list(store, "/p/", NULL, 0, middle, "/p/a=1 /p/b=2", false);
	expect_list(store, "/p", NULL, 0, before, "", false);
	expect_list(store, "/p", NULL, 2, 0, "/p=0 /p/a=11", true);
	expect_list(store, "/p", "/p/a", 2, 0, "/p/c\xff=3", false);
	expect_list(store, "/p", "/p", 1, middle, "/p/a=1", true);
	expect_list(store, "/p", "/a", 1, 0, "/p=0", true);
	expect_list(store, "/p", NULL, 3, 0, "/p=0 /p/a=11 /p/c\xff=3", false);
	expect_list(store, "/x", NULL, 0, 0, "", false);
	assert_int_equal(store_list(store, "/p", NULL, 0, store_revision(store) + 1, &range, &err), ERR_INVALID);
	store_close(store);
}

static void test_revision_continues(void **state)
{
	struct store *store = open_store(NULL);
	uint64_t revision = must_put(store, "a", "1");

	(void)state;
	revision = must_delete(store, "a");
	store = reopen_store(store);
	/* An engine that others write to as well may have moved on. */
	assert_true(store_revision(store) >= revision);
	revision = store_revision(store);
	assert_true(must_put(store, "a", "1") > revision);
	store_close(store);
}

/* What a watch has handed over, as text: "+a=1" made, "~a=2(1)" changed from, "-a(2)" deleted. */
struct seen {
	char text[4096];
	uint64_t last;
	size_t count;
};

static void note(void *user, const struct store_event *event)
{
	struct seen *seen = user;
	size_t len = strlen(seen->text);
	char *to = seen->text + len;
	size_t room = sizeof(seen->text) - len;

	assert_true(event->revision >= seen->last);
	seen->last = event->revision;
	seen->count++;
	if (event->kind == STORE_EVENT_DELETE)
		(void)snprintf(to, room, "-%s(%s) ", event->key, event->previous);
	else if (event->create_revision == event->revision)
		(void)snprintf(to, room, "+%s=%s ", event->key, event->value);
	else
		(void)snprintf(to, room, "~%s=%s(%s) ", event->key, event->value, event->previous);
}

static void expect_events(struct store_watch *watch, size_t limit, const char *events)
{
	struct seen seen = {0};
	struct err err = {0};
	int count = store_watch_next(watch, limit, note, &seen, &err);

	if (count < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(seen.text, events);
	assert_int_equal(count, seen.count);
}

static void count_call(void *user)
{
	(void)atomic_fetch_add((atomic_int *)user, 1);
}

static void test_watch(void **state)
{
	struct store *store = open_store(NULL);
	struct store_op ops[] = {{STORE_PUT, "p/a", "3", 1}, {STORE_PUT, "q", "x", 1}, {STORE_PUT, "p/c", "4", 1}};
	uint64_t start = must_put(store, "p/a", "1"), batch = 0;
	struct store_watch *watch = NULL;
	atomic_int calls = 0;

	(void)state;
	assert_int_equal(store_watch_open(store, "p/", 0, count_call, &calls, &watch, NULL), 0);
	expect_events(watch, 10, "");
	(void)must_put(store, "q", "0");
	assert_int_equal(calls, 0);
	expect_events(watch, 10, "");
	assert_int_equal(store_watch_position(watch), store_revision(store));
	(void)must_put(store, "p/a", "2");
	(void)must_put(store, "p/b", "9");
	(void)must_delete(store, "p/b");
	assert_int_equal(calls, 3);
	assert_int_equal(store_txn(store, NULL, 0, ops, 3, &batch, NULL, NULL), 0);
	assert_int_equal(calls, 4);
	expect_events(watch, 2, "~p/a=2(1) +p/b=9 ");
	expect_events(watch, 2, "-p/b(9) ~p/a=3(2) ");
	assert_int_equal(store_watch_position(watch), batch - 1);
	expect_events(watch, 2, "+p/c=4 ");
	assert_int_equal(store_watch_position(watch), batch);
	store_watch_close(watch);
	(void)must_put(store, "p/a", "5");
	assert_int_equal(calls, 4);
	assert_int_equal(store_watch_open(store, "p/", start, NULL, NULL, &watch, NULL), 0);
	expect_events(watch, 99, "~p/a=2(1) +p/b=9 -p/b(9) ~p/a=3(2) +p/c=4 ~p/a=5(3) ");
	store_watch_close(watch);
	store = reopen_store(store);
	assert_int_equal(store_watch_open(store, "p/", start, NULL, NULL, &watch, NULL), 0);
	expect_events(watch, 3, "~p/a=2(1) +p/b=9 -p/b(9) ");
	(void)must_put(store, "p/z", "6");
	expect_events(watch, 99, "~p/a=3(2) +p/c=4 ~p/a=5(3) +p/z=6 ");
	expect_events(watch, 99, "");
	store_watch_close(watch);
	store_close(store);
}

static void test_history_is_bounded(void **state)
{
	struct store_history history = {.revisions = 100, .ring_events = 16};
	struct store *store = open_store(&history);
	uint64_t start = store_revision(store);
	struct store_range range = {0};
	struct store_watch *watch = NULL, *other = NULL;
	struct seen seen = {0};
	struct err err = {0};
	char key[16];

	(void)state;
	assert_int_equal(store_watch_open(store, "", start, NULL, NULL, &watch, NULL), 0);
	(void)must_put(store, "stays", "1");
	for (int i = 0; i < 400; i++) {
		(void)snprintf(key, sizeof(key), "k%d", i % 7);
		(void)must_put(store, key, "value");
	}
	(void)must_delete(store, "k0");
	/* Forgetting is nobody's hurry. */
	for (int i = 0; i < 100 && store_list(store, "", NULL, 0, start + 1, &range, &err) == 0; i++) {
		const struct timespec moment = {.tv_nsec = 50000000};

		store_range_done(&range);
		(void)nanosleep(&moment, NULL);
	}
	assert_int_equal(store_list(store, "", NULL, 0, start + 1, &range, &err), ERR_EXPIRED);
	assert_int_equal(store_watch_next(watch, 10, note, &seen, &err), ERR_EXPIRED);
	assert_int_equal(store_watch_open(store, "", start, NULL, NULL, &other, &err), ERR_EXPIRED);
	assert_int_equal(store_watch_open(store, "k", store_revision(store) - 50, NULL, NULL, &other, &err), 0);
	assert_int_equal(store_watch_next(other, 1000, note, &seen, &err), 50);
	expect_list(store, "stays", NULL, 0, 0, "stays=1", false);
	expect_list(store, "k", NULL, 2, 0, "k1=value k2=value", true);
	expect_list(store, "k", NULL, 2, store_revision(store) - 50, "k0=value k1=value", true);
	store_watch_close(watch);
	store_watch_close(other);
	store_close(store);
}

#define THREADS 8
#define ROUNDS 100

/* Each adds one to a counter ROUNDS times by compare and swap, and writes a key of its own beside it. */
static void *count_up(void *user)
{
	static char failure[] = "a transaction failed";
	struct store *store = user;
	int done = 0;

	while (done < ROUNDS) {
		struct store_entry entry = {0};
		char text[24], own[48];
		struct store_op ops[] = {{STORE_PUT, "counter", text, 0}, {STORE_PUT, own, "x", 1}};
		struct store_compare compare = {"counter", 0};
		unsigned number = 0;
		int r = store_get(store, "counter", &entry, NULL);

		if (r == 0) {
			compare.mod_revision = entry.mod_revision;
			(void)sscanf(entry.value, "%u", &number);
			store_entry_done(&entry);
		}
		(void)snprintf(text, sizeof(text), "%u", number + 1);
		(void)snprintf(own, sizeof(own), "own/%u", number + 1);
		ops[0].value_len = strlen(text);
		r = store_txn(store, &compare, 1, ops, 2, NULL, NULL, NULL);
		if (r == 0)
			done++;
		else if (r != ERR_CONFLICT)
			return failure;
	}
	return NULL;
}

static void check_counter(void *user, const struct store_event *event)
{
	unsigned *expected = user, got = 0;

	(void)sscanf(event->value, "%u", &got);
	assert_int_equal(got, ++*expected);
}

static void test_threads(void **state)
{
	struct store_history history = {.ring_events = 32};
	struct store *store = open_store(&history);
	struct store_range range CLEANUP_STORE_RANGE = {0};
	struct store_watch *watch = NULL;
	pthread_t threads[THREADS];
	unsigned expected = 0;

	(void)state;
	assert_int_equal(store_watch_open(store, "counter", 0, NULL, NULL, &watch, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count_up, store), 0);
	while (expected < THREADS * ROUNDS)
		assert_true(store_watch_next(watch, 7, check_counter, &expected, NULL) >= 0);
	for (int i = 0; i < THREADS; i++) {
		void *message;

		assert_int_equal(pthread_join(threads[i], &message), 0);
		if (message)
			fail_msg("%s", (char *)message);
	}
	assert_int_equal(store_watch_next(watch, 7, check_counter, &expected, NULL), 0);
	assert_int_equal(store_list(store, "own/", NULL, 0, 0, &range, NULL), 0);
	assert_int_equal(range.count, THREADS * ROUNDS);
	store_watch_close(watch);
	store_close(store);
}

#define STORE_CONFORMANCE                                                                \
	cmocka_unit_test(test_put_get_delete), cmocka_unit_test(test_compare),           \
		cmocka_unit_test(test_bad_transactions), cmocka_unit_test(test_list),    \
		cmocka_unit_test(test_revision_continues), cmocka_unit_test(test_watch), \
		cmocka_unit_test(test_history_is_bounded), cmocka_unit_test(test_threads)

#endif
