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

/* Notes which certificate an instance shows; pull tokens are bound to it. */
void instances_seen(struct cism *cism, const char *instance, const uint8_t certificate_sha256[static 32]);
/* The certificate last seen, in hexadecimal; ERR_NOT_FOUND before the instance was ever seen. */
int instances_certificate(struct cism *cism, const char *instance, char to[static 65], struct err *err) MUST_CHECK;

/* Keys beside the API objects. */
void instances_ticket_key(const char *uid, char key[static STORE_KEY_MAX + 1]);
void instances_decision_key(const char *namespace, const char *name, char key[static STORE_KEY_MAX + 1]);
/* Adds to a change that the decision about a pod goes with it. */
void instances_forget_decision(struct change *change, const json_t *pod);

#endif
