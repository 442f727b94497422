/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tokens that the registry gives its own users (Docker's token flow): who, for which repositories and rights, until when,
 * with a code over it by a secret of this process. What the user may do is asked again whenever a token is shown, so that a
 * token never gives more than its user has.
 */
#ifndef CIR_CIR_BEARER_H
#define CIR_CIR_BEARER_H

#include <stdint.h>

#include "base/buf.h"
#include "cir/cir_rules.h"
#include "oci/reference.h"

#define CIR_BEARER_SECRET_SIZE 32
#define CIR_BEARER_PREFIX "cir1."
#define CIR_BEARER_SCOPES_MAX 16
#define CIR_BEARER_USER_SIZE 128

struct cir_bearer {
	int64_t expires_ms;
	char user[CIR_BEARER_USER_SIZE]; /* empty: nobody by name */
	size_t count;
	struct cir_scope {
		unsigned rights; /* 1 << CIR_RIGHT_… */
		char repository[REFERENCE_REPOSITORY_SIZE];
	} scopes[CIR_BEARER_SCOPES_MAX];
};

/* Adds what a "scope" asks for, "repository:NAME:pull,push" separated by blanks. What is none, or one too many, is left out. */
void cir_bearer_add_scopes(struct cir_bearer *bearer, const char *text);
bool cir_bearer_covers(const struct cir_bearer *bearer, const char *repository, enum cir_right right);

/* Appends the token. */
int cir_bearer_format(const struct cir_bearer *bearer, const uint8_t secret[static CIR_BEARER_SECRET_SIZE],
		      struct buf *to) MUST_CHECK;
/* ERR_UNKNOWN_PEER for what is no token of this process or has expired. */
int cir_bearer_parse(const char *text, const uint8_t secret[static CIR_BEARER_SECRET_SIZE], int64_t now_ms,
		     struct cir_bearer *ret_bearer, struct err *err) MUST_CHECK;

#endif
