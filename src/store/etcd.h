/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The etcd engine's parts. Internal to the folder. Keys lie below the configured prefix: PREFIX "k" KEY are the store's,
 * PREFIX "t" is written to move the revision on (etcd_tick), PREFIX "a" NAME are marks of connections (etcd_txn.c). One watch
 * of all of PREFIX "k" to "t" feeds the ring.
 */
#ifndef STORE_ETCD_H
#define STORE_ETCD_H

#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/buf.h"
#include "http/client.h"
#include "store/engine.h"
#include "store/marks.h"

#define ETCD_CLIENTS 32 /* connections at most, the watch's own not counted */

#define ETCD_BODY_MAX ((size_t)8 << 20)

CLEANUP_DEFINE(answer, json_t *, json_decref)

/* A connection, and the key that its transactions write beside their own (etcd_txn.c). */
struct etcd_client {
	struct http_client *http;
	char mark[33];
	uint64_t marked; /* the key's last change; 0: there is none yet */
};

struct etcd_store {
	struct store store; /* first */
	char *endpoints[STORE_ENDPOINTS_MAX];
	size_t endpoint_count;
	atomic_size_t preferred; /* the endpoint that answered last */
	char *prefix, *ca, *certificate, *key;
	struct http_client_config tls; /* borrows from the above */

	pthread_mutex_t pool_lock;
	pthread_cond_t pool_free;
	struct etcd_client *idle[ETCD_CLIENTS];
	size_t idle_count, busy_count;

	pthread_mutex_t lock;
	pthread_cond_t moved; /* published or closing changed */
	uint64_t published;   /* the ring's revision */
	uint64_t heard_ms;    /* when the watch last said something */
	struct http_client *watching;
	bool closing;
	char cluster[24];     /* its id, as etcd writes it */
	uint64_t answered_ms; /* when a member last answered */
	struct err failure;   /* from the moment that it is known not to be the one it was */
	pthread_t watcher, keeper;

	uint64_t forgotten; /* what may be compacted away */
	struct marks marks; /* the watcher's */
	uint64_t bytes;     /* likewise */
	uint64_t compacted; /* the keeper's */
};

/*
 * Posts a request to one of the members and parses the answer; 0 with the answer's object. `again` may be asked of another
 * member when the first fails; what changes something is asked again only when nothing was sent. Codes: ERR_EXPIRED
 * (compacted), ERR_INVALID (a future revision), ERR_TOO_LARGE, -ENOSPC, ERR_BUSY, ERR_DENIED, ERR_UNAVAILABLE, -ETIMEDOUT,
 * ERR_CORRUPT (it is not the store it was).
 */
int etcd_post(struct etcd_store *etcd, const char *path, const struct buf *body, bool again, json_t **ret_answer,
	      struct err *err) MUST_CHECK;

/* The same through a connection the caller holds. ret_lost (may be NULL): on failure, whether it may have happened. */
int etcd_ask(struct etcd_store *etcd, struct etcd_client *client, const char *path, const struct buf *body, bool again,
	     json_t **ret_answer, bool *ret_lost, struct err *err) MUST_CHECK;
int etcd_take(struct etcd_store *etcd, struct etcd_client **ret_client, struct err *err) MUST_CHECK;
void etcd_give(struct etcd_store *etcd, struct etcd_client *client);

/* The endpoint to talk to, and the change to the next one after a failure of that one. */
const char *etcd_endpoint(struct etcd_store *etcd, size_t *ret_index);
void etcd_endpoint_failed(struct etcd_store *etcd, size_t index);
void etcd_free_clients(struct etcd_store *etcd);

/* Appends `"name":"base64"` of prefix, kind, key and the tail_len bytes of tail. */
int etcd_put_key(const struct etcd_store *etcd, struct buf *to, const char *name, char kind, const char *key,
		 const char *tail, size_t tail_len) MUST_CHECK;
/* Appends `"key":…,"range_end":…` of all keys of that kind that start with the prefix and are above after (NULL: all). */
int etcd_put_range(const struct etcd_store *etcd, struct buf *to, char kind, const char *prefix,
		   const char *after) MUST_CHECK;

/* The revision in an answer's header. */
uint64_t etcd_revision(const json_t *answer);
/* A number etcd sends as text and leaves out when it is 0. */
uint64_t etcd_number(const json_t *object, const char *name);
/* A base64 member of an object as bytes with a NUL behind, freed by the caller; empty when it is left out. ERR_SYNTAX, -ENOMEM. */
int etcd_bytes(const json_t *object, const char *name, char **ret_bytes, size_t *ret_len) MUST_CHECK;
/* The store's key of a mvccpb.KeyValue; ret_key NULL when it is not one of the store's. */
int etcd_key(const struct etcd_store *etcd, const json_t *pair, char **ret_key) MUST_CHECK;

int etcd_txn(struct store *store, const struct store_transaction *transaction, uint64_t *ret_revision,
	     size_t *ret_failed, struct err *err);
/* Removes marks that were last changed at that revision or before. */
void etcd_sweep_marks(struct etcd_store *etcd, uint64_t before);

/* Writes the tick key: a revision of the prefix from now. */
int etcd_tick(struct etcd_store *etcd, uint64_t *ret_revision, struct err *err) MUST_CHECK;

/* Whether all that happened above revision is still in etcd; ERR_EXPIRED. */
int etcd_check_past(struct etcd_store *etcd, uint64_t revision, struct err *err) MUST_CHECK;

int etcd_history(struct store *store, const char *prefix, uint64_t *seen, uint64_t until, size_t limit,
		 struct ring_event **ret_events, size_t *ret_count, struct err *err);

/* The threads: the one watch, and the one that notices its silence. */
void *etcd_watch_loop(void *store);
void *etcd_keep_loop(void *store);
/* Asks for anything, so that it is known whether a member answers. */
void etcd_probe(struct etcd_store *etcd);
/* Waits at most ms until the ring knows the revision. */
bool etcd_wait(struct etcd_store *etcd, uint64_t revision, unsigned ms);
/* Has the watch begin again with another member when it has said nothing for so long. */
void etcd_rewatch(struct etcd_store *etcd, unsigned silent_ms);

#endif
