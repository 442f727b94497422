/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar.h"

#include <errno.h>
#include <setjmp.h>
#include <stdbool.h>

#include <cmocka.h>

#include "tar_builder.h"

/* Reads to the end or the first error. */
static int read_all(const struct buf *archive, size_t piece, size_t *ret_count, struct err *err)
{
	struct tar_buffer_source source = {.buf = archive, .piece = piece};
	CLEANUP(cleanup_tar) struct tar *tar = NULL;
	const struct tar_entry *entry;
	int r;

	*ret_count = 0;
	assert_int_equal(tar_new(tar_buffer_read, &source, &tar), 0);
	while ((r = tar_next(tar, &entry, err)) > 0)
		(*ret_count)++;
	return r;
}

static void test_entries(void **state)
{
	struct buf archive = buf_of(1 << 20);
	struct tar_buffer_source source = {.buf = &archive, .piece = 7};
	const struct tar_entry *entry;
	const char *bytes;
	struct tar *tar;
	struct err err;
	size_t len, total = 0;
	int r;

	(void)state;
	tar_put(&archive, "./", '5', NULL);
	tar_put(&archive, "./etc/", '5', NULL);
	tar_put_header(&archive, &(struct tar_header_spec){.name = "etc/passwd",
							   .type = '0',
							   .size = 600,
							   .mode = "4755",
							   .uid = "1750",
							   .gid = "177777",
							   .mtime = "17"});
	tar_put_data(&archive, (char[600]){[599] = 'x'}, 600);
	tar_put_header(&archive,
		       &(struct tar_header_spec){.name = "b", .prefix = "a", .type = '1', .target = "./etc/passwd"});
	tar_put_pax(&archive, "path", "long/name");
	tar_put_header(&archive, &(struct tar_header_spec){.name = "x", .type = '2', .target = "../../etc"});
	tar_put_end(&archive);
	tar_put_end(&archive);

	assert_int_equal(tar_new(tar_buffer_read, &source, &tar), 0);
	assert_int_equal(tar_next(tar, &entry, &err), 1);
	assert_int_equal(entry->type, TAR_FOLDER);
	assert_string_equal(entry->name, "");
	assert_int_equal(tar_next(tar, &entry, &err), 1);
	assert_string_equal(entry->name, "etc");
	assert_int_equal(tar_next(tar, &entry, &err), 1);
	assert_string_equal(entry->name, "etc/passwd");
	assert_int_equal(entry->type, TAR_FILE);
	assert_int_equal(entry->mode, 04755);
	assert_int_equal(entry->uid, 1000);
	assert_int_equal(entry->gid, 65535);
	assert_int_equal(entry->mtime.tv_sec, 15);
	assert_int_equal(entry->size, 600);
	while ((r = tar_data(tar, &bytes, &len, &err)) > 0)
		total += len;
	assert_int_equal(r, 0);
	assert_int_equal(total, 600);
	assert_int_equal(tar_next(tar, &entry, &err), 1);
	assert_int_equal(entry->type, TAR_LINK);
	assert_string_equal(entry->name, "a/b");
	assert_string_equal(entry->target, "etc/passwd");
	assert_int_equal(tar_next(tar, &entry, &err), ERR_INVALID);
	assert_string_equal(err.msg, "entry 'long/name': the symbolic link leaves the root");
	tar_free(tar);
	tar_free(NULL);
	buf_done(&archive);
}

