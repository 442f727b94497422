/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>

#include "base/clock.h"
#include "base/str.h"
#include "policy/ticket.h"

static const char *const refusal_names[] = {
	[POLICY_REFUSAL_NONE] = "None",
	[POLICY_REFUSAL_INSTANCE] = "ForeignInstance",
	[POLICY_REFUSAL_POD] = "ForeignPod",
	[POLICY_REFUSAL_FINISHED] = "Replayed",
	[POLICY_REFUSAL_EARLY] = "NotYetValid",
	[POLICY_REFUSAL_EXPIRED] = "Expired",
	[POLICY_REFUSAL_EPOCH] = "StaleEpoch",
	[POLICY_REFUSAL_SERVER] = "ForeignServer",
	[POLICY_REFUSAL_UNSUPPORTED] = "Unsupported",
};

const char *policy_refusal_name(enum policy_refusal refusal)
{
	return refusal_names[refusal];
}

static bool differs(const char *wanted, const char *value)
{
	return wanted && !str_eq(wanted, value);
}

static bool has_finished(const struct policy_ticket_facts *facts, const char *uid)
{
	for (size_t i = 0; i < facts->finished_count; i++)
		if (str_eq(facts->finished[i], uid))
			return true;
	return false;
}

/* Whose it is: instance, pod, first use. */
static int check_identity(const struct policy_ticket *ticket, const struct policy_ticket_facts *facts,
			  enum policy_refusal *refusal, struct err *err)
{
	if (!str_eq(facts->instance, ticket->instance)) {
		*refusal = POLICY_REFUSAL_INSTANCE;
		return err_set(err, ERR_DENIED, "it is made for instance '%s', this is '%s'", ticket->instance,
			       facts->instance);
	}
	if (differs(facts->uid, ticket->uid) || differs(facts->namespace, ticket->namespace) ||
	    differs(facts->name, ticket->name)) {
		*refusal = POLICY_REFUSAL_POD;
		return err_set(err, ERR_DENIED, "it was offered for pod '%s/%s' with uid '%s'",
			       facts->namespace ? facts->namespace : "", facts->name ? facts->name : "",
			       facts->uid ? facts->uid : "");
	}
	if (has_finished(facts, ticket->uid)) {
		*refusal = POLICY_REFUSAL_FINISHED;
		return err_set(err, ERR_DENIED, "it is replayed: uid '%s' has finished here", ticket->uid);
	}
	return 0;
}

static int check_time(const struct policy_ticket *ticket, const struct policy_ticket_facts *facts,
		      enum policy_refusal *refusal, struct err *err)
{
	char stamp[CLOCK_STAMP_SIZE];

	if (ticket->issued_ms > facts->now_ms + POLICY_CLOCK_SKEW_MS) {
		*refusal = POLICY_REFUSAL_EARLY;
		clock_format(stamp, ticket->issued_ms);
		(void)err_set(err, ERR_DENIED, "it was issued in the future, at %s", stamp);
		return err_hint(err, "compare the clocks of the CISM and this instance");
	}
	if (!facts->running && ticket->expires_ms <= facts->now_ms) {
		*refusal = POLICY_REFUSAL_EXPIRED;
		clock_format(stamp, ticket->expires_ms);
		return err_set(err, ERR_EXPIRED, "it expired at %s", stamp);
	}
	return 0;
}

static int check_mapping(const struct policy_ticket *ticket, const struct policy_ticket_facts *facts,
			 enum policy_refusal *refusal, struct err *err)
{
	if (!facts->running && ticket->epoch < facts->newest_epoch) {
		*refusal = POLICY_REFUSAL_EPOCH;
		return err_set(err, ERR_DENIED,
			       "it was decided under epoch %llu of the topology, this instance has seen %llu",
			       (unsigned long long)ticket->epoch, (unsigned long long)facts->newest_epoch);
	}
	if (ticket->epoch == facts->newest_epoch && differs(facts->server, ticket->server)) {
		*refusal = POLICY_REFUSAL_SERVER;
		return err_set(err, ERR_DENIED,
			       "it places this instance on server '%s', in the same epoch it is on '%s'",
			       ticket->server, facts->server);
	}
	return 0;
}

int policy_ticket_check(const struct policy_ticket *ticket, const struct policy_ticket_facts *facts,
			enum policy_refusal *ret_refusal, struct err *err)
{
	enum policy_refusal refusal = POLICY_REFUSAL_NONE;
	int r = check_identity(ticket, facts, &refusal, err);

	if (r == 0)
		r = check_time(ticket, facts, &refusal, err);
	if (r == 0)
		r = check_mapping(ticket, facts, &refusal, err);
	if (r == 0) {
		r = policy_domain_supported(ticket->domain, ticket->subfunction, err);
		if (r < 0)
			refusal = POLICY_REFUSAL_UNSUPPORTED;
	}
	*ret_refusal = refusal;
	if (r < 0)
		(void)err_prefix(err, "ticket of pod '%s/%s' refused", ticket->namespace, ticket->name);
	return r;
}

int policy_token_check(const struct policy_token *token, const char *registry, const char *repository,
		       const char *peer_certificate, int64_t now_ms, struct err *err)
{
	char stamp[CLOCK_STAMP_SIZE];

	if (!str_eq(token->registry, registry))
		return err_set(err, ERR_DENIED, "pull token is for registry '%s', this is '%s'", token->registry,
			       registry);
	if (!str_eq(token->repository, repository))
		return err_set(err, ERR_DENIED, "pull token is for repository '%s', not '%s'", token->repository,
			       repository);
	if (!peer_certificate)
		return err_set(err, ERR_DENIED,
			       "pull token needs the certificate of an instance, the peer has shown none");
	if (differs(token->instance_certificate, peer_certificate))
		return err_set(err, ERR_DENIED, "pull token is bound to another instance's certificate");
	if (token->expires_ms <= now_ms) {
		clock_format(stamp, token->expires_ms);
		return err_set(err, ERR_EXPIRED, "pull token expired at %s", stamp);
	}
	return 0;
}
