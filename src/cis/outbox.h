/* SPDX-License-Identifier: Apache-2.0 */
/* Calls to the CISM. Those that nobody waits for go through one thread in their order; the rest are made where they are needed. */
#ifndef CIS_OUTBOX_H
#define CIS_OUTBOX_H

#include <jansson.h>

#include "base/loop.h"
#include "cis/nodeconfig.h"
#include "http/client.h"

#define OUTBOX_WAITING_MAX 20000
#define OUTBOX_MERGE_PATCH "application/merge-patch+json"
#define OUTBOX_JSON "application/json"

/* The trust and identity an instance shows everywhere. Borrows from config. */
struct http_client_config outbox_client_config(const struct nodeconfig *config);

/* The replica of the CISM that is asked now; after outbox_turn away from it, the next one. From any thread. */
const char *outbox_cism(const struct nodeconfig *config);
void outbox_turn(const struct nodeconfig *config, const char *from);

/*
 * One call, made at once, to the replica that is asked now; when that one is away, the next call goes to the next: path begins with '/'; body may be NULL. ret_body takes the answer's bytes. A status that is not
 * 2xx is an error by err_from_http_status with the server's own message.
 */
int outbox_call(struct http_client *client, const struct nodeconfig *config, const char *method, const char *path,
		const char *type, const char *body, struct buf *ret_body, struct err *err) MUST_CHECK;

/* A GET that one replica may answer late, up to timeout_ms; ret_body is empty when there was nothing (204). */
int outbox_poll(struct http_client *client, const char *cism, const char *path, unsigned timeout_ms,
		struct buf *ret_body, struct err *err) MUST_CHECK;

struct outbox;

/* The end of a call, in the loop's thread: 0 or the error's code. */
typedef void (*outbox_done_fn)(void *user, int code);

struct outbox_call {
	const char *method;
	char *path;          /* taken */
	const char *type;    /* not copied */
	json_t *body;        /* taken; NULL: none */
	bool keep;           /* tried again for half a minute while the CISM is away; others are dropped at once */
	outbox_done_fn done; /* or NULL */
	void *user;
};

int outbox_new(struct loop *loop, const struct nodeconfig *config, struct outbox **ret_outbox,
	       struct err *err) MUST_CHECK;

/* Ends the call under way and forgets those that wait. NULL is accepted. */
void outbox_free(struct outbox *outbox);

/* Queues a call, from any thread; what cannot be queued is dropped, and done is called with the reason. */
void outbox_put(struct outbox *outbox, struct outbox_call call);

#endif
