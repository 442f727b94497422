/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry's users, a file of JSON, read strictly; no I/O:
 *
 *	{"users": [{"name", "passwordHash", "certificate": {"commonName", "organization"}, "domains": [trust domain],
 *	            "push"|"pull"|"delete"|"sign": [pattern of repositories]}]}
 *
 * A user has a password, a certificate or both. The patterns count for repositories that no row of the policy matches; each
 * right carries the one to pull, and to delete and to sign is given by "push" where it has no list of its own.
 */
#ifndef CIR_CIR_USERS_H
#define CIR_CIR_USERS_H

#include "cir/cir_rules.h"
#include "http/server.h"

struct cir_user {
	char *name;
	char *hash;         /* of the password, or NULL */
	char *common_name;  /* of the certificate, or NULL */
	char *organization; /* likewise; NULL: any */
	char **domains;     /* these and the patterns: NULL-terminated, never NULL */
	char **patterns[CIR_RIGHT_COUNT];
};

struct cir_users {
	struct cir_user *list;
	size_t count;
};

int cir_users_parse(const char *text, size_t len, struct cir_users *ret_users, struct err *err) MUST_CHECK;
void cir_users_done(struct cir_users *users);
/* NULL when there is none. */
const struct cir_user *cir_users_find(const struct cir_users *users, const char *name);
const struct cir_user *cir_users_of_certificate(const struct cir_users *users, const struct http_peer *peer);
/* By the user's own patterns. */
bool cir_user_may(const struct cir_user *user, enum cir_right right, const char *repository);

#endif
