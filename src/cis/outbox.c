/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/outbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#include "base/str.h"

#define ANSWER_MAX ((size_t)8 * 1024 * 1024)
#define CALL_MS 20000
#define PAUSE_MOST_S 8
#define TRIES_MOST 6 /* then the next list of the pods has it told anew */

struct entry {
	struct entry *next;
	struct outbox *outbox;
	struct outbox_call call;
	char *text;
	int code;
};

struct outbox {
	struct loop *loop;
	const struct nodeconfig *config;
	struct http_client *client;
	struct http_client_config client_config;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct entry *first, **last;
	size_t count;
	bool ending;
};

struct http_client_config outbox_client_config(const struct nodeconfig *config)
{
	return (struct http_client_config){.ca = config->ca, .certificate = config->certificate, .key = config->key};
}

/* The message of a Status object, or the body's first line. */
static void server_message(const struct http_reply *reply, struct err *err, const char *method, const char *path)
{
	json_t *status = reply->body.len ? json_loadb(reply->body.data, reply->body.len, 0, NULL) : NULL;
	const char *message = json_string_value(json_object_get(status, "message"));

	(void)err_set(err, err_from_http_status(reply->status), "%s %s: the CISM answered %d%s%s", method, path,
		      reply->status, message ? ": " : "", message ? message : "");
	json_decref(status);
}

/* Of one process, which has one configuration: all that it asks it asks the same replica. */
static atomic_uint replica;

const char *outbox_cism(const struct nodeconfig *config)
{
	return config->cism[atomic_load(&replica) % config->cism_count];
}

void outbox_turn(const struct nodeconfig *config, const char *from)
{
	unsigned now = atomic_load(&replica);

	if (config->cism[now % config->cism_count] == from)
		(void)atomic_compare_exchange_strong(&replica, &now, now + 1);
}

static int call_within(struct http_client *client, const char *cism, const char *method, const char *path,
		       const char *type, const char *body, unsigned timeout_ms, struct buf *ret_body, struct err *err)
{
	CLEANUP_FREE char *url = str_format("%s%s", cism, path),
			  *content = type ? str_format("Content-Type: %s", type) : NULL;
	const char *headers[] = {"Accept: application/json", content, NULL};
	CLEANUP_HTTP_REPLY struct http_reply reply = {.body = buf_of(ANSWER_MAX)};
	struct http_call call = {.method = method,
				 .url = url,
				 .headers = headers,
				 .body = body,
				 .body_len = body ? strlen(body) : 0,
				 .timeout_ms = timeout_ms};
	int r;

	if (!url || (type && !content))
		return err_sys(err, -ENOMEM, "cannot call the CISM");
	r = http_client_call(client, &call, &reply, err);
	if (r < 0)
		return r;
	if (reply.status < 200 || reply.status > 299) {
		server_message(&reply, err, method, path);
		return err->code ? err->code : -EPROTO;
	}
	if (ret_body) {
		*ret_body = reply.body;
		reply.body = buf_of(0);
	}
	return 0;
}

static bool is_away(int code)
{
	return code == ERR_UNAVAILABLE || code == -ETIMEDOUT || code == ERR_BUSY || code == -ECONNRESET || code == -EIO;
}

int outbox_call(struct http_client *client, const struct nodeconfig *config, const char *method, const char *path,
		const char *type, const char *body, struct buf *ret_body, struct err *err)
{
	const char *cism = outbox_cism(config);
	int r = call_within(client, cism, method, path, type, body, CALL_MS, ret_body, err);

	if (is_away(r))
		outbox_turn(config, cism);
	return r;
}

int outbox_poll(struct http_client *client, const char *cism, const char *path, unsigned timeout_ms,
		struct buf *ret_body, struct err *err)
{
	return call_within(client, cism, "GET", path, NULL, NULL, timeout_ms, ret_body, err);
}

static void entry_free(struct entry *entry)
{
	free(entry->call.path);
	json_decref(entry->call.body);
	free(entry->text);
	free(entry);
}

static void on_done(void *user)
{
	struct entry *entry = user;

	entry->call.done(entry->call.user, entry->code);
	entry_free(entry);
}

static void finish(struct outbox *outbox, struct entry *entry, int code)
{
	entry->code = code;
	if (!entry->call.done || loop_post(outbox->loop, on_done, entry) < 0)
		entry_free(entry);
}

