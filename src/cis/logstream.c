/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/logstream.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "api/api.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "cis/logfile.h"

#define POLL_SECONDS 30
#define STALL_MS 60000
#define FOLLOW_STALL_MS (24u * 3600 * 1000)
#define LOOK_NS UINT64_C(500000000) /* between two looks whether a run is over */

struct stream {
	struct poller *poller;
	struct stream *next;
	pthread_t thread;
	struct http_client *client;
	json_t *request;
	struct logfile *log;
	const char *uid, *container;
	bool ended;
	uint64_t looked_ns;
	bool finished; /* under the lock: the thread may be joined */
};

/* Waits for the orders of one replica: a client asks whichever it likes, and only that one has its request. */
struct poller {
	struct logstream *logs;
	const char *cism;
	struct http_client *client;
	pthread_t thread;
	struct stream *streams;
	size_t count;
};

struct logstream {
	struct cis *cis; /* only what never changes: configuration and folders */
	struct http_client_config client_config, follow_config;
	struct poller pollers[NODECONFIG_CISM_MAX];
	size_t count; /* of pollers that run */
	pthread_mutex_t lock;
	atomic_bool ending;
};

/* Whether this run is over: its record says so, or there is no record any more. */
static bool is_over(struct stream *stream)
{
	struct podrecord record;
	struct err ignored = {0};
	const json_t *container, *exit;
	bool over = true;

	if (podrecord_load(stream->poller->logs->cis->pods_state, stream->uid, &record, NULL, &ignored) == 0) {
		container = json_object_get(record.containers, stream->container);
		exit = json_object_get(container, "exit");
		over = record.stage == PODRECORD_FINISHED ||
		       (json_is_true(json_object_get(exit, "known")) &&
			(uint64_t)json_integer_value(json_object_get(exit, "attempt")) >= logfile_attempt(stream->log));
	}
	podrecord_done(&record);
	return over;
}

static ssize_t on_send(void *user, char *to, size_t size)
{
	struct stream *stream = user;
	uint64_t now = clock_monotonic_ns();

	if (!stream->ended && now - stream->looked_ns > LOOK_NS) {
		stream->looked_ns = now;
		stream->ended = is_over(stream);
	}
	return logfile_read(stream->log, to, size, stream->ended);
}

static ssize_t send_nothing(void *user, char *to, size_t size)
{
	(void)user;
	(void)to;
	(void)size;
	return 0;
}

static int open_log(struct stream *stream, struct err *err)
{
	const json_t *request = stream->request;
	json_int_t since = api_integer(request, "sinceSeconds", 0);
	struct logfile_options options = {
		.follow = json_is_true(json_object_get(request, "follow")),
		.timestamps = json_is_true(json_object_get(request, "timestamps")),
		.previous = json_is_true(json_object_get(request, "previous")),
		.tail = api_integer(request, "tailLines", -1),
		.since_ms = since > 0 ? clock_wall_ms() - since * 1000 : 0,
		.limit = api_integer(request, "limitBytes", -1),
	};
	CLEANUP_FREE char *folder = NULL;

	stream->uid = api_string(request, "uid");
	stream->container = api_string(request, "container");
	/* Both become parts of a path. */
	if (!stream->uid || !stream->container || !str_is_dns_label(stream->uid) ||
	    !str_is_dns_label(stream->container))
		return err_set(err, ERR_INVALID, "the request names no pod or container");
	folder = str_format("%s/%s/logs/%s", stream->poller->logs->cis->pods_state, stream->uid, stream->container);
	return folder ? logfile_open(folder, &options, &stream->log, err)
		      : err_sys(err, -ENOMEM, "cannot read the log");
}

/* A header's value: one line of printable characters. */
static void clean(char *text)
{
	for (; *text; text++) {
		if (*text < ' ' || *text > '~')
			*text = ' ';
	}
}

static void answer(struct stream *stream)
{
	const struct nodeconfig *config = &stream->poller->logs->cis->config;
	const char *id = api_string(stream->request, "id");
	CLEANUP_FREE char *url = id && str_is_dns_label(id) ? str_format("%s/api/v1/nodes/%s/streams/%s",
									 stream->poller->cism, config->instance, id)
							    : NULL;
	CLEANUP_FREE char *problem = NULL;
	const char *headers[3] = {"Content-Type: text/plain", NULL, NULL};
	CLEANUP_HTTP_REPLY struct http_reply reply = {.body = buf_of(65536)};
	struct http_call call =
		{.method = "POST", .url = url, .headers = headers, .send = on_send, .send_len = -1, .user = stream};
	struct err err = {0};

	if (!url)
		return;
	if (open_log(stream, &err) < 0) {
		clean(err.msg);
		problem = str_format("X-Bulkhead-Error: %s", err.msg);
		headers[1] = problem;
		call.send = send_nothing;
	}
	if (http_client_call(stream->client, &call, &reply, &err) < 0)
		log_debug("a log stream ended early", "error", err.msg);
}

