/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/jwe.h"

#include <errno.h>
#include <openssl/pem.h>
#include <string.h>

#include "crypto/key.h"
#include "support_pki.h"

#include "support_jwe.h"

static const char *const pems[] = {jwe_rsa_pem, jwe_p256_pem, jwe_p384_pem, jwe_p521_pem};
#define KEYS ARRAY_SIZE(pems)

struct fixture {
	struct unwrap_key *keys[KEYS];
	struct recipient *recipients[KEYS];
};

static struct recipient *public_of(const char *pem)
{
	BIO *in = BIO_new_mem_buf(pem, -1), *out = BIO_new(BIO_s_mem());
	EVP_PKEY *pkey = PEM_read_bio_PrivateKey(in, NULL, NULL, NULL);
	struct recipient *recipient = NULL;
	struct err err = {0};
	char *text;
	long len;

	assert_int_equal(PEM_write_bio_PUBKEY(out, pkey), 1);
	len = BIO_get_mem_data(out, &text);
	assert_int_equal(recipient_parse(text, (size_t)len, &recipient, &err), 0);
	EVP_PKEY_free(pkey);
	BIO_free(in);
	BIO_free(out);
	return recipient;
}

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	struct err err = {0};

	for (size_t i = 0; i < KEYS; i++) {
		assert_int_equal(unwrap_key_parse(pems[i], strlen(pems[i]), &f->keys[i], &err), 0);
		f->recipients[i] = public_of(pems[i]);
		assert_int_equal(unwrap_key_kind(f->keys[i]), i);
		assert_int_equal(recipient_kind(f->recipients[i]), i);
	}
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < KEYS; i++) {
		unwrap_key_free(f->keys[i]);
		recipient_free(f->recipients[i]);
	}
	test_free(f);
	return 0;
}

static int opens(const char *text, size_t len, struct unwrap_key *const *keys, size_t count, struct err *err)
{
	CLEANUP(cleanup_jwe) struct jwe *jwe = NULL;
	char plain[64] = "";
	size_t plain_len = 0;
	int r = jwe_parse(text, len, &jwe, err);

	if (r == 0)
		r = jwe_open(jwe, keys, count, plain, sizeof(plain), &plain_len, err);
	if (r == 0) {
		assert_int_equal(plain_len, 11);
		assert_memory_equal(plain, "the content", 11);
	}
	return r;
}

/* RFC 7518: what another implementation made. */
static void test_known(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(jwe_known); i++)
		assert_int_equal(opens(jwe_known[i], strlen(jwe_known[i]), f->keys, KEYS, &err), 0);
}

static bool is_ecdh(enum jwe_algorithm algorithm)
{
	return algorithm >= JWE_ECDH_A128KW;
}

/* Every algorithm with every key of its kind, for one to eight recipients; each recipient alone opens it. */
static void test_round_trips(void **state)
{
	struct fixture *f = *state;
	struct jwe_recipient all[JWE_RECIPIENTS_MAX];
	struct err err = {0};

	for (size_t count = 1; count <= JWE_RECIPIENTS_MAX; count++) {
		CLEANUP_BUF struct buf text = buf_of(JWE_BYTES_MAX);

		for (size_t i = 0; i < count; i++) {
			const struct recipient *key = f->recipients[(i + count) % KEYS];
			bool rsa = recipient_kind(key) == UNWRAP_RSA;

			all[i] = (struct jwe_recipient){key, rsa ? (i & 1 ? JWE_RSA_OAEP_256 : JWE_RSA_OAEP)
								 : (enum jwe_algorithm)(JWE_ECDH_A128KW +
											(i + count) / KEYS % 3)};
		}
		assert_int_equal(jwe_seal(all, count, "the content", 11, &text, &err), 0);
		for (size_t i = 0; i < count && i < KEYS; i++)
			assert_int_equal(opens(text.data, text.len, &f->keys[(i + count) % KEYS], 1, &err), 0);
		if (count < KEYS)
			assert_int_equal(opens(text.data, text.len, &f->keys[(count - 1) % KEYS], 1, &err), ERR_DENIED);
	}
	for (enum jwe_algorithm algorithm = JWE_RSA_OAEP; algorithm <= JWE_ECDH_A256KW; algorithm++)
		for (size_t i = 0; i < KEYS; i++) {
			CLEANUP_BUF struct buf text = buf_of(JWE_BYTES_MAX);
			bool fits = is_ecdh(algorithm) == (i != UNWRAP_RSA);

			all[0] = (struct jwe_recipient){f->recipients[i], algorithm};
			assert_int_equal(jwe_seal(all, 1, "the content", 11, &text, &err), fits ? 0 : ERR_INVALID);
			if (fits)
				assert_int_equal(opens(text.data, text.len, f->keys, KEYS, &err), 0);
		}
}

