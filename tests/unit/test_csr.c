/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/csr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "crypto/certificate.h"

struct made {
	struct crypto_key *key;
	struct buf pem;
};

static struct made make(const char *name, const char *organization)
{
	struct made made = {.pem = buf_of(CRYPTO_CSR_MAX)};

	assert_int_equal(crypto_key_generate(&made.key, NULL), 0);
	assert_int_equal(crypto_csr_make(made.key, name, organization, &made.pem, NULL), 0);
	return made;
}

static void made_done(struct made *made)
{
	crypto_key_free(made->key);
	buf_done(&made->pem);
}

/* What comes out can be certified, and the certificate is the key's that asked. */
static void test_a_request_is_certified(void **state)
{
	struct made made __attribute__((cleanup(made_done))) = make("system:node:n", "system:nodes");
	struct crypto_certificate_request ca = {.purpose = CRYPTO_PURPOSE_CA, .common_name = "ca", .lifetime_s = 60};
	struct crypto_certificate_request leaf = {.purpose = CRYPTO_PURPOSE_CLIENT, .lifetime_s = 60};
	CLEANUP(cleanup_crypto_key) struct crypto_key *ca_key = NULL;
	CLEANUP_BUF struct buf ca_pem = buf_of(16384), pem = buf_of(16384);
	uint8_t signature[CRYPTO_SIGNATURE_MAX];
	struct crypto_csr csr;
	struct err err = {0};
	size_t len;

	(void)state;
	assert_int_equal(crypto_csr_read(made.pem.data, &csr, &err), 0);
	assert_string_equal(csr.common_name, "system:node:n");
	assert_string_equal(csr.organization, "system:nodes");
	assert_int_equal(crypto_key_generate(&ca_key, &err), 0);
	assert_int_equal(crypto_certificate_issue(&ca, ca_key, NULL, NULL, &ca_pem, &err), 0);
	leaf.common_name = csr.common_name;
	assert_int_equal(crypto_certificate_issue(&leaf, csr.key, ca_pem.data, ca_key, &pem, &err), 0);
	assert_int_equal(crypto_sign(made.key, "abc", 3, signature, &len, &err), 0);
	assert_int_equal(crypto_verify(pem.data, ca_pem.data, CRYPTO_PURPOSE_CLIENT, "abc", 3, signature, len, &err),
			 0);
	crypto_csr_done(&csr);
}

static void refused(const char *pem, int code, const char *message)
{
	struct crypto_csr csr;
	struct err err = {0};

	assert_int_equal(crypto_csr_read(pem, &csr, &err), code);
	assert_string_equal(err.msg, message);
}

/* An altered subject or key: the signature is not by the key any more. */
static void test_altered_requests_are_refused(void **state)
{
	struct made made __attribute__((cleanup(made_done))) = make("system:node:n", NULL);
	size_t taken = 0, tried = 0;

	(void)state;
	for (size_t i = 40; i < made.pem.len - 40; i++) {
		char before = made.pem.data[i];
		struct crypto_csr csr;

		if (before == '\n')
			continue;
		made.pem.data[i] = before == 'A' ? 'B' : 'A';
		if (crypto_csr_read(made.pem.data, &csr, NULL) == 0) {
			crypto_csr_done(&csr);
			taken++;
		}
		tried++;
		made.pem.data[i] = before;
	}
	assert_true(tried > 200);
	assert_int_equal(taken, 0);
}

static void test_what_is_no_request(void **state)
{
	struct made made __attribute__((cleanup(made_done))) = make("a", NULL);
	CLEANUP_BUF struct buf twice = buf_of(CRYPTO_CSR_MAX), large = buf_of(2 * CRYPTO_CSR_MAX);

	(void)state;
	assert_int_equal(buf_append(&twice, made.pem.data, made.pem.len), 0);
	assert_int_equal(buf_append(&twice, made.pem.data, made.pem.len), 0);
	refused(twice.data, ERR_SYNTAX, "its text is not exactly one certificate request in PEM");
	refused("", ERR_SYNTAX, "its text is not exactly one certificate request in PEM");
	while (large.len <= CRYPTO_CSR_MAX)
		assert_int_equal(buf_puts(&large, "0123456789"), 0);
	refused(large.data, ERR_TOO_LARGE, "a certificate request is over the maximum of 8192 bytes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_request_is_certified),
		cmocka_unit_test(test_altered_requests_are_refused),
		cmocka_unit_test(test_what_is_no_request),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