static void test_pax(void **state)
{
	struct buf archive = buf_of(1 << 20);
	struct tar_buffer_source source = {.buf = &archive};
	const struct tar_entry *entry;
	char longest[TAR_NAME_SIZE];
	struct tar *tar;
	struct err err;

	(void)state;
	tar_put_extension(&archive, 'g', "23 comment=not a field\n", 23);
	tar_put_extension(&archive, 'x',
			  "30 mtime=1700000000.123456789\n12 uid=1000\n13 gid=65535\n28 SCHILY.xattr.user.a=b\nc\n\n20 "
			  "SCHILY.dev=any  \n",
			  30 + 12 + 13 + 28 + 20);
	tar_put_file(&archive, "f", "data");
	/* GNU's base 256, and its long name. */
	for (size_t i = 0; i + 1 < sizeof(longest); i++)
		longest[i] = i % 100 == 99 ? '/' : 'n';
	longest[sizeof(longest) - 1] = '\0';
	tar_put_extension(&archive, 'L', longest, sizeof(longest));
	tar_put_header(&archive, &(struct tar_header_spec){.name = "short",
							   .type = '0',
							   .magic = "ustar  ",
							   .prefix = "not a name"});
	tar_put_extension(&archive, 'K', longest, sizeof(longest));
	tar_put_header(&archive, &(struct tar_header_spec){.name = "link", .type = '1'});
	tar_put_pax(&archive, "mtime", "-5.5");
	tar_put(&archive, "old", '2', "/absolute/is/fine");
	tar_put_end(&archive);

	assert_int_equal(tar_new(tar_buffer_read, &source, &tar), 0);
	assert_int_equal(tar_next(tar, &entry, &err), 1);
	assert_int_equal(entry->mtime.tv_sec, 1700000000);
	assert_int_equal(entry->mtime.tv_nsec, 123456789);
	assert_int_equal(entry->uid, 1000);
	assert_int_equal(entry->gid, 65535);
	assert_int_equal(entry->xattr_count, 1);
	assert_string_equal(entry->xattrs[0].name, "user.a");
	assert_int_equal(entry->xattrs[0].len, 4);
	assert_memory_equal(entry->xattrs[0].value, "b\nc\n", 4);
	assert_int_equal(tar_next(tar, &entry, &err), 1);
	assert_string_equal(entry->name, longest);
	assert_int_equal(tar_next(tar, &entry, &err), 1);
	assert_string_equal(entry->target, longest);
	assert_int_equal(tar_next(tar, &entry, &err), 1);
	assert_int_equal(entry->mtime.tv_sec, 0);
	assert_int_equal(tar_next(tar, &entry, &err), 0);
	tar_free(tar);
	buf_done(&archive);
}

static void test_names_refused(void **state)
{
	static const struct {
		const char *name, *message;
		char type;
	} bad[] = {
		{"/etc/passwd", "entry '/etc/passwd': the name is absolute", '0'},
		{"../x", "entry '../x': the name has a '..' component", '0'},
		{"a/../../x", "entry 'a/../../x': the name has a '..' component", '0'},
		{"a/..", "entry 'a/..': the name has a '..' component", '5'},
		{"a//b", "entry 'a//b': the name has an empty or '.' component", '0'},
		{"a/./b", "entry 'a/./b': the name has an empty or '.' component", '0'},
		{".//etc", "entry '/etc': the name has an empty or '.' component", '0'},
		{"a/", "entry 'a': the name is a folder's but the entry is none", '0'},
		{"./", "entry '': the name is a folder's but the entry is none", '2'},
		{"", "entry 1: the name is empty", '0'},
		{"dev/null", "entry 'dev/null': is a device node", '3'},
		{"dev/sda", "entry 'dev/sda': is a device node", '4'},
		{"pipe", "entry 'pipe': is a named pipe", '6'},
		{"sparse", "entry 'sparse': is a sparse file", 'S'},
		{"volume'-\n", "entry 'volume?-?': is of an unknown type", 'V'},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct buf archive = buf_of(1 << 20);
		struct err err;
		size_t count;

		tar_put(&archive, bad[i].name, bad[i].type, bad[i].type == '2' ? "x" : NULL);
		tar_put_end(&archive);
		assert_int_equal(read_all(&archive, 0, &count, &err), ERR_INVALID);
		assert_string_equal(err.msg, bad[i].message);
		buf_done(&archive);
	}
}

static void test_links_refused(void **state)
{
	static const struct {
		const char *target, *message;
		char type;
	} bad[] = {
		{"/etc/shadow", "entry 'a/l': hard link to '/etc/shadow': the name is absolute", '1'},
		{"../x", "entry 'a/l': hard link to '../x': the name has a '..' component", '1'},
		{"./", "entry 'a/l': hard link to '': it is the root folder", '1'},
		{NULL, "entry 'a/l': the link has no target", '1'},
		{NULL, "entry 'a/l': the link has no target", '2'},
		{"../../x", "entry 'a/l': the symbolic link leaves the root", '2'},
		{"b/../../../x", "entry 'a/l': the symbolic link leaves the root", '2'},
	};
	static const char *const good[] = {"/etc/shadow", "..", "../x", "b/../../x", "b/./c//d", "."};
	struct err err;
	size_t count;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct buf archive = buf_of(1 << 20);

		tar_put(&archive, "a/l", bad[i].type, bad[i].target);
		tar_put_end(&archive);
		assert_int_equal(read_all(&archive, 0, &count, &err), ERR_INVALID);
		assert_string_equal(err.msg, bad[i].message);
		buf_done(&archive);
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct buf archive = buf_of(1 << 20);

		tar_put(&archive, "a/l", '2', good[i]);
		tar_put_end(&archive);
		assert_int_equal(read_all(&archive, 0, &count, &err), 0);
		assert_int_equal(count, 1);
		buf_done(&archive);
	}
}

