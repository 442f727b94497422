/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cluster's own certificates: one CA, leaf certificates for TLS and one kind for binding (tickets) only. A binding
 * certificate carries the extended key usage CRYPTO_PURPOSE_BINDING and no TLS usage; a TLS certificate never signs a ticket.
 */
#ifndef CRYPTO_CERTIFICATE_H
#define CRYPTO_CERTIFICATE_H

#include <stdint.h>

#include "crypto/key.h"

enum crypto_purpose {
	CRYPTO_PURPOSE_CA,
	CRYPTO_PURPOSE_SERVER,  /* TLS server, also client: etcd's gateway needs both */
	CRYPTO_PURPOSE_CLIENT,  /* TLS client */
	CRYPTO_PURPOSE_BINDING, /* signs tickets: EKU 1.3.6.1.4.1.59999.1.1 alone, digitalSignature, critical */
};

/*
 * The CA that certifies instances when they join (docs/adr/0013): one that the CISM holds, beside the cluster's CA, and that
 * servers believe for this organization alone.
 */
#define CRYPTO_INSTANCES_ISSUER "bulkhead-instances"
#define CRYPTO_INSTANCES_ORGANIZATION "system:nodes"
#define CRYPTO_INSTANCES_PREFIX "system:node:" /* begins the common name */

struct crypto_certificate_request {
	enum crypto_purpose purpose;
	const char *common_name;
	const char *const *organizations; /* Kubernetes' groups; NULL-terminated, or NULL */
	const char *const *names; /* subjectAltName: DNS names and numeric addresses; NULL-terminated, or NULL */
	int64_t lifetime_s;
};

/* Issues a certificate for key, signed by the CA's key (for a CA: ca_pem NULL, signed by itself), appended to pem. */
int crypto_certificate_issue(const struct crypto_certificate_request *request, const struct crypto_key *key,
			     const char *ca_pem, const struct crypto_key *ca_key, struct buf *pem,
			     struct err *err) MUST_CHECK;

/* In those that read a certificate, pem is exactly one as it was issued: a text before, behind or between is ERR_SYNTAX. */

/* Seconds until the certificate ends (negative when it has). */
int crypto_certificate_left(const char *pem, int64_t *ret_seconds, struct err *err) MUST_CHECK;

/* The SHA-256 of the certificate's DER bytes: what http_peer and pull tokens name a certificate by. */
int crypto_certificate_sha256(const char *pem, uint8_t digest[static CRYPTO_SHA256_SIZE], struct err *err) MUST_CHECK;

/* Verifies that pem chains to ca_pem now and carries the purpose; then that the signature over the bytes is by its key.
 * ERR_UNKNOWN_PEER with which of the two failed; ERR_EXPIRED for a certificate out of its time. */
int crypto_verify(const char *pem, const char *ca_pem, enum crypto_purpose purpose, const void *bytes, size_t len,
		  const uint8_t *signature, size_t signature_len, struct err *err) MUST_CHECK;

#endif
