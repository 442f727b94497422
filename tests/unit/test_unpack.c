/* SPDX-License-Identifier: Apache-2.0 */
#include "image/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fdio.h"
#include "base/proc.h"
#include "image/imagefile.h"
#include "image/mounts.h"
#include "tar_builder.h"

/* A folder of this test's own below /var/tmp: the image that is made, and where the kernel and others look at it. */
struct folder {
	char path[64], image[80], mounts[80];
	int file, mounts_fd;
	struct imagefile *out;
	int fd; /* the mounted image */
};

static int setup(void **state)
{
	static struct folder folder;

	(void)snprintf(folder.path, sizeof(folder.path), "/var/tmp/bulkhead-test-XXXXXX");
	if (!mkdtemp(folder.path))
		return -1;
	(void)snprintf(folder.image, sizeof(folder.image), "%s/image", folder.path);
	(void)snprintf(folder.mounts, sizeof(folder.mounts), "%s/mounts", folder.path);
	folder.file = open(folder.image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	folder.fd = folder.mounts_fd = -1;
	*state = &folder;
	return imagefile_new(folder.file, NULL, &folder.out);
}

static int teardown(void **state)
{
	struct folder *folder = *state;

	if (folder->fd >= 0)
		(void)close(folder->fd);
	if (folder->mounts_fd >= 0 && mounts_close(folder->mounts, folder->mounts_fd, NULL) < 0)
		return -1;
	if (folder->mounts_fd >= 0)
		(void)close(folder->mounts_fd);
	imagefile_free(folder->out);
	(void)close(folder->file);
	return fdio_remove_tree(AT_FDCWD, folder->path, NULL);
}

static void expect_well(const char *program, const char *image)
{
	const char *const argv[] = {program, image, NULL};
	struct buf error = buf_of(65536);
	struct err err;

	if (proc_run(program, argv, NULL, NULL, &error, 60000, &err) < 0)
		fail_msg("%s", err.msg);
	buf_done(&error);
}

/* Ends the image, has it judged by erofs-utils, and mounts it. */
static void look(struct folder *folder, struct unpack *unpack, struct unpack_totals *totals)
{
	uint8_t first[EROFS_BLOCK];
	struct err err = {0};

	assert_int_equal(unpack_finish(unpack, totals, first, &err), 0);
	assert_int_equal(imagefile_finish(folder->out, first, &err), 0);
	expect_well("/usr/bin/fsck.erofs", folder->image);
	expect_well("/usr/bin/dump.erofs", folder->image);
	assert_int_equal(mounts_open(folder->mounts, &folder->mounts_fd, &err), 0);
	if (mounts_attach(folder->mounts_fd, "it", folder->file, &err) < 0)
		fail_msg("%s", err.msg);
	folder->fd = openat(folder->mounts_fd, "it", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(folder->fd >= 0);
}

static int apply(struct unpack *unpack, struct buf *layer, struct err *err)
{
	struct tar_buffer_source source = {.buf = layer, .piece = 1000};
	int r;

	tar_put_end(layer);
	r = unpack_layer(unpack, tar_buffer_read, &source, err);
	buf_clear(layer);
	return r;
}

static struct unpack *begin(struct folder *folder, uint64_t bytes, uint64_t entries)
{
	const struct unpack_limits limits = {.bytes = bytes, .entries = entries};
	struct unpack *unpack;

	assert_int_equal(unpack_new(imagefile_put, folder->out, &limits, &unpack), 0);
	return unpack;
}

static void expect_text(int root, const char *path, const char *text)
{
	struct buf found = buf_of(4096);

	assert_int_equal(fdio_read_file(root, path, &found, NULL), 0);
	assert_string_equal(found.data, text);
	buf_done(&found);
}

static bool exists(int root, const char *path)
{
	return faccessat(root, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void test_metadata(void **state)
{
	struct folder *folder = *state;
	struct unpack *unpack = begin(folder, 1 << 20, 100);
	struct buf layer = buf_of(1 << 20);
	struct unpack_totals totals;
	struct stat st;
	struct err err;
	char value[16];

	tar_put_header(&layer, &(struct tar_header_spec){.name = "./", .type = '5', .mode = "711", .uid = "1"});
	tar_put_header(&layer, &(struct tar_header_spec){.name = "d/", .type = '5', .mode = "1777", .mtime = "144"});
	tar_put_pax(&layer, "SCHILY.xattr.user.origin", "here");
	tar_put_header(&layer, &(struct tar_header_spec){.name = "d/f",
							 .type = '0',
							 .mode = "6755",
							 .uid = "1750",
							 .gid = "144",
							 .size = 2});
	tar_put_data(&layer, "hi", 2);
	tar_put_pax(&layer, "SCHILY.xattr.security.capability", "x");
	tar_put_file(&layer, "implied/parent/f", "x");
	tar_put(&layer, "hard", '1', "d/f");
	tar_put_header(&layer, &(struct tar_header_spec){.name = "soft", .type = '2', .target = "/etc/x", .uid = "2"});
	assert_int_equal(apply(unpack, &layer, &err), 0);
	look(folder, unpack, &totals);
	assert_int_equal(totals.entries, 6);
	assert_int_equal(totals.bytes, 3 * 4096);

	assert_int_equal(fstat(folder->fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(st.st_uid, 1);
	assert_int_equal(fstatat(folder->fd, "d", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 01777);
	assert_int_equal(st.st_mtime, 100);
	assert_int_equal(fstatat(folder->fd, "hard", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_uid, 1000);
	assert_int_equal(st.st_gid, 100);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(fstatat(folder->fd, "implied", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(st.st_uid, 0);
	assert_int_equal(fstatat(folder->fd, "soft", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_uid, 2);
	{
		char path[128];

		(void)snprintf(path, sizeof(path), "%s/it/d/f", folder->mounts);
		assert_int_equal(getxattr(path, "user.origin", value, sizeof(value)), 4);
		(void)snprintf(path, sizeof(path), "%s/it/implied/parent/f", folder->mounts);
		assert_int_equal(getxattr(path, "security.capability", value, sizeof(value)), -1);
	}
	unpack_free(unpack);
	buf_done(&layer);
}

static void test_layers(void **state)
{
	struct folder *folder = *state;
	struct unpack *unpack = begin(folder, 1 << 20, 100);
	struct buf layer = buf_of(1 << 20);
	struct unpack_totals totals;
	struct stat st;
	struct err err;

	tar_put_file(&layer, "keep", "1");
	tar_put_file(&layer, "gone", "1");
	tar_put_file(&layer, "tree/a/deep", "1");
	tar_put_file(&layer, "opaque/old", "1");
	tar_put_file(&layer, "opaque/both/old", "1");
	tar_put_file(&layer, "becomes-folder", "1");
	tar_put_file(&layer, "becomes-file/x", "1");
	tar_put(&layer, "link", '2', "tree");
	tar_put_file(&layer, "before/x", "1");
	tar_put_file(&layer, "after/x", "1");
	assert_int_equal(apply(unpack, &layer, &err), 0);

	/* A folder that becomes a link comes with whiteouts of what was in it, before or behind the link. */
	tar_put(&layer, "before/.wh.x", '0', NULL);
	tar_put(&layer, "before", '2', "keep");
	tar_put(&layer, "after", '2', "keep");
	tar_put(&layer, "after/.wh.x", '0', NULL);
	tar_put(&layer, "nowhere/.wh.x", '0', NULL);
	tar_put_file(&layer, "keep", "2");
	tar_put(&layer, ".wh.gone", '0', NULL);
	tar_put(&layer, ".wh.never-was", '0', NULL);
	tar_put(&layer, ".wh.tree", '0', NULL);
	/* What the layer itself has stays, whichever comes first. */
	tar_put_file(&layer, "opaque/both/new", "2");
	tar_put(&layer, "opaque/.wh..wh..opq", '0', NULL);
	tar_put_file(&layer, "opaque/later", "2");
	tar_put(&layer, "becomes-folder/", '5', NULL);
	tar_put_file(&layer, "becomes-file", "2");
	tar_put(&layer, "link/", '5', NULL);
	tar_put_file(&layer, "link/inside", "2");
	assert_int_equal(apply(unpack, &layer, &err), 0);

	look(folder, unpack, &totals);
	expect_text(folder->fd, "keep", "2");
	assert_false(exists(folder->fd, "gone"));
	assert_false(exists(folder->fd, "nowhere"));
	assert_int_equal(fstatat(folder->fd, "before", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(fstatat(folder->fd, "after", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_false(exists(folder->fd, "tree"));
	assert_false(exists(folder->fd, "opaque/old"));
	assert_false(exists(folder->fd, "opaque/both/old"));
	assert_false(exists(folder->fd, "opaque/.wh..wh..opq"));
	expect_text(folder->fd, "opaque/both/new", "2");
	expect_text(folder->fd, "opaque/later", "2");
	assert_int_equal(fstatat(folder->fd, "becomes-folder", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISDIR(st.st_mode));
	expect_text(folder->fd, "becomes-file", "2");
	expect_text(folder->fd, "link/inside", "2");
	unpack_free(unpack);
	buf_done(&layer);
}

/* Each row is one layer of up to three entries on top of a layer with folder "d", file "f" and links "out" and "in". */
static void test_refused(void **state)
{
	static const struct {
		struct {
			const char *name, *target;
			char type;
		} entries[3];
		int code;
		const char *message;
	} bad[] = {
		{{{"out/x", NULL, '0'}}, ERR_INVALID, "entry 'out/x': what is above it is a link or a file"},
		{{{"in/x", NULL, '0'}}, ERR_INVALID, "entry 'in/x': what is above it is a link or a file"},
		{{{"f/x", NULL, '0'}}, ERR_INVALID, "entry 'f/x': what is above it is a link or a file"},
		{{{"l", "/", '2'}, {"l/x", NULL, '0'}},
		 ERR_INVALID,
		 "entry 'l/x': what is above it is a link or a file"},
		{{{"l", "out/passwd", '1'}}, ERR_INVALID, "entry 'l': the hard link's target is not there"},
		{{{"l", "nowhere", '1'}}, ERR_INVALID, "entry 'l': the hard link's target is not there"},
		{{{"l", "l", '1'}}, ERR_INVALID, "entry 'l': the hard link's target is not there"},
		{{{"l", "d", '1'}}, ERR_INVALID, "entry 'l': the hard link's target is a folder"},
		{{{"n", NULL, '0'}, {"n", NULL, '0'}}, ERR_INVALID, "entry 'n': the layer has the name twice"},
		{{{"n", NULL, '0'}, {"n", "x", '2'}}, ERR_INVALID, "entry 'n': the layer has the name twice"},
		{{{"n/m", NULL, '0'}, {"n", NULL, '0'}}, ERR_INVALID, "entry 'n': the layer has the name twice"},
		{{{"n", NULL, '0'}, {"n", NULL, '5'}}, ERR_INVALID, "entry 'n': the layer has the name twice"},
		{{{"in/.wh.x", NULL, '0'}}, ERR_INVALID, "entry 'in/.wh.x': what is above it is a link or a file"},
		{{{".wh.d", NULL, '5'}}, ERR_INVALID, "entry '.wh.d': a whiteout is not an empty file"},
		{{{".wh.", NULL, '0'}}, ERR_INVALID, "entry '.wh.': it is an unknown kind of whiteout"},
		{{{".wh...", NULL, '0'}}, ERR_INVALID, "entry '.wh...': it is an unknown kind of whiteout"},
		{{{"d/.wh..wh.plnk", NULL, '0'}},
		 ERR_INVALID,
		 "entry 'd/.wh..wh.plnk': it is an unknown kind of whiteout"},
		{{{"d/.wh.x/y", NULL, '0'}}, ERR_INVALID, "entry 'd/.wh.x/y': it lies below a whiteout"},
		{{{"1", NULL, '5'}, {"2", NULL, '5'}, {"3", NULL, '5'}},
		 ERR_TOO_LARGE,
		 "entry '3': the image has more than 6 entries"},
	};
	struct folder *folder = *state;
	struct err err;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct buf layer = buf_of(1 << 20);
		struct unpack *unpack = begin(folder, 1 << 20, 6);

		tar_put(&layer, "d", '5', NULL);
		tar_put(&layer, "f", '0', NULL);
		tar_put(&layer, "out", '2', "/etc");
		tar_put(&layer, "in", '2', "d");
		assert_int_equal(apply(unpack, &layer, &err), 0);
		for (size_t j = 0; j < 3 && bad[i].entries[j].name; j++)
			tar_put(&layer, bad[i].entries[j].name, bad[i].entries[j].type, bad[i].entries[j].target);
		assert_int_equal(apply(unpack, &layer, &err), bad[i].code);
		assert_string_equal(err.msg, bad[i].message);
		unpack_free(unpack);
		buf_done(&layer);
	}
}

static void test_limits(void **state)
{
	struct folder *folder = *state;
	struct unpack *unpack = begin(folder, 8192, 100);
	struct buf layer = buf_of(1 << 20);
	struct err err;

	tar_put_file(&layer, "a", "x");
	tar_put_file(&layer, "b", "x");
	tar_put_file(&layer, "c", "x");
	assert_int_equal(apply(unpack, &layer, &err), ERR_TOO_LARGE);
	assert_string_equal(err.msg, "entry 'c': the image has more than 8192 bytes");
	unpack_free(unpack);

	unpack = begin(folder, 1 << 20, 100);
	tar_put_header(&layer, &(struct tar_header_spec){.name = "d", .type = '0', .size = 10});
	{
		struct tar_buffer_source source = {.buf = &layer};

		assert_int_equal(unpack_layer(unpack, tar_buffer_read, &source, &err), ERR_INVALID);
	}
	assert_string_equal(err.msg, "entry 'd': the archive is cut off");
	buf_clear(&layer);
	tar_put_pax(&layer, "SCHILY.xattr.user.overlay.opaque", "y");
	tar_put_file(&layer, "e", "x");
	assert_int_equal(apply(unpack, &layer, &err), ERR_INVALID);
	assert_string_equal(err.msg, "entry 'e': the extended attribute 'user.overlay.opaque' is overlayfs' own");
	unpack_free(unpack);
	unpack_free(NULL);
	buf_done(&layer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_metadata, setup, teardown),
		cmocka_unit_test_setup_teardown(test_layers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
	};

	/* Setting owners needs root; 77 tells meson that the tests were skipped. */
	if (geteuid() != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