static void *serve_stream(void *user)
{
	struct stream *stream = user;

	answer(stream);
	(void)pthread_mutex_lock(&stream->poller->logs->lock);
	stream->finished = true;
	(void)pthread_mutex_unlock(&stream->poller->logs->lock);
	return NULL;
}

static void stream_free(struct stream *stream)
{
	http_client_free(stream->client);
	logfile_close(stream->log);
	json_decref(stream->request);
	free(stream);
}

/* Joins the threads that are done, or all of them. */
static void reap(struct poller *poller, bool all)
{
	struct stream **at = &poller->streams;

	while (*at) {
		struct stream *stream = *at;
		bool finished;

		(void)pthread_mutex_lock(&poller->logs->lock);
		finished = stream->finished;
		(void)pthread_mutex_unlock(&poller->logs->lock);
		if (!finished && !all) {
			at = &stream->next;
			continue;
		}
		if (!finished)
			http_client_cancel(stream->client);
		(void)pthread_join(stream->thread, NULL);
		*at = stream->next;
		poller->count--;
		stream_free(stream);
	}
}

static void begin(struct poller *poller, json_t *request)
{
	struct stream *stream = calloc(1, sizeof(*stream));
	struct err err = {0};

	if (!stream)
		return;
	stream->poller = poller;
	stream->request = json_incref(request);
	if (http_client_new(&poller->logs->follow_config, &stream->client, &err) < 0 ||
	    pthread_create(&stream->thread, NULL, serve_stream, stream) != 0) {
		log_warn("cannot serve a log", "error", err.msg);
		stream_free(stream);
		return;
	}
	stream->next = poller->streams;
	poller->streams = stream;
	poller->count++;
}

static void rest(const struct logstream *logs, unsigned ms)
{
	for (unsigned done = 0; done < ms && !logs->ending; done += 50)
		(void)nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
}

static void *serve(void *user)
{
	struct poller *poller = user;
	struct logstream *logs = poller->logs;
	CLEANUP_FREE char *path = str_format("/api/v1/nodes/%s/streams?timeoutSeconds=%d", logs->cis->config.instance,
					     POLL_SECONDS);

	while (path && !logs->ending) {
		struct buf body = buf_of(0);
		struct err err = {0};
		json_t *request = NULL;
		int r;

		reap(poller, false);
		if (poller->count >= LOGSTREAM_MOST) {
			rest(logs, 100);
			continue;
		}
		r = outbox_poll(poller->client, poller->cism, path, (POLL_SECONDS + 15) * 1000, &body, &err);
		if (r == 0 && body.len)
			request = json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES, NULL);
		if (json_is_object(request))
			begin(poller, request);
		else if (r < 0)
			rest(logs, 1000);
		json_decref(request);
		buf_done(&body);
	}
	return NULL;
}

static int begin_poller(struct logstream *logs, const char *cism, struct err *err)
{
	struct poller *poller = &logs->pollers[logs->count];
	int r;

	*poller = (struct poller){.logs = logs, .cism = cism};
	r = http_client_new(&logs->client_config, &poller->client, err);
	if (r < 0)
		return r;
	r = -pthread_create(&poller->thread, NULL, serve, poller);
	if (r < 0) {
		http_client_free(poller->client);
		return err_sys(err, r, "cannot serve logs");
	}
	logs->count++;
	return 0;
}

int logstream_new(struct cis *cis, struct logstream **ret_logs, struct err *err)
{
	struct logstream *logs = calloc(1, sizeof(*logs));
	int r = 0;

	if (!logs)
		return err_sys(err, -ENOMEM, "cannot serve logs");
	logs->cis = cis;
	logs->client_config = logs->follow_config = outbox_client_config(&cis->config);
	logs->client_config.stall_ms = STALL_MS;
	logs->follow_config.stall_ms = FOLLOW_STALL_MS;
	(void)pthread_mutex_init(&logs->lock, NULL);
	for (size_t i = 0; r == 0 && i < cis->config.cism_count; i++)
		r = begin_poller(logs, cis->config.cism[i], err);
	if (r < 0) {
		logstream_free(logs);
		return r;
	}
	*ret_logs = logs;
	return 0;
}

void logstream_free(struct logstream *logs)
{
	if (!logs)
		return;
	logs->ending = true;
	for (size_t i = 0; i < logs->count; i++) {
		struct poller *poller = &logs->pollers[i];

		http_client_cancel(poller->client);
		(void)pthread_join(poller->thread, NULL);
		reap(poller, true);
		http_client_free(poller->client);
	}
	(void)pthread_mutex_destroy(&logs->lock);
	free(logs);
}
