/* SPDX-License-Identifier: Apache-2.0 */
/* The daemon from open to stop, in one visible order: configuration, keys and state as root; then unprivileged for good. */
#ifndef CISM_SERVICE_H
#define CISM_SERVICE_H

#include <stdbool.h>

#include "base/err.h"

struct service;

/* Reads configuration and keys, opens the state, gives up root. root as of paths_init. */
int service_open(const char *root, struct service **ret_service, struct err *err) MUST_CHECK;

/* Begins to serve. */
int service_start(struct service *service, struct err *err) MUST_CHECK;

/* Whether it cannot go on because its store is not the one it was: the process got SIGTERM from itself. */
bool service_lost(struct service *service);

/* Stops in reverse order and frees everything; also what service_start left half begun. NULL is accepted. */
void service_stop(struct service *service);

#endif
