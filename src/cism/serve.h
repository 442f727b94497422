/* SPDX-License-Identifier: Apache-2.0 */
/* From the request line to the function that answers it: identity, route, authorisation, body, dispatch. */
#ifndef CISM_SERVE_H
#define CISM_SERVE_H

#include "http/server.h"

/* The handler of the HTTP server; user is the struct cism. */
void serve_handle(struct http_request *request, void *user);

#endif
