/* SPDX-License-Identifier: Apache-2.0 */
/* The unpacking process seen from outside: what it holds while it waits for bytes, and what it does with wrong frames. */
#include "image/ingest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cmocka.h>

#include "base/fdio.h"
#include "base/privilege.h"
#include "base/str.h"
#include "image/decrypt.h"
#include "image/image.h"
#include "tar_builder.h"

#if defined(__SANITIZE_ADDRESS__)
#define SECCOMP "0" /* see confine.c */
#else
#define SECCOMP "2"
#endif

struct fixture {
	char path[64];
	int file;
	struct ingest *ingest;
	struct digest empty;
};

static const struct ingest_orders orders = {.limits = {.bytes = 1 << 20, .entries = 100}};

static int setup(void **state)
{
	static struct fixture fixture;

	(void)snprintf(fixture.path, sizeof(fixture.path), "/var/tmp/bulkhead-test-XXXXXX");
	fixture.file = mkostemp(fixture.path, O_CLOEXEC);
	if (fixture.file < 0)
		return -1;
	*state = &fixture;
	return ingest_start(NULL, fixture.file, &orders, &fixture.ingest, NULL);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	ingest_free(fixture->ingest);
	fixture->ingest = NULL;
	(void)close(fixture->file);
	return unlink(fixture->path);
}

/* Sends an empty layer, after whose verdict the process is surely confined and waits. */
static void pass_layer(struct fixture *fixture, struct err *err, int code)
{
	struct ingest_layer layer = {.compression = MEDIA_PLAIN};
	struct buf tar = buf_of(1 << 20);

	tar_put(&tar, "etc", '5', NULL);
	tar_put_end(&tar);
	assert_int_equal(digest_of(DIGEST_SHA256, tar.data, tar.len, &layer.diff_id), 0);
	assert_int_equal(ingest_layer_begin(fixture->ingest, &layer), 0);
	assert_int_equal(ingest_layer_data(fixture->ingest, tar.data, tar.len), 0);
	assert_int_equal(ingest_layer_end(fixture->ingest), 0);
	assert_int_equal(ingest_verdict(fixture->ingest, err), code);
	buf_done(&tar);
}

