/* SPDX-License-Identifier: Apache-2.0 */
/* The CISM's API as the administrator of this machine. */
#ifndef CLI_APICLIENT_H
#define CLI_APICLIENT_H

#include <jansson.h>

#include "cli/settings.h"

struct apiclient;

/* Reads the administrator's certificate; connects with the first call. The caller frees it. */
int apiclient_new(const struct paths *paths, const struct settings *settings, struct apiclient **ret_client,
		  struct err *err) MUST_CHECK;
void apiclient_free(struct apiclient *client);
CLEANUP_DEFINE(apiclient, struct apiclient *, apiclient_free)

/* Reads an object or list. What the server answers in its Status becomes the message, its HTTP status the code. */
int apiclient_get(struct apiclient *client, const char *path, json_t **ret_object, struct err *err) MUST_CHECK;
/* Sends one (body NULL: nothing) and reads the answer, in the same way. */
int apiclient_send(struct apiclient *client, const char *method, const char *path, const json_t *body,
		   json_t **ret_object, struct err *err) MUST_CHECK;

#endif
