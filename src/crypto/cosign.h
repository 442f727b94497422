/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one verifier of image signatures, of the registry, the CISM and the instances: cosign 2 (simple signing payload, found by
 * the tag "sha256-HEX.sig"), cosign 3 (sigstore bundle, found as a referrer), by key pairs. The raw bytes are verified first;
 * what they say is read only then.
 */
#ifndef CRYPTO_COSIGN_H
#define CRYPTO_COSIGN_H

#include "crypto/public.h"
#include "oci/claim.h"

#define COSIGN_PAYLOAD_TYPE "application/vnd.dev.cosign.simplesigning.v1+json"
#define COSIGN_SIGNATURE_ANNOTATION "dev.cosignproject.cosign/signature"

/* As it lies in a registry. */
struct cosign_signature {
	const char *bytes; /* the payload; the bundle when there is no signature beside it */
	size_t len;
	const char *signature; /* base64, of the payload's annotation; NULL: bytes are a bundle */
};

/*
 * Yields what the signature says and by which of the keys. ERR_UNKNOWN_PEER when it is by none of them; ERR_SYNTAX,
 * ERR_INVALID, ERR_TOO_LARGE when it cannot be read, or is no signature of an image.
 */
int cosign_verify(const struct cosign_signature *signature, struct crypto_public *const *keys, size_t key_count,
		  size_t *ret_key, struct claim *ret_claim, struct err *err) MUST_CHECK;

#endif
