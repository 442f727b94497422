/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/layersecret.h"

#include <errno.h>
#include <string.h>

#include "crypto/jwe.h"
#include "crypto/key.h"
#include "support_pki.h"

/* The private and public options of a layer that skopeo encrypted. */
static const char private_options[] =
	"{\"symkey\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\",\"digest\":"
	"\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\"cipheroptions\":{\"nonce\":"
	"\"AAECAwQFBgcICQoLDA0ODw==\"}}";

static void test_round_trip(void **state)
{
	struct layersecret secret = {0}, again = {0};
	CLEANUP_BUF struct buf text = buf_of(LAYERSECRET_OPTIONS_MAX), encoded = buf_of(LAYERSECRET_OPTIONS_MAX);
	struct encryption_text options;
	struct err err = {0};

	(void)state;
	assert_int_equal(layersecret_private(private_options, strlen(private_options), &secret, &err), 0);
	assert_int_equal(secret.key[31], 31);
	assert_int_equal(secret.nonce[15], 15);
	assert_int_equal(secret.digest.bytes[0], 0xe3);
	assert_int_equal(layersecret_format_private(&secret, &text), 0);
	assert_string_equal(text.data, private_options);
	memset(secret.hmac, 7, sizeof(secret.hmac));
	buf_clear(&text);
	assert_int_equal(layersecret_format_public(&secret, &text), 0);
	assert_int_equal(crypto_base64(&encoded, text.data, text.len), 0);
	options = (struct encryption_text){encoded.data, encoded.len};
	assert_int_equal(layersecret_public(&options, &again, &err), 0);
	assert_memory_equal(again.hmac, secret.hmac, 32);
}

static void expect_private(const char *text, const char *message)
{
	const struct layersecret none = {0};
	struct layersecret secret = {0};
	struct err err = {0};

	assert_int_equal(layersecret_private(text, strlen(text), &secret, &err), ERR_INVALID);
	assert_string_equal(err.msg, message);
	assert_memory_equal(&secret, &none, sizeof(none));
}

static void test_private_refusals(void **state)
{
	(void)state;
	expect_private("[]", "the private options are not a JSON object of at most 4096 bytes");
	expect_private("{}", "the private options' 'symkey' is not base64 of 32 bytes");
	expect_private("{\"symkey\":\"AAAA\"}", "the private options' 'symkey' is not base64 of 32 bytes");
	expect_private("{\"symkey\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"}",
		       "the private options' 'nonce' is not base64 of 16 bytes");
	expect_private("{\"symkey\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\",\"cipheroptions\":{\"nonce\":"
		       "\"AAECAwQFBgcICQoLDA0ODw==\"},\"digest\":\"md5:00\"}",
		       "digest 'md5:00' begins neither with 'sha256:' nor with 'sha512:'");
}

static void expect_public(const char *text, int code, const char *message)
{
	CLEANUP_BUF struct buf encoded = buf_of(LAYERSECRET_OPTIONS_MAX * 2);
	struct encryption_text options;
	struct layersecret secret;
	struct err err = {0};

	assert_int_equal(crypto_base64(&encoded, text, strlen(text)), 0);
	options = (struct encryption_text){encoded.data, encoded.len};
	assert_int_equal(layersecret_public(&options, &secret, &err), code);
	assert_string_equal(err.msg, message);
}

static void test_public_refusals(void **state)
{
	const struct encryption_text bad = {"=", 1};
	struct layersecret secret;
	struct err err = {0};

	(void)state;
	assert_int_equal(layersecret_public(&bad, &secret, &err), ERR_INVALID);
	assert_string_equal(err.msg,
			    "annotation 'org.opencontainers.image.enc.pubopts' is not base64 of at most 4096 bytes");
	expect_public("x", ERR_INVALID, "annotation 'org.opencontainers.image.enc.pubopts' is not a JSON object");
	expect_public("{}", -EOPNOTSUPP, "its cipher is '', of which only 'AES_256_CTR_HMAC_SHA256' is supported");
	expect_public("{\"cipher\":\"ROT13\"}", -EOPNOTSUPP,
		      "its cipher is 'ROT13', of which only 'AES_256_CTR_HMAC_SHA256' is supported");
	expect_public("{\"cipher\":\"AES_256_CTR_HMAC_SHA256\",\"hmac\":\"\"}", ERR_INVALID,
		      "the public options' 'hmac' is not base64 of 32 bytes");
}

/* One of several packets is for the key at hand; none is an error of its own kind. */
static void test_packets(void **state)
{
	struct unwrap_key *keys[2], *other;
	struct buf packets[2] = {buf_of(JWE_BYTES_MAX), buf_of(JWE_BYTES_MAX)}, options = buf_of(JWE_BYTES_MAX);
	struct layersecret secret = {.hmac = {9}}, opened = {0};
	struct encryption encryption = {.packet_count = 2};
	CLEANUP_BUF struct buf text = buf_of(LAYERSECRET_OPTIONS_MAX);
	struct err err = {0};

	(void)state;
	assert_int_equal(layersecret_format_public(&secret, &text), 0);
	assert_int_equal(crypto_base64(&options, text.data, text.len), 0);
	encryption.public_options = (struct encryption_text){options.data, options.len};
	for (size_t i = 0; i < 2; i++) {
		CLEANUP(cleanup_recipient) struct recipient *recipient = NULL;
		CLEANUP_BUF struct buf jwe = buf_of(JWE_BYTES_MAX);
		uint8_t point[UNWRAP_POINT_MAX];
		struct jwe_recipient to;

		assert_int_equal(unwrap_key_generate(&keys[i], &err), 0);
		assert_int_equal(unwrap_key_point(keys[i], point, &err), 0);
		assert_int_equal(recipient_of_point(UNWRAP_P256, point, 65, &recipient, &err), 0);
		to = (struct jwe_recipient){recipient, JWE_ECDH_A256KW};
		assert_int_equal(jwe_seal(&to, 1, private_options, strlen(private_options), &jwe, &err), 0);
		assert_int_equal(crypto_base64(&packets[i], jwe.data, jwe.len), 0);
		encryption.packets[i] = (struct encryption_text){packets[i].data, packets[i].len};
	}
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(layersecret_open(&encryption, &keys[i], 1, &opened, &err), 0);
		assert_int_equal(opened.key[1], 1);
		assert_int_equal(opened.hmac[0], 9);
	}
	assert_int_equal(unwrap_key_generate(&other, &err), 0);
	assert_int_equal(layersecret_open(&encryption, &other, 1, &opened, &err), ERR_DENIED);
	assert_string_equal(err.msg, "JWE: it is wrapped for other keys than the 1 at hand");
	packets[0].data[0] = '=';
	assert_int_equal(layersecret_open(&encryption, &keys[1], 1, &opened, &err), ERR_INVALID);
	assert_string_equal(err.msg, "annotation 'org.opencontainers.image.enc.keys.jwe' is not base64");
	for (size_t i = 0; i < 2; i++) {
		buf_done(&packets[i]);
		unwrap_key_free(keys[i]);
	}
	unwrap_key_free(other);
	buf_done(&options);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_private_refusals),
		cmocka_unit_test(test_public_refusals),
		cmocka_unit_test(test_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
