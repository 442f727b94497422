/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what. A table: system:masters everything; an instance (system:node:NAME in group system:nodes) only what its
 * protocol needs and only about itself; whoever is authenticated may read the discovery documents and ask about itself;
 * nobody else anything.
 */
#ifndef CISM_AUTHORIZER_H
#define CISM_AUTHORIZER_H

#include "cism/routing.h"
#include "store/store.h"

#define AUTHORIZER_GROUPS_MAX 4

/* Borrowed strings. */
struct authorizer_user {
	const char *name; /* "" for a peer without a certificate */
	const char *groups[AUTHORIZER_GROUPS_MAX];
	size_t group_count;
};

struct authorizer_question {
	const char *verb; /* "get" …; unknown verbs are for masters alone */
	const char *group;
	const char *resource;
	const char *subresource;    /* "" */
	const char *namespace;      /* "": all */
	const char *name;           /* "" */
	const char *field_selector; /* of a list or watch; NULL */
	const char *path;           /* not about a resource: a path; otherwise NULL */
};

/* Whether the user is one of the platform's own administrators. */
bool authorizer_is_master(const struct authorizer_user *user);

/* The instance a user speaks for; NULL when it is none. */
const char *authorizer_instance(const struct authorizer_user *user);

/* 0, or ERR_DENIED in Kubernetes' words, or ERR_UNKNOWN_PEER for a peer without identity, or what the store answered. */
int authorizer_decide(const struct authorizer_user *user, const struct authorizer_question *question,
		      struct store *store, struct err *err) MUST_CHECK;

#endif