/* The one child of this process. */
static int find_child(void)
{
	char path[64];
	struct buf text = buf_of(4096);
	uint64_t pid;

	(void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	assert_int_equal(fdio_read_file(AT_FDCWD, path, &text, NULL), 0);
	text.data[strcspn(text.data, " ")] = '\0';
	assert_int_equal(str_parse_u64(text.data, INT32_MAX, &pid), 0);
	buf_done(&text);
	return (int)pid;
}

static void expect_status(const char *status, const char *name, const char *value)
{
	const char *at = strstr(status, name);
	char found[64];

	assert_non_null(at);
	at += strlen(name);
	at += strspn(at, ":\t ");
	(void)snprintf(found, sizeof(found), "%.*s", (int)strcspn(at, "\t\n"), at);
	assert_string_equal(found, value);
}

static void expect_other(int pid, const char *namespace)
{
	char path[64];
	struct stat own, other;

	(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", namespace);
	assert_int_equal(stat(path, &own), 0);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, namespace);
	assert_int_equal(stat(path, &other), 0);
	assert_int_not_equal(own.st_ino, other.st_ino);
}

static void test_confined(void **state)
{
	struct fixture *fixture = *state;
	struct buf status = buf_of(65536);
	char path[64], text[64];
	struct statvfs fs;
	unsigned open_files = 0;
	struct err err;
	DIR *files;
	uid_t uid;
	gid_t gid;
	int pid;

	pass_layer(fixture, &err, 0);
	pid = find_child();
	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	assert_int_equal(fdio_read_file(AT_FDCWD, path, &status, &err), 0);
	privilege_ids(PRIVILEGE_INGEST, &uid, &gid);
	(void)snprintf(text, sizeof(text), "%u", uid);
	expect_status(status.data, "\nUid", text);
	(void)snprintf(text, sizeof(text), "%u", gid);
	expect_status(status.data, "\nGid", text);
	(void)snprintf(text, sizeof(text), "%016llx", 1ull << CAP_IPC_LOCK);
	expect_status(status.data, "\nCapEff", text);
	expect_status(status.data, "\nCapPrm", text);
	expect_status(status.data, "\nCapBnd", text);
	expect_status(status.data, "\nCapInh", "0000000000000000");
	expect_status(status.data, "\nCapAmb", "0000000000000000");
	expect_status(status.data, "\nNoNewPrivs", "1");
	expect_status(status.data, "\nSeccomp", SECCOMP);
	expect_other(pid, "net");
	expect_other(pid, "mnt");
	expect_other(pid, "ipc");
	/* Its file system is empty, and nobody can write to it. */
	(void)snprintf(path, sizeof(path), "/proc/%d/root", pid);
	assert_int_equal(statvfs(path, &fs), 0);
	assert_true(fs.f_flag & ST_RDONLY);
	files = opendir(path);
	assert_non_null(files);
	for (struct dirent *file; (file = readdir(files));)
		assert_true(file->d_name[0] == '.');
	(void)closedir(files);
	/* The channel, /dev/null twice, the image's file: nothing else of this process. */
	(void)snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	files = opendir(path);
	assert_non_null(files);
	for (struct dirent *file; (file = readdir(files));)
		open_files += file->d_name[0] != '.';
	(void)closedir(files);
	assert_int_equal(open_files, 4);
	buf_done(&status);
}

static void test_totals(void **state)
{
	struct fixture *fixture = *state;
	struct unpack_totals totals;
	struct err err;

	pass_layer(fixture, &err, 0);
	pass_layer(fixture, &err, 0);
	assert_int_equal(ingest_finish(fixture->ingest, &totals, &err), 0);
	assert_int_equal(totals.entries, 2);
	assert_int_equal(totals.bytes, 4096);
}

static void test_killed(void **state)
{
	struct fixture *fixture = *state;
	struct unpack_totals totals;
	struct err err;

	pass_layer(fixture, &err, 0);
	assert_int_equal(kill(find_child(), SIGKILL), 0);
	assert_int_equal(ingest_finish(fixture->ingest, &totals, &err), -EIO);
	assert_string_equal(err.msg, "the unpacking process ended without a word");
}

static void test_wrong_frames(void **state)
{
	struct fixture *fixture = *state;
	struct err err;

	/* An end without a beginning. */
	assert_int_equal(ingest_layer_end(fixture->ingest), 0);
	assert_int_equal(ingest_verdict(fixture->ingest, &err), -EPROTO);
	assert_string_equal(err.msg, "the image store sent frame 3 of 0 bytes");
}

/* A layer of one folder, encrypted here; change turns one bit of the cipher text. */
static int pass_encrypted(struct fixture *fixture, const struct layersecret *other, bool change, struct err *err)
{
	CLEANUP(cleanup_encrypt) struct encrypt *encrypt = NULL;
	struct ingest_layer layer = {.compression = MEDIA_PLAIN, .encrypted = true};
	struct buf tar = buf_of(1 << 20);
	int r;

	tar_put(&tar, "etc", '5', NULL);
	tar_put_end(&tar);
	assert_int_equal(digest_of(DIGEST_SHA256, tar.data, tar.len, &layer.diff_id), 0);
	assert_int_equal(encrypt_new(&encrypt), 0);
	assert_int_equal(encrypt_update(encrypt, tar.data, tar.len), 0);
	assert_int_equal(encrypt_finish(encrypt, &layer.secret), 0);
	if (other && other->key[0])
		memcpy(layer.secret.key, other->key, sizeof(layer.secret.key));
	if (other && other->nonce[0])
		memcpy(layer.secret.nonce, other->nonce, sizeof(layer.secret.nonce));
	if (other && other->hmac[0])
		memcpy(layer.secret.hmac, other->hmac, sizeof(layer.secret.hmac));
	if (other && other->digest.bytes[0])
		layer.secret.digest = other->digest;
	tar.data[1023] ^= change;
	assert_int_equal(ingest_layer_begin(fixture->ingest, &layer), 0);
	r = ingest_layer_data(fixture->ingest, tar.data, tar.len);
	assert_true(r == 0 || r == -EPIPE);
	r = ingest_layer_end(fixture->ingest);
	assert_true(r == 0 || r == -EPIPE);
	r = ingest_verdict(fixture->ingest, err);
	buf_done(&tar);
	return r;
}

static void test_encrypted(void **state)
{
	struct unpack_totals totals;
	struct err err = {0};

	assert_int_equal(pass_encrypted(*state, NULL, false, &err), 0);
	pass_layer(*state, &err, 0);
	assert_int_equal(pass_encrypted(*state, NULL, false, &err), 0);
	assert_int_equal(ingest_finish(((struct fixture *)*state)->ingest, &totals, &err), 0);
	assert_int_equal(totals.entries, 3);
}

/* CTR turns a bit of the cipher text into the same bit of the plain text: only the verdicts at the end tell. */
static void test_encrypted_changed(void **state)
{
	struct err err = {0};

	assert_int_equal(pass_encrypted(*state, NULL, true, &err), ERR_CORRUPT);
	assert_string_equal(err.msg, "its HMAC is not the one of its public options");
}

static void test_encrypted_wrong_key(void **state)
{
	const struct layersecret other = {.key = {1}};
	struct err err = {0};

	assert_int_equal(pass_encrypted(*state, &other, false, &err), ERR_CORRUPT);
	assert_string_equal(err.msg, "its HMAC is not the one of its public options");
}

static void test_encrypted_wrong_hmac(void **state)
{
	const struct layersecret other = {.hmac = {1}};
	struct err err = {0};

	assert_int_equal(pass_encrypted(*state, &other, false, &err), ERR_CORRUPT);
	assert_string_equal(err.msg, "its HMAC is not the one of its public options");
}

/* What the HMAC does not cover is no archive, or the digest of the plain layer tells. */
static void test_encrypted_wrong_nonce(void **state)
{
	const struct layersecret other = {.nonce = {1}};
	struct err err = {0};

	assert_int_equal(pass_encrypted(*state, &other, false, &err), ERR_INVALID);
	assert_string_equal(err.msg, "entry 1: the header's checksum is wrong");
}

static void test_encrypted_wrong_digest(void **state)
{
	const struct layersecret other = {.digest = {.bytes = {1}}};
	struct err err = {0};

	assert_int_equal(pass_encrypted(*state, &other, false, &err), ERR_CORRUPT);
	assert_true(str_starts(err.msg, "decrypted: digest is sha256:"));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_confined, setup, teardown),
		cmocka_unit_test_setup_teardown(test_totals, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_encrypted, setup, teardown),
		cmocka_unit_test_setup_teardown(test_encrypted_changed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_encrypted_wrong_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_encrypted_wrong_hmac, setup, teardown),
		cmocka_unit_test_setup_teardown(test_encrypted_wrong_nonce, setup, teardown),
		cmocka_unit_test_setup_teardown(test_encrypted_wrong_digest, setup, teardown),
	};

	if (argc > 1 && str_eq(argv[1], IMAGE_INGEST_WORD))
		return image_ingest_main();
	/* Confining the process needs root; 77 tells meson that the tests were skipped. */
	if (geteuid() != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
