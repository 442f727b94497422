/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/watches.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"

#define QUEUE_MAX ((size_t)32 * 1024 * 1024) /* bytes a watcher may have waiting, initial list included */
#define SLOW ((size_t)8 * 1024 * 1024)       /* bytes waiting at which it is told to list again */
#define BATCH 128                            /* events a watcher gets before the next one's turn */
#define WATCHES_MAX 4096
#define TIMEOUT_DEFAULT_S 2400
#define TIMEOUT_MOST_S 7200
#define BOOKMARK_NS (UINT64_C(15) * 1000000000)
#define TICK_MS 500

struct watcher {
	struct watcher *next;
	struct watches *hub;
	struct http_stream *stream;
	struct store_watch *watch;
	const struct api_kind *kind;
	struct api_selector *labels, *fields;
	enum call_form form;
	char include[16];
	bool bookmarks;
	bool headers_sent; /* column definitions go with the first row only */
	bool failed;       /* a write did not go through: end it */
	bool expired;      /* told to list again */
	uint64_t deadline_ns, bookmark_ns;
	atomic_bool pending; /* the store has events for it */
	atomic_bool closed;  /* the peer left */
};

struct watches {
	struct cism *cism;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool woken, stopping;  /* under the lock */
	struct watcher *fresh; /* under the lock: begun, not yet taken over by the thread */
	size_t count;          /* under the lock */
	struct watcher *all;   /* the thread's own */
};

static void wake(struct watches *hub)
{
	pthread_mutex_lock(&hub->lock);
	hub->woken = true;
	pthread_cond_signal(&hub->wake);
	pthread_mutex_unlock(&hub->lock);
}

static void on_ready(void *user)
{
	struct watcher *watcher = user;

	if (!atomic_exchange(&watcher->pending, true))
		wake(watcher->hub);
}

static void on_closed(void *user)
{
	struct watcher *watcher = user;

	atomic_store(&watcher->closed, true);
	wake(watcher->hub);
}

static void watcher_free(struct watcher *watcher)
{
	store_watch_close(watcher->watch);
	api_selector_free(watcher->labels);
	api_selector_free(watcher->fields);
	free(watcher);
}

/* Writes {"type":…,"object":…}; takes object. */
static void emit(struct watcher *watcher, const char *type, json_t *object)
{
	CLEANUP_JSON json_t *event = json_pack("{s:s, s:o}", "type", type, "object", object);
	CLEANUP_FREE char *text = event ? api_format(event) : NULL;
	int r = -ENOMEM;

	if (text) {
		size_t len = strlen(text);

		text[len] = '\n'; /* in place of the NUL: events are separated by newlines */
		r = http_stream_write(watcher->stream, text, len + 1);
	}
	if (r < 0)
		watcher->failed = true;
}

static void emit_error(struct watcher *watcher, const struct err *err)
{
	emit(watcher, "ERROR", api_status(err_http_status(err->code), err, NULL, NULL));
}

/* The object as the watcher wants to see it; a new reference. */
static json_t *formed(struct watcher *watcher, json_t *object)
{
	json_t *table = NULL;

	switch (watcher->form) {
	case CALL_FORM_OBJECT:
		return json_incref(object);
	case CALL_FORM_PARTIAL:
		return call_partial(object);
	case CALL_FORM_TABLE:
		if (api_table(watcher->kind, &object, 1, watcher->include, !watcher->headers_sent, &table, NULL) < 0)
			return NULL;
		watcher->headers_sent = true;
		if (api_set(table, "metadata.resourceVersion",
			    json_string(api_string(object, "metadata.resourceVersion"))) < 0) {
			json_decref(table);
			return NULL;
		}
		return table;
	}
	return NULL;
}

static bool matches(const struct watcher *watcher, const json_t *object)
{
	return object && (!watcher->labels || api_selector_matches(watcher->labels, object)) &&
	       (!watcher->fields || api_selector_matches(watcher->fields, object));
}

static void emit_bookmark(struct watcher *watcher, uint64_t revision, bool initial_end)
{
	char api_version[300];
	char text[24];
	json_t *object;

	(void)snprintf(api_version, sizeof(api_version), "%s%s%s", watcher->kind->group,
		       watcher->kind->group[0] ? "/" : "", watcher->kind->version);
	(void)snprintf(text, sizeof(text), "%" PRIu64, revision);
	object = json_pack("{s:s, s:s, s:{s:s}}", "kind", watcher->kind->kind, "apiVersion", api_version, "metadata",
			   "resourceVersion", text);
	if (object && initial_end &&
	    api_set(object, "metadata.annotations", json_pack("{s:s}", "k8s.io/initial-events-end", "true")) < 0)
		watcher->failed = true;
	if (object && watcher->form == CALL_FORM_TABLE) {
		json_t *table = json_pack("{s:s, s:s, s:{s:s}, s:[{s:[], s:o}]}", "kind", "Table", "apiVersion",
					  "meta.k8s.io/v1", "metadata", "resourceVersion", text, "rows", "cells",
					  "object", object);

		object = table;
	}
	if (object && watcher->form == CALL_FORM_PARTIAL) {
		json_t *partial = call_partial(object);

		json_decref(object);
		object = partial;
	}
	emit(watcher, "BOOKMARK", object);
}

