/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The instance's own socket run/bulkhead/cis.sock (SOCK_SEQPACKET, root only): one JSON object a packet.
 * {"op":"status"} → {"ok":true,"instance","pods":[…]}; {"op":"drain-local"} stops every pod, keeps the records, removes the
 * bridge and its rules, then answers {"ok":true,"stopped":N}; the pods run again with the next start. {"op":"cache"} lists the
 * images; {"op":"cache-revoke","what":"sha256:…" or a trust domain} stops the pods on them, makes them unreadable, then answers
 * {"ok":true,"revoked":N,"stopped":N,"milliseconds":N}.
 */
#ifndef CIS_CONTROL_H
#define CIS_CONTROL_H

#include "cis/cis.h"

struct control;

int control_new(struct cis *cis, struct control **ret_control, struct err *err) MUST_CHECK;
void control_free(struct control *control);

/* To be called when a pod came to rest: answers those who wait for that. */
void control_idle(struct control *control);

/* Begins to stop all pods as drain-local does. */
void control_drain(struct cis *cis);

#endif
