/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signed envelopes: whatever the bytes, nothing opens but what the one signer sealed, and that comes out as it went in. CA and
 * signer are made anew each run, so that nothing of the corpus can open.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "crypto/envelope.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct buf ca_pem, signer_pem;
static struct crypto_key *signer;

static void make_signer(void)
{
	struct crypto_certificate_request request = {.purpose = CRYPTO_PURPOSE_CA,
						     .common_name = "ca",
						     .lifetime_s = 86400};
	CLEANUP(cleanup_crypto_key) struct crypto_key *key = NULL;
	struct err err;

	ca_pem = buf_of(16384);
	signer_pem = buf_of(16384);
	if (crypto_key_generate(&key, &err) < 0 || crypto_key_generate(&signer, &err) < 0 ||
	    crypto_certificate_issue(&request, key, NULL, NULL, &ca_pem, &err) < 0)
		abort();
	request.purpose = CRYPTO_PURPOSE_BINDING;
	if (crypto_certificate_issue(&request, signer, ca_pem.data, key, &signer_pem, &err) < 0)
		abort();
}

static void check_round_trip(const uint8_t *data, size_t size)
{
	CLEANUP_BUF struct buf sealed = buf_of(CRYPTO_ENVELOPE_MAX);
	CLEANUP_BUF struct buf payload = buf_of(CRYPTO_ENVELOPE_MAX);
	struct err err;

	if (crypto_envelope_seal(signer, signer_pem.data, data, size, &sealed, &err) < 0)
		return;
	assert(crypto_envelope_open(ca_pem.data, CRYPTO_PURPOSE_BINDING, sealed.data, sealed.len, &payload, &err) == 0);
	assert(payload.len == size && (!size || memcmp(payload.data, data, size) == 0));
}

static void check_base64(const uint8_t *data, size_t size)
{
	CLEANUP_BUF struct buf decoded = buf_of(CRYPTO_ENVELOPE_MAX);
	CLEANUP_BUF struct buf again = buf_of(CRYPTO_ENVELOPE_MAX);

	if (crypto_unbase64url(&decoded, (const char *)data, size) == 0) {
		assert(crypto_base64url(&again, decoded.data, decoded.len) == 0);
		assert(again.len == size && (!size || memcmp(again.data, data, size) == 0));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_BUF struct buf payload = buf_of(CRYPTO_ENVELOPE_MAX);
	struct err err = {0};

	if (!signer)
		make_signer();
	assert(crypto_envelope_open(ca_pem.data, CRYPTO_PURPOSE_BINDING, data, size, &payload, &err) < 0);
	assert(payload.len == 0 && err.msg[0]);
	check_round_trip(data, size);
	check_base64(data, size);
	return 0;
}
