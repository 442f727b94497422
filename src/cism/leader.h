/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One of the replicas leads the controllers. It holds /leader/lease, which changes only when somebody takes over and which
 * each of its transactions compares: a leader that stood still and goes on can write nothing any more. It writes
 * /leader/beat every two seconds; who sees that unchanged for ten seconds of an own monotonic clock takes over. No clocks of
 * two machines are compared.
 */
#ifndef CISM_LEADER_H
#define CISM_LEADER_H

#include "cism/change.h"
#include "cism/cism.h"

int leader_new(struct cism *cism, struct leader **ret_leader, struct err *err) MUST_CHECK;
/* Gives the lease back, so that another leads at once. NULL is accepted. */
void leader_free(struct leader *leader);

/* Stays or becomes the leader, if that is to be: called every second by one thread. Whether it leads; cism->leading says so too. */
bool leader_step(struct leader *leader);

/* Binds a transaction to this replica's being the leader. By the thread that steps. */
void leader_compare(const struct cism *cism, struct change *change);

#endif
