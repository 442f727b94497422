/* SPDX-License-Identifier: Apache-2.0 */
/* Kept filters: found again, bound to all that went into them, and never taken from others or in pieces (ISO-4). */
#include "sandbox/seccomp_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fdio.h"
#include "base/str.h"
#include "seccomp_policy.h"
#include "seccomp_random.h"

static const struct seccomp_floor open_floor = {.granted = UINT32_MAX};

struct folder {
	char path[64];
	int dir;
	int cache;
};

static int set_up(void **state)
{
	struct folder *folder = calloc(1, sizeof(*folder));

	assert_non_null(folder);
	assert_int_equal(str_copy(folder->path, sizeof(folder->path), "/tmp/test_seccomp_cache.XXXXXX"), 0);
	assert_non_null(mkdtemp(folder->path));
	folder->dir = open(folder->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(folder->dir >= 0);
	assert_int_equal(seccomp_cache_open(folder->dir, "filters", &folder->cache), 0);
	*state = folder;
	return 0;
}

static int tear_down(void **state)
{
	struct folder *folder = *state;
	struct err err;

	(void)close(folder->cache);
	(void)close(folder->dir);
	assert_int_equal(fdio_remove_tree(AT_FDCWD, folder->path, &err), 0);
	free(folder);
	return 0;
}

/* The only entry's name; counts all. */
static size_t list(const struct folder *folder, char name[static 256])
{
	DIR *entries = fdopendir(openat(folder->cache, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(entries);
	while ((entry = readdir(entries))) {
		if (entry->d_name[0] == '.' && !entry->d_name[1 + (entry->d_name[1] == '.')])
			continue;
		memcpy(name, entry->d_name, 256);
		count++;
	}
	(void)closedir(entries);
	return count;
}

static struct seccomp_program get(const struct folder *folder, const struct spec_seccomp *profile,
				  const struct seccomp_floor *floor)
{
	struct seccomp_program program;
	struct err err = {0};

	if (seccomp_cache_compile(folder->cache, profile, floor, &program, &err) < 0)
		fail_msg("%s", err.msg);
	return program;
}

static void check(const struct folder *folder, const struct spec_seccomp *profile, const struct seccomp_floor *floor)
{
	struct seccomp_program got = get(folder, profile, floor), want;
	struct err err;

	assert_int_equal(seccomp_compile_within(profile, floor, &want, &err), 0);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.code, want.code, want.len * sizeof(*want.code));
	assert_int_equal(got.flags, want.flags);
	assert_int_equal(got.notifies, want.notifies);
	seccomp_program_done(&got);
	seccomp_program_done(&want);
}

/* Replaces the first instruction of the only entry, whole or with the sum made good, to see whether it is loaded. */
static void mark(const struct folder *folder, off_t from_end, const void *bytes, size_t len)
{
	char name[256];
	struct stat st;
	int fd;

	assert_int_equal(list(folder, name), 1);
	fd = openat(folder->cache, name, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	assert_int_equal(pwrite(fd, bytes, len, st.st_size - from_end), (ssize_t)len);
	(void)close(fd);
}

static void test_found_again(void **state)
{
	const struct folder *folder = *state;
	const struct spec_seccomp policy = policy_make(true), none = {.present = false};
	struct stat first, second;
	char name[256];

	check(folder, &policy, &open_floor);
	assert_int_equal(list(folder, name), 1);
	assert_int_equal(fstatat(folder->cache, name, &first, 0), 0);
	assert_int_equal(first.st_mode, S_IFREG | 0600);
	check(folder, &policy, &open_floor);
	assert_int_equal(fstatat(folder->cache, name, &second, 0), 0);
	/* Not written again: the same file. */
	assert_int_equal(first.st_ino, second.st_ino);
	/* The built-in profile has an entry too. */
	for (int i = 0; i < 2; i++) {
		struct seccomp_program got = get(folder, &none, &open_floor), want;
		struct err err;

		assert_int_equal(seccomp_default(&open_floor, &want, &err), 0);
		assert_int_equal(got.len, want.len);
		assert_memory_equal(got.code, want.code, want.len * sizeof(*want.code));
		seccomp_program_done(&got);
		seccomp_program_done(&want);
		assert_int_equal(list(folder, name), 2);
	}
}

/* Each thing that the program depends on makes another entry. */
static void test_bound_to_all_of_it(void **state)
{
	const struct folder *folder = *state;
	const char *flags[] = {"SECCOMP_FILTER_FLAG_LOG"}, *names[] = {"read", "write"};
	struct spec_seccomp_arg arg = {1, 2, 3, SPEC_OP_EQ};
	struct spec_seccomp_rule rule = {.names = {names, 1}, .action = SECCOMP_RET_ERRNO};
	struct spec_seccomp profile = {.present = true, .default_action = SECCOMP_RET_ALLOW, .rules = {&rule, 1}};
	const struct spec_seccomp ceiling = {.present = true, .default_action = SECCOMP_RET_ALLOW};
	struct seccomp_floor floor = {0};
	size_t wanted = 0;
	char name[256];

#define CHECK_NEW(change)                                       \
	do {                                                    \
		change;                                         \
		check(folder, &profile, &floor);                \
		assert_int_equal(list(folder, name), ++wanted); \
	} while (0)
	CHECK_NEW((void)0);
	CHECK_NEW(rule.names.count = 2);
	CHECK_NEW(rule.names.items = names + 1; rule.names.count = 1);
	CHECK_NEW(rule.errno_ret.present = true);
	CHECK_NEW(rule.errno_ret.value = 5);
	CHECK_NEW(rule.args = ((struct spec_seccomp_args){&arg, 1}));
	CHECK_NEW(arg.index = 2);
	CHECK_NEW(arg.value = 9);
	CHECK_NEW(arg.op = SPEC_OP_MASKED_EQ);
	CHECK_NEW(arg.value_two = 8);
	CHECK_NEW(rule.action = SECCOMP_RET_KILL_PROCESS);
	CHECK_NEW(profile.default_action = SECCOMP_RET_ERRNO);
	CHECK_NEW(profile.default_errno_ret = ((struct spec_number){true, 7}));
	CHECK_NEW(profile.flags = ((struct spec_strings){flags, 1}));
	CHECK_NEW(profile.architectures = ((struct spec_strings){(const char **)policy_architectures, 2}));
	CHECK_NEW(floor.granted = 1);
	CHECK_NEW(floor.capabilities = 2);
	CHECK_NEW(floor.ceiling = &ceiling);
}

static void test_damaged_entries_are_made_anew(void **state)
{
	const struct folder *folder = *state;
	const struct spec_seccomp policy = policy_make(false);
	const struct sock_filter allow = {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW};
	char name[256];
	off_t at;

	check(folder, &policy, &open_floor);
	/* A program that allows all; each byte of the head; each length. */
	mark(folder, sizeof(allow), &allow, sizeof(allow));
	check(folder, &policy, &open_floor);
	assert_int_equal(list(folder, name), 1);
	for (at = 0; at < 40; at++) {
		int fd = openat(folder->cache, name, O_RDWR | O_CLOEXEC);
		char byte;

		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte = (char)(byte ^ 0x55);
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		(void)close(fd);
		check(folder, &policy, &open_floor);
	}
	for (at = 0; at < 2000; at += 13) {
		int fd = openat(folder->cache, name, O_RDWR | O_CLOEXEC);

		assert_int_equal(ftruncate(fd, at), 0);
		(void)close(fd);
		check(folder, &policy, &open_floor);
	}
	assert_int_equal(list(folder, name), 1);
}

static void test_what_others_could_write_is_passed_over(void **state)
{
	const struct folder *folder = *state;
	const struct spec_seccomp policy = policy_make(false);
	struct stat before, after;
	char name[256];

	check(folder, &policy, &open_floor);
	assert_int_equal(list(folder, name), 1);
	/* Open to others, somebody else's, a second name, a link, a pipe: each is replaced by a file of our own. */
	for (int how = 0; how < 5; how++) {
		if (how == 0)
			assert_int_equal(fchmodat(folder->cache, name, 0644, 0), 0);
		if (how == 1 && (geteuid() != 0 || fchownat(folder->cache, name, 65534, 0, 0) < 0))
			continue;
		if (how == 2)
			assert_int_equal(linkat(folder->cache, name, folder->dir, "second", 0), 0);
		if (how >= 3)
			assert_int_equal(unlinkat(folder->cache, name, 0), 0);
		if (how == 3)
			assert_int_equal(symlinkat("../second", folder->cache, name), 0);
		if (how == 4)
			assert_int_equal(mkfifoat(folder->cache, name, 0600), 0);
		assert_int_equal(fstatat(folder->cache, name, &before, AT_SYMLINK_NOFOLLOW), 0);
		check(folder, &policy, &open_floor);
		assert_int_equal(fstatat(folder->cache, name, &after, AT_SYMLINK_NOFOLLOW), 0);
		assert_true(before.st_ino != after.st_ino || before.st_ctim.tv_nsec != after.st_ctim.tv_nsec);
		assert_int_equal(after.st_mode, S_IFREG | 0600);
		assert_int_equal(after.st_uid, geteuid());
		assert_int_equal(after.st_nlink, 1);
	}
}

static void test_folder_of_others_is_not_used(void **state)
{
	const struct folder *folder = *state;
	int cache = -1;

	assert_int_equal(fchmodat(folder->dir, "filters", 0755, 0), 0);
	assert_int_equal(seccomp_cache_open(folder->dir, "filters", &cache), -EPERM);
	assert_int_equal(fchmodat(folder->dir, "filters", 0700, 0), 0);
	if (geteuid() == 0) {
		assert_int_equal(fchownat(folder->dir, "filters", 65534, 0, 0), 0);
		assert_int_equal(seccomp_cache_open(folder->dir, "filters", &cache), -EPERM);
		assert_int_equal(fchownat(folder->dir, "filters", 0, 0, 0), 0);
	}
	assert_int_equal(symlinkat("filters", folder->dir, "link"), 0);
	assert_int_equal(seccomp_cache_open(folder->dir, "link", &cache), -ENOTDIR);
	assert_int_equal(cache, -1);
}

static void test_bounded(void **state)
{
	const struct folder *folder = *state;
	const struct timespec old[] = {{1, 0}, {1, 0}};
	char name[256];
	int fd;

	/* A temporary file of one who died is the oldest. */
	fd = openat(folder->cache, ".0123456789abcdef.1", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0 && futimens(fd, old) == 0);
	(void)close(fd);
	for (uint64_t seed = 0; seed < 3 * SECCOMP_CACHE_ENTRIES; seed++) {
		struct random_profile made;
		struct seccomp_program program;

		random_profile_make(&made, seed);
		program = get(folder, &made.profile, &open_floor);
		seccomp_program_done(&program);
		assert_true(list(folder, name) <= SECCOMP_CACHE_ENTRIES);
	}
	assert_int_equal(list(folder, name), SECCOMP_CACHE_ENTRIES);
	assert_int_equal(faccessat(folder->cache, ".0123456789abcdef.1", F_OK, 0), -1);
}

/* Without a folder, or with one that nothing can be written to, it compiles. Errors are those of compiling. */
static void test_without(void **state)
{
	struct folder none = {.cache = -1};
	const char *flags[] = {"X"};
	const struct spec_seccomp policy = policy_make(false);
	struct spec_seccomp bad = {.present = true, .flags = {flags, 1}};
	struct seccomp_program program;
	struct err err;
	char name[256];

	check(&none, &policy, &open_floor);
	assert_int_equal(seccomp_cache_compile(((struct folder *)*state)->cache, &bad, &open_floor, &program, &err),
			 ERR_INVALID);
	assert_string_equal(err.msg, "linux.seccomp.flags[0]: unknown flag 'X'");
	assert_int_equal(list(*state, name), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_found_again, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bound_to_all_of_it, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged_entries_are_made_anew, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_others_could_write_is_passed_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_folder_of_others_is_not_used, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_without, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
