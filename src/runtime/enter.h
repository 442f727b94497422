/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A further process in a running container: confined like its first one, by the container's filter and mounts. It gets a
 * Landlock domain of its own beside the first one's, and can therefore not signal or trace what runs there already.
 */
#ifndef RUNTIME_ENTER_H
#define RUNTIME_ENTER_H

#include "base/err.h"
#include "oci/spec.h"
#include "runtime/state.h"

struct enter_options {
	const struct spec *spec;            /* the container's */
	const struct spec_process *process; /* what to run */
	int preserve_fds;
	const char *console_socket; /* as in struct create_options */
	int *ret_console;
	char *const *argv; /* as in struct create_options */
};

/*
 * Starts it; it is a child of the caller. ERR_INVALID unless the container runs. The container's lock is given back as
 * soon as the process is one of the container: what it does from there on must not keep others from ending it.
 */
int enter_container(struct state *state, const struct enter_options *options, pid_t *ret_pid,
		    struct err *err) MUST_CHECK;

#endif
