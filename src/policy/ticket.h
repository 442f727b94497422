/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a signed binding says (docs/protocols.md): the ticket of a pod and the tokens for its pulls. Payloads only; the
 * signature around them is crypto/envelope.h and is checked before anything here reads a byte.
 */
#ifndef POLICY_TICKET_H
#define POLICY_TICKET_H

#include "base/buf.h"
#include "policy/domain.h"
#include "policy/imagepolicy.h"

#define POLICY_TICKET_MAX ((size_t)1400 * 1024) /* bytes of a payload */
#define POLICY_PULLS_MAX 64
#define POLICY_TOKEN_MAX ((size_t)16 * 1024) /* bytes of a pull token, text or payload */
#define POLICY_CLOCK_SKEW_MS INT64_C(300000) /* how far clocks of parts may be apart */

struct policy_pull {
	char *image; /* host/repository@sha256:… */
	char *token; /* base64url of a pull-token envelope */
	/* What the ImagePolicies demand of the image, and the signatures that meet it: the instance verifies them again. */
	struct policy_image_demand *demands;
	size_t demand_count;
	struct policy_image_signature *signatures;
	size_t signature_count;
};

/* One pull of a ticket, strictly. The caller calls policy_pull_done, also after a failure. */
int policy_pull_parse(const json_t *object, struct policy_pull *pull, struct err *err) MUST_CHECK;
void policy_pull_done(struct policy_pull *pull);
/* A new reference; NULL without memory. */
json_t *policy_pull_format(const struct policy_pull *pull) MUST_CHECK;

struct policy_ticket {
	char *uid, *namespace, *name;
	char *instance, *server;
	uint64_t epoch;
	char *domain_name;
	struct policy_domain *domain; /* parsed from domainSpec; NULL when only formatting */
	json_t *domain_spec;
	uint64_t domains_revision;
	char *subfunction; /* "" when unmapped */
	int64_t issued_ms, expires_ms;
	char *pod_text; /* the exact JSON text; nothing else is run */
	json_t *pod;    /* the same, parsed */
	struct policy_pull *pulls;
	size_t pull_count;
};

/*
 * Parses a ticket payload, strictly: every field, nothing unknown, and the pod text must be the pod that the ticket names
 * (uid, namespace, name). ERR_SYNTAX or ERR_INVALID with the field named. The caller frees it.
 */
int policy_ticket_parse(const char *bytes, size_t len, struct policy_ticket **ret_ticket, struct err *err) MUST_CHECK;
void policy_ticket_free(struct policy_ticket *ticket);
CLEANUP_DEFINE(policy_ticket, struct policy_ticket *, policy_ticket_free)

/* Appends the payload of a ticket; domain and pod need not be set, domain_spec and pod_text must. ERR_TOO_LARGE, -ENOMEM. */
int policy_ticket_format(const struct policy_ticket *ticket, struct buf *to, struct err *err) MUST_CHECK;

/* What the instance knows when it is offered a ticket. */
struct policy_ticket_facts {
	const char *instance; /* its own name */
	const char *uid;      /* the pod the API offered, and its name; NULL: not compared */
	const char *namespace;
	const char *name;
	int64_t now_ms;
	uint64_t newest_epoch;       /* the largest epoch any accepted ticket carried; 0: none yet */
	const char *server;          /* the server of that epoch; NULL: not known */
	bool running;                /* this uid was accepted before and is being restarted: expiry no longer counts */
	const char *const *finished; /* uids that have finished here, any order */
	size_t finished_count;
};

enum policy_refusal {
	POLICY_REFUSAL_NONE,
	POLICY_REFUSAL_INSTANCE, /* made for another instance */
	POLICY_REFUSAL_POD,      /* for another pod than the one offered */
	POLICY_REFUSAL_FINISHED, /* replayed: this uid has run and finished */
	POLICY_REFUSAL_EARLY,    /* issued in the future */
	POLICY_REFUSAL_EXPIRED,
	POLICY_REFUSAL_EPOCH,       /* decided under an older mapping of instance to server */
	POLICY_REFUSAL_SERVER,      /* another server for the same epoch */
	POLICY_REFUSAL_UNSUPPORTED, /* the domain asks for what this instance cannot give */
};

/* A word for scripts: "ForeignInstance", "Replayed", … */
const char *policy_refusal_name(enum policy_refusal refusal);

/* Checks a ticket against the facts. ERR_DENIED, ERR_EXPIRED or -EOPNOTSUPP with the refusal and a sentence that names the pod. */
int policy_ticket_check(const struct policy_ticket *ticket, const struct policy_ticket_facts *facts,
			enum policy_refusal *ret_refusal, struct err *err) MUST_CHECK;

struct policy_token {
	char *registry, *repository, *digest;
	char *instance_certificate; /* SHA-256 of the instance's certificate in hexadecimal, NULL: not bound yet */
	int64_t expires_ms;
};

/* Parses a pull-token payload, as strictly. The caller calls policy_token_done. */
int policy_token_parse(const char *bytes, size_t len, struct policy_token *ret_token, struct err *err) MUST_CHECK;
void policy_token_done(struct policy_token *token);
#define CLEANUP_POLICY_TOKEN __attribute__((cleanup(policy_token_done)))
int policy_token_format(const struct policy_token *token, struct buf *to, struct err *err) MUST_CHECK;

/*
 * Whether the token lets the peer with this certificate (hex SHA-256, NULL: none shown) read the repository of the registry
 * now. ERR_DENIED or ERR_EXPIRED, named. Which digests hang on token->digest is the registry's to find out.
 */
int policy_token_check(const struct policy_token *token, const char *registry, const char *repository,
		       const char *peer_certificate, int64_t now_ms, struct err *err) MUST_CHECK;

#endif
