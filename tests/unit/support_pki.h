/* SPDX-License-Identifier: Apache-2.0 */
/* A small cluster PKI for tests that need certificates: fails the test when something cannot be made. */
#ifndef TESTS_SUPPORT_PKI_H
#define TESTS_SUPPORT_PKI_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/certificate.h"

struct pki_identity {
	struct crypto_key *key;
	struct buf key_pem;
	struct buf pem;
};

static inline void pki_identity_done(struct pki_identity *identity)
{
	crypto_key_free(identity->key);
	buf_done(&identity->key_pem);
	buf_done(&identity->pem);
}
#define CLEANUP_IDENTITY __attribute__((cleanup(pki_identity_done)))

/* ca NULL for a CA. */
static inline struct pki_identity pki_issue(enum crypto_purpose purpose, const char *name, const char *organization,
					    const struct pki_identity *ca, int64_t lifetime_s)
{
	const char *const organizations[] = {organization, NULL};
	static const char *const names[] = {"localhost", "127.0.0.1", NULL};
	const struct crypto_certificate_request request = {
		.purpose = purpose,
		.common_name = name,
		.organizations = organizations,
		.names = purpose == CRYPTO_PURPOSE_SERVER ? names : NULL,
		.lifetime_s = lifetime_s,
	};
	struct pki_identity identity = {.key_pem = buf_of(4096), .pem = buf_of(16384)};
	struct err err = {0};

	assert_int_equal(crypto_key_generate(&identity.key, &err), 0);
	assert_int_equal(crypto_key_format(identity.key, &identity.key_pem, &err), 0);
	assert_int_equal(crypto_certificate_issue(&request, identity.key, ca ? ca->pem.data : NULL, ca ? ca->key : NULL,
						  &identity.pem, &err),
			 0);
	return identity;
}

#endif
