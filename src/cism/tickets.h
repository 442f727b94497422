/* SPDX-License-Identifier: Apache-2.0 */
/* Making tickets and pull tokens, and renewing them while the binding stands. */
#ifndef CISM_TICKETS_H
#define CISM_TICKETS_H

#include "base/buf.h"
#include "cism/cism.h"
#include "policy/ticket.h"

/* Seals a ticket with this replica's binding key; issued, expires and the tokens of the pulls are filled in here. The
 * pulls' images are given, their tokens are NULL. certificate: hex SHA-256 of the instance's. */
int tickets_seal(struct cism *cism, struct policy_ticket *ticket, const char *certificate, struct buf *to,
		 struct err *err) MUST_CHECK;

/*
 * The stored ticket as it is to be handed out: unchanged in the first half of its life, otherwise made anew with the same
 * contents and fresh times. ERR_UNKNOWN_PEER when it was not signed under this cluster's CA.
 */
int tickets_refresh(struct cism *cism, const char *stored, size_t len, const char *certificate, struct buf *to,
		    struct err *err) MUST_CHECK;

#endif
