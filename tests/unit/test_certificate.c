/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/certificate.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "support_pki.h"

static void sign(const struct pki_identity *by, const char *text, uint8_t *signature, size_t *len)
{
	struct err err = {0};

	assert_int_equal(crypto_sign(by->key, text, strlen(text), signature, len, &err), 0);
}

static void test_binding_verifies(void **state)
{
	CLEANUP_IDENTITY struct pki_identity ca = pki_issue(CRYPTO_PURPOSE_CA, "ca", NULL, NULL, 3600);
	CLEANUP_IDENTITY struct pki_identity signer = pki_issue(CRYPTO_PURPOSE_BINDING, "binding:1", NULL, &ca, 600);
	uint8_t signature[CRYPTO_SIGNATURE_MAX];
	struct err err = {0};
	size_t len;

	(void)state;
	sign(&signer, "ticket", signature, &len);
	assert_int_equal(crypto_verify(signer.pem.data, ca.pem.data, CRYPTO_PURPOSE_BINDING, "ticket", 6, signature,
				       len, &err),
			 0);
	assert_int_equal(crypto_verify(signer.pem.data, ca.pem.data, CRYPTO_PURPOSE_BINDING, "ticKet", 6, signature,
				       len, &err),
			 ERR_UNKNOWN_PEER);
	assert_string_equal(err.msg, "the signature is not by the certificate's key over these bytes");
	assert_int_equal(crypto_verify(signer.pem.data, ca.pem.data, CRYPTO_PURPOSE_BINDING, "ticket", 6, signature,
				       len - 1, &err),
			 ERR_UNKNOWN_PEER);
}

/* No purpose passes for another: not TLS for binding, not binding for TLS, not the CA for either. */
static void test_purposes_are_apart(void **state)
{
	CLEANUP_IDENTITY struct pki_identity ca = pki_issue(CRYPTO_PURPOSE_CA, "ca", NULL, NULL, 3600);
	static const struct {
		enum crypto_purpose has, asked;
		int code;
	} cases[] = {
		{CRYPTO_PURPOSE_SERVER, CRYPTO_PURPOSE_SERVER, 0},
		{CRYPTO_PURPOSE_SERVER, CRYPTO_PURPOSE_CLIENT, 0},
		{CRYPTO_PURPOSE_SERVER, CRYPTO_PURPOSE_BINDING, ERR_UNKNOWN_PEER},
		{CRYPTO_PURPOSE_CLIENT, CRYPTO_PURPOSE_CLIENT, 0},
		{CRYPTO_PURPOSE_CLIENT, CRYPTO_PURPOSE_SERVER, ERR_UNKNOWN_PEER},
		{CRYPTO_PURPOSE_CLIENT, CRYPTO_PURPOSE_BINDING, ERR_UNKNOWN_PEER},
		{CRYPTO_PURPOSE_BINDING, CRYPTO_PURPOSE_BINDING, 0},
		{CRYPTO_PURPOSE_BINDING, CRYPTO_PURPOSE_CLIENT, ERR_UNKNOWN_PEER},
		{CRYPTO_PURPOSE_BINDING, CRYPTO_PURPOSE_SERVER, ERR_UNKNOWN_PEER},
	};
	uint8_t signature[CRYPTO_SIGNATURE_MAX];
	struct err err = {0};
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CLEANUP_IDENTITY struct pki_identity signer = pki_issue(cases[i].has, "x", NULL, &ca, 600);

		sign(&signer, "t", signature, &len);
		assert_int_equal(crypto_verify(signer.pem.data, ca.pem.data, cases[i].asked, "t", 1, signature, len,
					       &err),
				 cases[i].code);
	}
	sign(&ca, "t", signature, &len);
	assert_int_equal(crypto_verify(ca.pem.data, ca.pem.data, CRYPTO_PURPOSE_BINDING, "t", 1, signature, len, &err),
			 ERR_UNKNOWN_PEER);
	assert_string_equal(err.msg, "the certificate is not one for binding");
	assert_int_equal(crypto_verify(ca.pem.data, ca.pem.data, CRYPTO_PURPOSE_CLIENT, "t", 1, signature, len, &err),
			 ERR_UNKNOWN_PEER);
}

