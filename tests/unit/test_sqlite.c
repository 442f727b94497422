/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/fdio.h"
#include "store_conformance.h"

static char folder[] = "/var/tmp/bulkhead-test-XXXXXX";
static int folder_fd = -1;
static int store_number;

static char *store_name(void)
{
	static char name[32];

	(void)snprintf(name, sizeof(name), "state%d.db", store_number);
	return name;
}

static struct store *open_numbered(const struct store_history *history)
{
	struct store *store = NULL;
	struct err err = {0};

	if (store_sqlite_open_with(folder_fd, store_name(), history, &store, &err) < 0)
		fail_msg("%s", err.msg);
	return store;
}

static struct store *open_store(const struct store_history *history)
{
	store_number++;
	return open_numbered(history);
}

static struct store *reopen_store(struct store *store)
{
	store_close(store);
	return open_numbered(NULL);
}

static int set_up(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return folder_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
	(void)state;
	(void)close(folder_fd);
	return fdio_remove_tree(AT_FDCWD, folder, NULL);
}

static void test_one_process_at_a_time(void **state)
{
	struct store *store = open_store(NULL), *second = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(store_sqlite_open(folder_fd, store_name(), &second, &err), ERR_BUSY);
	assert_null(strstr(err.msg, store_name()) ? NULL : err.msg);
	assert_non_null(strstr(err.msg, "is in use by another process"));
	assert_null(second);
	store_close(store);
}

static void write_file(const char *name, const char *bytes, size_t len)
{
	assert_int_equal(fdio_replace_file(folder_fd, name, bytes, len, 0600, NULL), 0);
}

static void test_only_the_owner_reads(void **state)
{
	struct store *store = open_store(NULL);
	static const char *const suffixes[] = {"", "-wal", "-shm", ".lock"};

	(void)state;
	(void)must_put(store, "secret", "1");
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		char name[48];
		struct stat stat;

		(void)snprintf(name, sizeof(name), "%s%s", store_name(), suffixes[i]);
		assert_int_equal(fstatat(folder_fd, name, &stat, 0), 0);
		assert_int_equal(stat.st_mode & 0777, 0600);
	}
	store_close(store);
}

static void test_foreign_files(void **state)
{
	static const char garbage[4096] = "this is no database, whatever its name says";
	struct store *store = NULL;
	struct err err = {0};

	(void)state;
	write_file("garbage.db", garbage, sizeof(garbage));
	assert_int_equal(store_sqlite_open(folder_fd, "garbage.db", &store, &err), ERR_CORRUPT);
	assert_string_equal(err.msg, "cannot open store 'garbage.db': file is not a database");
	assert_int_equal(store_sqlite_open(folder_fd, "missing/state.db", &store, &err), -ENOENT);
	assert_null(store);
}

/* Writes as fast as it can from several threads, and each acknowledged key to the pipe, until it is killed. */
static void *storm_writer(void *user)
{
	struct store *store = ((void **)user)[0];
	int fd = *(int *)((void **)user)[1];
	static atomic_uint next;

	for (;;) {
		unsigned number = atomic_fetch_add(&next, 1);
		char key[32], pair[32];
		struct store_op ops[] = {{STORE_PUT, key, "value", 5}, {STORE_PUT, pair, "value", 5}};

		(void)snprintf(key, sizeof(key), "storm/%d/%u/a", (int)getpid(), number);
		(void)snprintf(pair, sizeof(pair), "storm/%d/%u/b", (int)getpid(), number);
		if (store_txn(store, NULL, 0, ops, 2, NULL, NULL, NULL) < 0 ||
		    write(fd, key, sizeof(key)) != sizeof(key))
			_exit(1);
	}
	return NULL;
}

static pid_t start_storm(int fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		struct store *store = NULL;
		void *arguments[] = {NULL, &fd};
		pthread_t thread;

		if (store_sqlite_open(folder_fd, store_name(), &store, NULL) < 0)
			_exit(2);
		arguments[0] = store;
		for (int i = 0; i < 4; i++)
			if (pthread_create(&thread, NULL, storm_writer, arguments) != 0)
				_exit(3);
		for (;;)
			(void)pause();
	}
	return pid;
}

