/* SPDX-License-Identifier: Apache-2.0 */
/* The registries named in cism.json, and connections to them: the CISM asks no other. */
#ifndef CISM_REGISTRIES_H
#define CISM_REGISTRIES_H

#include "cism/cism.h"
#include "http/client.h"

#define REGISTRIES_ASK_MS 5000

/* A client for the registry of that host. ERR_DENIED with a hint for one that is not named. */
int registries_client(struct cism *cism, const char *host, struct http_client **ret_client, struct err *err) MUST_CHECK;

#endif