static void test_numbers_refused(void **state)
{
	static const struct {
		struct tar_header_spec spec;
		const char *message;
	} bad[] = {
		{{.name = "f", .type = '0', .mode = "9"}, "entry 'f': the mode is not a number"},
		{{.name = "f", .type = '0', .uid = "x"}, "entry 'f': an owner is not a number"},
		{{.name = "f", .type = '0', .uid = "200000"}, "entry 'f': an owner is over 65535"},
		{{.name = "f", .type = '0', .gid = "200000"}, "entry 'f': an owner is over 65535"},
		{{.name = "f", .type = '0', .size_text = "-1"}, "entry 'f': the size is not a number"},
		{{.name = "f", .type = '0', .size_text = "\x80\x01"}, "entry 'f': the size is not a number"},
		{{.name = "f", .type = '0', .mtime = "z"},
		 "entry 'f': the time is not a number of seconds behind 1970"},
		{{.name = "f", .type = '5', .size = 1}, "entry 'f': there are bytes behind what is not a file"},
		{{.name = "f", .type = '2', .target = "x", .size = 1},
		 "entry 'f': there are bytes behind what is not a file"},
		{{.name = "f", .type = '0', .bad_checksum = true}, "entry 1: the header's checksum is wrong"},
		{{.name = "f", .type = '0', .magic = "\0\0\0\0\0\0\0"}, "entry 1: the header is neither ustar nor GNU"},
		{{.name = "f", .type = '0', .size = 100}, "entry 'f': the archive is cut off"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct buf archive = buf_of(1 << 20);
		struct err err;
		size_t count;

		tar_put_header(&archive, &bad[i].spec);
		assert_int_equal(read_all(&archive, 0, &count, &err), ERR_INVALID);
		assert_string_equal(err.msg, bad[i].message);
		buf_done(&archive);
	}
}

static void test_extensions_refused(void **state)
{
	static const struct {
		const char *records;
		int code;
		const char *message;
	} bad[] = {
		{"path=x\n", ERR_SYNTAX, "entry 1: an extended header has a record without length"},
		{"99 path=x\n", ERR_SYNTAX, "entry 1: an extended header has a record of a wrong length"},
		{"3 a=b\n", ERR_SYNTAX, "entry 1: an extended header has a record of a wrong length"},
		{"9 path x\n", ERR_SYNTAX, "entry 1: an extended header has a record without key"},
		{"5 =b\n", ERR_SYNTAX, "entry 1: an extended header has a record without key"},
		{"8 path=\n", ERR_INVALID, "entry 1: the name has 0 bytes, not 1 to 4095"},
		{"10 path=x\n10 path=y\n", ERR_INVALID, "entry 1: the name is given twice"},
		{"10 size=x\n", ERR_INVALID, "entry 1: the size is not a number"},
		{"10 size=1\n10 size=1\n", ERR_INVALID, "entry 1: the size is given twice"},
		{"10 uid=-1\n", ERR_INVALID, "entry 1: the uid is not a number"},
		{"11 gid=0x1\n", ERR_INVALID, "entry 1: the gid is not a number"},
		{"12 mtime=1e\n", ERR_INVALID, "entry 1: the time is not a number of seconds"},
		{"13 mtime=1.x\n", ERR_INVALID, "entry 1: the time is not a number of seconds"},
		{"22 mtime=999999999999\n", ERR_INVALID, "entry 1: the time is not a number of seconds"},
		{"11 mtime=1\n11 mtime=1\n", ERR_INVALID, "entry 1: the time is given twice"},
		{"22 GNU.sparse.major=1\n", ERR_INVALID, "entry 1: it is a sparse file"},
		{"17 SCHILY.xattr.=\n", ERR_SYNTAX, "entry 1: an extended header has a record of a wrong length"},
		{"18 SCHILY.xattr.=\n", ERR_INVALID,
		 "entry 1: the name of an extended attribute has 0 bytes, not 1 to 255"},
	};
	struct err err;
	size_t count;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct buf archive = buf_of(1 << 20);

		tar_put_extension(&archive, 'x', bad[i].records, strlen(bad[i].records));
		tar_put_file(&archive, "f", "");
		tar_put_end(&archive);
		assert_int_equal(read_all(&archive, 0, &count, &err), bad[i].code);
		assert_string_equal(err.msg, bad[i].message);
		buf_done(&archive);
	}
}

