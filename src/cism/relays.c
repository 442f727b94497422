/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/relays.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "cism/logorder.h"

#define RELAYS_MAX 256
#define ANSWER_NS (UINT64_C(15) * 1000000000) /* for the instance to take the order and begin to answer */
#define POLL_MOST_S 60
#define TICK_MS 100
#define QUEUE_MAX ((size_t)1024 * 1024)
#define QUEUE_HIGH ((size_t)256 * 1024) /* the instance waits above this */
#define QUEUE_LOW ((size_t)64 * 1024)   /* and goes on below this */
#define EARLY_MAX ((size_t)1024 * 1024)

enum relay_state { RELAY_QUEUED, RELAY_OFFERED, RELAY_ANSWERED };

/* One log on its way. All under the lock of struct relays; two sides hold it: the client's and the instance's request. */
struct relay {
	struct relay *next;
	struct relays *relays;
	unsigned references;
	enum relay_state state;
	char id[37];
	char instance_name[254];
	json_t *order;
	struct http_request *client;   /* parked; NULL from the moment it was resumed */
	struct http_stream *stream;    /* the client's answer, while it runs */
	struct http_request *instance; /* the POST, while it runs */
	struct buf early;              /* what came before the answer had begun */
	bool paused;                   /* the POST rests */
	bool finished;                 /* the text is complete */
	bool broken;                   /* it never will be */
	bool client_gone;
	char error[512]; /* the instance could not */
	uint64_t deadline_ns;
};

/* An instance that waits for an order. */
struct poller {
	struct poller *next;
	struct relays *relays;
	struct http_request *request;
	char instance_name[254];
	uint64_t deadline_ns;
};

struct relays {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool stopping;
	struct relay *all;
	size_t count;
	struct poller *pollers;
};

static void relay_unref(struct relay *relay)
{
	struct relay **at = &relay->relays->all;

	if (--relay->references > 0)
		return;
	while (*at && *at != relay)
		at = &(*at)->next;
	if (*at)
		*at = relay->next;
	relay->relays->count--;
	json_decref(relay->order);
	buf_done(&relay->early);
	free(relay);
}

static void resume_client(struct relay *relay)
{
	struct http_request *client = take_ptr(relay->client);

	if (client)
		http_resume(client);
}

static void resume_instance(struct relay *relay)
{
	if (!relay->paused || !relay->instance)
		return;
	relay->paused = false;
	http_resume(relay->instance);
}

/* --- the ticker: deadlines, and instances that may go on --- */

static void look_at_relay(struct relay *relay, uint64_t now, bool stopping)
{
	if (relay->client && relay->state != RELAY_ANSWERED && (stopping || now >= relay->deadline_ns)) {
		(void)snprintf(relay->error, sizeof(relay->error), "instance '%s' does not answer",
			       relay->instance_name);
		relay->state = RELAY_ANSWERED;
		resume_client(relay);
	}
	if (relay->paused &&
	    (stopping || relay->client_gone || (relay->stream && http_stream_queued(relay->stream) < QUEUE_LOW)))
		resume_instance(relay);
	if (relay->instance && (stopping || relay->client_gone))
		http_cut(relay->instance);
}

static void look_at_pollers(struct relays *relays, uint64_t now, bool stopping)
{
	struct poller **at = &relays->pollers;

	while (*at) {
		struct poller *poller = *at;

		if (!stopping && now < poller->deadline_ns) {
			at = &poller->next;
			continue;
		}
		*at = poller->next;
		http_resume(poller->request);
	}
}

static void *run(void *user)
{
	struct relays *relays = user;
	struct timespec until;

	pthread_mutex_lock(&relays->lock);
	while (!relays->stopping) {
		(void)clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += TICK_MS * 1000000L;
		until.tv_sec += until.tv_nsec / 1000000000L;
		until.tv_nsec %= 1000000000L;
		if (relays->all || relays->pollers)
			(void)pthread_cond_timedwait(&relays->wake, &relays->lock, &until);
		else
			(void)pthread_cond_wait(&relays->wake, &relays->lock);
		for (struct relay *relay = relays->all; relay; relay = relay->next)
			look_at_relay(relay, clock_monotonic_ns(), relays->stopping);
		look_at_pollers(relays, clock_monotonic_ns(), relays->stopping);
	}
	pthread_mutex_unlock(&relays->lock);
	return NULL;
}

