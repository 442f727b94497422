/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP client of all parts, over libcurl: https or http only, no proxies from the environment, redirects off unless asked. */
#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* What a connection trusts and shows. PEM texts, not paths. All kept by reference until http_client_free. */
struct http_client_config {
	const char *ca;          /* CA that the server must verify against; NULL: the system's */
	const char *certificate; /* own certificate for mutual TLS, or NULL */
	const char *key;
	unsigned connect_ms; /* 0: 5,000 */
	unsigned
		stall_ms; /* ended when less than one byte a second moves for so long; 0: 30,000. Long polls set their own */
};

struct http_client; /* one thread at a time; keeps its connections open */

int http_client_new(const struct http_client_config *config, struct http_client **ret_client,
		    struct err *err) MUST_CHECK;
void http_client_free(struct http_client *client);
CLEANUP_DEFINE(http_client, struct http_client *, http_client_free)

struct http_call {
	const char *method; /* "GET" … */
	const char *url;
	const char *const *headers; /* "Name: value", NULL-terminated; or NULL */
	const void *body;           /* whole body, or NULL */
	size_t body_len;
	/* Streamed body: fills up to size bytes, returns how many, 0 at the end, -EAGAIN when there is nothing yet (it is
	 * asked again soon, and the peer's leaving ends the call), another negative errno to give up; or NULL. */
	ssize_t (*send)(void *user, char *to, size_t size);
	int64_t send_len; /* length of a streamed body, -1: chunked */
	/* Each piece of a body of a 2xx answer, of 1 to 65,536 bytes; negative errno ends the call with that code. NULL: collected in answer.body. */
	int (*receive)(void *user, const char *bytes, size_t len);
	void *user;
	unsigned timeout_ms; /* for the whole call; 0: none */
	bool once; /* the request leaves once at most; else it is sent again when a kept connection turns out dead */
	unsigned redirects_max; /* to follow, https only; credentials are not sent to another host */
};

struct http_reply {
	int status;
	struct buf body;    /* the caller sets body.max (0: 4 MiB); bodies of answers that are not 2xx land here too */
	struct buf headers; /* the last header block as received */
	bool unsent;        /* the call failed before a byte of the request had left: it may be made again */
};
void http_reply_done(struct http_reply *reply);
#define CLEANUP_HTTP_REPLY __attribute__((cleanup(http_reply_done)))

/* Makes the call. 0 whenever a complete answer came, whatever its status; ERR_UNAVAILABLE, -ETIMEDOUT, ERR_UNKNOWN_PEER
 * (TLS), -EFBIG (body over its maximum), or the code a callback gave. The message names host and port, never credentials. */
int http_client_call(struct http_client *client, const struct http_call *call, struct http_reply *reply,
		     struct err *err) MUST_CHECK;

/* A header of the reply by case-insensitive name, copied to `to`; -ENOENT, -ENAMETOOLONG. */
int http_reply_header(const struct http_reply *reply, const char *name, char *to, size_t size) MUST_CHECK;

/* Ends the call that runs in another thread, at once unless a callback runs, with -ECANCELED; and each further one. */
void http_client_cancel(struct http_client *client);

#endif
