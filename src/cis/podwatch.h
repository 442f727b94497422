/* SPDX-License-Identifier: Apache-2.0 */
/* The instance's own pods as the CISM has them: LIST and WATCH in a thread, told in the loop's thread. */
#ifndef CIS_PODWATCH_H
#define CIS_PODWATCH_H

#include <jansson.h>

#include "base/loop.h"
#include "cis/nodeconfig.h"

struct podwatch_handler {
	/*
	 * A whole list, after a start or a gap. holders are the uids that the CISM charged to this instance before the list
	 * was made: one that is in neither is not here any more.
	 */
	void (*list)(void *user, const json_t *items, const json_t *holders);
	/* One change: "ADDED", "MODIFIED", "DELETED". */
	void (*change)(void *user, const char *type, json_t *object);
	/* Whether the CISM answers; reason is NULL when it does. */
	void (*contact)(void *user, const char *reason);
	void *user;
};

struct podwatch;

int podwatch_new(struct loop *loop, const struct nodeconfig *config, const struct podwatch_handler *handler,
		 struct podwatch **ret_watch, struct err *err) MUST_CHECK;

/* Ends the thread; nothing is told afterwards. NULL is accepted. */
void podwatch_free(struct podwatch *watch);

#endif
