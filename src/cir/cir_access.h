/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, and what they may do. Users show a password (Basic), instances a pull token bound to their certificate (Bearer),
 * the CISM its certificate alone. Nobody may do anything without one of these.
 */
#ifndef CIR_CIR_ACCESS_H
#define CIR_CIR_ACCESS_H

#include "http/server.h"
#include "policy/ticket.h"

enum cir_right { CIR_RIGHT_PULL, CIR_RIGHT_PUSH };

struct cir_user;

enum cir_identity_kind {
	CIR_IDENTITY_USER,
	CIR_IDENTITY_TOKEN, /* one manifest and what it refers to, see token.digest */
	CIR_IDENTITY_CISM,  /* reads everything */
};

struct cir_identity {
	enum cir_identity_kind kind;
	const struct cir_user *user;
	struct policy_token token; /* owned */
};
void cir_identity_done(struct cir_identity *identity);

struct cir_access;

/*
 * Reads the users from JSON, {"users":[{"name","passwordHash","push":[globs],"pull":[globs]}]}, strictly; a right to push
 * carries the right to pull. registry is how tokens name this registry, ca what they are verified against; both are copied.
 */
int cir_access_new(const char *users, size_t users_len, const char *registry, const char *ca,
		   struct cir_access **ret_access, struct err *err) MUST_CHECK;
void cir_access_free(struct cir_access *access);

/*
 * Finds out who asks from the Authorization header (NULL: none) and the peer. ERR_UNKNOWN_PEER: nobody we know (401);
 * ERR_DENIED, ERR_EXPIRED: a genuine token that does not hold here; ERR_BUSY: too many wrong passwords from this address. Takes
 * as long as hashing a password when this password was not seen within a minute.
 */
int cir_access_identify(struct cir_access *access, const char *authorization, const struct http_peer *peer,
			struct cir_identity *ret_identity, struct err *err) MUST_CHECK;

/* Whether the identity has the right on the repository: ERR_DENIED. Of a token the caller still compares the digest. */
int cir_access_check(const struct cir_access *access, const struct cir_identity *identity, const char *repository,
		     enum cir_right right, const struct http_peer *peer, struct err *err) MUST_CHECK;

/* Who, for the log. */
const char *cir_access_name(const struct cir_identity *identity);

#endif
