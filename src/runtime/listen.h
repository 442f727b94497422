/* SPDX-License-Identifier: Apache-2.0 */
/* Descriptors that systemd's socket activation hands to the runtime: they are meant for the container. */
#ifndef RUNTIME_LISTEN_H
#define RUNTIME_LISTEN_H

#include "base/err.h"
#include "oci/spec.h"

/* How many there are: descriptors 3 and following. 0 when the environment's LISTEN_PID names another process. */
int listen_count(void);

/*
 * Tells a container's first process, number 1 to itself, of them: LISTEN_FDS and LISTEN_PID in its environment. The
 * array of the environment is replaced by one that the caller frees with free(*ret_items).
 */
int listen_tell(struct spec_strings *env, const char ***ret_items, struct err *err) MUST_CHECK;

#endif
