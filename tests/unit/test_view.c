/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images that a domain keeps sealed: a real registry, real processes that seal and serve, mounted by the kernel.
 * CACHE-1 CACHE-2 CACHE-4
 */
#include "image/view.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fdio.h"
#include "base/privilege.h"
#include "base/str.h"
#include "image/image.h"
#include "image_registry.h"

#define CANARY "canary-5e1f0d7c-of-a-sensitive-image"

struct fixture {
	char top[32], path[64], mounts[64];
	int dir;
	struct image_store *store;
};

/* What a trust domain has, and how often it was asked for it. */
struct domain {
	const char *name;
	uint8_t key[IMAGE_DOMAIN_KEY_SIZE];
	bool refuses;
	unsigned asked;
	bool saw_index;
	struct image_protection protection;
};

static int give_key(void *user, const struct image_documents *documents, struct err *err)
{
	struct domain *domain = user;

	assert_non_null(documents->manifest_bytes->data);
	assert_int_equal(documents->manifest->kind, MANIFEST_IMAGE);
	domain->asked++;
	domain->saw_index = documents->index != NULL;
	if (domain->refuses)
		return err_set(err, ERR_DENIED, "TrustDomain '%s' was not granted it", domain->name);
	domain->protection.key = domain->key;
	return 0;
}

static int pull(struct fixture *fixture, const struct blob *blob, struct domain *domain, enum policy_cache class,
		struct image **image, struct err *err)
{
	static const struct http_client_config client = {0};
	char reference[256];
	const struct image_request request = {.image = reference,
					      .token = "secret",
					      .client = &client,
					      .plain_http = true,
					      .protection = &domain->protection,
					      .grant = give_key,
					      .grant_user = domain};

	domain->protection = (struct image_protection){.class = class, .domain = domain->name};
	reference_of(reference, blob);
	return image_pull(fixture->store, &request, image, err);
}

static struct image *pull_well(struct fixture *fixture, const struct blob *blob, struct domain *domain,
			       enum policy_cache class)
{
	struct image *image;
	struct err err = {0};

	if (pull(fixture, blob, domain, class, &image, &err) < 0)
		fail_msg("%s", err.msg);
	return image;
}

static void open_store(struct fixture *fixture)
{
	const struct image_store_config config = {.mounts = fixture->mounts, .memory_bytes = 64 << 20};
	struct err err = {0};

	if (image_store_open(fixture->dir, &config, &fixture->store, &err) < 0)
		fail_msg("%s", err.msg);
}

