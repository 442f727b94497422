/* SPDX-License-Identifier: Apache-2.0 */
/* Node objects: made from the topology, ready only as long as the instance's lease is fresh. */
#ifndef CISM_NODES_H
#define CISM_NODES_H

#include "cism/cism.h"

/* Brings the Node objects in line with the topology and their readiness with the leases. */
int nodes_follow(struct cism *cism, struct err *err) MUST_CHECK;

#endif