static void test_foreign_ca(void **state)
{
	CLEANUP_IDENTITY struct pki_identity ca = pki_issue(CRYPTO_PURPOSE_CA, "ca", NULL, NULL, 3600);
	CLEANUP_IDENTITY struct pki_identity foreign = pki_issue(CRYPTO_PURPOSE_CA, "ca", NULL, NULL, 3600);
	CLEANUP_IDENTITY struct pki_identity signer = pki_issue(CRYPTO_PURPOSE_BINDING, "binding:1", NULL, &foreign,
								600);
	CLEANUP_BUF struct buf both = buf_of(16384);
	uint8_t signature[CRYPTO_SIGNATURE_MAX];
	struct err err = {0};
	size_t len;

	(void)state;
	sign(&signer, "t", signature, &len);
	assert_int_equal(crypto_verify(signer.pem.data, ca.pem.data, CRYPTO_PURPOSE_BINDING, "t", 1, signature, len,
				       &err),
			 ERR_UNKNOWN_PEER);
	assert_memory_equal(err.msg, "the certificate does not verify: ", 33);
	/* Both CAs are trusted while one replaces the other. */
	assert_int_equal(buf_printf(&both, "%s%s", ca.pem.data, foreign.pem.data), 0);
	assert_int_equal(crypto_verify(signer.pem.data, both.data, CRYPTO_PURPOSE_BINDING, "t", 1, signature, len,
				       &err),
			 0);
	assert_int_equal(crypto_verify(signer.pem.data, "", CRYPTO_PURPOSE_BINDING, "t", 1, signature, len, &err),
			 ERR_SYNTAX);
}

/* A leaf cannot issue: not by name, not by a chain. */
static void test_leaf_is_no_issuer(void **state)
{
	CLEANUP_IDENTITY struct pki_identity ca = pki_issue(CRYPTO_PURPOSE_CA, "ca", NULL, NULL, 3600);
	CLEANUP_IDENTITY struct pki_identity leaf = pki_issue(CRYPTO_PURPOSE_CLIENT, "leaf", NULL, &ca, 600);
	const struct crypto_certificate_request request = {.purpose = CRYPTO_PURPOSE_BINDING,
							   .common_name = "x",
							   .lifetime_s = 60};
	CLEANUP_BUF struct buf pem = buf_of(16384);
	struct err err = {0};

	(void)state;
	assert_int_equal(crypto_certificate_issue(&request, leaf.key, leaf.pem.data, leaf.key, &pem, &err),
			 ERR_INVALID);
	assert_string_equal(err.msg, "the issuing certificate is not that of a CA");
	assert_int_equal(crypto_certificate_issue(&request, leaf.key, ca.pem.data, leaf.key, &pem, &err), ERR_INVALID);
	assert_string_equal(err.msg, "the CA's key does not belong to the CA's certificate");
	assert_int_equal(crypto_certificate_issue(&request, leaf.key, NULL, NULL, &pem, &err), ERR_INVALID);
	assert_int_equal(pem.len, 0);
}

static void test_times(void **state)
{
	CLEANUP_IDENTITY struct pki_identity ca = pki_issue(CRYPTO_PURPOSE_CA, "ca", NULL, NULL, 3600);
	CLEANUP_IDENTITY struct pki_identity signer = pki_issue(CRYPTO_PURPOSE_BINDING, "b", NULL, &ca, 1);
	CLEANUP_IDENTITY struct pki_identity longer = pki_issue(CRYPTO_PURPOSE_BINDING, "b", NULL, &ca, 7200);
	uint8_t signature[CRYPTO_SIGNATURE_MAX];
	struct err err = {0};
	int64_t left;
	size_t len;

	(void)state;
	assert_int_equal(crypto_certificate_left(longer.pem.data, &left, &err), 0);
	assert_in_range(left, 3590, 3600); /* no longer than its CA */
	sign(&signer, "t", signature, &len);
	sleep(3);
	assert_int_equal(crypto_certificate_left(signer.pem.data, &left, &err), 0);
	assert_true(left < 0);
	assert_int_equal(crypto_verify(signer.pem.data, ca.pem.data, CRYPTO_PURPOSE_BINDING, "t", 1, signature, len,
				       &err),
			 ERR_EXPIRED);
	assert_string_equal(err.msg, "the certificate is out of its time: certificate has expired");
}

static void test_text_is_exact(void **state)
{
	CLEANUP_IDENTITY struct pki_identity ca = pki_issue(CRYPTO_PURPOSE_CA, "ca", NULL, NULL, 3600);
	static const char *const forms[] = {"x\n%s", "%sx", "%s\n", " %s", "%s%1$s"};
	struct err err = {0};
	int64_t left;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		CLEANUP_BUF struct buf text = buf_of(16384);

		for (const char *at = forms[i]; *at; at++) {
			if (*at == '%') {
				assert_int_equal(buf_append(&text, ca.pem.data, ca.pem.len), 0);
				at = strchr(at, 's');
			} else {
				assert_int_equal(buf_putc(&text, *at), 0);
			}
		}
		assert_int_equal(crypto_certificate_left(text.data, &left, &err), ERR_SYNTAX);
	}
	assert_string_equal(err.msg, "cannot read the certificate: its text is not exactly one certificate in PEM");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_binding_verifies),
		cmocka_unit_test(test_purposes_are_apart),
		cmocka_unit_test(test_foreign_ca),
		cmocka_unit_test(test_leaf_is_no_issuer),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_text_is_exact),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