static int setup(void **state)
{
	static struct fixture fixture;

	(void)snprintf(fixture.top, sizeof(fixture.top), "/var/tmp/bulkhead-test-XXXXXX");
	if (!mkdtemp(fixture.top))
		return -1;
	(void)snprintf(fixture.path, sizeof(fixture.path), "%s/store", fixture.top);
	(void)snprintf(fixture.mounts, sizeof(fixture.mounts), "%s/mounts", fixture.top);
	if (mkdir(fixture.path, 0700) < 0)
		return -1;
	fixture.dir = open(fixture.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	start_registry();
	open_store(&fixture);
	*state = &fixture;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	if (image_store_trim(fixture->store, NULL) < 0)
		return -1;
	image_store_close(fixture->store);
	fixture->store = NULL;
	stop_registry();
	(void)close(fixture->dir);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		continue;
	return fdio_remove_tree(AT_FDCWD, fixture->top, NULL);
}

/* An image with the canary at both ends of a file of some chunks, and a text. */
static struct blob *put_sensitive(const char *text)
{
	struct buf tar = buf_of(4 << 20);
	CLEANUP_FREE char *data = calloc(1, 1 << 20);
	struct layer layer;

	for (size_t i = 0; i < 1 << 20; i += sizeof(CANARY) - 1)
		memcpy(data + i, CANARY, (1 << 20) - i < sizeof(CANARY) - 1 ? (1 << 20) - i : sizeof(CANARY) - 1);
	tar_put(&tar, "etc/", '5', NULL);
	tar_put_file(&tar, "etc/hello", text);
	tar_put_header(&tar, &(struct tar_header_spec){.name = "data", .type = '0', .size = 1 << 20});
	tar_put_data(&tar, data, 1 << 20);
	layer = put_layer(&tar, false);
	return put_image(&layer, 1, MEDIA_OCI_CONFIG, 0);
}

static void expect_text(const struct image *image, const char *wanted)
{
	struct buf text = buf_of(4096), data = buf_of(2 << 20);
	struct err err = {0};
	int root;

	assert_int_equal(image_open_root(image, &root, &err), 0);
	assert_int_equal(fdio_read_file(root, "etc/hello", &text, &err), 0);
	assert_string_equal(text.data, wanted);
	assert_int_equal(fdio_read_file(root, "data", &data, &err), 0);
	assert_int_equal(data.len, 1 << 20);
	assert_memory_equal(data.data, CANARY, sizeof(CANARY) - 1);
	buf_done(&text);
	buf_done(&data);
	(void)close(root);
}

/* Whether the canary is anywhere in the files below a folder; mounts are not entered. */
static bool has_canary(int dir, const char *name, dev_t device)
{
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	bool found = false;
	struct stat st;
	DIR *names;

	if (fd < 0)
		return false;
	assert_int_equal(fstat(fd, &st), 0);
	if (S_ISREG(st.st_mode) && st.st_size) {
		void *bytes = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);

		found = memmem(bytes, (size_t)st.st_size, CANARY, sizeof(CANARY) - 1) != NULL;
		(void)munmap(bytes, (size_t)st.st_size);
	}
	names = S_ISDIR(st.st_mode) && st.st_dev == device ? fdopendir(fd) : NULL;
	for (struct dirent *entry; !found && names && (entry = readdir(names));)
		if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
			found = has_canary(fd, entry->d_name, device);
	(void)(names ? closedir(names) : close(fd));
	return found;
}

static bool disk_has_canary(const struct fixture *fixture)
{
	struct stat st;

	assert_int_equal(stat(fixture->path, &st), 0);
	return has_canary(AT_FDCWD, fixture->path, st.st_dev);
}