static void test_default_algorithms(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(jwe_algorithm_of(f->recipients[UNWRAP_RSA]), JWE_RSA_OAEP);
	assert_int_equal(jwe_algorithm_of(f->recipients[UNWRAP_P384]), JWE_ECDH_A256KW);
}

/* Whatever byte is changed, nothing else comes out: it is refused, or the byte says nothing (white space, "kty"'s order). */
static void test_each_byte(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	for (size_t k = 0; k < ARRAY_SIZE(jwe_known); k++) {
		size_t len = strlen(jwe_known[k]), opened = 0;
		CLEANUP_FREE char *text = strdup(jwe_known[k]);

		assert_non_null(text);
		for (size_t i = 0; i < len; i += 1 + len / 400) {
			char was = text[i];

			text[i] = (char)(was == 'A' ? 'B' : 'A');
			opened += opens(text, len, f->keys, KEYS, &err) == 0;
			text[i] = was;
			assert_true(opens(text, i, f->keys, KEYS, &err) < 0);
		}
		/* The name of the member go-jose writes twice, and other recipients' parts where there are several. */
		if (!strstr(text, "recipients"))
			assert_int_equal(opened, 0);
	}
}

static void expect(struct fixture *f, const char *from, const char *to, int code, const char *message)
{
	const char *at = strstr(jwe_known_prime256v1_ecdh_es_a256kw_4, from);
	CLEANUP_BUF struct buf text = buf_of(JWE_BYTES_MAX);
	struct err err = {0};

	assert_non_null(at);
	assert_int_equal(buf_printf(&text, "%.*s%s%s", (int)(at - jwe_known_prime256v1_ecdh_es_a256kw_4),
				    jwe_known_prime256v1_ecdh_es_a256kw_4, to, at + strlen(from)),
			 0);
	assert_int_equal(opens(text.data, text.len, f->keys, KEYS, &err), code);
	assert_string_equal(err.msg, message);
}

/* A header of our own in place of the protected one. */
static void expect_header(struct fixture *f, const char *header, int code, const char *message)
{
	CLEANUP_BUF struct buf text = buf_of(JWE_BYTES_MAX), whole = buf_of(JWE_BYTES_MAX);
	struct err err = {0};

	assert_int_equal(crypto_base64url(&text, header, strlen(header)), 0);
	assert_int_equal(buf_printf(&whole,
				    "{\"protected\":\"%s\",\"encrypted_key\":\"\",\"iv\":\"AAAAAAAAAAAAAAAA\","
				    "\"ciphertext\":\"\",\"tag\":\"AAAAAAAAAAAAAAAAAAAAAA\"}",
				    text.data),
			 0);
	assert_int_equal(opens(whole.data, whole.len, f->keys, KEYS, &err), code);
	assert_string_equal(err.msg, message);
}

