/* SPDX-License-Identifier: Apache-2.0 */
#include "store/ring.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/str.h"

struct ring_event {
	atomic_uint references;
	uint64_t id;
	size_t size; /* bytes, counted against the ring's maximum */
	struct store_event event;
	char data[];
};

struct ring_listener {
	char *prefix;
	void (*ready)(void *user);
	void *user;
	bool pending; /* in the queue */
	bool calling; /* ready runs now */
	struct ring_listener *next, *previous;
	struct ring_listener *next_pending;
};

struct ring {
	pthread_mutex_t lock;
	pthread_cond_t called; /* a listener's ready returned */
	struct ring_event **slots;
	size_t room, first, count;
	size_t bytes, bytes_max;
	uint64_t revision;
	uint64_t floor; /* every event with an id above is here */
	struct ring_listener *listeners;
	struct ring_listener *pending;
};

/* Copies bytes and a NUL behind them to *at, which moves on. */
static const char *place(char **at, const char *bytes, size_t len)
{
	char *start = *at;

	if (!bytes)
		return NULL;
	if (len)
		memcpy(start, bytes, len);
	start[len] = '\0';
	*at += len + 1;
	return start;
}

struct ring_event *ring_event_new(const struct store_event *event, unsigned index)
{
	size_t key_len = strlen(event->key);
	size_t size = sizeof(struct ring_event) + key_len + event->value_len + event->previous_len + 3;
	struct ring_event *copy = malloc(size);
	char *at;

	if (!copy)
		return NULL;
	atomic_init(&copy->references, 1);
	copy->id = RING_ID(event->revision, index);
	copy->size = size;
	copy->event = *event;
	at = copy->data;
	copy->event.key = place(&at, event->key, key_len);
	copy->event.value = place(&at, event->value, event->value_len);
	copy->event.previous = place(&at, event->previous, event->previous_len);
	return copy;
}

void ring_event_drop(struct ring_event *event)
{
	if (event && atomic_fetch_sub(&event->references, 1) == 1)
		free(event);
}

const struct store_event *ring_event_get(const struct ring_event *event)
{
	return &event->event;
}

uint64_t ring_event_id(const struct ring_event *event)
{
	return event->id;
}

struct ring *ring_new(size_t events, size_t bytes, uint64_t revision)
{
	struct ring *ring = calloc(1, sizeof(*ring));

	if (!ring)
		return NULL;
	ring->slots = calloc(events, sizeof(struct ring_event *));
	if (!ring->slots) {
		free(ring);
		return NULL;
	}
	(void)pthread_mutex_init(&ring->lock, NULL);
	(void)pthread_cond_init(&ring->called, NULL);
	ring->room = events;
	ring->bytes_max = bytes;
	ring->revision = revision;
	ring->floor = RING_ID_END(revision);
	return ring;
}

static struct ring_event *event_at(const struct ring *ring, size_t index)
{
	return ring->slots[(ring->first + index) % ring->room];
}

static void drop_oldest(struct ring *ring)
{
	struct ring_event *event = event_at(ring, 0);

	ring->floor = event->id;
	ring->bytes -= event->size;
	ring->first = (ring->first + 1) % ring->room;
	ring->count--;
	ring_event_drop(event);
}

void ring_free(struct ring *ring)
{
	if (!ring)
		return;
	while (ring->count)
		drop_oldest(ring);
	(void)pthread_cond_destroy(&ring->called);
	(void)pthread_mutex_destroy(&ring->lock);
	free(ring->slots);
	free(ring);
}

static void append(struct ring *ring, struct ring_event *event)
{
	while (ring->count && (ring->count == ring->room || ring->bytes + event->size > ring->bytes_max))
		drop_oldest(ring);
	ring->slots[(ring->first + ring->count) % ring->room] = event;
	ring->count++;
	ring->bytes += event->size;
}

static bool concerns(const struct ring_listener *listener, struct ring_event *const *events, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (str_starts(events[i]->event.key, listener->prefix))
			return true;
	return false;
}

static void mark_pending(struct ring *ring, struct ring_listener *listener)
{
	if (listener->pending || !listener->ready)
		return;
	listener->pending = true;
	listener->next_pending = ring->pending;
	ring->pending = listener;
}

