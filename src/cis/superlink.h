/* SPDX-License-Identifier: Apache-2.0 */
/* The line to a pod's supervisor: one JSON object a packet over DIR/control, answers in the order of the requests. */
#ifndef CIS_SUPERLINK_H
#define CIS_SUPERLINK_H

#include <jansson.h>
#include <stdbool.h>

#include "base/loop.h"

#define SUPERLINK_WAITING_MAX 256

struct superlink;

struct superlink_handler {
	void (*event)(void *user, const json_t *event);
	void (*closed)(void *user); /* the supervisor is gone; superlink_free may be called here */
	void *user;
};

/* Answers; reply is NULL when the line broke before it came. */
typedef void (*superlink_reply_fn)(void *user, const json_t *reply);

/* Connects to the supervisor of a folder. ERR_UNAVAILABLE when none listens there. */
int superlink_open(struct loop *loop, const char *dir, const struct superlink_handler *handler,
		   struct superlink **ret_link, struct err *err) MUST_CHECK;

/* Whether a supervisor listens in a folder. From any thread. */
bool superlink_probe(const char *dir);

/* Closes the line without further calls to the handler; requests that wait are answered with NULL. NULL is accepted. */
void superlink_free(struct superlink *link);

/* Sends a request (stolen, also on failure); fn may be NULL. ERR_BUSY over SUPERLINK_WAITING_MAX. */
int superlink_send(struct superlink *link, json_t *request, superlink_reply_fn fn, void *user,
		   struct err *err) MUST_CHECK;

#endif