static void test_refusals(void **state)
{
	struct fixture *f = *state;

	expect(f, "{", "[", ERR_SYNTAX, "a JWE is not one JSON object");
	expect(f, "{", "{\"aad\":\"\",", -EOPNOTSUPP, "JWE: members 'aad' and 'unprotected' are not supported");
	expect(f, "{", "{\"unprotected\":{},", -EOPNOTSUPP, "JWE: members 'aad' and 'unprotected' are not supported");
	expect(f, "{", "{\"header\":{\"crit\":[]},", -EOPNOTSUPP,
	       "JWE: header parameters 'crit' and 'zip' are not supported");
	expect(f, "{", "{\"header\":{\"alg\":\"ECDH-ES+A256KW\"},", ERR_INVALID,
	       "JWE: header parameter 'alg' is there twice");
	expect(f, "{", "{\"header\":1,", ERR_INVALID, "JWE: member 'header' is not an object");
	expect(f, "{", "{\"recipients\":[],", ERR_INVALID, "JWE: member 'recipients' is not a list of 1 to 8");
	expect(f, "{", "{\"recipients\":[{},{},{},{},{},{},{},{},{}],", ERR_INVALID,
	       "JWE: member 'recipients' is not a list of 1 to 8");
	expect(f, "{", "{\"recipients\":[1],", ERR_INVALID, "JWE: member 'recipients[0]' is not an object");
	expect(f, "{", "{\"recipients\":[{}],\"header\":{},", ERR_INVALID,
	       "JWE: members 'recipients' and 'header' exclude each other");
	expect(f, "\"protected\"", "\"protectet\"", ERR_INVALID, "JWE: member 'protected' is not base64url");
	expect(f, "\"iv\": \"", "\"iv\": \"AA", ERR_INVALID, "JWE: member 'iv' is not base64url of 12 to 12 bytes");
	expect(f, "\"tag\": \"", "\"tag\": \"AA", ERR_INVALID, "JWE: member 'tag' is not base64url of 16 to 16 bytes");
	expect(f, "\"ciphertext\": \"", "\"ciphertext\": \"=", ERR_INVALID,
	       "JWE: member 'ciphertext' is not base64url of at most 32768 bytes");
	expect(f, "\"ciphertext\": \"", "\"ciphertext\": \"AAAA", ERR_DENIED, "JWE: its content was changed");
}

static void test_refused_headers(void **state)
{
	struct fixture *f = *state;

	expect_header(f, "[]", ERR_INVALID, "JWE: member 'protected' is not base64url of a JSON object");
	expect_header(f, "{\"alg\":\"RSA-OAEP\",\"enc\":\"A128GCM\"}", -EOPNOTSUPP,
		      "JWE: header parameter 'enc' is not 'A256GCM'");
	expect_header(f, "{\"alg\":\"RSA1_5\",\"enc\":\"A256GCM\"}", -EOPNOTSUPP,
		      "JWE: header parameter 'alg' is 'RSA1_5', which is not supported");
	expect_header(f, "{\"alg\":\"dir\",\"enc\":\"A256GCM\"}", -EOPNOTSUPP,
		      "JWE: header parameter 'alg' is 'dir', which is not supported");
	expect_header(f, "{\"enc\":\"A256GCM\"}", ERR_INVALID, "JWE: header parameter 'alg' is not a string");
	expect_header(f, "{\"alg\":\"RSA-OAEP\",\"enc\":\"A256GCM\",\"zip\":\"DEF\"}", -EOPNOTSUPP,
		      "JWE: header parameters 'crit' and 'zip' are not supported");
	expect_header(f, "{\"alg\":\"RSA-OAEP\",\"enc\":\"A256GCM\"}", ERR_INVALID,
		      "JWE: member 'encrypted_key' is not base64url of 256 to 512 bytes");
	expect_header(f, "{\"alg\":\"ECDH-ES+A256KW\",\"enc\":\"A256GCM\",\"epk\":{\"kty\":\"OKP\"}}", ERR_INVALID,
		      "JWE: header parameter 'epk' is no EC key");
	expect_header(f, "{\"alg\":\"ECDH-ES+A256KW\",\"enc\":\"A256GCM\",\"epk\":{\"kty\":\"EC\",\"crv\":\"P-192\"}}",
		      ERR_INVALID, "JWE: header parameter 'epk' has curve 'P-192'");
	expect_header(f,
		      "{\"alg\":\"ECDH-ES+A256KW\",\"enc\":\"A256GCM\",\"epk\":{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":"
		      "\"AA\"}}",
		      ERR_INVALID, "JWE: member 'x' is not base64url of 32 to 32 bytes");
}