/* Calls the pending listeners, each without the lock. */
static void call_pending(struct ring *ring)
{
	while (ring->pending) {
		struct ring_listener *listener = ring->pending;

		ring->pending = listener->next_pending;
		listener->pending = false;
		listener->calling = true;
		(void)pthread_mutex_unlock(&ring->lock);
		listener->ready(listener->user);
		(void)pthread_mutex_lock(&ring->lock);
		listener->calling = false;
		(void)pthread_cond_broadcast(&ring->called);
	}
}

void ring_publish(struct ring *ring, struct ring_event *const *events, size_t count, uint64_t revision)
{
	(void)pthread_mutex_lock(&ring->lock);
	for (struct ring_listener *listener = ring->listeners; listener; listener = listener->next)
		if (concerns(listener, events, count))
			mark_pending(ring, listener);
	for (size_t i = 0; i < count; i++)
		append(ring, events[i]);
	ring->revision = revision;
	call_pending(ring);
	(void)pthread_mutex_unlock(&ring->lock);
}

void ring_restart(struct ring *ring, uint64_t revision)
{
	(void)pthread_mutex_lock(&ring->lock);
	while (ring->count)
		drop_oldest(ring);
	ring->revision = revision;
	ring->floor = RING_ID_END(revision);
	for (struct ring_listener *listener = ring->listeners; listener; listener = listener->next)
		mark_pending(ring, listener);
	call_pending(ring);
	(void)pthread_mutex_unlock(&ring->lock);
}

uint64_t ring_revision(struct ring *ring)
{
	uint64_t revision;

	(void)pthread_mutex_lock(&ring->lock);
	revision = ring->revision;
	(void)pthread_mutex_unlock(&ring->lock);
	return revision;
}

/* The index of the first event with an id above seen. */
static size_t first_above(const struct ring *ring, uint64_t seen)
{
	size_t low = 0, high = ring->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (event_at(ring, middle)->id <= seen)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void collect(struct ring *ring, const char *prefix, uint64_t *seen, size_t limit, struct ring_event **ret_events,
		    size_t *ret_count)
{
	size_t found = 0;

	for (size_t i = first_above(ring, *seen); i < ring->count; i++) {
		struct ring_event *event = event_at(ring, i);

		if (str_starts(event->event.key, prefix)) {
			if (found == limit) {
				*ret_count = found;
				return;
			}
			(void)atomic_fetch_add(&event->references, 1);
			ret_events[found++] = event;
		}
		*seen = event->id;
	}
	if (*seen < RING_ID_END(ring->revision))
		*seen = RING_ID_END(ring->revision);
	*ret_count = found;
}

bool ring_collect(struct ring *ring, const char *prefix, uint64_t *seen, size_t limit, struct ring_event **ret_events,
		  size_t *ret_count, uint64_t *ret_until)
{
	bool inside;

	(void)pthread_mutex_lock(&ring->lock);
	inside = *seen >= ring->floor;
	if (inside)
		collect(ring, prefix, seen, limit, ret_events, ret_count);
	*ret_until = ring->floor;
	(void)pthread_mutex_unlock(&ring->lock);
	return inside;
}

struct ring_listener *ring_listen(struct ring *ring, const char *prefix, void (*ready)(void *user), void *user)
{
	struct ring_listener *listener = calloc(1, sizeof(*listener));

	if (!listener)
		return NULL;
	listener->prefix = strdup(prefix);
	if (!listener->prefix) {
		free(listener);
		return NULL;
	}
	listener->ready = ready;
	listener->user = user;
	(void)pthread_mutex_lock(&ring->lock);
	listener->next = ring->listeners;
	if (listener->next)
		listener->next->previous = listener;
	ring->listeners = listener;
	(void)pthread_mutex_unlock(&ring->lock);
	return listener;
}

static void remove_pending(struct ring *ring, struct ring_listener *listener)
{
	struct ring_listener **link = &ring->pending;

	while (*link && *link != listener)
		link = &(*link)->next_pending;
	if (*link)
		*link = listener->next_pending;
	listener->pending = false;
}

void ring_unlisten(struct ring *ring, struct ring_listener *listener)
{
	(void)pthread_mutex_lock(&ring->lock);
	remove_pending(ring, listener);
	while (listener->calling) {
		(void)pthread_cond_wait(&ring->called, &ring->lock);
		remove_pending(ring, listener);
	}
	if (listener->previous)
		listener->previous->next = listener->next;
	else
		ring->listeners = listener->next;
	if (listener->next)
		listener->next->previous = listener->previous;
	(void)pthread_mutex_unlock(&ring->lock);
	free(listener->prefix);
	free(listener);
}
