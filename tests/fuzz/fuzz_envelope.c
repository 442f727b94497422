/* SPDX-License-Identifier: Apache-2.0 */
/* Signed envelopes: whatever the bytes, nothing opens but what the one signer sealed. The CA here is made anew each run, so
 * that nothing of the corpus can open at all. */
#include <assert.h>
#include <stdint.h>

#include "crypto/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct buf ca_pem;

static void make_ca(void)
{
	const struct crypto_certificate_request request = {.purpose = CRYPTO_PURPOSE_CA,
							   .common_name = "ca",
							   .lifetime_s = 86400};
	CLEANUP(cleanup_crypto_key) struct crypto_key *key = NULL;
	struct err err;

	ca_pem = buf_of(16384);
	if (crypto_key_generate(&key, &err) < 0 ||
	    crypto_certificate_issue(&request, key, NULL, NULL, &ca_pem, &err) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_BUF struct buf payload = buf_of(CRYPTO_ENVELOPE_MAX);
	struct err err = {0};

	if (!ca_pem.data)
		make_ca();
	assert(crypto_envelope_open(ca_pem.data, CRYPTO_PURPOSE_BINDING, data, size, &payload, &err) < 0);
	assert(payload.len == 0 && err.msg[0]);
	if (crypto_unbase64url(&payload, (const char *)data, size) == 0)
		assert(payload.len <= size);
	return 0;
}
