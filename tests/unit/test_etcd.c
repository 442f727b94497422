/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store over a real etcd: one member of the test's own, or the cluster that BULKHEAD_ETCD names: "endpoint[,endpoint…]
 * CA CERTIFICATE KEY", three files.
 */
#include "store/store.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/str.h"
#include "store_conformance.h"

static char folder[] = "/var/tmp/bulkhead-test-XXXXXX";
static pid_t member;
static char member_url[64];
static const char *endpoints[STORE_ENDPOINTS_MAX];
static struct store_etcd_config config = {.endpoints = endpoints};
static char prefix[64];
static unsigned number;

static struct store *open_again(const struct store_history *history)
{
	struct store *store = NULL;
	struct err err = {0};

	config.prefix = prefix;
	if (store_etcd_open(&config, history, &store, &err) < 0)
		fail_msg("%s", err.msg);
	return store;
}

static struct store *open_store(const struct store_history *history)
{
	/* Other tests' stores are other prefixes of the same cluster. */
	(void)snprintf(prefix, sizeof(prefix), "/test/%d/%u/", (int)getpid(), ++number);
	return open_again(history);
}

static struct store *reopen_store(struct store *store)
{
	store_close(store);
	return open_again(NULL);
}

/* A port that was free a moment ago. */
static unsigned free_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) < 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) < 0)
		return 0;
	(void)close(fd);
	return ntohs(address.sin_port);
}

static int start_member(void)
{
	char data[64], peer[64], cluster[80];
	char *const argv[] = {(char *)"etcd",
			      (char *)"--data-dir",
			      data,
			      (char *)"--listen-client-urls",
			      member_url,
			      (char *)"--advertise-client-urls",
			      member_url,
			      (char *)"--listen-peer-urls",
			      peer,
			      (char *)"--initial-advertise-peer-urls",
			      peer,
			      (char *)"--initial-cluster",
			      cluster,
			      (char *)"--log-level",
			      (char *)"error",
			      NULL};
	char *const envp[] = {(char *)"PATH=/usr/bin:/bin", NULL};

	(void)snprintf(data, sizeof(data), "%s/data", folder);
	(void)snprintf(member_url, sizeof(member_url), "http://127.0.0.1:%u", free_port());
	(void)snprintf(peer, sizeof(peer), "http://127.0.0.1:%u", free_port());
	(void)snprintf(cluster, sizeof(cluster), "default=%s", peer);
	endpoints[0] = member_url;
	config.endpoint_count = 1;
	return posix_spawn(&member, "/usr/bin/etcd", NULL, NULL, argv, envp);
}

static char *read_text(const char *path)
{
	struct buf text = buf_of(65536);

	return fdio_read_file(AT_FDCWD, path, &text, NULL) == 0 ? buf_steal(&text) : NULL;
}

static int use_cluster(const char *named)
{
	static char words[4096];
	char *save = NULL, *list, *at;

	if (str_copy(words, sizeof(words), named) < 0)
		return -1;
	list = strtok_r(words, " ", &save);
	config.ca = read_text(strtok_r(NULL, " ", &save));
	config.certificate = read_text(strtok_r(NULL, " ", &save));
	config.key = read_text(strtok_r(NULL, " ", &save));
	for (at = strtok_r(list, ",", &save); at && config.endpoint_count < STORE_ENDPOINTS_MAX;
	     at = strtok_r(NULL, ",", &save))
		endpoints[config.endpoint_count++] = at;
	return config.ca && config.certificate && config.key ? 0 : -1;
}

static int set_up(void **state)
{
	const char *named = getenv("BULKHEAD_ETCD");

	(void)state;
	if (!mkdtemp(folder))
		return -1;
	return named ? use_cluster(named) : start_member();
}

static int tear_down(void **state)
{
	(void)state;
	if (member > 0) {
		(void)kill(member, SIGKILL);
		(void)waitpid(member, NULL, 0);
	}
	return fdio_remove_tree(AT_FDCWD, folder, NULL);
}

