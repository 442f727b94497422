/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a signature says about an image: which manifest, and where it is to be found. Two texts are signed: the "simple signing"
 * payload of containers/image ("containers-signature", section "JSON Data Format") that cosign 2 and skopeo write, and the
 * in-toto statement (in-toto attestation framework, v1) that cosign 3 writes. Nothing here is to be believed before the
 * signature over the very bytes was verified (crypto/cosign.h).
 */
#ifndef OCI_CLAIM_H
#define OCI_CLAIM_H

#include "oci/digest.h"

/* The largest text read, and the longest name of a place. */
#define CLAIM_BYTES_MAX ((size_t)64 << 10)
#define CLAIM_IDENTITY_SIZE 512

struct claim {
	struct digest digest;
	/* "host/repository", perhaps with ":tag": the image it is a signature of; empty when it names none. */
	char identity[CLAIM_IDENTITY_SIZE];
};

/*
 * Reads a simple signing payload. ERR_TOO_LARGE, ERR_SYNTAX for what is no JSON, ERR_INVALID for another type than an image's
 * signature, for an unknown member of "critical", and for a missing or malformed digest.
 */
int claim_parse_simplesigning(const char *bytes, size_t len, struct claim *ret_claim, struct err *err) MUST_CHECK;

/*
 * Reads an in-toto statement whose predicate says that it is a signature of an image; an attestation about one (an SBOM,
 * provenance) is ERR_INVALID. It has exactly one subject. Its place is the subject's name, or the annotation
 * "docker-reference" (cosign sign -a docker-reference=…). Errors as above.
 */
int claim_parse_statement(const char *bytes, size_t len, struct claim *ret_claim, struct err *err) MUST_CHECK;

#endif
