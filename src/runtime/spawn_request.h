/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process added to a container shall be, as one packet of bytes: the process of config.json and its filter. It is
 * made by this program outside, and read by this program inside the container, where nothing may be allocated.
 */
#ifndef RUNTIME_SPAWN_REQUEST_H
#define RUNTIME_SPAWN_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "oci/spec.h"
#include "sandbox/seccomp.h"

#define SPAWN_REQUEST_MAX (160u << 10) /* what a socket's default buffer takes in one packet */

/* Of the form and of what is to be in it: a container lives longer than the program that made it. */
#define SPAWN_REQUEST_FORM 2
#define SPAWN_REQUEST_VERSION ((int32_t)(sizeof(struct spec_process) << 8 | SPAWN_REQUEST_FORM))

struct bounds;

struct spawn_request {
	struct spec_process process;
	struct seccomp_program filter;
	uint32_t preserve_fds;
	/* Not for the spawner, but for who asks it: */
	bool prepare; /* launch_prepare is needed: not for what the container's first process has as well */
	const struct bounds *bounds; /* the ceiling over limits that are inherited; NULL: none */
	const char *pid_file;        /* where its number is written before it goes on; NULL: nowhere */
	int signals;                 /* as in struct attend */
};

/* Writes a request. -EFBIG when it is larger than SPAWN_REQUEST_MAX. */
int spawn_request_format(const struct spawn_request *request, struct buf *to) MUST_CHECK;

/*
 * Reads a request in place: the result points into bytes, which must be aligned as malloc aligns, and which are changed.
 * ERR_SYNTAX for anything that spawn_request_format of the very same version did not write.
 */
int spawn_request_parse(void *bytes, size_t len, struct spawn_request *ret_request, struct err *err) MUST_CHECK;

#endif
