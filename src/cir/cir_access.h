/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, and what they may do. Users show a password (Basic), their certificate or a token that they got for one of these (Bearer), instances a pull token bound to their
 * certificate (Bearer), the CISM its certificate alone. Without one of these a peer may pull where the policy says so. One
 * access is what the users' file and the policy said at one moment; requests that began under it end under it.
 */
#ifndef CIR_CIR_ACCESS_H
#define CIR_CIR_ACCESS_H

#include "cir/cir_bearer.h"
#include "cir/cir_users.h"
#include "policy/ticket.h"

enum cir_identity_kind {
	CIR_IDENTITY_ANONYMOUS,
	CIR_IDENTITY_USER,
	CIR_IDENTITY_TOKEN, /* one manifest and what it refers to, see token.digest */
	CIR_IDENTITY_CISM,  /* reads everything */
};

struct cir_access;

struct cir_identity {
	enum cir_identity_kind kind;
	struct cir_access *access; /* owned: under which it was found */
	const struct cir_user *user;
	struct policy_token token; /* owned */
	struct cir_bearer *bearer; /* owned: what the identity is restricted to; NULL: nothing */
};
void cir_identity_done(struct cir_identity *identity);

struct cir_access_config {
	const char *users, *users_path; /* text, and the path for errors */
	size_t users_len;
	const char *policy, *policy_path; /* likewise; NULL: none */
	size_t policy_len;
	const char *registry;  /* how tokens name this registry */
	const char *ca;        /* what tokens are verified against */
	const uint8_t *secret; /* CIR_BEARER_SECRET_SIZE bytes, for the registry's own tokens */
};

/* Reads users (cir_users.h) and policy (cir_rules.h); everything is copied. */
int cir_access_new(const struct cir_access_config *config, struct cir_access **ret_access, struct err *err) MUST_CHECK;
struct cir_access *cir_access_ref(struct cir_access *access);
/* NULL is accepted. */
void cir_access_unref(struct cir_access *access);
/* NULL when there is no policy. */
const struct cir_rules *cir_access_rules(const struct cir_access *access);

/*
 * Finds out who asks from the Authorization header (NULL: none) and the peer. ERR_UNKNOWN_PEER: nobody we know (401);
 * ERR_DENIED, ERR_EXPIRED: a genuine token that does not hold here; ERR_BUSY: too many wrong passwords from this address. Takes
 * as long as hashing a password when this password was not seen within a minute.
 */
int cir_access_identify(struct cir_access *access, const char *authorization, const struct http_peer *peer,
			struct cir_identity *ret_identity, struct err *err) MUST_CHECK;

/* Whether the identity has the right on the repository: ERR_DENIED, ERR_UNKNOWN_PEER for who has no name. Of a token the caller
 * still compares the digest. */
int cir_access_check(const struct cir_identity *identity, const char *repository, enum cir_right right,
		     const struct http_peer *peer, struct err *err) MUST_CHECK;

/* Whether the identity may read the metrics: whom the policy says, and the CISM. */
int cir_access_check_metrics(const struct cir_identity *identity, struct err *err) MUST_CHECK;

/* Appends a token for the identity, who showed more than a token: ERR_DENIED otherwise. Fills in bearer->user. */
int cir_access_mint(const struct cir_identity *identity, struct cir_bearer *bearer, struct buf *to,
		    struct err *err) MUST_CHECK;

/* Who, for the log. */
const char *cir_access_name(const struct cir_identity *identity);

#endif
