/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The second gate (PLC-7): whether this instance runs what it is offered. It trusts the cluster's CA and its own running
 * set, not the API server that hands it a ticket, and refuses what the first gate would have refused.
 */
#ifndef CIS_ADMIT_H
#define CIS_ADMIT_H

#include "base/buf.h"
#include "cis/podspec.h"
#include "policy/ticket.h"

struct admit_facts {
	const char *ca;                             /* PEM */
	struct policy_ticket_facts ticket;          /* instance, offered pod, time, epoch, finished uids */
	const struct policy_ticket *const *running; /* accepted tickets of every pod that is not gone */
	size_t running_count;
};

struct admitted {
	struct policy_ticket *ticket;
	struct podspec *spec;
};
void admit_done(struct admitted *admitted);
#define CLEANUP_ADMITTED __attribute__((cleanup(admit_done)))

/*
 * Opens the envelope (signature by a binding certificate of the CA, before anything is parsed) and checks its payload with
 * admit_payload. On success payload holds the signed bytes. ERR_UNKNOWN_PEER, ERR_SYNTAX, ERR_INVALID, ERR_DENIED,
 * ERR_EXPIRED, -EOPNOTSUPP; the message begins "ticket of pod 'NS/NAME' refused".
 */
int admit_ticket(const struct admit_facts *facts, const char *envelope, size_t len, struct buf *payload,
		 struct admitted *ret_admitted, struct err *err) MUST_CHECK;

/* The same for a payload whose signature was checked before (a pod that is started again). */
int admit_payload(const struct admit_facts *facts, const char *payload, size_t len, struct admitted *ret_admitted,
		  struct err *err) MUST_CHECK;

#endif