/* A point that is not on the curve gives the private key away bit by bit: it is refused before anything is computed. */
static void test_invalid_point(void **state)
{
	struct fixture *f = *state;
	uint8_t point[65] = {4, 1, 2, 3}, secret[UNWRAP_SECRET_MAX];
	struct recipient *recipient;
	struct err err = {0};
	size_t len;

	assert_int_equal(unwrap_agree(f->keys[UNWRAP_P256], point, sizeof(point), secret, &len, &err), ERR_INVALID);
	assert_string_equal(err.msg, "a public key is no point on P-256");
	assert_int_equal(recipient_of_point(UNWRAP_P256, point, sizeof(point), &recipient, &err), ERR_INVALID);
	assert_int_equal(unwrap_agree(f->keys[UNWRAP_P384], point, sizeof(point), secret, &len, &err), ERR_INVALID);
	assert_int_equal(unwrap_agree(f->keys[UNWRAP_RSA], point, sizeof(point), secret, &len, &err), ERR_INVALID);
}

static void expect_key(const char *type, const char *parameter, const char *message)
{
	EVP_PKEY *pkey = strcmp(type, "RSA") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, type, strtoul(parameter, NULL, 10))
						  : EVP_PKEY_Q_keygen(NULL, NULL, type, parameter);
	BIO *out = BIO_new(BIO_s_mem());
	struct unwrap_key *key = NULL;
	struct err err = {0};
	char *text;
	long len;

	assert_int_equal(PEM_write_bio_PrivateKey(out, pkey, NULL, NULL, 0, NULL, NULL), 1);
	len = BIO_get_mem_data(out, &text);
	assert_int_equal(unwrap_key_parse(text, (size_t)len, &key, &err), message ? ERR_INVALID : 0);
	if (message)
		assert_string_equal(err.msg, message);
	unwrap_key_free(key);
	EVP_PKEY_free(pkey);
	BIO_free(out);
}

static void test_key_sizes(void **state)
{
	struct unwrap_key *key;
	struct err err = {0};

	(void)state;
	expect_key("RSA", "1024", "an RSA key has 1024 bits, not 2048 to 4096");
	expect_key("RSA", "3072", NULL);
	expect_key("EC", "secp256k1", "a key is neither RSA nor on P-256, P-384 or P-521");
	expect_key("EC", "P-521", NULL);
	assert_int_equal(unwrap_key_parse("x", 1, &key, &err), ERR_SYNTAX);
	assert_string_equal(err.msg, "cannot read the private key: it is no PEM without a passphrase");
}

/* A key made for one answer: what is sealed for its point opens with it alone. */
static void test_one_use(void **state)
{
	struct fixture *f = *state;
	CLEANUP(cleanup_unwrap_key) struct unwrap_key *key = NULL;
	CLEANUP(cleanup_recipient) struct recipient *recipient = NULL;
	CLEANUP_BUF struct buf text = buf_of(JWE_BYTES_MAX);
	uint8_t point[UNWRAP_POINT_MAX];
	struct jwe_recipient to;
	struct err err = {0};

	assert_int_equal(unwrap_key_generate(&key, &err), 0);
	assert_int_equal(unwrap_key_point(key, point, &err), 0);
	assert_int_equal(recipient_of_point(UNWRAP_P256, point, 65, &recipient, &err), 0);
	to = (struct jwe_recipient){recipient, JWE_ECDH_A256KW};
	assert_int_equal(jwe_seal(&to, 1, "the content", 11, &text, &err), 0);
	assert_int_equal(opens(text.data, text.len, &key, 1, &err), 0);
	assert_int_equal(opens(text.data, text.len, f->keys, KEYS, &err), ERR_DENIED);
	assert_int_equal(opens(text.data, text.len, NULL, 0, &err), ERR_DENIED);
	assert_string_equal(err.msg, "JWE: it is wrapped for other keys than the 0 at hand");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known),         cmocka_unit_test(test_round_trips),
		cmocka_unit_test(test_each_byte),     cmocka_unit_test(test_default_algorithms),
		cmocka_unit_test(test_refusals),      cmocka_unit_test(test_refused_headers),
		cmocka_unit_test(test_invalid_point), cmocka_unit_test(test_key_sizes),
		cmocka_unit_test(test_one_use),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
