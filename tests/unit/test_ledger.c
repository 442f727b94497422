/* SPDX-License-Identifier: Apache-2.0 */
/* The ledger over a real store: what is held is held until it is released, whoever races. */
#include "cism/ledger.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "api/api.h"
#include "base/fdio.h"

static char folder[] = "/var/tmp/bulkhead-test-XXXXXX";
static struct store *store;

static int set_up(void **state)
{
	struct err err = {0};
	int dir;

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (store_sqlite_open(dir, "state.db", &store, &err) < 0)
		fail_msg("%s", err.msg);
	return close(dir);
}

static int tear_down(void **state)
{
	(void)state;
	store_close(store);
	return fdio_remove_tree(AT_FDCWD, folder, NULL);
}

static struct ledger_holder holder_of(const char *uid, const char *server)
{
	return (struct ledger_holder){.uid = uid,
				      .namespace = "ns",
				      .name = uid,
				      .domain = "blue",
				      .subfunction = "",
				      .instance = "node-1",
				      .server = server,
				      .epoch = 1,
				      .cpu_milli = 500,
				      .memory_bytes = 1 << 20};
}

static int hold(const struct ledger *ledger, const char *uid, const char *server, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	struct ledger_holder holder = holder_of(uid, server);
	uint64_t revision;
	int r = ledger_hold(ledger, store, &holder, &change, err);

	return r < 0 ? r : change_commit(&change, store, &revision, err);
}

static int release(const char *instance, const char *uid, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	uint64_t revision;
	int r = ledger_release(store, instance, uid, &change, err);

	return r < 0 ? r : change_commit(&change, store, &revision, err);
}

static uint64_t holders_of_namespace(void)
{
	uint64_t count = 0, revision = 0;

	assert_int_equal(ledger_namespace(store, "ns", &count, &revision, NULL), 0);
	return count;
}

static void test_hold_and_release(void **state)
{
	CLEANUP_LEDGER struct ledger before = {0}, after = {0}, end = {0};
	CLEANUP_JSON json_t *place = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(ledger_read(store, &before, NULL), 0);
	assert_int_equal(before.holder_count, 0);
	assert_int_equal(ledger_revision(&before, "server-1"), 0);
	assert_int_equal(hold(&before, "u1", "server-1", NULL), 0);
	assert_int_equal(ledger_read(store, &after, NULL), 0);
	assert_int_equal(after.holder_count, 1);
	assert_string_equal(after.holders[0].server, "server-1");
	assert_string_equal(after.holders[0].uid, "u1");
	assert_int_equal(after.holders[0].memory_bytes, 1 << 20);
	assert_int_equal(holders_of_namespace(), 1);
	assert_int_equal(ledger_find(store, "u1", NULL, &place, NULL), 0);
	assert_string_equal(api_string(place, "server"), "server-1");

	assert_int_equal(release("node-2", "u1", &err), ERR_DENIED);
	assert_string_equal(err.msg, "pod uid 'u1' is not charged to instance 'node-2'");
	assert_int_equal(release("node-1", "u1", NULL), 0);
	assert_int_equal(release("node-1", "u1", &err), ERR_NOT_FOUND);
	assert_string_equal(err.msg, "pod uid 'u1' holds nothing");
	assert_int_equal(ledger_read(store, &end, NULL), 0);
	assert_int_equal(end.range.count, 0);
	assert_int_equal(holders_of_namespace(), 0);
}

static void test_a_decision_on_old_facts_does_not_bind(void **state)
{
	CLEANUP_LEDGER struct ledger one = {0}, two = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(ledger_read(store, &one, NULL), 0);
	assert_int_equal(ledger_read(store, &two, NULL), 0);
	assert_int_equal(hold(&one, "a", "server-1", NULL), 0);
	assert_int_equal(hold(&two, "b", "server-1", &err), ERR_CONFLICT);
	assert_string_equal(err.msg, "'/ledger/servers/server-1' was changed by somebody else");
	/* Another server is another record, but a uid holds one place only. */
	assert_int_equal(hold(&two, "a", "server-2", NULL), ERR_CONFLICT);
	assert_int_equal(hold(&two, "c", "server-2", NULL), 0);
	assert_int_equal(holders_of_namespace(), 2);
	assert_int_equal(release("node-1", "a", NULL), 0);
	assert_int_equal(release("node-1", "c", NULL), 0);
}

static uint64_t servers_of(const char *domain)
{
	uint64_t count = 0, revision = 0;

	assert_int_equal(ledger_domain(store, domain, &count, &revision, NULL), 0);
	return count;
}

