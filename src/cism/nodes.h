/* SPDX-License-Identifier: Apache-2.0 */
/* Node objects: made from the topology, ready only as long as the instance's lease is fresh. */
#ifndef CISM_NODES_H
#define CISM_NODES_H

#include "cism/cism.h"

/* When each instance's lease was last seen to change, by the clock of who looks. Zero at first. */
struct nodes_sightings {
	struct nodes_sighting *rows;
	size_t count;
};
void nodes_sightings_done(struct nodes_sightings *sightings);

/* Brings the Node objects in line with the topology and their readiness with the leases. By the leader. */
int nodes_follow(struct cism *cism, struct nodes_sightings *sightings, struct err *err) MUST_CHECK;

#endif
