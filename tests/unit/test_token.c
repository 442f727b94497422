/* SPDX-License-Identifier: Apache-2.0 */
/* A token of SoftHSM's in a folder of the test's own: keys made in it open what is wrapped for them, and stay in it. */
#include "crypto/token.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/fdio.h"
#include "base/proc.h"
#include "base/str.h"
#include "crypto/jwe.h"

#define MODULE "/usr/lib/softhsm/libsofthsm2.so"

static char folder[64];

static void put(const char *name, const char *text)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	assert_int_equal(fdio_replace_file(AT_FDCWD, path, text, strlen(text), 0600, NULL), 0);
}

static void run(struct buf *out, const char *command)
{
	const char *const argv[] = {"sh", "-c", command, NULL};
	char line[900];
	struct err err = {0};

	(void)snprintf(line, sizeof(line), "cd %s && export SOFTHSM2_CONF=%s/softhsm2.conf && { %s; } >log 2>&1%s",
		       folder, folder, command, out ? " && cat out" : "");
	((const char **)(uintptr_t)argv)[2] = line;
	if (proc_run("/bin/sh", argv, NULL, out, NULL, 60000, &err) < 0)
		fail_msg("%s: %s", command, err.msg);
}

static int setup(void **state)
{
	char text[256];

	(void)state;
	(void)snprintf(folder, sizeof(folder), "/var/tmp/bulkhead-test-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	(void)snprintf(text, sizeof(text), "directories.tokendir = %s/tokens\nobjectstore.backend = file\n", folder);
	put("softhsm2.conf", text);
	put("pin", "1234\n");
	(void)snprintf(text, sizeof(text), "%s/softhsm2.conf", folder);
	(void)setenv("SOFTHSM2_CONF", text, 1);
	run(NULL, "mkdir tokens && softhsm2-util --init-token --free --label ims --so-pin 4321 --pin 1234");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return fdio_remove_tree(AT_FDCWD, folder, NULL);
}

static int open_key(const char *rest, struct unwrap_key **ret_key, struct err *err)
{
	char uri[400];

	(void)snprintf(uri, sizeof(uri), "pkcs11:%s%cmodule-path=" MODULE "&pin-source=file:%s/pin", rest,
		       strchr(rest, '?') ? '&' : '?', folder);
	return token_key_open(uri, ret_key, err);
}

/* Made in the token; its public half comes out. */
#define GENERATE                                                                                                      \
	"pkcs11-tool --module " MODULE                                                                                \
	" --token-label ims --login --pin 1234 --keypairgen --key-type %s --usage-decrypt"                            \
	" --usage-derive --label %s && pkcs11-tool --module " MODULE " --token-label ims --read-object --type pubkey" \
	" --label %s -o der && openssl pkey -pubin -inform DER -in der -out out"
/* Made outside and put in: pkcs11-tool 0.23 cannot read public keys on the larger curves. */
#define IMPORT                                                                                                 \
	"openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:%s -out pem && pkcs11-tool --module " MODULE \
	" --token-label ims --login --pin 1234 --write-object pem --type privkey --usage-derive --label %s &&" \
	" openssl pkey -in pem -pubout -out out"

/* Wraps for the public half with OpenSSL, opens with the private one in the token. */
static void round_trip(const char *command, const char *label, enum unwrap_kind kind, enum jwe_algorithm algorithm)
{
	CLEANUP_BUF struct buf public = buf_of(8192), text = buf_of(JWE_BYTES_MAX);
	CLEANUP(cleanup_unwrap_key) struct unwrap_key *key = NULL;
	CLEANUP(cleanup_recipient) struct recipient *recipient = NULL;
	CLEANUP(cleanup_jwe) struct jwe *jwe = NULL;
	struct jwe_recipient to;
	char uri[64], plain[32];
	struct err err = {0};
	size_t len = 0;

	run(&public, command);
	assert_int_equal(recipient_parse(public.data, public.len, &recipient, &err), 0);
	(void)snprintf(uri, sizeof(uri), "token=ims;object=%s", label);
	if (open_key(uri, &key, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(unwrap_key_kind(key), kind);
	for (int i = 0; i < 3; i++) {
		to = (struct jwe_recipient){recipient, algorithm};
		buf_clear(&text);
		assert_int_equal(jwe_seal(&to, 1, "in the token", 12, &text, &err), 0);
		assert_int_equal(jwe_parse(text.data, text.len, &jwe, &err), 0);
		if (jwe_open(jwe, &key, 1, plain, sizeof(plain), &len, &err) < 0)
			fail_msg("%s: %s", label, err.msg);
		assert_int_equal(len, 12);
		assert_memory_equal(plain, "in the token", 12);
		jwe_free(take_ptr(jwe));
	}
}

static void test_keys(void **state)
{
	char command[600];

	(void)state;
	(void)snprintf(command, sizeof(command), GENERATE, "rsa:2048", "rsa", "rsa");
	round_trip(command, "rsa", UNWRAP_RSA, JWE_RSA_OAEP);
	(void)snprintf(command, sizeof(command), GENERATE, "EC:prime256v1", "p256", "p256");
	round_trip(command, "p256", UNWRAP_P256, JWE_ECDH_A128KW);
	(void)snprintf(command, sizeof(command), IMPORT, "P-384", "p384");
	round_trip(command, "p384", UNWRAP_P384, JWE_ECDH_A256KW);
	(void)snprintf(command, sizeof(command), IMPORT, "P-521", "p521");
	round_trip(command, "p521", UNWRAP_P521, JWE_ECDH_A256KW);
}

static void expect(const char *uri, int code, const char *message)
{
	struct unwrap_key *key = NULL;
	struct err err = {0};

	assert_int_equal(open_key(uri, &key, &err), code);
	assert_string_equal(err.msg, message);
}

static void test_refusals(void **state)
{
	struct unwrap_key *key;
	struct err err = {0};

	(void)state;
	expect("token=ims;object=nothing", ERR_NOT_FOUND, "the token has no private key of that name");
	expect("token=other;object=rsa", ERR_NOT_FOUND, "no token is the one of the URI");
	expect("token=ims", ERR_NOT_FOUND, "the token has more than one private key of that name");
	assert_int_equal(token_key_open("/etc/passwd", &key, &err), ERR_SYNTAX);
	assert_string_equal(err.msg, "it is no PKCS#11 URI of RFC 7512");
	assert_int_equal(token_key_open("pkcs11:token=ims", &key, &err), ERR_SYNTAX);
	assert_string_equal(err.msg, "a PKCS#11 URI has no module-path, or not an absolute one");
	assert_int_equal(token_key_open("pkcs11:token=ims?module-path=/nowhere.so", &key, &err), ERR_NOT_FOUND);
	assert_string_equal(err.msg, "cannot load the PKCS#11 module '/nowhere.so'");
	assert_int_equal(token_key_open("pkcs11:token=ims?module-path=" MODULE "&pin-source=pin", &key, &err),
			 ERR_INVALID);
	put("pin", "4444");
	expect("token=ims;object=rsa", ERR_DENIED, "the token cannot log in: The password or PIN is incorrect");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
