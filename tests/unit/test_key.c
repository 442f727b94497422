/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/key.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_key_round_trip(void **state)
{
	CLEANUP(cleanup_crypto_key) struct crypto_key *key = NULL;
	CLEANUP(cleanup_crypto_key) struct crypto_key *again = NULL;
	CLEANUP_BUF struct buf pem = buf_of(4096);
	uint8_t signature[CRYPTO_SIGNATURE_MAX];
	struct err err = {0};
	size_t len;

	(void)state;
	assert_int_equal(crypto_key_generate(&key, &err), 0);
	assert_int_equal(crypto_key_format(key, &pem, &err), 0);
	assert_non_null(strstr(pem.data, "-----BEGIN PRIVATE KEY-----"));
	assert_int_equal(crypto_key_parse(pem.data, &again, &err), 0);
	assert_int_equal(crypto_sign(again, "abc", 3, signature, &len, &err), 0);
	assert_true(len > 60 && len <= 72);
}

/* A key on another curve, an encrypted key (no terminal is asked), no key. */
static void test_key_parse_refuses(void **state)
{
	static const char p384[] = "-----BEGIN PRIVATE KEY-----\n"
				   "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDAHIOUTg4nNVcNmHDoh\n"
				   "PYKJCDA0mq3hEgPeJddFHADqdtetmXuiS9CIZNLi2yw3WVqhZANiAATTpEyhiA1i\n"
				   "DUYar8/gbWL2uczG1Dbro42HadmvdGoeUETr3m7+tFg9VEg1xwT71b3P05iSZSS/\n"
				   "zisPD8IEubLjwhw2E2aIGqRqwBy980uCrA2BWhzJ4UtR07tmkGCtwGw=\n"
				   "-----END PRIVATE KEY-----\n";
	static const char encrypted[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
					"MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgvToFx0qYG/AICCAAw\n"
					"DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEELyUW+cYb6Jjh8DqDo+DOOEEgZCd\n"
					"j6+tx85aqLpZ7KItwDSGj2s8qITngz3hVCo8frMcuHCISiPaFl1rV/V8NKvTDwAR\n"
					"PkAbbCAei6hCkanUe1qksX5GAoBnzPJzcRkOpCv0cP367Q+wGclsnDKIzQ64qbYe\n"
					"1L2Pc7t/cAUoMspQ30Z22OXd1ya+jv8Jt/VtqxVbyyfdA3RT3BnLKzdmSMVr4Qo=\n"
					"-----END ENCRYPTED PRIVATE KEY-----\n";
	struct crypto_key *key = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(crypto_key_parse("", &key, &err), ERR_SYNTAX);
	assert_string_equal(err.msg, "cannot read the private key");
	assert_int_equal(crypto_key_parse(p384, &key, &err), ERR_INVALID);
	assert_string_equal(err.msg, "the private key is not an ECDSA key on P-256");
	assert_int_equal(crypto_key_parse(encrypted, &key, &err), ERR_SYNTAX);
	assert_null(key);
}

static void test_sha256(void **state)
{
	static const uint8_t of_abc[] = {0xba, 0x78, 0x16, 0xbf, 0x8f, 0x01, 0xcf, 0xea, 0x41, 0x41, 0x40,
					 0xde, 0x5d, 0xae, 0x22, 0x23, 0xb0, 0x03, 0x61, 0xa3, 0x96, 0x17,
					 0x7a, 0x9c, 0xb4, 0x10, 0xff, 0x61, 0xf2, 0x00, 0x15, 0xad};
	uint8_t digest[CRYPTO_SHA256_SIZE];

	(void)state;
	crypto_sha256("abc", 3, digest);
	assert_memory_equal(digest, of_abc, sizeof(digest));
}

static void test_base64(void **state)
{
	static const struct {
		const char *plain, *standard, *url;
	} cases[] = {
		{"", "", ""},
		{"f", "Zg==", "Zg"},
		{"fo", "Zm8=", "Zm8"},
		{"foo", "Zm9v", "Zm9v"},
		{"\xfb\xff", "+/8=", "-_8"},
		{"foobar", "Zm9vYmFy", "Zm9vYmFy"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_BUF struct buf standard = buf_of(64);
		CLEANUP_BUF struct buf url = buf_of(64);
		CLEANUP_BUF struct buf back = buf_of(64);

		assert_int_equal(crypto_base64(&standard, cases[i].plain, strlen(cases[i].plain)), 0);
		assert_int_equal(crypto_base64url(&url, cases[i].plain, strlen(cases[i].plain)), 0);
		assert_string_equal(standard.data, cases[i].standard);
		assert_string_equal(url.data, cases[i].url);
		assert_int_equal(crypto_unbase64(&back, standard.data, standard.len), 0);
		assert_string_equal(back.data, cases[i].plain);
		assert_int_equal(crypto_unbase64url(&back, url.data, url.len), 0);
		assert_int_equal(back.len, 2 * strlen(cases[i].plain));
	}
}

static void test_base64_refuses(void **state)
{
	static const char *const standard[] = {"Z",    "Zg",   "Zg=",  "Zg===",  "Zh==", "Zm9=",
					       "====", "Z===", "Zm 9", "Zm9v\n", "-_8=", "Zg==Zg=="};
	static const char *const url[] = {"Z", "Zg==", "Zh", "+/8", "Zm9\n", "Zm9vY"};
	CLEANUP_BUF struct buf to = buf_of(64);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(standard); i++)
		assert_int_equal(crypto_unbase64(&to, standard[i], strlen(standard[i])), -EINVAL);
	for (size_t i = 0; i < ARRAY_SIZE(url); i++)
		assert_int_equal(crypto_unbase64url(&to, url[i], strlen(url[i])), -EINVAL);
	assert_int_equal(to.len, 0);
}

static void test_password(void **state)
{
	struct buf decoy = buf_of(256);
	CLEANUP_BUF struct buf hash = buf_of(256);
	CLEANUP_BUF struct buf other = buf_of(256);
	struct err err = {0};

	(void)state;
	assert_int_equal(crypto_password_hash("geheim", &hash, &err), 0);
	assert_int_equal(crypto_password_hash("geheim", &other, &err), 0);
	assert_string_not_equal(hash.data, other.data);
	assert_int_equal(crypto_password_check("geheim", hash.data, &err), 0);
	assert_int_equal(crypto_password_check("Geheim", hash.data, &err), ERR_UNKNOWN_PEER);
	assert_int_equal(crypto_password_decoy(&decoy, &err), 0);
	assert_int_equal(decoy.len, hash.len);
	assert_int_equal(crypto_password_check("geheim", decoy.data, &err), ERR_UNKNOWN_PEER);
	buf_done(&decoy);
	assert_string_equal(err.msg, "the password does not match");
	assert_int_equal(crypto_password_hash("", &hash, &err), ERR_INVALID);
	assert_int_equal(crypto_password_check("geheim", "$scrypt$ln=30,r=8,p=5$00$00", &err), ERR_SYNTAX);
	hash.data[hash.len - 1] = 'x';
	assert_int_equal(crypto_password_check("geheim", hash.data, &err), ERR_SYNTAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_round_trip), cmocka_unit_test(test_key_parse_refuses),
		cmocka_unit_test(test_sha256),         cmocka_unit_test(test_base64),
		cmocka_unit_test(test_base64_refuses), cmocka_unit_test(test_password),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
