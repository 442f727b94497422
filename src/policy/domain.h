/* SPDX-License-Identifier: Apache-2.0 */
/* Trust domains: what a TrustDomain object says, parsed once, bounded, and free of contradictions. */
#ifndef POLICY_DOMAIN_H
#define POLICY_DOMAIN_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "policy/fields.h"

#define POLICY_RULES_MAX 64  /* rows of each list in a TrustDomain */
#define POLICY_NAMES_MAX 256 /* names in one selector */
#define POLICY_NAME_MAX 253  /* bytes of a name */
#define POLICY_DOMAINS_MAX 16384
#define POLICY_SERVERS_MAX 1000000 /* largest serverQuota */

#define POLICY_LABEL_DOMAIN "trust.bulkhead.dev/domain"          /* on a Namespace */
#define POLICY_LABEL_SUBFUNCTION "nfv.bulkhead.dev/sub-function" /* on a Pod: may only agree with the map */
#define POLICY_LABEL_SERVER "nfv.bulkhead.dev/server"            /* on a Node */
#define POLICY_LABEL_DEPLOYMENT "nfv.bulkhead.dev/deployment"    /* on a Node */
#define POLICY_ANNOTATION_EPOCH "nfv.bulkhead.dev/epoch"         /* on a Node */
#define POLICY_ANNOTATION_PIDS "nfv.bulkhead.dev/pids"           /* on a Pod */

enum policy_isolation { POLICY_ISOLATION_CONTAINER, POLICY_ISOLATION_VM, POLICY_ISOLATION_DEDICATED };
/* How far apart; the larger is the stricter. */
enum policy_level { POLICY_LEVEL_NONE, POLICY_LEVEL_INSTANCE, POLICY_LEVEL_SERVER };
/* How an image may lie in the cache; the larger is the stricter. */
enum policy_cache { POLICY_CACHE_SHARED, POLICY_CACHE_ENCRYPTED, POLICY_CACHE_MEMORY, POLICY_CACHE_NEVER };
enum policy_protocol { POLICY_PROTOCOL_TCP, POLICY_PROTOCOL_UDP, POLICY_PROTOCOL_SCTP };
/* What traffic a sub-function handles. */
enum policy_plane { POLICY_PLANE_ANY, POLICY_PLANE_USER, POLICY_PLANE_CONTROL, POLICY_PLANE_MANAGEMENT };
/* Whether a rule holds within one network function, between two, or both. */
enum policy_functions { POLICY_FUNCTIONS_ANY, POLICY_FUNCTIONS_SAME, POLICY_FUNCTIONS_DIFFERENT };

/* Which pods of a domain are meant; what is not given selects all. */
struct policy_selector {
	char *subfunction;       /* or NULL */
	enum policy_plane plane; /* POLICY_PLANE_ANY: of any */
	char *interface;         /* those that offer this interface, or NULL */
};

struct policy_rule {
	bool all;                    /* from every other domain */
	struct policy_names domains; /* from these; may name the own domain when its selectors tell pods apart */
	struct policy_selector from; /* which pods of those */
	struct policy_selector own;  /* which of the own pods */
	enum policy_functions functions;
	enum policy_level level;
};

struct policy_network {
	int family; /* AF_INET or AF_INET6 */
	uint8_t address[16];
	uint8_t prefix;
	char text[64];
};

struct policy_port {
	enum policy_protocol protocol;
	uint16_t port;
};

struct policy_interface {
	char *name;
	struct policy_names domains;
	struct policy_network *networks;
	size_t network_count;
	char *subfunction; /* only to own pods of this sub-function; NULL: all */
	struct policy_port *ports;
	size_t port_count;
	bool needs_server; /* pods that offer it share their server with such pods alone */
	bool needs_vm;     /* they need the isolation class VM */
};

struct policy_subfunction {
	char *name;
	struct policy_names images;   /* repository patterns; empty: any image */
	struct policy_names accounts; /* patterns of "namespace/name" of service accounts; empty: any */
	enum policy_plane plane;      /* POLICY_PLANE_ANY: not said, so every rule on planes means it */
	char *function;               /* the network function it is part of; NULL: not said */
};

