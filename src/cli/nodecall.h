/* SPDX-License-Identifier: Apache-2.0 */
/* One question to this machine's instance over its socket run/bulkhead/cis.sock. */
#ifndef CLI_NODECALL_H
#define CLI_NODECALL_H

#include <jansson.h>

#include "base/paths.h"

/* Sends a request (JSON) and waits up to two minutes. ERR_UNAVAILABLE with the instance's own words when it refuses. */
int nodecall(const struct paths *paths, const char *request, json_t **ret_answer, struct err *err) MUST_CHECK;

#endif
