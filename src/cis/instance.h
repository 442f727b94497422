/* SPDX-License-Identifier: Apache-2.0 */
/* The whole instance service: opens everything, says when it serves, runs until it is told to end. */
#ifndef CIS_INSTANCE_H
#define CIS_INSTANCE_H

#include "base/paths.h"

struct instance_options {
	struct paths paths;
	const char *ticket; /* a ticket's file: runs that one pod without a CISM and ends with it; or NULL */
	int ready_fd;       /* gets one byte and is closed once it serves; -1: none */
};

/* Runs. SIGTERM and SIGINT end the service and leave pods running; with a ticket they end the pod. Returns 0 or an error. */
int instance_run(const struct instance_options *options, struct err *err) MUST_CHECK;

#endif
