/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/cosign.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "oci/sigbundle.h"

#define STATEMENT_TYPE "application/vnd.in-toto+json"

/* The keys to try; which one it was. */
struct keyring {
	struct crypto_public *const *keys;
	size_t count;
	size_t found;
};

static int decode(const char *text, size_t max, struct buf *to, const char *what, struct err *err)
{
	*to = buf_of(max);
	if (crypto_unbase64(to, text, strlen(text)) < 0 || !to->len)
		return err_set(err, ERR_SYNTAX, "the %s is not base64 of at most %zu bytes", what, max);
	return 0;
}

static int verify_bytes(struct keyring *ring, const void *bytes, size_t len, const struct buf *signature,
			struct err *err)
{
	for (ring->found = 0; ring->found < ring->count; ring->found++)
		if (crypto_public_verify(ring->keys[ring->found], bytes, len, (const uint8_t *)signature->data,
					 signature->len, NULL) == 0)
			return 0;
	return err_set(err, ERR_UNKNOWN_PEER, "the signature is by none of the keys");
}

static int verify_payload(struct keyring *ring, const struct cosign_signature *signature, struct claim *claim,
			  struct err *err)
{
	CLEANUP_BUF struct buf raw = {0};
	int r;

	if (signature->len > CLAIM_BYTES_MAX)
		return err_set(err, ERR_TOO_LARGE, "the payload has %zu bytes", signature->len);
	r = decode(signature->signature, CRYPTO_PUBLIC_SIGNATURE_MAX, &raw, "signature", err);
	if (r == 0)
		r = verify_bytes(ring, signature->bytes, signature->len, &raw, err);
	return r < 0 ? r : claim_parse_simplesigning(signature->bytes, signature->len, claim, err);
}

static int verify_envelope(struct keyring *ring, const struct sigbundle *bundle, const struct buf *signature,
			   struct claim *claim, struct err *err)
{
	CLEANUP_BUF struct buf payload = {0};
	CLEANUP_BUF struct buf message = buf_of(CLAIM_BYTES_MAX + 1024);
	int r = decode(bundle->payload, CLAIM_BYTES_MAX, &payload, "payload", err);

	if (r < 0)
		return r;
	if (sigbundle_encode(bundle->payload_type, payload.data, payload.len, &message) < 0)
		return err_set(err, ERR_TOO_LARGE, "the envelope's type is too long");
	r = verify_bytes(ring, message.data, message.len, signature, err);
	if (r < 0)
		return r;
	if (!str_eq(bundle->payload_type, STATEMENT_TYPE))
		return err_set(err, ERR_INVALID, "payloadType '%.64s' is not " STATEMENT_TYPE, bundle->payload_type);
	return claim_parse_statement(payload.data, payload.len, claim, err);
}

/* A signature of the manifest itself: what it says is the digest. */
static int verify_manifest(struct keyring *ring, const struct sigbundle *bundle, const struct buf *signature,
			   struct claim *claim, struct err *err)
{
	CLEANUP_BUF struct buf digest = {0};
	int r = decode(bundle->digest, CRYPTO_SHA256_SIZE, &digest, "messageDigest", err);

	if (r == 0 && digest.len != CRYPTO_SHA256_SIZE)
		r = err_set(err, ERR_INVALID, "the messageDigest is not a SHA-256");
	if (r < 0)
		return r;
	for (ring->found = 0; ring->found < ring->count; ring->found++)
		if (crypto_public_verify_digest(ring->keys[ring->found], (const uint8_t *)digest.data,
						(const uint8_t *)signature->data, signature->len, NULL) == 0)
			break;
	if (ring->found == ring->count)
		return err_set(err, ERR_UNKNOWN_PEER, "the signature is by none of the keys");
	*claim = (struct claim){.digest.algorithm = DIGEST_SHA256};
	memcpy(claim->digest.bytes, digest.data, CRYPTO_SHA256_SIZE);
	return 0;
}

static int verify_bundle(struct keyring *ring, const struct cosign_signature *signature, struct claim *claim,
			 struct err *err)
{
	CLEANUP_SIGBUNDLE struct sigbundle bundle = {0};
	CLEANUP_BUF struct buf raw = {0};
	int r = sigbundle_parse(signature->bytes, signature->len, &bundle, err);

	if (r == 0)
		r = decode(bundle.signature, CRYPTO_PUBLIC_SIGNATURE_MAX, &raw, "signature", err);
	if (r < 0)
		return r;
	return bundle.payload ? verify_envelope(ring, &bundle, &raw, claim, err)
			      : verify_manifest(ring, &bundle, &raw, claim, err);
}

int cosign_verify(const struct cosign_signature *signature, struct crypto_public *const *keys, size_t key_count,
		  size_t *ret_key, struct claim *ret_claim, struct err *err)
{
	struct keyring ring = {.keys = keys, .count = key_count};
	struct claim claim = {0};
	int r = signature->signature ? verify_payload(&ring, signature, &claim, err)
				     : verify_bundle(&ring, signature, &claim, err);

	if (r < 0)
		return r;
	*ret_key = ring.found;
	*ret_claim = claim;
	return 0;
}