static void on_event(void *user, const struct store_event *event)
{
	struct watcher *watcher = user;
	CLEANUP_JSON json_t *now = NULL;
	CLEANUP_JSON json_t *before = NULL;
	bool had, has;

	if (watcher->failed || watcher->expired)
		return;
	if (event->kind == STORE_EVENT_PUT &&
	    records_parse(event->key, event->value, event->value_len, event->revision, &now, NULL) < 0)
		return;
	if (event->previous &&
	    records_parse(event->key, event->previous, event->previous_len, event->revision, &before, NULL) < 0)
		return;
	had = matches(watcher, before);
	has = matches(watcher, now);
	if (!had && !has)
		return;
	if (http_stream_queued(watcher->stream) > SLOW) {
		struct err err = {0};

		(void)err_set(&err, ERR_EXPIRED, "the watch fell behind: list again");
		emit_error(watcher, &err);
		watcher->expired = true;
		return;
	}
	emit(watcher, has ? had ? "MODIFIED" : "ADDED" : "DELETED", formed(watcher, has ? now : before));
}

static void drain(struct watcher *watcher)
{
	struct err err = {0};
	int r;

	if (!atomic_exchange(&watcher->pending, false))
		return;
	r = store_watch_next(watcher->watch, BATCH, on_event, watcher, &err);
	if (r == BATCH)
		on_ready(watcher); /* there may be more */
	if (r < 0) {
		emit_error(watcher, &err);
		watcher->expired = true;
	}
}

/* Whether the watcher goes on. */
static bool serve(struct watcher *watcher, uint64_t now)
{
	/* Also when nothing of its own happened: a place that never moves on would fall out of the history. */
	if (now >= watcher->bookmark_ns)
		on_ready(watcher);
	if (!atomic_load(&watcher->closed))
		drain(watcher);
	if (atomic_load(&watcher->closed) || watcher->failed || watcher->expired || now >= watcher->deadline_ns)
		return false;
	if (now >= watcher->bookmark_ns) {
		watcher->bookmark_ns = now + BOOKMARK_NS;
		if (watcher->bookmarks)
			emit_bookmark(watcher, store_watch_position(watcher->watch), false);
		else if (http_stream_write(watcher->stream, "\n", 1) <
			 0) /* finds out whether the peer is still there */
			watcher->failed = true;
	}
	return !watcher->failed;
}

static void end(struct watches *hub, struct watcher *watcher)
{
	http_stream_end(watcher->stream, !watcher->failed);
	watcher_free(watcher);
	pthread_mutex_lock(&hub->lock);
	hub->count--;
	pthread_mutex_unlock(&hub->lock);
}

static void round_of(struct watches *hub, bool last)
{
	uint64_t now = clock_monotonic_ns();
	struct watcher **at = &hub->all;

	while (*at) {
		struct watcher *watcher = *at;

		if (!last && serve(watcher, now)) {
			at = &watcher->next;
			continue;
		}
		*at = watcher->next;
		end(hub, watcher);
	}
}

static void take_fresh(struct watches *hub)
{
	while (hub->fresh) {
		struct watcher *watcher = hub->fresh;

		hub->fresh = watcher->next;
		watcher->next = hub->all;
		hub->all = watcher;
	}
}

static void *run(void *user)
{
	struct watches *hub = user;
	bool stopping = false;

	while (!stopping) {
		struct timespec until;

		(void)clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += TICK_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		pthread_mutex_lock(&hub->lock);
		while (!hub->woken && !hub->stopping && pthread_cond_timedwait(&hub->wake, &hub->lock, &until) == 0)
			continue;
		hub->woken = false;
		stopping = hub->stopping;
		take_fresh(hub);
		pthread_mutex_unlock(&hub->lock);
		round_of(hub, stopping);
	}
	return NULL;
}