/* Kills it after it has acknowledged some, and keeps every acknowledged key for the check. */
static size_t ride_storm(char (*keys)[32], size_t room)
{
	int pipes[2], status;
	size_t count = 0, enough = 20 + (size_t)(rand() % 50);
	pid_t pid;

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	pid = start_storm(pipes[1]);
	assert_true(pid > 0);
	(void)close(pipes[1]);
	while (count < room && fdio_read_exact(pipes[0], keys[count], 32) == 0)
		if (++count == enough)
			assert_int_equal(kill(pid, SIGKILL), 0);
	(void)close(pipes[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	return count;
}

static void test_killed_in_a_storm(void **state)
{
	static char keys[20000][32];
	uint64_t revision = 0;

	(void)state;
	store_close(open_store(NULL));
	for (int round = 0; round < 8; round++) {
		size_t count = ride_storm(keys, ARRAY_SIZE(keys));
		struct store *store = open_numbered(NULL);
		struct store_range all CLEANUP_STORE_RANGE = {0};

		assert_true(store_revision(store) >= revision + count);
		revision = store_revision(store);
		for (size_t i = 0; i < count; i++) {
			struct store_entry entry CLEANUP_STORE_ENTRY = {0};

			if (store_get(store, keys[i], &entry, NULL) < 0)
				fail_msg("acknowledged key %s is lost", keys[i]);
		}
		/* Each transaction wrote two keys: never one alone. */
		assert_int_equal(store_list(store, "storm/", NULL, 0, 0, &all, NULL), 0);
		assert_int_equal(all.count % 2, 0);
		for (size_t i = 0; i < all.count; i += 2)
			assert_int_equal(all.entries[i].mod_revision, all.entries[i + 1].mod_revision);
		store_close(store);
	}
}

/* In a child with a file system of its own of 4 MiB: 0 when all is as it should be, else the number of the check. */
static int fill_disk(void)
{
	static char value[100000];
	struct store_op op = {STORE_PUT, "big", value, sizeof(value)}, small = {STORE_PUT, "small", "x", 1};
	struct store_entry entry = {0};
	struct store *store = NULL;
	struct err err = {0};
	char key[16];
	int r = 0, filler;

	if (store_sqlite_open(AT_FDCWD, "full/state.db", &store, &err) < 0)
		return 2;
	filler = open("full/filler", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (filler < 0 || posix_fallocate(filler, 0, 2 << 20) != 0)
		return 3;
	for (int i = 0; i < 100 && r == 0; i++) {
		(void)snprintf(key, sizeof(key), "big%d", i);
		op.key = key;
		r = store_txn(store, NULL, 0, &op, 1, NULL, NULL, &err);
	}
	if (r != -ENOSPC ||
	    strcmp(err.msg, "cannot write store 'full/state.db': no space left on its file system") != 0)
		return 4;
	if (store_get(store, "big0", &entry, NULL) < 0 || entry.value_len != sizeof(value))
		return 5;
	store_entry_done(&entry);
	if (store_get(store, key, &entry, NULL) != ERR_NOT_FOUND)
		return 6;
	if (ftruncate(filler, 0) < 0 || store_txn(store, NULL, 0, &small, 1, NULL, NULL, &err) < 0)
		return 7;
	store_close(store);
	if (store_sqlite_open(AT_FDCWD, "full/state.db", &store, &err) < 0 ||
	    store_get(store, "small", &entry, NULL) < 0)
		return 8;
	store_entry_done(&entry);
	store_close(store);
	return 0;
}

static void test_full_disk(void **state)
{
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		if (fchdir(folder_fd) < 0 || mkdir("full", 0700) < 0 ||
		    unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS) < 0 ||
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("none", "full", "tmpfs", 0, "size=4m") < 0)
			_exit(100);
		_exit(fill_disk());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 100) {
		print_message("skipped: this user may not mount a file system of its own\n");
		skip();
	}
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_CONFORMANCE,
		cmocka_unit_test(test_one_process_at_a_time),
		cmocka_unit_test(test_only_the_owner_reads),
		cmocka_unit_test(test_foreign_files),
		cmocka_unit_test(test_killed_in_a_storm),
		cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
