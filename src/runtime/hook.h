/* SPDX-License-Identifier: Apache-2.0 */
/* The hooks of config.json: programs run at fixed moments with the container's state on their standard input. */
#ifndef RUNTIME_HOOK_H
#define RUNTIME_HOOK_H

#include "base/err.h"
#include "oci/spec.h"
#include "runtime/launch.h"
#include "runtime/state.h"

/* Runs the hooks of a phase one after the other, with no environment but their own; the first that fails ends it. */
int hook_run(const struct spec_hook_list *hooks, const char *phase, const struct state *state, enum state_status status,
	     struct err *err) MUST_CHECK;

/*
 * The same for programs of the container's own, by its first process when that has confined itself: each becomes what
 * launch says with the rights of its process, so that a hook can do no more than the program it runs before. root is the
 * container's, where the hook's AppArmor profile is set.
 */
int hook_run_inside(const struct spec_hook_list *hooks, const char *phase, const struct state *state,
		    const struct launch *launch, int root, struct err *err) MUST_CHECK;

#endif
