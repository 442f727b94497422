/* SPDX-License-Identifier: Apache-2.0 */
/* May this pod run there, next to those? Facts in, a decision and one reason sentence out (PLC-1 to PLC-5). */
#ifndef POLICY_SEPARATION_H
#define POLICY_SEPARATION_H

#include "policy/domain.h"

struct policy_pod {
	const char *uid;
	const char *namespace;
	const char *name;
	const char *domain;      /* NULL or empty: the namespace has none */
	const char *subfunction; /* of policy_subfunction_of; NULL, empty or of no map: the strictest reading */
};

struct policy_place {
	const char *instance;
	const char *server; /* NULL or empty: unknown, and an unknown server is no server */
	uint64_t epoch;     /* of the mapping from instance to server; 0: unknown */
	bool quarantined;   /* the instance or its server is */
};

/* A pod the ledger charges to an instance and its server. */
struct policy_holder {
	struct policy_pod pod;
	const char *instance;
	const char *server; /* NULL or empty: unknown, counts as every server */
};

enum policy_reason {
	POLICY_REASON_ALLOWED,
	POLICY_REASON_QUARANTINED,
	POLICY_REASON_UNKNOWN_SERVER,
	POLICY_REASON_NO_DOMAIN,
	POLICY_REASON_UNKNOWN_DOMAIN,
	POLICY_REASON_ISOLATION_UNAVAILABLE,
	POLICY_REASON_SEPARATION,
	POLICY_REASON_DEDICATED,
	POLICY_REASON_BORDER,
	POLICY_REASON_QUOTA, /* policy/quota.h */
};

#define POLICY_SENTENCE_MAX 1024

struct policy_decision {
	bool allowed;
	enum policy_reason reason;
	enum policy_level level;                   /* at which it is refused */
	char rule[320];                            /* "separation[0] of TrustDomain 'hlr'", or empty */
	char object[320];                          /* what to change: "TrustDomain/hlr" */
	char other_domain[POLICY_NAME_MAX + 1];    /* the running domain in the way, or empty */
	char other_pod[2 * POLICY_NAME_MAX + 2];   /* "namespace/name" of the holder in the way, or empty */
	char sentence[POLICY_SENTENCE_MAX];        /* for operators: rule, domains, object to change */
	char tenant_sentence[POLICY_SENTENCE_MAX]; /* for tenants: names nothing of other domains */
};

/* A word for scripts: "Separation", "UnknownServer", … */
const char *policy_reason_name(enum policy_reason reason);

/*
 * Decides. Symmetric: the rules of both domains count for each pair and the strictest wins. Holders elsewhere than on the
 * place's instance and server do not matter; the holder with the pod's own uid neither. Never fails: what is unknown is refused.
 */
void policy_separation_decide(const struct policy_pod *pod, const struct policy_place *place,
			      const struct policy_holder *holders, size_t holder_count,
			      const struct policy_domains *domains, struct policy_decision *ret_decision);

/* The level at which two pods must be apart, by the rules of both; unknown domains: POLICY_LEVEL_SERVER. */
enum policy_level policy_separation_level(const struct policy_pod *a, const struct policy_pod *b,
					  const struct policy_domains *domains);

/*
 * The level for two whole domains: the strictest any two of their pods can meet (ret_always false: only pods of some
 * sub-functions). For the matrix of `bulkhead domains`.
 */
enum policy_level policy_separation_between(const char *a, const char *b, const struct policy_domains *domains,
					    bool *ret_always);

#endif