/* PLC-5: a domain's servers are counted, and nothing of the count is touched where it has one already. */
static void test_servers_of_a_domain(void **state)
{
	CLEANUP_LEDGER struct ledger none = {0}, one = {0}, two = {0};
	uint64_t count, before, after;
	char key[STORE_KEY_MAX + 1];
	struct err err = {0};

	(void)state;
	ledger_domain_key("blue", key);
	assert_string_equal(key, "/ledger/domains/blue");
	assert_int_equal(ledger_read(store, &none, NULL), 0);
	assert_int_equal(hold(&none, "a", "server-1", NULL), 0);
	assert_int_equal(servers_of("blue"), 1);
	assert_int_equal(ledger_read(store, &one, NULL), 0);
	assert_true(ledger_has_domain(&one, "server-1", "blue"));
	assert_false(ledger_has_domain(&one, "server-1", "red"));
	assert_false(ledger_has_domain(&one, "server-2", "blue"));
	assert_int_equal(ledger_domain(store, "blue", &count, &before, NULL), 0);
	assert_int_equal(hold(&one, "b", "server-1", NULL), 0);
	assert_int_equal(ledger_domain(store, "blue", &count, &after, NULL), 0);
	assert_int_equal(after, before);
	assert_int_equal(ledger_read(store, &two, NULL), 0);
	assert_int_equal(hold(&two, "c", "server-2", NULL), 0);
	assert_int_equal(servers_of("blue"), 2);
	assert_int_equal(servers_of("red"), 0);
	assert_int_equal(release("node-1", "a", NULL), 0);
	assert_int_equal(servers_of("blue"), 2);
	assert_int_equal(release("node-1", "b", NULL), 0);
	assert_int_equal(servers_of("blue"), 1);
	assert_int_equal(release("node-1", "c", NULL), 0);
	assert_int_equal(servers_of("blue"), 0);
	/* A count that lost one is damage, and is said. */
	assert_int_equal(hold(&none, "d", "server-3", NULL), 0);
	CLEANUP_CHANGE struct change change = {0};
	change_delete(&change, key);
	assert_int_equal(change_commit(&change, store, &count, NULL), 0);
	assert_int_equal(release("node-1", "d", &err), ERR_CORRUPT);
	assert_string_equal(err.msg, "ledger record '/ledger/domains/blue' counts nothing where one leaves");
	CLEANUP_CHANGE struct change mend = {0};
	CLEANUP_JSON json_t *record = json_pack("{s:i}", "servers", 1);
	change_put(&mend, key, record);
	assert_int_equal(change_commit(&mend, store, &count, NULL), 0);
	assert_int_equal(release("node-1", "d", NULL), 0);
}

static int write_beside(struct change *change, struct err *err)
{
	uint64_t revision;

	change_put_bytes(change, "/beside", "x", 1);
	return change_commit(change, store, &revision, err);
}

/* Who decides by what the ledger says of a pod finds out what came between. */
static void test_a_look_is_compared(void **state)
{
	CLEANUP_CHANGE struct change free_then = {0}, held_then = {0}, still = {0};
	CLEANUP_JSON json_t *none = NULL, *place = NULL, *again = NULL;
	CLEANUP_LEDGER struct ledger ledger = {0};
	struct err err = {0};

	(void)state;
	assert_int_equal(ledger_read(store, &ledger, NULL), 0);
	assert_int_equal(ledger_find(store, "l", &free_then, &none, NULL), 0);
	assert_null(none);
	assert_int_equal(hold(&ledger, "l", "server-1", NULL), 0);
	assert_int_equal(write_beside(&free_then, &err), ERR_CONFLICT);
	assert_string_equal(err.msg, "'/ledger/pods/l' was changed by somebody else");
	assert_int_equal(ledger_find(store, "l", &held_then, &place, NULL), 0);
	assert_int_equal(ledger_find(store, "l", &still, &again, NULL), 0);
	assert_int_equal(write_beside(&still, NULL), 0);
	assert_int_equal(release("node-1", "l", NULL), 0);
	assert_int_equal(write_beside(&held_then, &err), ERR_CONFLICT);
	assert_string_equal(err.msg, "'/ledger/pods/l' was changed by somebody else");
}

static void test_damage_is_told(void **state)
{
	CLEANUP_LEDGER struct ledger ledger = {0};
	struct store_op put = {STORE_PUT, "/ledger/servers/x", "[1]", 3};
	struct store_op gone = {.kind = STORE_DELETE, .key = "/ledger/servers/x"};
	struct err err = {0};
	uint64_t revision;

	(void)state;
	assert_int_equal(store_txn(store, NULL, 0, &put, 1, &revision, NULL, NULL), 0);
	assert_int_equal(ledger_read(store, &ledger, &err), ERR_CORRUPT);
	assert_non_null(strstr(err.msg, "ledger record '/ledger/servers/x' is damaged"));
	assert_int_equal(store_txn(store, NULL, 0, &gone, 1, &revision, NULL, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hold_and_release),
		cmocka_unit_test(test_a_decision_on_old_facts_does_not_bind),
		cmocka_unit_test(test_servers_of_a_domain),
		cmocka_unit_test(test_a_look_is_compared),
		cmocka_unit_test(test_damage_is_told),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
