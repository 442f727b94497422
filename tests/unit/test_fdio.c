/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fdio.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static char folder[] = "/tmp/fdio.XXXXXX";
static int dir = -1;

static int make_folder(void **state)
{
	(void)state;
	if (!mkdtemp(folder))
		return -1;
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -1 : 0;
}

static int drop_folder(void **state)
{
	struct err err;

	(void)state;
	(void)close(dir);
	return fdio_remove_tree(AT_FDCWD, folder, &err);
}

static void test_replace_and_read(void **state)
{
	CLEANUP_BUF struct buf buf = buf_of(5);
	struct err err = {0};
	struct stat st;

	(void)state;
	assert_int_equal(fdio_replace_file(dir, "a", "12345", 5, 0640, &err), 0);
	assert_int_equal(fdio_read_file(dir, "a", &buf, &err), 0);
	assert_string_equal(buf.data, "12345");
	assert_int_equal(fstatat(dir, "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(fdio_replace_file(dir, "a", "123456", 6, 0600, &err), 0);
	buf_clear(&buf);
	assert_int_equal(fdio_read_file(dir, "a", &buf, &err), -EFBIG);
	assert_string_equal(err.msg, "cannot read 'a': it is larger than 5 bytes");
	assert_int_equal(fdio_read_file(dir, ".", &buf, &err), -EINVAL);
	assert_string_equal(err.msg, "cannot read '.': it is not a regular file");
	assert_int_equal(fdio_read_file(dir, "none", &buf, &err), -ENOENT);
	assert_string_equal(err.msg, "cannot open 'none': No such file or directory");
	assert_int_equal(fdio_replace_file(dir, "none/a", "", 0, 0600, &err), -ENOENT);
	assert_int_equal(fdio_publish_file(dir, "a", "54321", 5, 0604, &err), 0);
	buf_clear(&buf);
	assert_int_equal(fdio_read_file(dir, "a", &buf, &err), 0);
	assert_string_equal(buf.data, "54321");
	assert_int_equal(fstatat(dir, "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0604);
	assert_int_equal(fdio_publish_file(dir, "none/a", "", 0, 0600, &err), -ENOENT);
}

#define WRITERS 4
#define CONTENT_SIZE 20000

/* Replaces one file again and again with its own letter; yields how often that failed. */
static void *replace_often(void *letter)
{
	char content[CONTENT_SIZE];
	struct err err;
	intptr_t failed = 0;

	memset(content, *(const char *)letter, sizeof(content));
	for (int i = 0; i < 25; i++)
		failed += fdio_replace_file(dir, "shared", content, sizeof(content), 0600, &err) < 0;
	return (void *)failed;
}

/* However many threads replace one file, it is always that of one of them, whole. */
static void test_replace_from_threads(void **state)
{
	static char letters[WRITERS] = {'a', 'b', 'c', 'd'};
	pthread_t threads[WRITERS];
	struct err err = {0};
	void *failed;

	(void)state;
	assert_int_equal(fdio_replace_file(dir, "shared", "", 0, 0600, &err), 0);
	for (size_t i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, replace_often, &letters[i]), 0);
	for (size_t i = 0; i < WRITERS; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	CLEANUP_BUF struct buf buf = buf_of(CONTENT_SIZE);
	assert_int_equal(fdio_read_file(dir, "shared", &buf, &err), 0);
	assert_int_equal(buf.len, CONTENT_SIZE);
	for (size_t i = 0; i < buf.len; i++)
		assert_int_equal(buf.data[i], buf.data[0]);
}

static void test_empty_file(void **state)
{
	CLEANUP_BUF struct buf buf = buf_of(5);
	struct err err = {0};

	(void)state;
	assert_int_equal(fdio_replace_file(dir, "empty", "", 0, 0600, &err), 0);
	assert_int_equal(fdio_read_file(dir, "empty", &buf, &err), 0);
	assert_int_equal(buf.len, 0);
	assert_string_equal(buf.data, "");
}

static void test_read_exact(void **state)
{
	char bytes[4];
	int ends[2];

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fdio_write_all(ends[1], "abcdef", 6), 0);
	(void)close(ends[1]);
	assert_int_equal(fdio_read_exact(ends[0], bytes, 4), 0);
	assert_memory_equal(bytes, "abcd", 4);
	assert_int_equal(fdio_read_exact(ends[0], bytes, 4), -ENODATA);
	(void)close(ends[0]);
}

static void test_folders(void **state)
{
	struct err err = {0};
	int fd = -1;

	(void)state;
	assert_int_equal(fdio_mkdir_all(dir, "x/y/z", 0700, &err), 0);
	assert_int_equal(fdio_mkdir_all(dir, "x/y/z", 0700, &err), 0);
	assert_int_equal(fdio_replace_file(dir, "x/file", "", 0, 0600, &err), 0);
	assert_int_equal(fdio_mkdir_all(dir, "x/file/z", 0700, &err), -ENOTDIR);
	assert_int_equal(symlinkat("y", dir, "x/link"), 0);
	assert_int_equal(fdio_open_dir(dir, "x/link", &fd, &err), -ENOTDIR);
	assert_string_equal(err.msg, "cannot open folder 'x/link': Not a directory");
	assert_int_equal(fdio_open_dir(dir, "x/y", &fd, &err), 0);
	(void)close(fd);
}

static void test_remove_tree_follows_no_link(void **state)
{
	struct err err = {0};

	(void)state;
	assert_int_equal(fdio_mkdir_all(dir, "kept/inner", 0700, &err), 0);
	assert_int_equal(fdio_mkdir_all(dir, "gone/deep/er", 0700, &err), 0);
	assert_int_equal(symlinkat("../kept", dir, "gone/link"), 0);
	assert_int_equal(fdio_remove_tree(dir, "gone", &err), 0);
	assert_int_equal(faccessat(dir, "gone", F_OK, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(faccessat(dir, "kept/inner", F_OK, 0), 0);
	assert_int_equal(fdio_remove_tree(dir, "gone", &err), 0);
	assert_int_equal(symlinkat("kept", dir, "link"), 0);
	assert_int_equal(fdio_remove_tree(dir, "link", &err), 0);
	assert_int_equal(faccessat(dir, "kept/inner", F_OK, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replace_and_read), cmocka_unit_test(test_replace_from_threads),
		cmocka_unit_test(test_empty_file),       cmocka_unit_test(test_read_exact),
		cmocka_unit_test(test_folders),          cmocka_unit_test(test_remove_tree_follows_no_link),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