static void expect(struct buf *archive, int code, const char *message)
{
	struct err err;
	size_t count;

	assert_int_equal(read_all(archive, 0, &count, &err), code);
	assert_string_equal(err.msg, message);
	buf_clear(archive);
}

static void test_order_of_extensions(void **state)
{
	struct buf archive = buf_of(4 << 20);

	(void)state;
	tar_put_pax(&archive, "path", "x");
	tar_put_end(&archive);
	expect(&archive, ERR_INVALID, "entry 1: the archive ends behind an extended header");
	tar_put_pax(&archive, "path", "x");
	tar_put_pax(&archive, "uid", "1");
	expect(&archive, ERR_INVALID, "entry 1: there are two extended headers");
	tar_put_extension(&archive, 'L', "y", 2);
	tar_put_pax(&archive, "path", "x");
	expect(&archive, ERR_INVALID, "entry 1: the name is given twice");
	tar_put_extension(&archive, 'L', "y\0z", 4);
	expect(&archive, ERR_INVALID, "entry 1: the name has a NUL byte");
	tar_put_extension(&archive, 'L', "", 0);
	expect(&archive, ERR_INVALID, "entry 1: the name has 0 bytes, not 1 to 4095");
	tar_put_extension(&archive, 'g', "10 path=x\n", 10);
	expect(&archive, ERR_INVALID, "entry 1: a global extended header sets 'path'");
	tar_put_extension(&archive, 'g', "22 SCHILY.xattr.user=\n", 22);
	expect(&archive, ERR_INVALID, "entry 1: a global extended header sets 'SCHILY.xattr.'");
	tar_put_header(&archive, &(struct tar_header_spec){.type = 'x', .size = TAR_EXTENDED_MAX + 1});
	expect(&archive, ERR_TOO_LARGE, "entry 1: the extended header has 1048577 bytes, more than 1048576");
	tar_put_header(&archive, &(struct tar_header_spec){.type = 'x', .size = 600});
	expect(&archive, ERR_INVALID, "entry 1: the archive is cut off");
	buf_done(&archive);
}

static void test_ends(void **state)
{
	struct buf archive = buf_of(1 << 20);
	struct err err;
	size_t count;

	(void)state;
	expect(&archive, ERR_INVALID, "entry 1: the archive ends without an end mark");
	tar_put_file(&archive, "f", "x");
	expect(&archive, ERR_INVALID, "entry 2: the archive ends without an end mark");
	tar_put_file(&archive, "f", "x");
	tar_put_end(&archive);
	archive.len -= 512;
	expect(&archive, ERR_INVALID, "entry 2: the archive's end mark is incomplete");
	tar_put_end(&archive);
	archive.len -= 100;
	expect(&archive, ERR_INVALID, "entry 1: the archive is cut off");
	tar_put_end(&archive);
	tar_put_file(&archive, "hidden", "x");
	tar_put_end(&archive);
	expect(&archive, ERR_INVALID, "entry 1: there are bytes behind the archive's end");
	tar_put_end(&archive);
	assert_int_equal(read_all(&archive, 1, &count, &err), 0);
	assert_int_equal(count, 0);
	buf_done(&archive);
}

static void test_depth(void **state)
{
	struct buf archive = buf_of(1 << 20);
	char name[300] = "";

	(void)state;
	for (size_t i = 0; i < 129; i++)
		memcpy(name + 2 * i, "a/", 3);
	tar_put_pax(&archive, "path", name);
	tar_put(&archive, "x", '5', NULL);
	name[257] = '\0';
	{
		char message[400];

		(void)snprintf(message, sizeof(message), "entry '%.199s': the name has more than 128 components", name);
		expect(&archive, ERR_INVALID, message);
	}
	memset(name, 'n', 256);
	name[256] = '\0';
	tar_put_pax(&archive, "path", name);
	tar_put(&archive, "x", '5', NULL);
	{
		char message[400];

		(void)snprintf(message, sizeof(message),
			       "entry '%.199s': the name has a component of more than 255 bytes", name);
		expect(&archive, ERR_INVALID, message);
	}
	buf_done(&archive);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_pax),
		cmocka_unit_test(test_names_refused),
		cmocka_unit_test(test_links_refused),
		cmocka_unit_test(test_numbers_refused),
		cmocka_unit_test(test_extensions_refused),
		cmocka_unit_test(test_order_of_extensions),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_depth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
