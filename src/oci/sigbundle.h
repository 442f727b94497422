/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sigstore bundle, version 0.3 ("Sigstore Bundle Format"), as far as keys need it: a signature and what it is over.
 * Certificates, transparency log entries and time stamps in it are read past: who trusts a key needs none of them.
 */
#ifndef OCI_SIGBUNDLE_H
#define OCI_SIGBUNDLE_H

#include <jansson.h>

#include "base/buf.h"
#include "base/err.h"

#define SIGBUNDLE_TYPE "application/vnd.dev.sigstore.bundle.v0.3+json"
#define SIGBUNDLE_BYTES_MAX ((size_t)256 << 10)

struct sigbundle {
	/* All in standard base64, owned by document. */
	const char *signature;
	/* What a DSSE envelope carries, NULL when it is a signature of the image's manifest itself: */
	const char *payload;
	const char *payload_type;
	const char *digest; /* SHA-256 of the manifest that was signed, NULL with a payload */
	json_t *document;
};

/* ERR_TOO_LARGE, ERR_SYNTAX, ERR_INVALID with the member. The caller calls sigbundle_done. */
int sigbundle_parse(const char *bytes, size_t len, struct sigbundle *ret_bundle, struct err *err) MUST_CHECK;
void sigbundle_done(struct sigbundle *bundle);
#define CLEANUP_SIGBUNDLE __attribute__((cleanup(sigbundle_done)))

/* Appends the bytes that a DSSE signature is over ("Pre-Authentication Encoding", DSSE protocol 1.0). */
int sigbundle_encode(const char *payload_type, const void *payload, size_t len, struct buf *to) MUST_CHECK;

#endif
