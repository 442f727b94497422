/* SPDX-License-Identifier: Apache-2.0 */
/* The newest events in memory, shared by all watches. Internal to the folder. Thread-safe. */
#ifndef STORE_RING_H
#define STORE_RING_H

#include "store/store.h"

/* Events are ordered by id: the revision, then the place in its transaction. */
#define RING_ID(revision, index) ((uint64_t)(revision) << 7 | (uint64_t)(index))
#define RING_ID_END(revision) RING_ID(revision, 127) /* behind all events of the revision */
#define RING_REVISION(id) ((uint64_t)(id) >> 7)

/* Counted by reference; what event points to lies in the same allocation. */
struct ring_event;

/* A new event with copies of all that `event` points to; id from event->revision and index. NULL without memory. */
struct ring_event *ring_event_new(const struct store_event *event, unsigned index);
void ring_event_drop(struct ring_event *event);
const struct store_event *ring_event_get(const struct ring_event *event);
uint64_t ring_event_id(const struct ring_event *event);

struct ring;

/* A ring that begins behind `revision` and keeps at most so many events and bytes. NULL without memory. */
struct ring *ring_new(size_t events, size_t bytes, uint64_t revision);
void ring_free(struct ring *ring);

/* Appends events (stolen), all up to and of `revision`, and tells the watches they concern. From one thread at a time. */
void ring_publish(struct ring *ring, struct ring_event *const *events, size_t count, uint64_t revision);

/*
 * Forgets all events and begins anew behind revision, which is not lower than before: what lay between is not known. Every
 * watch is told, and finds its past in the history or gone.
 */
void ring_restart(struct ring *ring, uint64_t revision);

/* The newest revision published. */
uint64_t ring_revision(struct ring *ring);

/*
 * Takes references to at most limit events of the prefix with ids above *seen; *seen becomes the id up to which all is in
 * them. False when *seen lies before the ring: then ret_until is the id up to which history has to be asked, that of an
 * event or, when none has left the ring yet, the end of a revision.
 */
bool ring_collect(struct ring *ring, const char *prefix, uint64_t *seen, size_t limit, struct ring_event **ret_events,
		  size_t *ret_count, uint64_t *ret_until);

struct ring_listener;

/* Calls ready(user) from the publishing thread, without locks held, after events of the prefix were published. NULL without memory. */
struct ring_listener *ring_listen(struct ring *ring, const char *prefix, void (*ready)(void *user), void *user);
/* After it returns ready is not called any more. */
void ring_unlisten(struct ring *ring, struct ring_listener *listener);

#endif