/* Sleeps unless the outbox ends; true when it goes on. */
static bool rest(struct outbox *outbox, unsigned seconds)
{
	struct timespec until;
	bool ending;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += seconds;
	(void)pthread_mutex_lock(&outbox->lock);
	while (!outbox->ending && pthread_cond_timedwait(&outbox->wake, &outbox->lock, &until) == 0)
		continue;
	ending = outbox->ending;
	(void)pthread_mutex_unlock(&outbox->lock);
	return !ending;
}

static void deliver(struct outbox *outbox, struct entry *entry)
{
	unsigned pause = 1;

	for (int tries = 1;; tries++) {
		struct err err = {0};
		int r = outbox_call(outbox->client, outbox->config, entry->call.method, entry->call.path,
				    entry->call.type, entry->text, NULL, &err);

		if (!is_away(r) || !entry->call.keep || tries == TRIES_MOST) {
			finish(outbox, entry, r);
			return;
		}
		if (!rest(outbox, pause)) {
			entry_free(entry);
			return;
		}
		pause = pause * 2 > PAUSE_MOST_S ? PAUSE_MOST_S : pause * 2;
	}
}

static struct entry *next_entry(struct outbox *outbox)
{
	struct entry *entry;

	(void)pthread_mutex_lock(&outbox->lock);
	while (!outbox->first && !outbox->ending)
		(void)pthread_cond_wait(&outbox->wake, &outbox->lock);
	entry = outbox->ending ? NULL : outbox->first;
	if (entry) {
		outbox->first = entry->next;
		if (!outbox->first)
			outbox->last = &outbox->first;
		outbox->count--;
	}
	(void)pthread_mutex_unlock(&outbox->lock);
	return entry;
}

static void *serve(void *user)
{
	struct outbox *outbox = user;
	struct entry *entry;

	while ((entry = next_entry(outbox)))
		deliver(outbox, entry);
	return NULL;
}

int outbox_new(struct loop *loop, const struct nodeconfig *config, struct outbox **ret_outbox, struct err *err)
{
	struct outbox *outbox = calloc(1, sizeof(*outbox));
	int r;

	if (!outbox)
		return err_sys(err, -ENOMEM, "cannot start the outbox");
	outbox->loop = loop;
	outbox->config = config;
	outbox->last = &outbox->first;
	outbox->client_config = outbox_client_config(config);
	(void)pthread_mutex_init(&outbox->lock, NULL);
	(void)pthread_cond_init(&outbox->wake, NULL);
	r = http_client_new(&outbox->client_config, &outbox->client, err);
	if (r == 0) {
		r = -pthread_create(&outbox->thread, NULL, serve, outbox);
		if (r < 0)
			(void)err_sys(err, r, "cannot start the outbox");
	}
	if (r < 0) {
		http_client_free(outbox->client);
		free(outbox);
		return r;
	}
	*ret_outbox = outbox;
	return 0;
}

void outbox_free(struct outbox *outbox)
{
	if (!outbox)
		return;
	(void)pthread_mutex_lock(&outbox->lock);
	outbox->ending = true;
	(void)pthread_cond_broadcast(&outbox->wake);
	(void)pthread_mutex_unlock(&outbox->lock);
	http_client_cancel(outbox->client);
	(void)pthread_join(outbox->thread, NULL);
	while (outbox->first) {
		struct entry *entry = outbox->first;

		outbox->first = entry->next;
		entry_free(entry);
	}
	http_client_free(outbox->client);
	(void)pthread_mutex_destroy(&outbox->lock);
	(void)pthread_cond_destroy(&outbox->wake);
	free(outbox);
}

void outbox_put(struct outbox *outbox, struct outbox_call call)
{
	struct entry *entry = calloc(1, sizeof(*entry));
	bool queued = false;

	if (!entry) {
		free(call.path);
		json_decref(call.body);
		return;
	}
	entry->call = call;
	/* Formatted here: objects belong to one thread. */
	if (call.body)
		entry->text = json_dumps(call.body, JSON_COMPACT);
	(void)pthread_mutex_lock(&outbox->lock);
	if (call.path && outbox->count < OUTBOX_WAITING_MAX && !(call.body && !entry->text)) {
		*outbox->last = entry;
		outbox->last = &entry->next;
		outbox->count++;
		queued = true;
		(void)pthread_cond_broadcast(&outbox->wake);
	}
	(void)pthread_mutex_unlock(&outbox->lock);
	if (!queued)
		finish(outbox, entry, -ENOBUFS);
}
