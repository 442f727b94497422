/* SPDX-License-Identifier: Apache-2.0 */
/* What administrators alone see and do about the ledger (docs/protocols.md): who is charged where, and ending a charge. */
#ifndef CISM_OVERSIGHT_H
#define CISM_OVERSIGHT_H

#include "cism/call.h"

/* GET ledger: every holder, with the server its instance is on now, and the last proof. */
void oversight_ledger(struct call *call);

/*
 * POST releases {"uid","reason"}: ends a charge on an administrator's word that the pod does not run and never will. Who
 * and why is kept under /releases/UID, in the same transaction.
 */
void oversight_release(struct call *call);

#endif