static void test_encrypted(void **state)
{
	struct fixture *fixture = *state;
	struct domain gold = {.name = "gold", .key = "gold's key"}, silver = {.name = "silver", .key = "silver's key"};
	struct blob *blob = put_sensitive("hello");
	struct image *image, *other;
	struct image_row *rows;
	struct err err = {0};
	char expected[512], reference[256];
	size_t count;

	/* The search finds what is there to be found. */
	image = pull_well(fixture, blob, &gold, POLICY_CACHE_SHARED);
	expect_text(image, "hello");
	assert_true(disk_has_canary(fixture));
	assert_int_equal(gold.asked, 2);
	image_release(image);

	/* Sealed from now on, and the plain copy is gone. */
	image = pull_well(fixture, blob, &gold, POLICY_CACHE_ENCRYPTED);
	assert_int_equal(image->class, POLICY_CACHE_ENCRYPTED);
	expect_text(image, "hello");
	assert_false(disk_has_canary(fixture));
	assert_int_equal(gold.asked, 4);

	/* Two domains share nothing of it. */
	other = pull_well(fixture, blob, &silver, POLICY_CACHE_ENCRYPTED);
	assert_string_not_equal(other->root, image->root);
	expect_text(other, "hello");
	assert_int_equal(image_list(fixture->store, &rows, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_string_equal(rows[0].domain, "gold");
	assert_string_equal(rows[1].domain, "silver");
	assert_non_null(rows[0].mechanism);
	free(rows);
	image_release(other);

	/* One mount for all who have the key; who has it no more gets nothing, though it is mounted. */
	other = pull_well(fixture, blob, &gold, POLICY_CACHE_SHARED);
	assert_string_equal(other->root, image->root);
	image_release(other);
	gold.refuses = true;
	assert_int_equal(pull(fixture, blob, &gold, POLICY_CACHE_ENCRYPTED, &other, &err), ERR_DENIED);
	reference_of(reference, blob);
	(void)snprintf(expected, sizeof(expected), "image '%s': TrustDomain 'gold' was not granted it", reference);
	assert_string_equal(err.msg, expected);
	gold.refuses = false;
	gold.key[0] ^= 1;
	assert_int_equal(pull(fixture, blob, &gold, POLICY_CACHE_ENCRYPTED, &other, &err), ERR_DENIED);
	(void)snprintf(
		expected, sizeof(expected),
		"image '%s': the key of trust domain 'gold' does not open the sealed file, or its header was changed",
		reference);
	assert_string_equal(err.msg, expected);
	image_release(image);
}

/* The same decision again for the platform that an index leads to: the shape of CVE-2022-24778. */
static void test_index(void **state)
{
	struct fixture *fixture = *state;
	struct domain gold = {.name = "gold", .key = "gold's key"};
	struct blob *manifest = put_sensitive("through an index"), *index;
	struct image *image;
	struct err err = {0};
	char text[1024];

	(void)snprintf(text, sizeof(text),
		       "{\"schemaVersion\":2,\"mediaType\":\"%s\",\"manifests\":["
		       "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":1,"
		       "\"platform\":{\"os\":\"linux\",\"architecture\":\"arm64\"}},"
		       "{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu,"
		       "\"platform\":{\"os\":\"linux\",\"architecture\":\"amd64\"}}]}",
		       MEDIA_OCI_INDEX, MEDIA_OCI_MANIFEST, registry.blobs[0].digest, MEDIA_OCI_MANIFEST,
		       manifest->digest, manifest->bytes.len);
	index = put_blob(text, strlen(text), MEDIA_OCI_INDEX);
	image = pull_well(fixture, index, &gold, POLICY_CACHE_ENCRYPTED);
	assert_true(gold.saw_index);
	expect_text(image, "through an index");
	image_release(image);
	gold.saw_index = false;
	gold.refuses = true;
	assert_int_equal(pull(fixture, index, &gold, POLICY_CACHE_ENCRYPTED, &image, &err), ERR_DENIED);
	assert_true(gold.saw_index);
}

static void test_memory_and_never(void **state)
{
	struct fixture *fixture = *state;
	struct domain gold = {.name = "gold", .key = "gold's key"};
	struct blob *blob = put_sensitive("in memory");
	struct image *image;
	struct image_row *rows;
	struct err err = {0};
	size_t count;

	image = pull_well(fixture, blob, &gold, POLICY_CACHE_ENCRYPTED);
	/* The rule was tightened: not while it runs, then anew. */
	{
		struct image *stricter;

		assert_int_equal(pull(fixture, blob, &gold, POLICY_CACHE_MEMORY, &stricter, &err), ERR_BUSY);
		assert_true(str_ends(err.msg, ": it runs in cache class Encrypted, and TrustDomain 'gold' wants Memory "
					      "by now: stop those pods"));
	}
	image_release(image);
	image = pull_well(fixture, blob, &gold, POLICY_CACHE_MEMORY);
	assert_int_equal(image->class, POLICY_CACHE_MEMORY);
	expect_text(image, "in memory");
	assert_int_equal(image_list(fixture->store, &rows, &count, &err), 0);
	assert_int_equal(count, 1);
	free(rows);
	/* Nothing of it is in the store's folder. */
	assert_int_equal(faccessat(fixture->dir, image->name, F_OK, 0), -1);
	image_release(image);
	assert_int_equal(atomic_load(&blob->asked), 2);
	image_release(pull_well(fixture, blob, &gold, POLICY_CACHE_MEMORY));
	assert_int_equal(atomic_load(&blob->asked), 2);

	image = pull_well(fixture, blob, &gold, POLICY_CACHE_NEVER);
	expect_text(image, "in memory");
	image_release(image);
	assert_int_equal(image_list(fixture->store, &rows, &count, &err), 0);
	assert_int_equal(count, 0);
	free(rows);
}

static void test_no_key(void **state)
{
	struct fixture *fixture = *state;
	static const struct http_client_config client = {0};
	struct blob *blob = put_sensitive("x");
	const struct image_protection protection = {.class = POLICY_CACHE_MEMORY, .domain = "gold"};
	char reference[256], expected[512];
	const struct image_request request = {.image = reference,
					      .token = "secret",
					      .client = &client,
					      .plain_http = true,
					      .protection = &protection};
	struct image *image;
	struct err err = {0};

	reference_of(reference, blob);
	assert_int_equal(image_pull(fixture->store, &request, &image, &err), ERR_DENIED);
	(void)snprintf(expected, sizeof(expected),
		       "image '%s': it is to be kept in cache class Memory and no key for it was handed over",
		       reference);
	assert_string_equal(err.msg, expected);
}

static void test_revoke(void **state)
{
	struct fixture *fixture = *state;
	struct domain gold = {.name = "gold", .key = "gold's key"};
	struct blob *blob = put_sensitive("revoked");
	struct image *image = pull_well(fixture, blob, &gold, POLICY_CACHE_ENCRYPTED);
	struct digest digest = image->digest;
	struct timespec begin, end;
	char expected[512];
	struct err err = {0};
	size_t count;
	long ms;

	assert_int_equal(image_revoke(fixture->store, &digest, NULL, &count, &err), ERR_BUSY);
	(void)snprintf(expected, sizeof(expected), "image '%s' is in use by 1 containers of TrustDomain 'gold'",
		       image->name);
	assert_string_equal(err.msg, expected);
	expect_text(image, "revoked");
	image_release(image);
	assert_int_equal(image_revoke(fixture->store, NULL, "silver", &count, &err), 0);
	assert_int_equal(count, 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &begin);
	assert_int_equal(image_revoke(fixture->store, NULL, "gold", &count, &err), 0);
	(void)clock_gettime(CLOCK_MONOTONIC, &end);
	assert_int_equal(count, 1);
	ms = (end.tv_sec - begin.tv_sec) * 1000 + (end.tv_nsec - begin.tv_nsec) / 1000000;
	print_message("revoked in %ld ms\n", ms);
	assert_int_equal(image_hold(fixture->store, &digest, "gold", &image, &err), ERR_NOT_FOUND);
}

/* The process that serves: found by its name among this test's children. */
static pid_t find_view_process(void)
{
	char path[64], pids[4096] = "", *at = pids, *word;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read(fd, pids, sizeof(pids) - 1) >= 0);
	(void)close(fd);
	while ((word = strsep(&at, " "))) {
		char name[256] = "";

		(void)snprintf(path, sizeof(path), "/proc/%s/cmdline", word);
		fd = *word ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		if (fd < 0)
			continue;
		assert_true(read(fd, name, sizeof(name) - 1) >= 0);
		(void)close(fd);
		if (str_ends(name, IMAGE_VIEW_WORD))
			return (pid_t)atoi(word);
	}
	return -1;
}

static void expect_line(const char *status, const char *line)
{
	if (!strstr(status, line))
		fail_msg("no line '%s'", line);
}

static void test_confined(void **state)
{
	struct fixture *fixture = *state;
	struct domain gold = {.name = "gold", .key = "gold's key"};
	struct image *image = pull_well(fixture, put_sensitive("confined"), &gold, POLICY_CACHE_ENCRYPTED);
	struct buf status = buf_of(65536);
	char path[64], line[64];
	pid_t pid = find_view_process();
	uid_t uid;
	gid_t gid;

	assert_true(pid > 0);
	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	assert_int_equal(fdio_read_file(AT_FDCWD, path, &status, NULL), 0);
	privilege_ids(PRIVILEGE_VIEW, &uid, &gid);
	(void)snprintf(line, sizeof(line), "\nUid:\t%u\t%u\t%u\t%u\n", uid, uid, uid, uid);
	expect_line(status.data, line);
	expect_line(status.data, "\nCapEff:\t0000000000004000\n");
	expect_line(status.data, "\nNoNewPrivs:\t1\n");
#if !defined(__SANITIZE_ADDRESS__)
	expect_line(status.data, "\nSeccomp:\t2\n");
#endif
	buf_done(&status);
	image_release(image);
}

/* Its process killed: errors for what is not cached, never wrong bytes; the next start has another. */
static void test_killed(void **state)
{
	struct fixture *fixture = *state;
	struct domain gold = {.name = "gold", .key = "gold's key"};
	struct blob *blob = put_sensitive("killed");
	struct image *image = pull_well(fixture, blob, &gold, POLICY_CACHE_ENCRYPTED), *again;
	struct buf data = buf_of(2 << 20);
	pid_t pid = find_view_process();
	struct err err = {0};
	int root;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(image_open_root(image, &root, &err), 0);
	assert_int_equal(fdio_read_file(root, "data", &data, &err), -EIO);
	(void)close(root);
	again = pull_well(fixture, blob, &gold, POLICY_CACHE_ENCRYPTED);
	expect_text(again, "killed");
	image_release(again);
	image_release(image);
	buf_done(&data);
}

/* The service goes, what is mounted stays readable, and the next service takes it over with its own question for the key. */
static void test_outlives(void **state)
{
	struct fixture *fixture = *state;
	struct domain gold = {.name = "gold", .key = "gold's key"};
	struct blob *blob = put_sensitive("outlives");
	struct image *former = pull_well(fixture, blob, &gold, POLICY_CACHE_MEMORY), *image;
	pid_t pid = find_view_process();
	struct err err = {0};

	image_store_close(fixture->store);
	expect_text(former, "outlives");
	open_store(fixture);
	assert_int_equal(image_hold(fixture->store, &former->digest, "gold", &image, &err), 0);
	expect_text(image, "outlives");
	/* Nobody holds it by that handle any more. */
	former->store = fixture->store;
	former->name[0] = '\0';
	image_release(former);
	image_release(image);
	image = pull_well(fixture, blob, &gold, POLICY_CACHE_MEMORY);
	assert_int_equal(atomic_load(&blob->asked), 1);
	assert_int_equal(find_view_process(), pid);
	image_release(image);
}

/* A sealed file that was changed where it lies: refused by name, or an error when it is read; never other bytes. */
static void test_changed(void **state)
{
	struct fixture *fixture = *state;
	struct domain gold = {.name = "gold", .key = "gold's key"};
	struct blob *blob = put_sensitive("changed");
	struct image *image = pull_well(fixture, blob, &gold, POLICY_CACHE_ENCRYPTED);
	struct buf data = buf_of(2 << 20);
	struct err err = {0};
	char path[256];
	int fd, root;

	(void)snprintf(path, sizeof(path), "%s/image", image->name);
	image_release(image);
	assert_int_equal(image_store_trim(fixture->store, &err), 0);
	fd = openat(fixture->dir, path, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 4096 + 3 * IMAGEFILE_CHUNK + 77), 1);
	image = pull_well(fixture, blob, &gold, POLICY_CACHE_ENCRYPTED);
	assert_int_equal(image_open_root(image, &root, &err), 0);
	assert_int_equal(fdio_read_file(root, "data", &data, &err), -EIO);
	(void)close(root);
	image_release(image);
	assert_int_equal(image_store_trim(fixture->store, &err), 0);
	assert_int_equal(pwrite(fd, "x", 1, 60), 1);
	assert_int_equal(pull(fixture, blob, &gold, POLICY_CACHE_ENCRYPTED, &image, &err), ERR_DENIED);
	assert_int_equal(ftruncate(fd, 4000), 0);
	assert_int_equal(pull(fixture, blob, &gold, POLICY_CACHE_ENCRYPTED, &image, &err), ERR_DENIED);
	(void)close(fd);
	buf_done(&data);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_encrypted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_index, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory_and_never, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_revoke, setup, teardown),
		cmocka_unit_test_setup_teardown(test_confined, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outlives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_changed, setup, teardown),
	};

	if (argc > 1 && str_eq(argv[1], IMAGE_INGEST_WORD))
		return image_ingest_main();
	if (argc > 1 && str_eq(argv[1], IMAGE_VIEW_WORD))
		return image_view_main();
	/* Mounting needs root; 77 tells meson that the tests were skipped. */
	if (geteuid() != 0)
		return 77;
	/* Mounts of the tests are seen by nobody else. */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
