/* SPDX-License-Identifier: Apache-2.0 */
/* What a client wants of a pod's log, as the instance is asked for it. */
#ifndef CISM_LOGORDER_H
#define CISM_LOGORDER_H

#include <jansson.h>

#include "http/server.h"

/*
 * Makes the order from the query of a log request: container (the only one, or the one named), follow, previous, timestamps,
 * tailLines, sinceSeconds, sinceTime, limitBytes. ERR_SYNTAX with what is wrong, also for a pod that is not bound.
 */
int logorder_make(const struct http_request *request, const json_t *pod, const char *id, json_t **ret_order,
		  struct err *err) MUST_CHECK;

#endif
