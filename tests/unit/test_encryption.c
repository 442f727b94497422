/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/encryption.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int reads(const char *annotations, struct encryption *to, struct err *err)
{
	json_t *object = annotations ? json_loads(annotations, 0, NULL) : NULL;
	int r = encryption_read(object, to, err);

	assert_true(!annotations || object);
	json_decref(object);
	return r;
}

#define PUB "\"org.opencontainers.image.enc.pubopts\":\"YQ==\""
#define JWE "\"org.opencontainers.image.enc.keys.jwe\":"

static void test_packets(void **state)
{
	json_t *object = json_loads("{" PUB "," JWE "\"YQ==,Yg==,Yw==\"}", 0, NULL);
	struct encryption encryption;
	struct err err = {0};

	(void)state;
	assert_int_equal(encryption_read(object, &encryption, &err), 0);
	assert_int_equal(encryption.packet_count, 3);
	assert_int_equal(encryption.packets[1].len, 4);
	assert_memory_equal(encryption.packets[1].at, "Yg==", 4);
	assert_memory_equal(encryption.public_options.at, "YQ==", 4);
	json_decref(object);
}

static void expect(const char *annotations, int code, const char *message)
{
	struct encryption encryption;
	struct err err = {0};

	assert_int_equal(reads(annotations, &encryption, &err), code);
	assert_string_equal(err.msg, message);
}

static void test_refusals(void **state)
{
	(void)state;
	expect(NULL, ERR_INVALID,
	       "it is encrypted, and no annotation 'org.opencontainers.image.enc.keys.jwe' has its key");
	expect("{" PUB "}", ERR_INVALID,
	       "it is encrypted, and no annotation 'org.opencontainers.image.enc.keys.jwe' has its key");
	expect("{" PUB ",\"org.opencontainers.image.enc.keys.pgp\":\"YQ==\","
	       "\"org.opencontainers.image.enc.keys.provider.kms\":\"YQ==\"}",
	       -EOPNOTSUPP, "its key is wrapped by 'pgp', 'provider.kms', of which only 'jwe' is supported");
	expect("{" JWE "\"YQ==\"}", ERR_INVALID,
	       "it is encrypted and has no annotation 'org.opencontainers.image.enc.pubopts'");
	expect("{" PUB "," JWE "\"YQ==,\"}", ERR_INVALID,
	       "annotation 'org.opencontainers.image.enc.keys.jwe' has an empty part");
	expect("{" PUB "," JWE "\"\"}", ERR_INVALID,
	       "annotation 'org.opencontainers.image.enc.keys.jwe' has an empty part");
	expect("{\"org.opencontainers.image.enc.pubopts\":\"\"," JWE "\"a\"}", ERR_INVALID,
	       "annotation 'org.opencontainers.image.enc.pubopts' has an empty part");
	expect("{" PUB "," JWE "\"a,a,a,a,a,a,a,a,a\"}", ERR_TOO_LARGE,
	       "annotation 'org.opencontainers.image.enc.keys.jwe' has more than 8 packets");
}

static void test_large(void **state)
{
	CLEANUP_FREE char *text = calloc(1, 70000);
	struct encryption encryption;
	struct err err = {0};
	json_t *object;

	(void)state;
	memset(text, 'a', 65537);
	object = json_pack("{s:s, s:s}", ENCRYPTION_PUBLIC, "YQ==", ENCRYPTION_KEYS_JWE, text);
	assert_int_equal(encryption_read(object, &encryption, &err), ERR_TOO_LARGE);
	assert_string_equal(err.msg, "annotation 'org.opencontainers.image.enc.keys.jwe' has a part of 65537 bytes, "
				     "more than 65536");
	json_decref(object);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_packets),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
