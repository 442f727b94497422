/* SPDX-License-Identifier: Apache-2.0 */
/* The instance's sign of life: its lease, and the status of its node. */
#ifndef CIS_HEARTBEAT_H
#define CIS_HEARTBEAT_H

#include "cis/cis.h"

struct heartbeat;

/* Begins at once and goes on from the loop's thread. Needs cis->outbox. */
int heartbeat_new(struct cis *cis, struct heartbeat **ret_heartbeat, struct err *err) MUST_CHECK;
/* NULL is accepted; call it after the outbox was freed. */
void heartbeat_free(struct heartbeat *heartbeat);

#endif
