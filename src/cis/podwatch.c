/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/podwatch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "api/api.h"
#include "base/log.h"
#include "base/str.h"
#include "cis/outbox.h"

#define LINE_MAX_BYTES ((size_t)8 * 1024 * 1024)
#define WATCH_SECONDS 240
#define STALL_MS 300000
/* Where another replica can be asked, one that stands still is left sooner. */
#define WATCH_SECONDS_MANY 30
#define STALL_MS_MANY 45000
#define PAUSE_MOST_MS 8000

struct podwatch {
	struct loop *loop;
	const struct nodeconfig *config;
	struct podwatch_handler handler;
	struct http_client_config client_config;
	struct http_client *client;
	pthread_t thread;
	atomic_bool ending;
	struct message *messages; /* posted and not told yet; under lock */
	pthread_mutex_t lock;
	/* of the thread alone */
	struct buf line;
	char *version;
	uint64_t newest; /* revision that was told, of a list or an event */
	bool relist;
	bool lost;
};

/* What is told to the loop. The list of those under way lets podwatch_free take back what was not told. */
struct message {
	struct podwatch *watch;
	struct message *next;
	char *type; /* NULL: a list, or with text: contact */
	char *text;
	bool contact;
	json_t *object, *holders;
};

static void message_free(struct message *message)
{
	free(message->type);
	free(message->text);
	json_decref(message->object);
	json_decref(message->holders);
	free(message);
}

static void on_message(void *user)
{
	struct message *message = user;
	struct podwatch *watch = message->watch;

	if (!watch) {
		message_free(message);
		return;
	}
	(void)pthread_mutex_lock(&watch->lock);
	for (struct message **at = &watch->messages; *at; at = &(*at)->next) {
		if (*at == message) {
			*at = message->next;
			break;
		}
	}
	(void)pthread_mutex_unlock(&watch->lock);
	if (message->contact)
		watch->handler.contact(watch->handler.user, message->text);
	else if (message->type)
		watch->handler.change(watch->handler.user, message->type, message->object);
	else
		watch->handler.list(watch->handler.user, message->object, message->holders);
	message_free(message);
}

static void tell(struct podwatch *watch, struct message message)
{
	struct message *copy = malloc(sizeof(*copy));

	if (!copy) {
		free(message.type);
		free(message.text);
		json_decref(message.object);
		json_decref(message.holders);
		return;
	}
	*copy = message;
	copy->watch = watch;
	(void)pthread_mutex_lock(&watch->lock);
	copy->next = watch->messages;
	watch->messages = copy;
	(void)pthread_mutex_unlock(&watch->lock);
	while (loop_post(watch->loop, on_message, copy) < 0 && !watch->ending)
		(void)usleep(10000);
}

static void tell_contact(struct podwatch *watch, const char *reason)
{
	if (watch->lost == (reason != NULL))
		return;
	watch->lost = reason != NULL;
	tell(watch, (struct message){.contact = true, .text = reason ? strdup(reason) : NULL});
}

static int get_json(struct podwatch *watch, const char *path, json_t **ret_object, struct err *err)
{
	struct buf body = buf_of(0);
	int r = outbox_call(watch->client, watch->config, "GET", path, NULL, NULL, &body, err);

	if (r == 0) {
		*ret_object = json_loadb(body.data ? body.data : "", body.len, JSON_REJECT_DUPLICATES, NULL);
		if (!json_is_object(*ret_object)) {
			json_decref(*ret_object);
			*ret_object = NULL;
			r = err_set(err, ERR_SYNTAX, "GET %s: the answer is no JSON object", path);
		}
	}
	buf_done(&body);
	return r;
}

/*
 * Revisions only go up, with whichever replica. What is older than what was told (a replica that is behind, a store that was
 * set back) says nothing about which pods are to run here: nobody is stopped by it.
 */
static int reach(struct podwatch *watch, const char *version, struct err *err)
{
	uint64_t revision;

	if (str_parse_u64(version, UINT64_MAX, &revision) < 0)
		return err_set(err, ERR_SYNTAX, "resourceVersion '%.40s' is no revision", version);
	if (revision < watch->newest) {
		(void)err_set(
			err, ERR_UNAVAILABLE,
			"the CISM at %s went back from revision %llu to %llu: it is not believed, pods keep running",
			outbox_cism(watch->config), (unsigned long long)watch->newest, (unsigned long long)revision);
		outbox_turn(watch->config, outbox_cism(watch->config));
		return ERR_UNAVAILABLE;
	}
	watch->newest = revision;
	return 0;
}

/* The holders first: a pod that is bound after that is in the list, one that is gone by then is not. */
static int list_all(struct podwatch *watch, struct err *err)
{
	CLEANUP_FREE char *holders_path = str_format("/api/v1/nodes/%s/holders", watch->config->instance);
	CLEANUP_FREE char *list_path = str_format("/api/v1/pods?fieldSelector=spec.nodeName%%3D%s",
						  watch->config->instance);
	CLEANUP_JSON json_t *holders = NULL, *list = NULL;
	const char *version;
	int r;

	if (!holders_path || !list_path)
		return err_sys(err, -ENOMEM, "cannot list the pods");
	r = get_json(watch, holders_path, &holders, err);
	if (r == 0)
		r = get_json(watch, list_path, &list, err);
	if (r < 0)
		return r;
	version = api_string(list, "metadata.resourceVersion");
	if (!version || !json_is_array(json_object_get(list, "items")))
		return err_set(err, ERR_SYNTAX, "the list of pods has no items or no resourceVersion");
	r = reach(watch, version, err);
	if (r < 0)
		return r;
	free(watch->version);
	watch->version = strdup(version);
	watch->relist = false;
	tell(watch, (struct message){.object = json_incref(json_object_get(list, "items")),
				     .holders = json_incref(json_object_get(holders, "uids"))});
	return 0;
}