static void test_no_member_answers(void **state)
{
	static const char *const nowhere[] = {"http://127.0.0.1:1"};
	const struct store_etcd_config wrong = {.endpoints = nowhere, .endpoint_count = 1, .prefix = "/x/"};
	const struct store_etcd_config none = {.endpoints = nowhere, .prefix = "/x/"};
	struct store *store = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(store_etcd_open(&wrong, NULL, &store, &err), ERR_UNAVAILABLE);
	assert_non_null(strstr(err.msg, "cannot talk to '127.0.0.1:1'"));
	assert_int_equal(store_etcd_open(&none, NULL, &store, &err), ERR_INVALID);
	assert_string_equal(err.msg, "a store in etcd has 1 to 16 endpoints");
	assert_null(store);
}

/* What one process writes another one's watch tells, and what it has seen through one it goes on with through the other. */
static void test_two_processes(void **state)
{
	struct store *one = open_store(NULL), *two = open_again(NULL);
	struct store_watch *watch = NULL;
	struct store_range range = {0};
	struct seen seen = {0};
	struct err err = {0};
	uint64_t first, last = 0;

	(void)state;
	assert_int_equal(store_watch_open(two, "p/", 0, NULL, NULL, &watch, NULL), 0);
	first = must_put(one, "p/a", "1");
	(void)must_put(one, "p/a", "2");
	last = must_delete(one, "p/a");
	for (int i = 0; i < 100 && seen.count < 3; i++) {
		const struct timespec moment = {.tv_nsec = 20000000};

		assert_true(store_watch_next(watch, 10, note, &seen, NULL) >= 0);
		(void)nanosleep(&moment, NULL);
	}
	assert_string_equal(seen.text, "+p/a=1 ~p/a=2(1) -p/a(2) ");
	assert_int_equal(store_watch_position(watch), last);
	store_watch_close(watch);
	assert_int_equal(store_watch_open(one, "p/", first, NULL, NULL, &watch, NULL), 0);
	expect_events(watch, 10, "~p/a=2(1) -p/a(2) ");
	store_watch_close(watch);
	/* A revision that a list of one gives, the other knows of, and neither of one that nobody was given. */
	assert_int_equal(store_list(one, "", NULL, 0, 0, &range, NULL), 0);
	assert_int_equal(store_reach(two, range.revision, &err), 0);
	assert_true(store_revision(two) >= range.revision);
	assert_int_equal(store_reach(two, range.revision + 100000, &err), ERR_INVALID);
	assert_non_null(strstr(err.msg, " is in the future, the newest is "));
	assert_int_equal(store_health(two, &err), 0);
	store_range_done(&range);
	store_close(one);
	store_close(two);
}

/* A list that takes several of etcd's pages is of one revision. */
static void test_pages(void **state)
{
	struct store *store = open_store(NULL);
	struct store_range range = {0};
	char keys[100][16];
	struct store_op ops[100];

	(void)state;
	for (int batch = 0; batch < 13; batch++) {
		for (int i = 0; i < 100; i++) {
			(void)snprintf(keys[i], sizeof(keys[i]), "n/%04d", batch * 100 + i);
			ops[i] = (struct store_op){STORE_PUT, keys[i], "v", 1};
		}
		assert_int_equal(store_txn(store, NULL, 0, ops, 100, NULL, NULL, NULL), 0);
	}
	assert_int_equal(store_list(store, "n/", NULL, 0, 0, &range, NULL), 0);
	assert_int_equal(range.count, 1300);
	assert_false(range.more);
	for (int i = 0; i < 1300; i++) {
		char key[16];

		(void)snprintf(key, sizeof(key), "n/%04d", i);
		assert_string_equal(range.entries[i].key, key);
	}
	store_range_done(&range);
	assert_int_equal(store_list(store, "n/", "n/0099", 700, 0, &range, NULL), 0);
	assert_int_equal(range.count, 700);
	assert_true(range.more);
	assert_string_equal(range.entries[699].key, "n/0799");
	store_range_done(&range);
	store_close(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {STORE_CONFORMANCE, cmocka_unit_test(test_no_member_answers),
					   cmocka_unit_test(test_two_processes), cmocka_unit_test(test_pages)};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