struct policy_cache_rule {
	char *subfunction;          /* or NULL */
	struct policy_names images; /* or empty */
	enum policy_cache class;
};

struct policy_domain {
	char *name;
	enum policy_isolation isolation;
	struct policy_rule *rules;
	size_t rule_count;
	struct policy_interface *interfaces;
	size_t interface_count;
	struct policy_subfunction *subfunctions;
	size_t subfunction_count;
	struct policy_cache_rule *caches;
	size_t cache_count;
	uint32_t server_quota; /* most physical servers its pods may be on; 0: any number */
	bool evicts;           /* of pods that must be apart and are not, those of the domain are ended */
	uint64_t ceiling;      /* capabilities pods may add, bit n is capability n of linux/capability.h */
};

/*
 * Parses a TrustDomain object ({metadata.name, spec}). ERR_INVALID names the field; rules that contradict each other or
 * cannot be satisfied are refused with the pair they are about. The caller frees it.
 */
int policy_domain_parse(const json_t *object, struct policy_domain **ret_domain, struct err *err) MUST_CHECK;
/* The same from a name and a spec, as tickets carry them. */
int policy_domain_parse_spec(const char *name, const json_t *spec, struct policy_domain **ret_domain,
			     struct err *err) MUST_CHECK;
void policy_domain_free(struct policy_domain *domain);
CLEANUP_DEFINE(policy_domain, struct policy_domain *, policy_domain_free)

/* Whether the rules of one domain fit each other; part of parsing. ERR_INVALID names the two rules or the pair. */
int policy_domain_consistent(const struct policy_domain *domain, struct err *err) MUST_CHECK;

/*
 * Whether pods of the domain and sub-function (NULL or empty: unmapped, so it may be any) can run with what is implemented:
 * the class VM, of the domain or of an interface they offer, is refused by name (-EOPNOTSUPP).
 */
int policy_domain_supported(const struct policy_domain *domain, const char *subfunction, struct err *err) MUST_CHECK;

/* The sub-function of this name in the domain's map; NULL when it has none (or name is NULL). */
const struct policy_subfunction *policy_domain_subfunction(const struct policy_domain *domain, const char *name);
const struct policy_interface *policy_domain_interface(const struct policy_domain *domain, const char *name);

/*
 * Whether a selector means pods of this sub-function of the domain. One that is NULL, empty, or not in the map (any more)
 * may be any, so it is always meant.
 */
bool policy_selector_means(const struct policy_selector *selector, const struct policy_domain *domain,
			   const char *subfunction);

/* The words of the specification for the values. */
const char *policy_level_name(enum policy_level level);
const char *policy_isolation_name(enum policy_isolation isolation);
const char *policy_cache_name(enum policy_cache class);
const char *policy_protocol_name(enum policy_protocol protocol);
const char *policy_plane_name(enum policy_plane plane);

/* A set of domains by name. Owns them. Zeroed is empty. */
struct policy_domains {
	struct policy_domain **items; /* ascending by name */
	size_t count;
	size_t room;
};

/* Puts a domain in (stolen, also on failure), in place of one of the same name. -ENOSPC over POLICY_DOMAINS_MAX, -ENOMEM. */
int policy_domains_put(struct policy_domains *domains, struct policy_domain *domain) MUST_CHECK;
/* Takes one out; nothing happens when it is not there. */
void policy_domains_remove(struct policy_domains *domains, const char *name);
const struct policy_domain *policy_domains_find(const struct policy_domains *domains, const char *name);
void policy_domains_done(struct policy_domains *domains);
#define CLEANUP_POLICY_DOMAINS __attribute__((cleanup(policy_domains_done)))

/*
 * Whether a domain about to be written fits the others: a rule of either side on a sub-function that the other's map does
 * not have can match nothing (ERR_INVALID, the pair named). Domains that do not exist yet are allowed.
 */
int policy_domains_fit(const struct policy_domains *domains, const struct policy_domain *domain,
		       struct err *err) MUST_CHECK;

#endif