int relays_new(struct relays **ret_relays, struct err *err)
{
	struct relays *relays = calloc(1, sizeof(*relays));
	pthread_condattr_t attributes;
	int r;

	if (!relays)
		return err_sys(err, -ENOMEM, "cannot start the log relay");
	(void)pthread_mutex_init(&relays->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&relays->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	r = pthread_create(&relays->thread, NULL, run, relays);
	if (r != 0) {
		free(relays);
		return err_sys(err, -r, "cannot start the log relay");
	}
	*ret_relays = relays;
	return 0;
}

void relays_shut(struct relays *relays)
{
	if (!relays)
		return;
	pthread_mutex_lock(&relays->lock);
	relays->stopping = true;
	pthread_cond_signal(&relays->wake);
	pthread_mutex_unlock(&relays->lock);
	(void)pthread_join(relays->thread, NULL);
}

void relays_free(struct relays *relays)
{
	if (!relays)
		return;
	(void)pthread_cond_destroy(&relays->wake);
	(void)pthread_mutex_destroy(&relays->lock);
	free(relays);
}

/* --- the instance's long poll --- */

/* The oldest order for an instance, taken; NULL when there is none. Under the lock. */
static struct relay *take_order(struct relays *relays, const char *instance)
{
	struct relay *found = NULL;

	for (struct relay *relay = relays->all; relay; relay = relay->next)
		if (relay->state == RELAY_QUEUED && str_eq(relay->instance_name, instance))
			found = relay; /* new ones stand at the front */
	if (found)
		found->state = RELAY_OFFERED;
	return found;
}

static void answer_poll(struct call *call)
{
	CLEANUP_JSON json_t *order = NULL;
	struct relays *relays = call->cism->relays;
	struct relay *relay;

	pthread_mutex_lock(&relays->lock);
	relay = take_order(relays, call->routing.name);
	if (relay)
		order = json_incref(relay->order);
	pthread_mutex_unlock(&relays->lock);
	if (order)
		call_answer_json(call, 200, order);
	else
		call_answer(call, 204, NULL, "", 0);
}

static void on_poll_resumed(struct http_request *request, void *user)
{
	free(user);
	answer_poll(http_data(request));
}

static void wait_for_order(struct relays *relays, struct call *call, struct poller *poller, uint64_t seconds)
{
	poller->relays = relays;
	poller->request = call->request;
	(void)snprintf(poller->instance_name, sizeof(poller->instance_name), "%s", call->routing.name);
	poller->deadline_ns = clock_monotonic_ns() + seconds * 1000000000;
	poller->next = relays->pollers;
	relays->pollers = poller;
	http_park(call->request, on_poll_resumed, poller);
	pthread_cond_signal(&relays->wake);
}

static bool has_order(const struct relays *relays, const char *instance)
{
	for (const struct relay *relay = relays->all; relay; relay = relay->next)
		if (relay->state == RELAY_QUEUED && str_eq(relay->instance_name, instance))
			return true;
	return false;
}

void relays_poll(struct call *call)
{
	const char *text = http_query(call->request, "timeoutSeconds");
	struct relays *relays = call->cism->relays;
	struct poller *poller;
	uint64_t seconds = 30;
	struct err err = {0};

	if (text && str_parse_u64(text, POLL_MOST_S, &seconds) < 0) {
		(void)err_set(&err, ERR_SYNTAX, "timeoutSeconds: '%.40s' is no number up to %d", text, POLL_MOST_S);
		call_answer_error(call, &err);
		return;
	}
	poller = calloc(1, sizeof(*poller));
	pthread_mutex_lock(&relays->lock);
	if (poller && seconds > 0 && !relays->stopping && !has_order(relays, call->routing.name)) {
		wait_for_order(relays, call, poller, seconds);
		pthread_mutex_unlock(&relays->lock);
		return;
	}
	pthread_mutex_unlock(&relays->lock);
	free(poller);
	answer_poll(call);
}

static void wake_poller(struct relays *relays, const char *instance)
{
	for (struct poller **at = &relays->pollers; *at; at = &(*at)->next) {
		struct poller *poller = *at;

		if (!str_eq(poller->instance_name, instance))
			continue;
		*at = poller->next;
		http_resume(poller->request);
		return;
	}
}

/* --- the client's side --- */

static void on_client_closed(void *user)
{
	struct relay *relay = user;
	struct relays *relays = relay->relays;
	struct http_stream *stream;

	pthread_mutex_lock(&relays->lock);
	stream = take_ptr(relay->stream);
	relay->client_gone = true;
	resume_instance(relay);
	if (relay->instance)
		http_cut(relay->instance);
	if (stream)
		relay_unref(relay);
	pthread_mutex_unlock(&relays->lock);
	if (stream)
		http_stream_end(stream, false);
}

/* Begins the answer and writes what came before. Under the lock. Returns a stream that is to be ended at once, or NULL. */
static struct http_stream *begin_answer(struct call *call, struct relay *relay, bool *ret_complete)
{
	call_prepare(call, 200);
	http_allow_pauses(call->request);
	relay->stream = http_stream_begin(call->request, 200, "text/plain", QUEUE_MAX, on_client_closed, relay);
	if (!relay->stream) {
		relay->client_gone = true;
		resume_instance(relay);
		relay_unref(relay);
		return NULL;
	}
	if (relay->early.len > 0 && http_stream_write(relay->stream, relay->early.data, relay->early.len) < 0)
		relay->broken = true;
	buf_done(&relay->early);
	if (!relay->finished && !relay->broken) {
		resume_instance(relay);
		return NULL;
	}
	*ret_complete = !relay->broken;
	return take_ptr(relay->stream);
}

/* Ends a client's stream, then drops its reference: http_stream_end waits for on_client_closed, which needs the relay. */
static void end_stream(struct relays *relays, struct relay *relay, struct http_stream *stream, bool complete)
{
	http_stream_end(stream, complete);
	pthread_mutex_lock(&relays->lock);
	relay_unref(relay);
	pthread_mutex_unlock(&relays->lock);
}

static void on_client_resumed(struct http_request *request, void *user)
{
	struct call *call = http_data(request);
	struct relay *relay = user;
	struct relays *relays = relay->relays;
	struct http_stream *ended = NULL;
	bool complete = false;
	struct err err = {0};

	pthread_mutex_lock(&relays->lock);
	if (relay->error[0]) {
		(void)err_set(&err, ERR_SYNTAX, "%s", relay->error);
		relay->client_gone = true;
		relay_unref(relay);
	} else {
		ended = begin_answer(call, relay, &complete);
	}
	pthread_mutex_unlock(&relays->lock);
	if (err.code)
		call_answer_error(call, &err);
	if (ended)
		end_stream(relays, relay, ended, complete);
}

static int add_relay(struct call *call, const char *instance, json_t *order, const char *id, struct err *err)
{
	struct relays *relays = call->cism->relays;
	struct relay *relay = calloc(1, sizeof(*relay));
	int r = 0;

	if (!relay)
		return err_sys(err, -ENOMEM, "cannot relay a log");
	relay->relays = relays;
	relay->references = 1;
	relay->early = buf_of(EARLY_MAX);
	relay->deadline_ns = clock_monotonic_ns() + ANSWER_NS;
	(void)snprintf(relay->id, sizeof(relay->id), "%s", id);
	(void)snprintf(relay->instance_name, sizeof(relay->instance_name), "%s", instance);
	pthread_mutex_lock(&relays->lock);
	if (relays->count >= RELAYS_MAX || relays->stopping) {
		r = err_set(err, ERR_BUSY, "%d logs are being read already, try again later", RELAYS_MAX);
		free(relay);
	} else {
		relay->order = json_incref(order);
		relay->client = call->request;
		relay->next = relays->all;
		relays->all = relay;
		relays->count++;
		http_park(call->request, on_client_resumed, relay);
		wake_poller(relays, instance);
		pthread_cond_signal(&relays->wake);
	}
	pthread_mutex_unlock(&relays->lock);
	return r;
}

/* What the log of a pod is to be asked for with, until the request is parked. */
struct wish {
	json_t *order;
	char id[37];
	char instance_name[254];
};

static void drop_wish(void *user)
{
	struct wish *wish = user;

	json_decref(wish->order);
	free(wish);
}

/* In a thread of the server. */
static void wait_for_log(struct call *call)
{
	struct wish *wish = call->ended_user;
	struct err err = {0};

	call->ended = NULL;
	if (add_relay(call, wish->instance_name, wish->order, wish->id, &err) < 0)
		call_answer_error(call, &err);
	drop_wish(wish);
}

void relays_log(struct call *call)
{
	CLEANUP_OBJECT struct object pod = {0};
	struct wish *wish = calloc(1, sizeof(*wish));
	struct err err = {0};
	int r = wish ? 0 : err_sys(&err, -ENOMEM, "cannot relay a log");

	if (r == 0) {
		call_uid(wish->id);
		call->ended = drop_wish;
		call->ended_user = wish;
		r = records_get(call->cism->store, records_pods(), call->routing.namespace, call->routing.name, &pod,
				&err);
	}
	if (r == 0)
		r = logorder_make(call->request, pod.json, wish->id, &wish->order, &err);
	if (r < 0) {
		call_answer_error(call, &err);
		return;
	}
	(void)snprintf(wish->instance_name, sizeof(wish->instance_name), "%s", api_string(pod.json, "spec.nodeName"));
	call->finish = wait_for_log;
}

/* --- the instance's text --- */

/* The POST has ended, for whatever reason. */
static void on_instance_ended(void *user)
{
	struct relay *relay = user;
	struct relays *relays = relay->relays;
	struct http_stream *stream = NULL;

	pthread_mutex_lock(&relays->lock);
	relay->instance = NULL;
	if (!relay->finished) {
		relay->broken = true;
		stream = take_ptr(relay->stream);
	}
	relay_unref(relay);
	pthread_mutex_unlock(&relays->lock);
	if (stream)
		end_stream(relays, relay, stream, false);
}

static int pass_on(struct relay *relay, struct http_request *request, const char *bytes, size_t len)
{
	int r;

	if (relay->client_gone)
		return -EPIPE;
	if (!relay->stream) {
		r = buf_append(&relay->early, bytes, len);
		relay->paused = r == 0;
	} else {
		r = http_stream_write(relay->stream, bytes, len);
		relay->paused = r == 0 && !relay->relays->stopping && http_stream_queued(relay->stream) > QUEUE_HIGH;
	}
	if (relay->paused)
		http_pause(request);
	return r;
}

static int on_piece(struct http_request *request, const char *bytes, size_t len, void *user)
{
	struct call *call = http_data(request);
	struct relay *relay = call->ended_user;
	struct relays *relays = relay->relays;
	struct http_stream *stream = NULL;
	int r = 0;

	(void)user;
	pthread_mutex_lock(&relays->lock);
	if (bytes) {
		r = pass_on(relay, request, bytes, len);
	} else {
		relay->finished = true;
		stream = take_ptr(relay->stream);
		if (stream)
			relay_unref(relay);
	}
	pthread_mutex_unlock(&relays->lock);
	if (stream)
		http_stream_end(stream, true);
	if (!bytes)
		call_answer(call, 200, "application/json", "{}", 2);
	else if (r < 0)
		call_answer(call, 409, "text/plain", "nobody reads this any more\n", 27);
	return r;
}

static struct relay *find_offered(struct relays *relays, const char *instance, const char *id)
{
	for (struct relay *relay = relays->all; relay; relay = relay->next)
		if (relay->state == RELAY_OFFERED && str_eq(relay->id, id) && str_eq(relay->instance_name, instance))
			return relay;
	return NULL;
}

void relays_answer(struct call *call)
{
	const char *error = http_header(call->request, "X-Bulkhead-Error");
	struct relays *relays = call->cism->relays;
	struct relay *relay;
	struct err err = {0};

	pthread_mutex_lock(&relays->lock);
	relay = find_offered(relays, call->routing.name, call->routing.tail);
	if (relay) {
		relay->state = RELAY_ANSWERED;
		relay->references++;
		relay->instance = call->request;
		if (error)
			(void)snprintf(relay->error, sizeof(relay->error), "%s", error);
		call->ended = on_instance_ended;
		call->ended_user = relay;
		http_allow_pauses(call->request);
		http_stream_body(call->request, on_piece);
		resume_client(relay);
	}
	pthread_mutex_unlock(&relays->lock);
	if (!relay) {
		(void)err_set(&err, ERR_NOT_FOUND, "stream \"%s\" not found", call->routing.tail);
		call_answer_error(call, &err);
	}
}
