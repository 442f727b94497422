/* SPDX-License-Identifier: Apache-2.0 */
/* The end of what ran on an instance that the topology source says was powered off. */
#ifndef CISM_POWEROFF_H
#define CISM_POWEROFF_H

#include "cism/cism.h"

/*
 * Releases what is charged to instances that are off, from epochs before the one they were switched off in, and removes
 * the Pod objects: an instance that comes back asks before it starts anything again, and is told nothing of them. By the
 * leader, compared with the topology that says so.
 */
int poweroff_release(struct cism *cism, struct err *err) MUST_CHECK;

#endif
