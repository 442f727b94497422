/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a write must pass before it is stored: a chain of small functions, each for the kinds and operations it names.
 * They may complete the object, refuse it, and add to the change what the decision rests on.
 */
#ifndef CISM_ADMISSION_H
#define CISM_ADMISSION_H

#include "cism/call.h"

enum admission_operation { ADMISSION_CREATE, ADMISSION_UPDATE, ADMISSION_UPDATE_STATUS };

struct admission {
	struct call *call;
	const struct api_kind *kind;
	enum admission_operation operation;
	json_t *object;        /* as it is to be stored; may be completed */
	const json_t *old;     /* NULL for a creation */
	struct change *change; /* gets the compares of what was read */
};

/* Runs the chain. The first refusal ends it: ERR_DENIED, ERR_INVALID, ERR_NOT_FOUND, -EOPNOTSUPP with field and reason. */
int admission_run(struct admission *admission, struct err *err) MUST_CHECK;

/* --- the links, one file a subject --- */
int admission_pod_defaults(struct admission *admission, struct err *err) MUST_CHECK;
int admission_pod_placement(struct admission *admission, struct err *err) MUST_CHECK;
int admission_pod_host(struct admission *admission, struct err *err) MUST_CHECK;
int admission_pod_domain(struct admission *admission, struct err *err) MUST_CHECK;
int admission_pod_priority(struct admission *admission, struct err *err) MUST_CHECK;
int admission_priority_class(struct admission *admission, struct err *err) MUST_CHECK;
int admission_pod_fixed(struct admission *admission, struct err *err) MUST_CHECK;
int admission_image_policy(struct admission *admission, struct err *err) MUST_CHECK;
int admission_domain_rules(struct admission *admission, struct err *err) MUST_CHECK;
int admission_namespace_domain(struct admission *admission, struct err *err) MUST_CHECK;

/* The trust domain of a namespace and what a decision on it rests on; domain NULL: the namespace has none. */
struct admission_facts {
	struct object namespace;
	struct object domain; /* the TrustDomain object; json NULL when it has none, or names one that does not exist */
	const char *domain_name; /* NULL when the namespace has none */
};
int admission_facts_read(struct store *store, const char *namespace, struct admission_facts *ret_facts,
			 struct err *err) MUST_CHECK;
void admission_facts_done(struct admission_facts *facts);
#define CLEANUP_ADMISSION_FACTS __attribute__((cleanup(admission_facts_done)))

#endif
