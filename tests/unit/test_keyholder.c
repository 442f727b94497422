/* SPDX-License-Identifier: Apache-2.0 */
/* The process that holds keys, as the service sees it: this program is started again as it, with a folder of the test's. */
#include "cism/keyholder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fdio.h"
#include "base/str.h"
#include "crypto/jwe.h"
#include "crypto/key.h"
#include "crypto/layersecret.h"
#include "support_pki.h"

#include "support_jwe.h"

#define CACHE_KEY "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"

struct fixture {
	char path[64];
	int etc;
	struct keyholder *holder;
	struct unwrap_key *instance;
	struct buf recipient;      /* of the instance's key */
	struct buf public, packet; /* of a layer that is for jwe_p256_pem */
	struct keyholder_question *question;
};

static void put(const struct fixture *f, const char *path, const char *text, mode_t mode)
{
	struct err err = {0};

	if (fdio_replace_file(f->etc, path, text, strlen(text), mode, &err) < 0)
		fail_msg("%s", err.msg);
}

static int setup_layer(struct fixture *f)
{
	struct layersecret secret = {.key = {1, 2}, .nonce = {3}, .hmac = {4}, .digest = {.bytes = {5}}};
	CLEANUP(cleanup_unwrap_key) struct unwrap_key *key = NULL;
	CLEANUP(cleanup_recipient) struct recipient *recipient = NULL;
	CLEANUP_BUF struct buf text = buf_of(4096), jwe = buf_of(JWE_BYTES_MAX);
	uint8_t point[UNWRAP_POINT_MAX];
	struct jwe_recipient to;
	struct err err = {0};

	assert_int_equal(unwrap_key_parse(jwe_p256_pem, strlen(jwe_p256_pem), &key, &err), 0);
	assert_int_equal(unwrap_key_point(key, point, &err), 0);
	assert_int_equal(recipient_of_point(UNWRAP_P256, point, 65, &recipient, &err), 0);
	to = (struct jwe_recipient){recipient, JWE_ECDH_A256KW};
	assert_int_equal(layersecret_format_private(&secret, &text), 0);
	assert_int_equal(jwe_seal(&to, 1, text.data, text.len, &jwe, &err), 0);
	assert_int_equal(crypto_base64(&f->packet, jwe.data, jwe.len), 0);
	buf_clear(&text);
	assert_int_equal(layersecret_format_public(&secret, &text), 0);
	return crypto_base64(&f->public, text.data, text.len);
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	uint8_t point[UNWRAP_POINT_MAX];
	struct err err = {0};

	f->recipient = buf_of(256);
	f->public = buf_of(8192);
	f->packet = buf_of(JWE_BYTES_MAX);
	(void)snprintf(f->path, sizeof(f->path), "/var/tmp/bulkhead-test-XXXXXX");
	assert_non_null(mkdtemp(f->path));
	f->etc = open(f->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fdio_mkdir_all(f->etc, "keys/ims", 0700, &err), 0);
	put(f, "keys/ims/image.pem", jwe_p256_pem, 0600);
	put(f, "keys/ims/cache.key", CACHE_KEY, 0600);
	assert_int_equal(unwrap_key_generate(&f->instance, &err), 0);
	assert_int_equal(unwrap_key_point(f->instance, point, &err), 0);
	assert_int_equal(crypto_base64url(&f->recipient, point, 65), 0);
	assert_int_equal(setup_layer(f), 0);
	f->question = test_calloc(1, sizeof(*f->question));
	*f->question = (struct keyholder_question){.domain = "ims", .recipient = f->recipient.data, .count = 1};
	(void)snprintf(f->question->digests[0], DIGEST_TEXT_SIZE, "sha256:00");
	f->question->layers[0] = (struct encryption){.public_options = {f->public.data, f->public.len},
						     .packets = {{f->packet.data, f->packet.len}},
						     .packet_count = 1};
	if (keyholder_start(NULL, f->etc, &f->holder, &err) < 0)
		fail_msg("%s", err.msg);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	keyholder_stop(f->holder);
	unwrap_key_free(f->instance);
	buf_done(&f->recipient);
	buf_done(&f->public);
	buf_done(&f->packet);
	test_free(f->question);
	(void)close(f->etc);
	assert_int_equal(fdio_remove_tree(AT_FDCWD, f->path, NULL), 0);
	test_free(f);
	return 0;
}

