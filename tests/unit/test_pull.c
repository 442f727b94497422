/* SPDX-License-Identifier: Apache-2.0 */
/* The image store against a registry of this test's own over loopback: real HTTP, real unpacking process. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fdio.h"
#include "base/proc.h"
#include "base/str.h"
#include "image/image.h"
#include "image_registry.h"

struct fixture {
	char mount[32];
	char path[64], mounts[64];
	int dir;
	struct image_store *store;
};

static int pull(struct fixture *fixture, const struct blob *blob, struct image **image, struct err *err)
{
	static const struct http_client_config client = {0};
	char reference[256];
	const struct image_request request = {.image = reference,
					      .token = "secret",
					      .client = &client,
					      .plain_http = true};

	reference_of(reference, blob);
	return image_pull(fixture->store, &request, image, err);
}

/* --- fixture --- */

static void open_store(struct fixture *fixture, const struct image_store_config *config)
{
	struct image_store_config complete = *config;
	struct err err = {0};

	complete.mounts = fixture->mounts;
	if (image_store_open(fixture->dir, &complete, &fixture->store, &err) < 0)
		fail_msg("%s", err.msg);
}

static int setup(void **state)
{
	static struct fixture fixture;

	(void)snprintf(fixture.mount, sizeof(fixture.mount), "/var/tmp/bulkhead-test-XXXXXX");
	/* In memory: what others write to the machine's disk would make every syncfs long. */
	if (!mkdtemp(fixture.mount) || mount("bulkhead-test", fixture.mount, "tmpfs", 0, "size=64m") < 0)
		return -1;
	(void)snprintf(fixture.path, sizeof(fixture.path), "%s/store", fixture.mount);
	(void)snprintf(fixture.mounts, sizeof(fixture.mounts), "%s/mounts", fixture.mount);
	if (mkdir(fixture.path, 0700) < 0)
		return -1;
	fixture.dir = open(fixture.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	start_registry();
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	if (fixture->store && image_store_trim(fixture->store, NULL) < 0)
		return -1;
	image_store_close(fixture->store);
	fixture->store = NULL;
	stop_registry();
	(void)close(fixture->dir);
	if (umount2(fixture->mount, MNT_DETACH) < 0)
		return -1;
	return rmdir(fixture->mount);
}

static const struct image_store_config defaults;

static void test_pull(void **state)
{
	struct fixture *fixture = *state;
	struct blob *blob = put_simple_image(true, "hello");
	struct buf text = buf_of(4096);
	struct image *image;
	struct stat st;
	struct err err;
	char path[256];
	int root;

	open_store(fixture, &defaults);
	if (pull(fixture, blob, &image, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(image->config.command[0], "/bin/sh");
	assert_int_equal(image->entries, 3);
	assert_int_equal(image->bytes, 8192);
	assert_int_equal(image_open_root(image, &root, &err), 0);
	assert_int_equal(fstatat(root, ".", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(fstatat(root, "usr", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(fdio_read_file(root, "etc/hello", &text, &err), 0);
	assert_string_equal(text.data, "hello");
	(void)close(root);
	buf_clear(&text);
	(void)snprintf(path, sizeof(path), "%s/manifest.json", strrchr(image->root, '/') + 1);
	assert_int_equal(fdio_read_file(fixture->dir, path, &text, &err), 0);
	assert_int_equal(text.len, blob->bytes.len);
	assert_int_equal(fstat(fixture->dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	image_release(image);

	/* A second pull asks the registry for nothing; so does one after the store was opened again. */
	assert_int_equal(atomic_load(&blob->asked), 1);
	assert_int_equal(pull(fixture, blob, &image, &err), 0);
	image_release(image);
	image_store_close(fixture->store);
	open_store(fixture, &defaults);
	assert_int_equal(pull(fixture, blob, &image, &err), 0);
	assert_int_equal(image->bytes, 8192);
	assert_int_equal(atomic_load(&blob->asked), 1);
	assert_int_equal(image_remove(fixture->store, &image->digest, &err), ERR_BUSY);
	{
		struct digest digest = image->digest;
		char expected[256];

		(void)snprintf(expected, sizeof(expected), "image '%s' is in use", blob->digest);
		assert_string_equal(err.msg, expected);
		image_release(image);
		assert_int_equal(image_remove(fixture->store, &digest, &err), 0);
		assert_int_equal(image_hold(fixture->store, &digest, NULL, &image, &err), ERR_NOT_FOUND);
		(void)snprintf(expected, sizeof(expected), "image '%s' is not in the store", blob->digest);
		assert_string_equal(err.msg, expected);
	}
	image_release(NULL);
	buf_done(&text);
}

static void expect_nothing_left(struct fixture *fixture)
{
	struct image_row *rows;
	size_t count;

	assert_int_equal(image_list(fixture->store, &rows, &count, NULL), 0);
	assert_int_equal(count, 0);
	free(rows);
	/* Only the lock file stays. */
	assert_int_equal(unlinkat(fixture->dir, ".lock", 0), 0);
	assert_int_equal(rmdir(fixture->path), 0);
	assert_int_equal(mkdir(fixture->path, 0700), 0);
	image_store_close(fixture->store);
	(void)close(fixture->dir);
	fixture->dir = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	open_store(fixture, &defaults);
}

static void PRINTF_LIKE(4, 5)
	expect_refused(struct fixture *fixture, const struct blob *blob, int code, const char *format, ...)
{
	char reference[256], detail[512], expected[1024];
	struct image *image;
	struct err err = {0};
	va_list args;

	reference_of(reference, blob);
	va_start(args, format);
	(void)vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	(void)snprintf(expected, sizeof(expected), "image '%s': %s", reference, detail);
	assert_int_equal(pull(fixture, blob, &image, &err), code);
	assert_string_equal(err.msg, expected);
	expect_nothing_left(fixture);
}

static void test_wrong_bytes(void **state)
{
	struct fixture *fixture = *state;
	struct buf tar = buf_of(4 << 20);
	struct layer layer;
	struct blob *blob;
	char detail[600], good[DIGEST_TEXT_SIZE];
	struct digest digest;

	open_store(fixture, &defaults);

	/* One byte of a layer differs: gzip itself stumbles, but the digest is the reason given. */
	tar_put_file(&tar, "f", "some text that is long enough");
	layer = put_layer(&tar, true);
	blob = put_image(&layer, 1, MEDIA_OCI_CONFIG, 0);
	(void)strncpy(good, layer.blob->digest, sizeof(good));
	layer.blob->bytes.data[20] ^= 1;
	assert_int_equal(digest_of(DIGEST_SHA256, layer.blob->bytes.data, layer.blob->bytes.len, &digest), 0);
	{
		char found[DIGEST_TEXT_SIZE];

		digest_format(&digest, found);
		(void)snprintf(detail, sizeof(detail), "%s: digest is %s, not %s", good, found, good);
	}
	expect_refused(fixture, blob, ERR_CORRUPT, "layer %s", detail);

	/* The manifest says another size than the layer has. */
	layer.blob->bytes.data[20] ^= 1;
	blob = put_image(&layer, 1, MEDIA_OCI_CONFIG, 3);
	(void)snprintf(detail, sizeof(detail), "%s: it has %zu bytes, not %zu as the manifest says", good,
		       layer.blob->bytes.len, layer.blob->bytes.len + 3);
	expect_refused(fixture, blob, ERR_CORRUPT, "layer %s", detail);
	blob = put_image(&layer, 1, MEDIA_OCI_CONFIG, -3);
	(void)snprintf(detail, sizeof(detail), "%s: it has more than the %zu bytes the manifest says", good,
		       layer.blob->bytes.len - 3);
	expect_refused(fixture, blob, ERR_CORRUPT, "layer %s", detail);

	/* The configuration promises other content than the layer has. */
	(void)strncpy(layer.diff_id, "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		      sizeof(layer.diff_id) - 1);
	blob = put_image(&layer, 1, MEDIA_OCI_CONFIG, 0);
	{
		char reference[256], start[512];
		struct image *image;
		struct err err = {0};

		reference_of(reference, blob);
		(void)snprintf(start, sizeof(start),
			       "image '%s': layer %s: its uncompressed content: digest is sha256:", reference, good);
		assert_int_equal(pull(fixture, blob, &image, &err), ERR_CORRUPT);
		assert_true(str_starts(err.msg, start));
		assert_true(str_ends(err.msg,
				     ", not sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
		expect_nothing_left(fixture);
	}

	/* The manifest itself is not what its digest says. */
	blob = put_simple_image(true, "x");
	blob->bytes.data[1] ^= 1;
	assert_int_equal(digest_of(DIGEST_SHA256, blob->bytes.data, blob->bytes.len, &digest), 0);
	{
		char found[DIGEST_TEXT_SIZE];

		digest_format(&digest, found);
		(void)snprintf(detail, sizeof(detail), "%s: digest is %s, not %s", blob->digest, found, blob->digest);
	}
	expect_refused(fixture, blob, ERR_CORRUPT, "manifest %s", detail);
}

static void test_refused(void **state)
{
	struct fixture *fixture = *state;
	struct buf tar = buf_of(4 << 20);
	struct layer layer;
	struct blob *blob;
	char detail[600];

	open_store(fixture, &defaults);
	tar_put_file(&tar, "fine", "x");
	tar_put_file(&tar, "../../etc/evil", "x");
	layer = put_layer(&tar, true);
	blob = put_image(&layer, 1, MEDIA_OCI_CONFIG, 0);
	(void)snprintf(detail, sizeof(detail), "%s: entry '../../etc/evil': the name has a '..' component",
		       layer.blob->digest);
	expect_refused(fixture, blob, ERR_INVALID, "layer %s", detail);

	tar_put(&tar, "dev/sda", '4', NULL);
	layer = put_layer(&tar, false);
	blob = put_image(&layer, 1, MEDIA_OCI_CONFIG, 0);
	(void)snprintf(detail, sizeof(detail), "%s: entry 'dev/sda': is a device node", layer.blob->digest);
	expect_refused(fixture, blob, ERR_INVALID, "layer %s", detail);

	/* A layer cut off, consistently. */
	tar_put_header(&tar, &(struct tar_header_spec){.name = "f", .type = '0', .size = 1 << 20});
	layer = put_layer(&tar, false);
	blob = put_image(&layer, 1, MEDIA_OCI_CONFIG, 0);
	(void)snprintf(detail, sizeof(detail), "%s: entry 'f': the archive is cut off", layer.blob->digest);
	expect_refused(fixture, blob, ERR_INVALID, "layer %s", detail);

	/* A gzip layer that is none. */
	tar_put_file(&tar, "f", "x");
	layer = put_layer(&tar, false);
	layer.type = LAYER_TYPE "+gzip";
	blob = put_image(&layer, 1, MEDIA_OCI_CONFIG, 0);
	(void)snprintf(detail, sizeof(detail), "%s: the gzip stream is damaged", layer.blob->digest);
	expect_refused(fixture, blob, ERR_INVALID, "layer %s", detail);

	/* Types. */
	layer.type = "application/zip";
	blob = put_image(&layer, 1, MEDIA_OCI_CONFIG, 0);
	expect_refused(fixture, blob, -EMEDIUMTYPE, "layers[0].mediaType '%s' is not a layer", "application/zip");
	layer.type = LAYER_TYPE "+encrypted";
	blob = put_image(&layer, 1, MEDIA_OCI_CONFIG, 0);
	expect_refused(fixture, blob, ERR_DENIED, "layers[0] is encrypted and no key for it was handed over");
	layer.type = LAYER_TYPE;
	blob = put_image(&layer, 1, "text/plain", 0);
	expect_refused(fixture, blob, -EMEDIUMTYPE, "config.mediaType '%s' is not an image configuration",
		       "text/plain");

	/* What the registry says. */
	blob = put_simple_image(false, "y");
	blob->status = 403;
	expect_refused(fixture, blob, ERR_DENIED, "the registry answered 403 for manifests %s", blob->digest);
	expect_refused(fixture,
		       &(struct blob){
			       .digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		       ERR_NOT_FOUND, "the registry answered 404 for manifests %s",
		       "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_request(void **state)
{
	struct fixture *fixture = *state;
	static const struct http_client_config client = {0};
	struct image_request request = {.image = "127.0.0.1:1/a:b", .client = &client, .plain_http = true};
	struct image_store *second;
	struct blob *blob = put_simple_image(true, "x");
	char reference[256], expected[512];
	atomic_bool cancelled = true;
	struct image *image;
	struct err err;

	open_store(fixture, &defaults);
	assert_int_equal(image_pull(fixture->store, &request, &image, &err), ERR_INVALID);
	assert_string_equal(err.msg, "image '127.0.0.1:1/a:b' has no digest");
	request.image = "busybox";
	assert_int_equal(image_pull(fixture->store, &request, &image, &err), ERR_INVALID);
	assert_string_equal(err.msg, "image 'busybox' names no registry: write 'host[:port]/repository'");
	reference_of(reference, blob);
	request.image = reference;
	assert_int_equal(image_pull(fixture->store, &request, &image, &err), ERR_UNKNOWN_PEER);
	(void)snprintf(expected, sizeof(expected), "image '%s': the registry answered 401 for manifests %s", reference,
		       blob->digest);
	assert_string_equal(err.msg, expected);
	request.token = "secret";
	request.architecture = "arm64";
	assert_int_equal(image_pull(fixture->store, &request, &image, &err), ERR_INVALID);
	(void)snprintf(expected, sizeof(expected), "image '%s': it is for linux/amd64, not for linux/arm64", reference);
	assert_string_equal(err.msg, expected);
	request.architecture = NULL;
	request.cancelled = &cancelled;
	assert_int_equal(image_pull(fixture->store, &request, &image, &err), -ECANCELED);
	expect_nothing_left(fixture);
	{
		int dir = open(fixture->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		const struct image_store_config config = {.mounts = fixture->mounts};

		assert_int_equal(image_store_open(dir, &config, &second, &err), ERR_BUSY);
		assert_string_equal(err.msg, "the image store is open in another process");
		(void)close(dir);
	}
}

static void test_index(void **state)
{
	struct fixture *fixture = *state;
	struct blob *manifest = put_simple_image(true, "through an index"), *index;
	char text[1024];
	struct image *image;
	struct err err = {0};

	open_store(fixture, &defaults);
	(void)snprintf(text, sizeof(text),
		       "{\"schemaVersion\":2,\"mediaType\":\"%s\",\"manifests\":[{\"mediaType\":\"%s\",\"digest\":\"%"
		       "s\",\"size\":%zu,"
		       "\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}}]}",
		       MEDIA_OCI_INDEX, MEDIA_OCI_MANIFEST, manifest->digest, manifest->bytes.len);
	index = put_blob(text, strlen(text), MEDIA_OCI_INDEX);
	if (pull(fixture, index, &image, &err) < 0)
		fail_msg("%s", err.msg);
	/* The store knows it by what was asked for. */
	digest_format(&image->digest, text);
	assert_string_equal(text, index->digest);
	image_release(image);
	(void)snprintf(text, sizeof(text),
		       "{\"schemaVersion\":2,\"manifests\":[{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":1,"
		       "\"platform\":{\"os\":\"linux\",\"architecture\":\"arm64\"}}]}",
		       MEDIA_OCI_MANIFEST, manifest->digest);
	index = put_blob(text, strlen(text), MEDIA_OCI_INDEX);
	assert_int_equal(pull(fixture, index, &image, &err), ERR_NOT_FOUND);
	assert_true(str_ends(err.msg, ": index has no manifest for linux/amd64"));
}

/* The connection breaks in the middle; with and without ranges nothing is had twice and the whole is right. */
static void test_resume(void **state)
{
	struct fixture *fixture = *state;

	open_store(fixture, &defaults);
	for (unsigned ranges = 0; ranges < 2; ranges++) {
		struct buf tar = buf_of(8 << 20);
		CLEANUP_FREE char *noise = malloc(1 << 20);
		struct layer layer;
		struct blob *blob;
		struct image *image;
		struct err err = {0};

		for (size_t i = 0; i < 1 << 20; i++)
			noise[i] = (char)(i * 2654435761u >> (13 + ranges));
		tar_put_header(&tar, &(struct tar_header_spec){.name = "noise", .type = '0', .size = 1 << 20});
		tar_put_data(&tar, noise, 1 << 20);
		layer = put_layer(&tar, false);
		layer.blob->cut = 300000;
		layer.blob->no_ranges = !ranges;
		blob = put_image(&layer, 1, MEDIA_OCI_CONFIG, 0);
		if (pull(fixture, blob, &image, &err) < 0)
			fail_msg("%s", err.msg);
		assert_int_equal(atomic_load(&layer.blob->asked), 2);
		image_release(image);
	}
}

struct puller {
	struct fixture *fixture;
	struct blob *blob;
	pthread_t thread;
	int code;
	struct image *image;
	struct err err;
};

static void *pull_in_thread(void *user)
{
	struct puller *puller = user;

	puller->code = pull(puller->fixture, puller->blob, &puller->image, &puller->err);
	return NULL;
}

static void test_parallel(void **state)
{
	struct fixture *fixture = *state;
	struct blob *good = put_simple_image(true, "one download"), *bad = put_simple_image(true, "one failure");
	struct puller pullers[16];

	open_store(fixture, &defaults);
	good->delay_ms = bad->delay_ms = 300;
	bad->bytes.data[0] ^= 1;
	for (size_t i = 0; i < 16; i++) {
		pullers[i] = (struct puller){.fixture = fixture, .blob = i % 2 ? good : bad};
		assert_int_equal(pthread_create(&pullers[i].thread, NULL, pull_in_thread, &pullers[i]), 0);
	}
	for (size_t i = 0; i < 16; i++) {
		assert_int_equal(pthread_join(pullers[i].thread, NULL), 0);
		assert_int_equal(pullers[i].code, i % 2 ? 0 : ERR_CORRUPT);
		if (i % 2)
			assert_string_equal(pullers[i].image->root, pullers[1].image->root);
		else
			assert_string_equal(pullers[i].err.msg, pullers[0].err.msg);
	}
	assert_int_equal(atomic_load(&good->asked), 1);
	assert_int_equal(atomic_load(&bad->asked), 1);
	for (size_t i = 1; i < 16; i += 2)
		image_release(pullers[i].image);
}

static void test_budget(void **state)
{
	struct fixture *fixture = *state;
	const struct image_store_config config = {.budget_bytes = 20000};
	struct blob *blobs[4];
	struct image *held, *image;
	struct image_row *rows;
	struct err err = {0};
	char digest[DIGEST_TEXT_SIZE];
	size_t count;

	open_store(fixture, &config);
	for (size_t i = 0; i < 4; i++)
		blobs[i] = put_simple_image(true, (const char *[]){"a", "b", "c", "d"}[i]);
	/* Each takes 8192: the third is over the budget, and the second goes, for the first is held. */
	assert_int_equal(pull(fixture, blobs[0], &held, &err), 0);
	for (size_t i = 1; i < 3; i++) {
		assert_int_equal(pull(fixture, blobs[i], &image, &err), 0);
		image_release(image);
	}
	assert_int_equal(image_list(fixture->store, &rows, &count, &err), 0);
	assert_int_equal(count, 2);
	digest_format(&rows[0].digest, digest);
	assert_string_equal(digest, blobs[0]->digest);
	assert_int_equal(rows[0].holds, 1);
	digest_format(&rows[1].digest, digest);
	assert_string_equal(digest, blobs[2]->digest);
	free(rows);
	image_release(held);
	/* The first is longest unused now. */
	assert_int_equal(pull(fixture, blobs[3], &image, &err), 0);
	image_release(image);
	assert_int_equal(image_list(fixture->store, &rows, &count, &err), 0);
	assert_int_equal(count, 2);
	digest_format(&rows[0].digest, digest);
	assert_string_equal(digest, blobs[2]->digest);
	free(rows);
}

static void test_limits(void **state)
{
	struct fixture *fixture = *state;
	const struct image_store_config config = {.image_bytes = 1 << 20, .image_entries = 10};
	struct buf tar = buf_of(64 << 20);
	CLEANUP_FREE char *zeros = calloc(1, 2 << 20);
	struct layer layer;
	struct blob *blob;
	struct image *image;
	struct err err = {0};

	open_store(fixture, &config);
	tar_put_header(&tar, &(struct tar_header_spec){.name = "bomb", .type = '0', .size = 2 << 20});
	tar_put_data(&tar, zeros, 2 << 20);
	layer = put_layer(&tar, true);
	assert_true(layer.blob->bytes.len < 20000);
	blob = put_image(&layer, 1, MEDIA_OCI_CONFIG, 0);
	assert_int_equal(pull(fixture, blob, &image, &err), ERR_TOO_LARGE);
	assert_true(str_ends(err.msg, ": entry 'bomb': the image has more than 1048576 bytes"));
	for (char name[2] = "a"; name[0] <= 'k'; name[0]++)
		tar_put(&tar, name, '5', NULL);
	layer = put_layer(&tar, true);
	blob = put_image(&layer, 1, MEDIA_OCI_CONFIG, 0);
	assert_int_equal(pull(fixture, blob, &image, &err), ERR_TOO_LARGE);
	assert_true(str_ends(err.msg, ": entry 'k': the image has more than 10 entries"));
	expect_nothing_left(fixture);
}

/* A file system of 4 MiB: an image that does not fit leaves nothing, one nobody holds makes room. */
static void test_full_disk(void **state)
{
	struct fixture *fixture = *state;
	struct fixture small = {0};
	CLEANUP_FREE char *noise = malloc(6 << 20);
	struct blob *blobs[3];
	struct image *image;
	struct image_row *rows;
	struct err err = {0};
	struct stat st;
	size_t count;

	open_store(fixture, &defaults);
	(void)snprintf(small.path, sizeof(small.path), "%s/small", fixture->mount);
	(void)snprintf(small.mounts, sizeof(small.mounts), "%s/small-mounts", fixture->mount);
	assert_int_equal(mkdir(small.path, 0700), 0);
	assert_int_equal(mount("bulkhead-test", small.path, "tmpfs", 0, "size=4m"), 0);
	small.dir = open(small.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	open_store(&small, &defaults);
	for (size_t i = 0; i < 3; i++) {
		const size_t size = i == 2 ? 6 << 20 : 5 << 19;
		struct buf tar = buf_of(8 << 20);
		struct layer layer;

		memset(noise, (int)i + 1, size);
		tar_put_header(&tar, &(struct tar_header_spec){.name = "f", .type = '0', .size = size});
		tar_put_data(&tar, noise, size);
		layer = put_layer(&tar, true);
		blobs[i] = put_image(&layer, 1, MEDIA_OCI_CONFIG, 0);
	}
	assert_int_equal(pull(&small, blobs[0], &image, &err), 0);
	{
		struct image *second;

		/* In use: there is no room. */
		assert_int_equal(pull(&small, blobs[1], &second, &err), -ENOSPC);
		assert_true(str_ends(err.msg, ": entry 'f': cannot write the image: No space left on device"));
		image_release(image);
		assert_int_equal(pull(&small, blobs[1], &second, &err), 0);
		image_release(second);
	}
	assert_int_equal(pull(&small, blobs[2], &image, &err), -ENOSPC);
	assert_int_equal(image_list(small.store, &rows, &count, &err), 0);
	assert_int_equal(count, 0);
	free(rows);
	assert_int_equal(image_store_trim(small.store, &err), 0);
	image_store_close(small.store);
	assert_int_equal(unlinkat(small.dir, ".lock", 0), 0);
	/* Its link count says that no folder is left in it. */
	assert_int_equal(fstat(small.dir, &st), 0);
	assert_int_equal(st.st_nlink, 2);
	(void)close(small.dir);
	assert_int_equal(umount2(small.path, MNT_DETACH), 0);
}

static void test_leftovers(void **state)
{
	struct fixture *fixture = *state;
	struct stat st;

	assert_int_equal(fdio_mkdir_all(fixture->dir, ".new-7/etc", 0700, NULL), 0);
	assert_int_equal(
		fdio_mkdir_all(fixture->dir,
			       "sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad/rootfs", 0700,
			       NULL),
		0);
	open_store(fixture, &defaults);
	assert_int_equal(fstatat(fixture->dir, ".new-7", &st, 0), -1);
	assert_int_equal(fstatat(fixture->dir,
				 "sha256-ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", &st, 0),
			 -1);
}

/* The process that test_killed kills: pulls once. */
static int pull_and_end(const char *path, const char *mounts, const char *reference)
{
	const struct image_store_config config = {.mounts = mounts};
	static const struct http_client_config client = {0};
	const struct image_request request = {.image = reference,
					      .token = "secret",
					      .client = &client,
					      .plain_http = true};
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct image_store *store;
	struct image *image;

	if (image_store_open(dir, &config, &store, NULL) < 0 || image_pull(store, &request, &image, NULL) < 0)
		return 1;
	image_release(image);
	image_store_close(store);
	return 0;
}

/* SIGKILL at any moment of a pull: the next start finds the image whole or not at all, and nothing else. */
static void test_killed(void **state)
{
	struct fixture *fixture = *state;
	struct buf tar = buf_of(1 << 20);
	struct layer layers[2];
	struct blob *blob;
	char reference[256];
	unsigned whole = 0, absent = 0;

	for (unsigned layer = 0; layer < 2; layer++) {
		for (unsigned i = 0; i < 200; i++) {
			char name[32];

			(void)snprintf(name, sizeof(name), "d%u/%u/f", i % 20, i);
			tar_put_file(&tar, name, "text");
		}
		layers[layer] = put_layer(&tar, true);
		layers[layer].blob->delay_ms = 5;
	}
	blob = put_image(layers, 2, MEDIA_OCI_CONFIG, 0);
	reference_of(reference, blob);
	for (unsigned round = 0; round < 40; round++) {
		const char *const argv[] = {"test_pull", "pull", fixture->path, fixture->mounts, reference, NULL};
		const struct proc_spec spec = {.path = "/proc/self/exe",
					       .argv = argv,
					       .in = -1,
					       .out = -1,
					       .error = -1};
		struct image *image;
		struct digest digest;
		struct proc proc;
		struct stat st;
		int status;

		assert_int_equal(proc_spawn(&spec, &proc, NULL), 0);
		/* The last ones end by themselves, however slow the machine is. */
		if (round < 37) {
			(void)usleep(round * 3000);
			assert_int_equal(proc_kill(&proc, SIGKILL), 0);
		}
		assert_int_equal(proc_wait(&proc, -1, &status), 0);
		open_store(fixture, &defaults);
		assert_int_equal(digest_parse(blob->digest, &digest, NULL), 0);
		if (image_hold(fixture->store, &digest, NULL, &image, NULL) == 0) {
			assert_int_equal(image->entries, 400);
			image_release(image);
			assert_int_equal(image_remove(fixture->store, &digest, NULL), 0);
			whole++;
		} else {
			absent++;
		}
		image_store_close(fixture->store);
		fixture->store = NULL;
		assert_int_equal(fstat(fixture->dir, &st), 0);
		assert_int_equal(st.st_nlink, 2);
	}
	assert_true(whole >= 3);
	assert_true(absent >= 3);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_pull, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_request, setup, teardown),
		cmocka_unit_test_setup_teardown(test_index, setup, teardown),
		cmocka_unit_test_setup_teardown(test_resume, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parallel, setup, teardown),
		cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
		cmocka_unit_test_setup_teardown(test_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leftovers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
	};

	if (argc > 1 && str_eq(argv[1], IMAGE_INGEST_WORD))
		return image_ingest_main();
	if (argc > 4 && str_eq(argv[1], "pull"))
		return pull_and_end(argv[2], argv[3], argv[4]);
	/* Setting owners needs root; 77 tells meson that the tests were skipped. */
	if (geteuid() != 0)
		return 77;
	/* A service may run with any mask; images are not to show it. */
	(void)umask(077);
	/* Mounts of the tests are seen by nobody else. */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
