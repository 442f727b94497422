/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The topology of all replicas: SHARED_TOPOLOGY_KEY in the store. A replica whose file is newer writes it there, and all take
 * it from there; an older file, or one that contradicts, changes nothing (docs/adr/0011).
 */
#ifndef CISM_SHARED_TOPOLOGY_H
#define CISM_SHARED_TOPOLOGY_H

#include "cism/cism.h"

#define SHARED_TOPOLOGY_KEY "/topology"

/* Writes what a file says if that is newer, and what left with it. 0 also when the store has it already; ERR_DENIED with why it is not taken. */
int shared_topology_offer(struct cism *cism, struct topology *file, struct err *err) MUST_CHECK;

/* Brings cism->topology up to what the store has. */
int shared_topology_follow(struct cism *cism, struct err *err) MUST_CHECK;

#endif