int watches_new(struct cism *cism, struct watches **ret_watches, struct err *err)
{
	struct watches *hub = calloc(1, sizeof(*hub));
	pthread_condattr_t attributes;
	int r;

	if (!hub)
		return err_sys(err, -ENOMEM, "cannot start the watch hub");
	hub->cism = cism;
	(void)pthread_mutex_init(&hub->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&hub->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	r = pthread_create(&hub->thread, NULL, run, hub);
	if (r != 0) {
		free(hub);
		return err_sys(err, -r, "cannot start the watch hub");
	}
	*ret_watches = hub;
	return 0;
}

void watches_stop(struct watches *hub)
{
	if (!hub)
		return;
	pthread_mutex_lock(&hub->lock);
	hub->stopping = true;
	pthread_cond_signal(&hub->wake);
	pthread_mutex_unlock(&hub->lock);
	(void)pthread_join(hub->thread, NULL);
}

void watches_free(struct watches *hub)
{
	if (!hub)
		return;
	take_fresh(hub); /* what a handler began in the last moment */
	round_of(hub, true);
	(void)pthread_cond_destroy(&hub->wake);
	(void)pthread_mutex_destroy(&hub->lock);
	free(hub);
}

static bool asks(const struct call *call, const char *name)
{
	const char *value = http_query(call->request, name);

	return value && (str_eq(value, "true") || str_eq(value, "1"));
}

/* The selectors of the request, with the name in the path as a further field. */
static int read_selectors(const struct call *call, struct watcher *watcher, struct err *err)
{
	const char *labels = http_query(call->request, "labelSelector");
	const char *fields = http_query(call->request, "fieldSelector");
	CLEANUP_FREE char *joined = NULL;
	int r = 0;

	fields = fields ? fields : "";
	if (call->routing.name[0]) {
		joined = str_format("metadata.name=%s%s%s", call->routing.name, fields[0] ? "," : "", fields);
		if (!joined)
			return err_sys(err, -ENOMEM, "cannot watch");
		fields = joined;
	}
	if (labels && labels[0])
		r = api_selector_parse_labels(labels, &watcher->labels, err);
	if (r == 0 && fields[0])
		r = api_selector_parse_fields(watcher->kind, fields, &watcher->fields, err);
	return r;
}

static int read_parameters(const struct call *call, struct watcher *watcher, struct err *err)
{
	const char *timeout = http_query(call->request, "timeoutSeconds");
	const char *include = http_query(call->request, "includeObject");
	uint64_t seconds = TIMEOUT_DEFAULT_S;
	uint64_t now = clock_monotonic_ns();

	if (timeout && timeout[0] && str_parse_u64(timeout, TIMEOUT_MOST_S, &seconds) < 0)
		return err_set(err, ERR_SYNTAX, "timeoutSeconds: '%.40s' is no number up to %d", timeout,
			       TIMEOUT_MOST_S);
	if (str_copy(watcher->include, sizeof(watcher->include), include && include[0] ? include : "Metadata") < 0)
		return err_set(err, ERR_SYNTAX, "includeObject: '%.40s' is none of None, Metadata, Object", include);
	if (call_form(http_header(call->request, "Accept"), &watcher->form) < 0)
		return err_set(err, -EPROTONOSUPPORT, "only the following media types are accepted: application/json");
	watcher->deadline_ns = now + (seconds ? seconds : TIMEOUT_DEFAULT_S) * 1000000000;
	watcher->bookmark_ns = now + BOOKMARK_NS;
	watcher->bookmarks = asks(call, "allowWatchBookmarks");
	return read_selectors(call, watcher, err);
}

/* Where the watch begins: *ret_initial when the present objects come first. */
static int read_start(const struct call *call, uint64_t *ret_revision, bool *ret_initial, struct err *err)
{
	const char *revision = http_query(call->request, "resourceVersion");
	const char *match = http_query(call->request, "resourceVersionMatch");
	bool initial = asks(call, "sendInitialEvents");
	int r;

	*ret_revision = 0;
	if (revision && revision[0] && str_parse_u64(revision, INT64_MAX, ret_revision) < 0)
		return err_set(err, ERR_SYNTAX, "resourceVersion: Invalid value: \"%.40s\"", revision);
	if (initial && (!match || !str_eq(match, "NotOlderThan")))
		return err_set(err, ERR_INVALID,
			       "resourceVersionMatch: Forbidden: sendInitialEvents requires setting "
			       "resourceVersionMatch to NotOlderThan");
	if (!initial && match && match[0])
		return err_set(err, ERR_INVALID,
			       "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless "
			       "sendInitialEvents is provided");
	r = records_reach(call->cism->store, *ret_revision, err);
	if (r < 0)
		return r;
	*ret_initial = initial || *ret_revision == 0;
	return 0;
}

/* What was there when the watch began, as ADDED events. */
static void emit_initial(struct watcher *watcher, const struct object_list *list, bool end_mark)
{
	for (size_t i = 0; i < list->count && !watcher->failed; i++)
		emit(watcher, "ADDED", formed(watcher, list->items[i]));
	if (end_mark)
		emit_bookmark(watcher, list->revision, true);
}

static int open_watch(struct call *call, struct watcher *watcher, struct object_list *ret_initial, bool *ret_end_mark,
		      struct err *err)
{
	struct records_query query = {.kind = watcher->kind, .namespace = call->routing.namespace};
	char prefix[STORE_KEY_MAX + 1];
	bool initial = false;
	uint64_t revision = 0;
	int r = read_parameters(call, watcher, err);

	if (r == 0)
		r = read_start(call, &revision, &initial, err);
	if (r == 0)
		r = records_key(watcher->kind, call->routing.namespace, NULL, prefix, err);
	if (r == 0 && initial) {
		query.labels = watcher->labels;
		query.fields = watcher->fields;
		r = records_list(call->cism->store, &query, ret_initial, err);
		revision = ret_initial->revision;
	}
	if (r < 0)
		return r;
	*ret_end_mark = asks(call, "sendInitialEvents");
	return store_watch_open(call->cism->store, prefix, revision, on_ready, watcher, &watcher->watch, err);
}

static int admit(struct watches *hub, struct err *err)
{
	int r = 0;

	pthread_mutex_lock(&hub->lock);
	if (hub->count >= WATCHES_MAX || hub->stopping)
		r = err_set(err, ERR_BUSY, "there are %zu watches already, try again later", hub->count);
	else
		hub->count++;
	pthread_mutex_unlock(&hub->lock);
	return r;
}

static void leave(struct watches *hub)
{
	pthread_mutex_lock(&hub->lock);
	hub->count--;
	pthread_mutex_unlock(&hub->lock);
}

/* A revision that is gone is told as the first event, as clients expect it; other errors are answered as such. */
static void refuse(struct call *call, struct watcher *watcher, const struct err *err)
{
	if (err->code != ERR_EXPIRED) {
		call_answer_error(call, err);
		return;
	}
	call_prepare(call, 200);
	watcher->stream = http_stream_begin(call->request, 200, "application/json", QUEUE_MAX, NULL, NULL);
	if (!watcher->stream)
		return;
	emit_error(watcher, err);
	http_stream_end(watcher->stream, true);
}

/* A watch that is to begin in a thread of the server. */
struct beginning {
	struct watcher *watcher;
	struct object_list initial;
	bool end_mark;
	struct err err;
};

static void drop_beginning(void *user)
{
	struct beginning *beginning = user;
	struct watches *hub = beginning->watcher->hub;

	records_list_done(&beginning->initial);
	watcher_free(beginning->watcher);
	free(beginning);
	leave(hub);
}

static void hand_to_hub(struct watcher *watcher)
{
	struct watches *hub = watcher->hub;

	pthread_mutex_lock(&hub->lock);
	watcher->next = hub->fresh;
	hub->fresh = watcher;
	hub->woken = true;
	pthread_cond_signal(&hub->wake);
	pthread_mutex_unlock(&hub->lock);
}

/* In a thread of the server. */
static void begin_stream(struct call *call)
{
	struct beginning *beginning = call->ended_user;
	struct watcher *watcher = beginning->watcher;

	call->ended = NULL;
	if (beginning->err.code) {
		refuse(call, watcher, &beginning->err);
		drop_beginning(beginning);
		return;
	}
	call_prepare(call, 200);
	watcher->stream = http_stream_begin(call->request, 200, "application/json", QUEUE_MAX, on_closed, watcher);
	if (!watcher->stream) {
		drop_beginning(beginning);
		return;
	}
	emit_initial(watcher, &beginning->initial, beginning->end_mark);
	records_list_done(&beginning->initial);
	free(beginning);
	atomic_store(&watcher->pending, true); /* events since the revision it begins at */
	hand_to_hub(watcher);
}

static struct beginning *new_beginning(struct call *call, struct err *err)
{
	struct beginning *beginning = calloc(1, sizeof(*beginning));
	struct watcher *watcher = calloc(1, sizeof(*watcher));

	if (!beginning || !watcher || admit(call->cism->watches, err) < 0) {
		if (!beginning || !watcher)
			(void)err_sys(err, -ENOMEM, "cannot watch");
		free(beginning);
		free(watcher);
		return NULL;
	}
	watcher->hub = call->cism->watches;
	watcher->kind = call->routing.kind;
	beginning->watcher = watcher;
	return beginning;
}

void watches_begin(struct call *call)
{
	struct err err = {0};
	struct beginning *beginning = new_beginning(call, &err);

	if (!beginning) {
		call_answer_error(call, &err);
		return;
	}
	call->ended = drop_beginning;
	call->ended_user = beginning;
	call->finish = begin_stream;
	if (open_watch(call, beginning->watcher, &beginning->initial, &beginning->end_mark, &beginning->err) < 0 &&
	    !beginning->err.code)
		(void)err_sys(&beginning->err, -ENOMEM, "cannot watch");
}
