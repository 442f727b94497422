/* SPDX-License-Identifier: Apache-2.0 */
/* Has a container's spawner start a process. */
#ifndef RUNTIME_SPAWN_H
#define RUNTIME_SPAWN_H

#include "runtime/child.h"
#include "runtime/spawn_request.h"
#include "runtime/state.h"

/*
 * Starts what the request says with this process's standard descriptors and those to preserve; console is the socket for
 * the master end of its terminal, -1 for none. The container's lock is given back as soon as the process exists.
 * Returns 1, with the lock held and nothing started, when no spawner answers: there is none, it was killed or stopped,
 * it is busy, or the request does not fit. The caller ends ret_child with child_done.
 */
int spawn_process(struct state *state, const struct spawn_request *request, int console, struct child *ret_child,
		  struct err *err) MUST_CHECK;

#endif