static void expect_opens(struct fixture *f)
{
	CLEANUP_BUF struct buf text = buf_of(JWE_BYTES_MAX);
	CLEANUP(cleanup_jwe) struct jwe *jwe = NULL;
	uint8_t plain[JWE_PLAIN_MAX];
	struct layersecret secret = {0};
	struct err err = {0};
	size_t len = 0;

	if (keyholder_ask(f->holder, f->question, &text, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(jwe_parse(text.data, text.len, &jwe, &err), 0);
	assert_int_equal(jwe_open(jwe, &f->instance, 1, plain, sizeof(plain), &len, &err), 0);
	assert_int_equal(len, 32 + f->question->count * LAYERSECRET_PACKED);
	assert_int_equal(plain[31], 31);
	assert_int_equal(layersecret_unpack(plain + 32, &secret), 0);
	assert_int_equal(secret.key[1], 2);
	assert_int_equal(secret.nonce[0], 3);
	assert_int_equal(secret.hmac[0], 4);
	assert_int_equal(secret.digest.bytes[0], 5);
}

static void expect(struct fixture *f, int code, const char *message)
{
	CLEANUP_BUF struct buf text = buf_of(JWE_BYTES_MAX);
	struct err err = {0};

	assert_int_equal(keyholder_ask(f->holder, f->question, &text, &err), code);
	assert_string_equal(err.msg, message);
	assert_int_equal(text.len, 0);
}

static void test_opens(void **state)
{
	struct fixture *f = *state;

	expect_opens(f);
	/* Other keys beside it, files of PINs and hidden ones change nothing. */
	put(f, "keys/ims/another.pem", jwe_rsa_pem, 0400);
	put(f, "keys/ims/token.pin", "1234", 0400);
	put(f, "keys/ims/.swp", "x", 0644);
	f->question->layers[1] = f->question->layers[0];
	f->question->count = 2;
	expect_opens(f);
}

/* CACHE-4: what was removed opens nothing more, from the next question on. */
static void test_removed(void **state)
{
	struct fixture *f = *state;

	expect_opens(f);
	assert_int_equal(unlinkat(f->etc, "keys/ims/image.pem", 0), 0);
	expect(f, ERR_DENIED,
	       "layer sha256:00 is encrypted for none of the 0 keys of TrustDomain 'ims' in 'etc/bulkhead/keys/ims'");
	put(f, "keys/ims/image.pem", jwe_p384_pem, 0600);
	expect(f, ERR_DENIED,
	       "layer sha256:00 is encrypted for none of the 1 keys of TrustDomain 'ims' in 'etc/bulkhead/keys/ims'");
	put(f, "keys/ims/image.pem", jwe_p256_pem, 0600);
	assert_int_equal(unlinkat(f->etc, "keys/ims/cache.key", 0), 0);
	expect(f, ERR_NOT_FOUND, "keys of TrustDomain 'ims': 'keys/ims' has neither 'cache.key' nor 'cache.jwe'");
	f->question->domain = "oam";
	expect(f, ERR_NOT_FOUND, "keys of TrustDomain 'oam': folder 'etc/bulkhead/keys/oam' is not there");
	f->question->domain = "../ims";
	expect(f, ERR_INVALID, "keys of TrustDomain '../ims': '../ims' is not the name of a trust domain");
}

static void test_refused_files(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fchmodat(f->etc, "keys/ims/image.pem", 0640, 0), 0);
	expect(f, ERR_DENIED,
	       "keys of TrustDomain 'ims': 'keys/ims/image.pem': it is not root's alone (owner 0, mode 640)");
	assert_int_equal(fchmodat(f->etc, "keys/ims/image.pem", 0600, 0), 0);
	assert_int_equal(fchownat(f->etc, "keys/ims/image.pem", 65534, 0, 0), 0);
	expect(f, ERR_DENIED,
	       "keys of TrustDomain 'ims': 'keys/ims/image.pem': it is not root's alone (owner 65534, mode 600)");
	assert_int_equal(unlinkat(f->etc, "keys/ims/image.pem", 0), 0);
	assert_int_equal(symlinkat("/etc/passwd", f->etc, "keys/ims/image.pem"), 0);
	expect(f, -ELOOP,
	       "keys of TrustDomain 'ims': 'keys/ims/image.pem': cannot open it: Too many levels of symbolic links");
	assert_int_equal(unlinkat(f->etc, "keys/ims/image.pem", 0), 0);
	put(f, "keys/ims/image.txt", jwe_p256_pem, 0600);
	expect(f, ERR_INVALID,
	       "keys of TrustDomain 'ims': 'keys/ims/image.txt': its name ends with none of '.pem', '.pkcs11' and "
	       "'.pin'");
	assert_int_equal(unlinkat(f->etc, "keys/ims/image.txt", 0), 0);
	put(f, "keys/ims/image.pem", "no key", 0600);
	expect(f, ERR_SYNTAX,
	       "keys of TrustDomain 'ims': 'keys/ims/image.pem': cannot read the private key: it is no PEM without a "
	       "passphrase");
	put(f, "keys/ims/image.pem", jwe_p256_pem, 0600);
	put(f, "keys/ims/cache.key", "AAAA", 0600);
	expect(f, ERR_SYNTAX, "keys of TrustDomain 'ims': 'keys/ims/cache.key': it is not base64 of 32 bytes");
	assert_int_equal(fchmodat(f->etc, "keys/ims", 0777, 0), 0);
	expect(f, ERR_DENIED, "keys of TrustDomain 'ims': 'keys/ims': it is not root's alone (owner 0, mode 777)");
}

/* The cache key may be wrapped for a key that never leaves a token. */
static void test_wrapped_cache_key(void **state)
{
	struct fixture *f = *state;
	CLEANUP(cleanup_unwrap_key) struct unwrap_key *key = NULL;
	CLEANUP(cleanup_recipient) struct recipient *recipient = NULL;
	CLEANUP_BUF struct buf jwe = buf_of(JWE_BYTES_MAX);
	uint8_t point[UNWRAP_POINT_MAX], bytes[32];
	struct jwe_recipient to;
	struct err err = {0};

	for (size_t i = 0; i < 32; i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(unwrap_key_parse(jwe_p256_pem, strlen(jwe_p256_pem), &key, &err), 0);
	assert_int_equal(unwrap_key_point(key, point, &err), 0);
	assert_int_equal(recipient_of_point(UNWRAP_P256, point, 65, &recipient, &err), 0);
	to = (struct jwe_recipient){recipient, JWE_ECDH_A256KW};
	assert_int_equal(jwe_seal(&to, 1, bytes, 32, &jwe, &err), 0);
	assert_int_equal(unlinkat(f->etc, "keys/ims/cache.key", 0), 0);
	put(f, "keys/ims/cache.jwe", jwe.data, 0600);
	expect_opens(f);
	buf_clear(&jwe);
	assert_int_equal(jwe_seal(&to, 1, bytes, 31, &jwe, &err), 0);
	put(f, "keys/ims/cache.jwe", jwe.data, 0600);
	expect(f, ERR_INVALID, "keys of TrustDomain 'ims': 'keys/ims/cache.jwe': it holds 31 bytes, not 32");
}

static void test_wrong_questions(void **state)
{
	struct fixture *f = *state;
	struct encryption_text good = f->question->layers[0].packets[0];

	f->question->recipient = "AAAA";
	expect(f, ERR_INVALID, "a public key is no point on P-256");
	f->question->recipient = "=";
	expect(f, ERR_INVALID, "the recipient is not base64url of a point on P-256");
	f->question->recipient = f->recipient.data;
	f->question->layers[0].packets[0].len = 8;
	expect(f, ERR_SYNTAX, "layer sha256:00: a JWE is not one JSON object");
	f->question->layers[0].packets[0] = good;
	expect_opens(f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_opens, setup, teardown),
		cmocka_unit_test_setup_teardown(test_removed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrapped_cache_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_questions, setup, teardown),
	};

	if (argc > 1 && str_eq(argv[1], KEYHOLDER_WORD))
		return keyholder_main();
	/* Owners of files can only be changed by root; 77 tells meson that the tests were skipped. */
	if (geteuid() != 0)
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
