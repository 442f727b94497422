/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry's policy, a file of JSON, read strictly; no I/O. It says which trust domain a repository belongs to, who may
 * do what in it, what it accepts, and how much a domain may store:
 *
 *	{"domains": [{"name", "bytes", "objects"}],
 *	 "repositories": [{"match": pattern, "domain": name, "pull"|"push"|"delete"|"sign": [who],
 *	                   "signed": [public key, PEM], "encrypted": bool, "immutableTags": [pattern]}],
 *	 "metrics": [who]}
 *
 * who is "user:PATTERN", "domain:NAME" (users who belong to the trust domain), "users" (all who have a name) or, to pull,
 * "anonymous". Each right carries the one to pull. The first row whose pattern matches a repository is the only
 * one that counts for it.
 */
#ifndef CIR_CIR_RULES_H
#define CIR_CIR_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "crypto/public.h"

enum cir_right { CIR_RIGHT_PULL, CIR_RIGHT_PUSH, CIR_RIGHT_DELETE, CIR_RIGHT_SIGN };
#define CIR_RIGHT_COUNT 4
/* "pull", "push", "delete", "sign". */
const char *cir_right_name(enum cir_right right);

struct cir_domain {
	char *name;
	uint64_t bytes, objects; /* UINT64_MAX: no limit */
};

struct cir_rule {
	char *match;
	char *domain;                  /* NULL: none */
	char **allow[CIR_RIGHT_COUNT]; /* NULL-terminated, never NULL */
	struct crypto_public **keys;   /* none: unsigned images are accepted */
	size_t key_count;
	char **immutable; /* likewise: patterns of tags */
	bool encrypted;   /* accepts encrypted layers alone */
};

struct cir_rules;

/* ERR_SYNTAX, ERR_INVALID with the place. */
int cir_rules_parse(const char *text, size_t len, struct cir_rules **ret_rules, struct err *err) MUST_CHECK;
/* NULL is accepted, here and below: no rules. */
void cir_rules_free(struct cir_rules *rules);

/* NULL when none matches. */
const struct cir_rule *cir_rules_find(const struct cir_rules *rules, const char *repository);
size_t cir_rules_domain_count(const struct cir_rules *rules);
const struct cir_domain *cir_rules_domain(const struct cir_rules *rules, size_t index);
/* The index of the repository's domain, -1 when it has none. */
long cir_rules_domain_of(const struct cir_rules *rules, const char *repository);
/* Whether anybody without a name may do anything anywhere. */
bool cir_rules_have_anonymous(const struct cir_rules *rules);

/* Whether "metrics" lists that user. */
bool cir_rules_allow_metrics(const struct cir_rules *rules, const char *user, char *const *domains);

/* Whether one of the who in the row is that user (NULL: anonymous), who belongs to the domains (NULL-terminated). */
bool cir_rule_allows(const struct cir_rule *rule, enum cir_right right, const char *user, char *const *domains);
bool cir_rule_is_immutable(const struct cir_rule *rule, const char *tag);

#endif
