/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has to happen by itself: the first namespaces, Node objects from the topology, readiness from leases, the end of
 * namespaces and trust domains whose deletion was asked for, and old events.
 */
#ifndef CISM_KEEPER_H
#define CISM_KEEPER_H

#include "cism/cism.h"

#define KEEPER_LEASE_S 40    /* an instance not heard of for so long is not ready */
#define KEEPER_EVENTS_S 3600 /* events are kept for so long */

/* Makes the first round at once, so that what is always there is there when it returns. */
int keeper_start(struct cism *cism, struct keeper **ret_keeper, struct err *err) MUST_CHECK;
void keeper_stop(struct keeper *keeper);

/* Whether topology.json can be read. ERR_NOT_FOUND, ERR_INVALID … */
int keeper_check_topology(struct cism *cism, struct err *err) MUST_CHECK;

#endif
