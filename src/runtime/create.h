/* SPDX-License-Identifier: Apache-2.0 */
/* Making containers, up to the process that waits to be started. */
#ifndef RUNTIME_CREATE_H
#define RUNTIME_CREATE_H

#include <stdbool.h>

#include "base/err.h"
#include "runtime/bounds.h"
#include "runtime/state.h"

struct create_options {
	const char *id;
	const char *bundle;         /* the folder of config.json; NULL: the present one */
	const char *pid_file;       /* NULL: none */
	const char *console_socket; /* who gets the terminal's master end; NULL: nobody */
	int *ret_console; /* else an end for console_receive is left here; NULL when the caller does not stay */
	int preserve_fds;
	bool keep_keyring;          /* the caller's session keyring stays the container's */
	bool start;                 /* also starts it, as create_start does */
	void (*hold_signals)(void); /* with start: called before the program can run; NULL: nothing is */
	struct bounds *bounds;      /* the ceiling; NULL: none */
	/*
	 * The command line to execute again from a write-protected view of the program, for containers without a user
	 * namespace: their root could else write to it through /proc. NULL: such containers are refused.
	 */
	char *const *argv;
};

/*
 * Makes a container below the folder of all containers. On an error nothing of it is left. The caller ends ret_state
 * with state_done; it holds the lock until then.
 */
int create_container(int root, const struct create_options *options, struct state *ret_state,
		     struct err *err) MUST_CHECK;

/* Has a created container execute its program. ERR_INVALID in any other state. */
int create_start(struct state *state, struct err *err) MUST_CHECK;

/* Takes everything of a container away: processes, control groups, state. Its poststop hooks run, their errors are lost. */
int create_destroy(struct state *state, struct err *err) MUST_CHECK;

#endif
