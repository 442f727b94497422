/* SPDX-License-Identifier: Apache-2.0 */
/* What the instances say and ask beyond the Kubernetes verbs: their certificate, what stopped, what they are charged with. */
#ifndef CISM_INSTANCES_H
#define CISM_INSTANCES_H

#include "cism/call.h"

/* POST nodes/NAME/stopped: the only way a holder leaves the ledger (besides an operator's). */
void instances_stopped(struct call *call);
/* GET nodes/NAME/holders: the uids the ledger charges to the instance. */
void instances_holders(struct call *call);
/* GET pods/NAME/ticket: the signed binding, with fresh times when half its life is over. */
void instances_ticket(struct call *call);
/* The envelope of the call's pod, as instances_ticket answers it; ERR_NOT_FOUND while it is not bound. */
int instances_read_ticket(struct call *call, struct buf *to, struct err *err) MUST_CHECK;
/* GET decisions/POD: the last placement decision about a pod. */
void instances_decision(struct call *call);

#define INSTANCES_TRIES 8

/* Whether a text may be a pod's uid. */
bool instances_is_uid(const char *text);
/*
 * Adds to a change that a uid leaves the ledger of its instance, and what goes with it: its ticket, and its Pod object when
 * its deletion was asked for. ERR_NOT_FOUND, ERR_DENIED as ledger_release.
 */
int instances_release(struct store *store, const char *instance, const char *uid, struct change *change,
		      struct err *err) MUST_CHECK;

/* Keys beside the API objects. */
void instances_ticket_key(const char *uid, char key[static STORE_KEY_MAX + 1]);
void instances_decision_key(const char *namespace, const char *name, char key[static STORE_KEY_MAX + 1]);
/* Adds to a change that the decision about a pod goes with it. */
void instances_forget_decision(struct change *change, const json_t *pod);

#endif
