/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/envelope.h"

#include <errno.h>
#include <string.h>

#include "support_pki.h"

struct fixture {
	struct pki_identity ca, signer;
	struct buf sealed;
};

static int setup(void **state)
{
	struct fixture *f = test_calloc(1, sizeof(*f));
	struct err err = {0};

	f->ca = pki_issue(CRYPTO_PURPOSE_CA, "ca", NULL, NULL, 3600);
	f->signer = pki_issue(CRYPTO_PURPOSE_BINDING, "binding:1", NULL, &f->ca, 600);
	f->sealed = buf_of(CRYPTO_ENVELOPE_MAX);
	assert_int_equal(crypto_envelope_seal(f->signer.key, f->signer.pem.data, "{\"a\":1}", 7, &f->sealed, &err), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pki_identity_done(&f->ca);
	pki_identity_done(&f->signer);
	buf_done(&f->sealed);
	test_free(f);
	return 0;
}

static int opens(const struct fixture *f, const char *bytes, size_t len, struct err *err)
{
	CLEANUP_BUF struct buf payload = buf_of(4096);
	int r = crypto_envelope_open(f->ca.pem.data, CRYPTO_PURPOSE_BINDING, bytes, len, &payload, err);

	if (r == 0) {
		assert_string_equal(payload.data, "{\"a\":1}");
		assert_int_equal(payload.len, 7);
	} else {
		assert_int_equal(payload.len, 0);
	}
	return r;
}

static void test_round_trip(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	assert_int_equal(opens(f, f->sealed.data, f->sealed.len, &err), 0);
}

/* Every byte of the envelope counts: changed, it does not open; cut anywhere, it does not open. */
static void test_each_byte(void **state)
{
	struct fixture *f = *state;
	struct err err = {0};

	for (size_t i = 0; i < f->sealed.len; i++) {
		char *at = &f->sealed.data[i], was = *at;

		*at ^= 1;
		assert_int_not_equal(opens(f, f->sealed.data, f->sealed.len, &err), 0);
		*at = was;
		assert_int_equal(opens(f, f->sealed.data, i, &err), ERR_SYNTAX);
	}
	assert_string_equal(err.msg, "the envelope is not an object of 'payload', 'signature' and 'certificate'");
}

static void test_trailing_and_unknown(void **state)
{
	struct fixture *f = *state;
	CLEANUP_BUF struct buf text = buf_of(CRYPTO_ENVELOPE_MAX);
	struct err err = {0};

	assert_int_equal(buf_printf(&text, "%sx", f->sealed.data), 0);
	assert_int_equal(opens(f, text.data, text.len, &err), ERR_SYNTAX);
	buf_clear(&text);
	assert_int_equal(buf_printf(&text, "%.*s,\"more\":1}", (int)f->sealed.len - 1, f->sealed.data), 0);
	assert_int_equal(opens(f, text.data, text.len, &err), ERR_SYNTAX);
	buf_clear(&text);
	assert_int_equal(buf_printf(&text, "%.*s,\"payload\":\"\"}", (int)f->sealed.len - 1, f->sealed.data), 0);
	assert_int_equal(opens(f, text.data, text.len, &err), ERR_SYNTAX);
	assert_int_equal(opens(f, "[]", 2, &err), ERR_SYNTAX);
	assert_int_equal(opens(f, text.data, CRYPTO_ENVELOPE_MAX + 1, &err), ERR_TOO_LARGE);
}

static int sealed_by(struct fixture *f, const struct crypto_key *key, const struct pki_identity *shown, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(CRYPTO_ENVELOPE_MAX);

	assert_int_equal(crypto_envelope_seal(key, shown->pem.data, "{\"a\":1}", 7, &text, err), 0);
	return opens(f, text.data, text.len, err);
}

static void test_wrong_signers(void **state)
{
	struct fixture *f = *state;
	CLEANUP_IDENTITY struct pki_identity tls = pki_issue(CRYPTO_PURPOSE_CLIENT, "system:node:n", "system:nodes",
							     &f->ca, 600);
	CLEANUP_IDENTITY struct pki_identity foreign_ca = pki_issue(CRYPTO_PURPOSE_CA, "ca", NULL, NULL, 600);
	CLEANUP_IDENTITY struct pki_identity foreign = pki_issue(CRYPTO_PURPOSE_BINDING, "binding:1", NULL, &foreign_ca,
								 600);
	struct err err = {0};

	assert_int_equal(sealed_by(f, tls.key, &tls, &err), ERR_UNKNOWN_PEER);
	assert_string_equal(err.msg, "the certificate is not one for binding");
	assert_int_equal(sealed_by(f, foreign.key, &foreign, &err), ERR_UNKNOWN_PEER);
	assert_int_equal(sealed_by(f, foreign.key, &f->signer, &err), ERR_UNKNOWN_PEER);
	assert_string_equal(err.msg, "the signature is not by the certificate's key over these bytes");
	assert_int_equal(sealed_by(f, f->ca.key, &f->ca, &err), ERR_UNKNOWN_PEER);
}

static void test_too_large_to_seal(void **state)
{
	struct fixture *f = *state;
	CLEANUP_BUF struct buf text = buf_of(SIZE_MAX / 2);
	CLEANUP_FREE char *payload = calloc(1, CRYPTO_ENVELOPE_MAX);
	struct err err = {0};

	assert_non_null(payload);
	assert_int_equal(crypto_envelope_seal(f->signer.key, f->signer.pem.data, payload, CRYPTO_ENVELOPE_MAX, &text,
					      &err),
			 ERR_TOO_LARGE);
	assert_int_equal(text.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),        cmocka_unit_test(test_each_byte),
		cmocka_unit_test(test_wrong_signers),     cmocka_unit_test(test_trailing_and_unknown),
		cmocka_unit_test(test_too_large_to_seal),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
