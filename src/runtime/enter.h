/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A further process in a running container, confined like its first one. The container's spawner forks it within the
 * container's Landlock domain. Where there is no spawner, or the process must be this one's child, it joins the
 * namespaces from outside and gets a domain of its own, from the same mounts: then it cannot trace what runs there.
 */
#ifndef RUNTIME_ENTER_H
#define RUNTIME_ENTER_H

#include "base/err.h"
#include "oci/spec.h"
#include "runtime/bounds.h"
#include "runtime/child.h"
#include "runtime/original.h"
#include "runtime/state.h"

struct enter_options {
	struct original *original;          /* the container's */
	const struct spec_process *process; /* what to run */
	const struct bounds *bounds;        /* the ceiling; NULL: none */
	int preserve_fds;
	bool prepare;               /* it asks for other limits than the container's first process has */
	bool await_thaw;            /* a paused container may be entered: the process goes on when that does */
	bool own_child;             /* the process must be this one's child, since somebody else will wait for it */
	const char *console_socket; /* as in struct create_options */
	int *ret_console;
	const char *pid_file; /* as in struct create_options; written before the program runs, which it else does not */
	int signals;          /* those that arrive while the process comes up, as in struct attend */
	char *const *argv;    /* as in struct create_options */
};

/*
 * Starts it. ERR_INVALID unless the container runs. The container's lock is given back as soon as the process is one of
 * the container: what it does from there on must not keep others from ending it. The caller ends with child_done.
 */
int enter_container(struct state *state, const struct enter_options *options, struct child *ret_child,
		    struct err *err) MUST_CHECK;

#endif