static void on_event(struct podwatch *watch, json_t *event)
{
	const char *type = json_string_value(json_object_get(event, "type"));
	json_t *object = json_object_get(event, "object");
	const char *version = api_string(object, "metadata.resourceVersion");
	struct err err = {0};

	if (!type || !object || str_eq(type, "ERROR")) {
		watch->relist = true;
		return;
	}
	if (version && reach(watch, version, &err) < 0) {
		log_warn("a watch is not believed", "error", err.msg);
		watch->relist = true;
		return;
	}
	if (version) {
		free(watch->version);
		watch->version = strdup(version);
	}
	if (!str_eq(type, "BOOKMARK"))
		tell(watch, (struct message){.type = strdup(type), .object = json_incref(object)});
}

/* Frames events on newlines; pieces end anywhere. */
static int on_piece(void *user, const char *bytes, size_t len)
{
	struct podwatch *watch = user;

	while (len && !watch->relist) {
		const char *end = memchr(bytes, '\n', len);
		size_t part = end ? (size_t)(end - bytes) + 1 : len;
		json_t *event;

		if (buf_append(&watch->line, bytes, part) < 0)
			return -EFBIG;
		bytes += part;
		len -= part;
		if (!end)
			return 0;
		event = json_loadb(watch->line.data, watch->line.len, JSON_REJECT_DUPLICATES, NULL);
		if (event)
			on_event(watch, event);
		else
			watch->relist = true;
		json_decref(event);
		buf_clear(&watch->line);
	}
	return watch->relist ? -ECANCELED : 0;
}

static int watch_once(struct podwatch *watch, struct err *err)
{
	const char *cism = outbox_cism(watch->config);
	CLEANUP_FREE char *url = str_format("%s/api/v1/"
					    "pods?fieldSelector=spec.nodeName%%3D%s&watch=true&allowWatchBookmarks="
					    "true&timeoutSeconds=%d&resourceVersion=%s",
					    cism, watch->config->instance,
					    watch->config->cism_count > 1 ? WATCH_SECONDS_MANY : WATCH_SECONDS,
					    watch->version);
	const char *const headers[] = {"Accept: application/json", NULL};
	struct http_call call = {.method = "GET", .url = url, .headers = headers, .receive = on_piece, .user = watch};
	CLEANUP_HTTP_REPLY struct http_reply reply = {.body = buf_of(65536)};
	int r;

	if (!url)
		return err_sys(err, -ENOMEM, "cannot watch the pods");
	buf_clear(&watch->line);
	r = http_client_call(watch->client, &call, &reply, err);
	if (r < 0 && !watch->relist)
		outbox_turn(watch->config, cism);
	if (r == 0 && reply.status != 200) {
		watch->relist = true;
		return reply.status == 410 ? 0
					   : err_set(err, err_from_http_status(reply.status),
						     "the watch was answered %d", reply.status);
	}
	return watch->relist ? 0 : r;
}

static void rest(struct podwatch *watch, unsigned ms)
{
	for (unsigned done = 0; done < ms && !watch->ending; done += 50)
		(void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
}

static void *serve(void *user)
{
	struct podwatch *watch = user;
	unsigned pause = 0;

	while (!watch->ending) {
		struct err err = {0};
		int r = watch->relist ? list_all(watch, &err) : 0;

		if (r == 0) {
			tell_contact(watch, NULL);
			r = watch_once(watch, &err);
		}
		/* After a gap of unknown length the list is asked for again: nothing is lost to an answer that was cut. */
		if (r < 0) {
			watch->relist = true;
			if (pause > 200)
				tell_contact(watch, err.msg);
			pause = pause ? (pause * 2 > PAUSE_MOST_MS ? PAUSE_MOST_MS : pause * 2) : 100;
			rest(watch, pause);
		} else {
			pause = 0;
		}
	}
	return NULL;
}

int podwatch_new(struct loop *loop, const struct nodeconfig *config, const struct podwatch_handler *handler,
		 struct podwatch **ret_watch, struct err *err)
{
	struct podwatch *watch = calloc(1, sizeof(*watch));
	int r;

	if (!watch)
		return err_sys(err, -ENOMEM, "cannot watch the pods");
	watch->loop = loop;
	watch->config = config;
	watch->handler = *handler;
	watch->line = buf_of(LINE_MAX_BYTES);
	watch->relist = true;
	watch->client_config = outbox_client_config(config);
	watch->client_config.stall_ms = config->cism_count > 1 ? STALL_MS_MANY : STALL_MS;
	(void)pthread_mutex_init(&watch->lock, NULL);
	r = http_client_new(&watch->client_config, &watch->client, err);
	if (r == 0) {
		r = -pthread_create(&watch->thread, NULL, serve, watch);
		if (r < 0)
			(void)err_sys(err, r, "cannot watch the pods");
	}
	if (r < 0) {
		http_client_free(watch->client);
		free(watch);
		return r;
	}
	*ret_watch = watch;
	return 0;
}

void podwatch_free(struct podwatch *watch)
{
	if (!watch)
		return;
	watch->ending = true;
	http_client_cancel(watch->client);
	(void)pthread_join(watch->thread, NULL);
	for (struct message *at = watch->messages; at; at = at->next)
		at->watch = NULL;
	http_client_free(watch->client);
	buf_done(&watch->line);
	free(watch->version);
	(void)pthread_mutex_destroy(&watch->lock);
	free(watch);
}
