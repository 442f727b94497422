/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a running container was made from, as far as a process added to it needs that: mostly its own process and the
 * filter of that. The first `exec` leaves both in the container's folder in the form of a request to the spawner, so that
 * those after it, health checks and the like, read no config.json and compile no filter.
 */
#ifndef RUNTIME_ORIGINAL_H
#define RUNTIME_ORIGINAL_H

#include "base/buf.h"
#include "runtime/spawn_request.h"
#include "runtime/state.h"

struct original {
	const struct state *state;
	struct spawn_request own; /* the container's first process; points into the other members */
	bool has_filter;          /* own.filter is there */
	bool has_spec;
	struct spec spec; /* when has_spec */
	struct buf text;
};

/* Loads what is at hand of a container whose lock is held. The caller ends with original_done. */
int original_load(struct original *original, const struct state *state, struct err *err) MUST_CHECK;
void original_done(struct original *original);

/* Makes sure that the whole config.json is there as original->spec. */
int original_load_spec(struct original *original, struct err *err) MUST_CHECK;

/*
 * The filter of a process, never looser than the ceiling's profile, which may be NULL: the one of the container's own
 * where it is the same, and then that is left for the next time; else a new one. The caller frees *ret_new with seccomp_program_done; what the function yields is valid until then, or
 * until original_done.
 */
int original_filter(struct original *original, const struct spec_process *process, const struct spec_seccomp *ceiling,
		    struct seccomp_program *ret_new, const struct seccomp_program **ret_filter,
		    struct err *err) MUST_CHECK;

#endif
