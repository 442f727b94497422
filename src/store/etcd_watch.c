/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one watch of all keys that feeds the ring, and reads of the past behind the ring. etcd answers a watch with a JSON
 * object a line. What happened while no watch stood is asked for by revision; what is compacted by then is a gap, and the
 * ring begins anew behind it.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "store/etcd.h"

#define LINE_MAX_BYTES ((size_t)64 << 20)
#define IDLE_MS 10000    /* of silence, then something is written */
#define SILENCE_MS 15000 /* then the watch is believed to be dead */
#define ROUND_MS 1000    /* the keeper looks */
#define PAUSE_MS 200     /* before it begins again */
#define HISTORY_MS 20000

/* A watch under way. */
struct stream {
	struct etcd_store *etcd;
	struct buf line;
	size_t scanned; /* bytes of line without a line's end */
	struct ring_event **events;
	size_t count, room;
	unsigned index; /* of the next event in its revision */
	uint64_t from;  /* the revision it was asked to begin with */
	uint64_t revision;
	uint64_t compacted;                     /* etcd says that all up to here is gone */
	int (*complete)(struct stream *stream); /* events up to and of revision are all there; takes them */
	void *user;
};

static uint64_t now_ms(void)
{
	return clock_monotonic_ns() / 1000000;
}

static struct timespec in_ms(unsigned ms)
{
	uint64_t at = clock_monotonic_ns() + (uint64_t)ms * 1000000;

	return (struct timespec){.tv_sec = (time_t)(at / 1000000000), .tv_nsec = (long)(at % 1000000000)};
}

bool etcd_wait(struct etcd_store *etcd, uint64_t revision, unsigned ms)
{
	struct timespec until = in_ms(ms);
	bool there;

	(void)pthread_mutex_lock(&etcd->lock);
	while (etcd->published < revision && !etcd->closing)
		if (pthread_cond_timedwait(&etcd->moved, &etcd->lock, &until) == ETIMEDOUT)
			break;
	there = etcd->published >= revision;
	(void)pthread_mutex_unlock(&etcd->lock);
	return there;
}

void etcd_rewatch(struct etcd_store *etcd, unsigned silent_ms)
{
	(void)pthread_mutex_lock(&etcd->lock);
	if (etcd->watching && now_ms() - etcd->heard_ms >= silent_ms)
		http_client_cancel(etcd->watching);
	(void)pthread_mutex_unlock(&etcd->lock);
}

/* --- reading a stream --- */

static int keep_event(struct stream *stream, const struct store_event *event)
{
	struct ring_event *copy;

	if (stream->count == stream->room) {
		size_t room = stream->room ? 2 * stream->room : 64;
		struct ring_event **events = reallocarray(stream->events, room, sizeof(struct ring_event *));

		if (!events)
			return -ENOMEM;
		stream->events = events;
		stream->room = room;
	}
	copy = ring_event_new(event, stream->index);
	if (!copy)
		return -ENOMEM;
	stream->events[stream->count++] = copy;
	return 0;
}

static void drop_events(struct stream *stream)
{
	for (size_t i = 0; i < stream->count; i++)
		ring_event_drop(stream->events[i]);
	stream->count = 0;
}

static void stream_done(struct stream *stream)
{
	drop_events(stream);
	free(stream->events);
	buf_done(&stream->line);
}

/* The values of an event; a change whose former value is compacted away cannot be told as a change. */
static int read_values(const json_t *from, struct store_event *event, char **value, char **previous)
{
	const json_t *before = json_object_get(from, "prev_kv");
	bool had_one = event->kind == STORE_EVENT_DELETE || event->create_revision != event->revision;
	int r = 0;

	if (event->kind == STORE_EVENT_PUT)
		r = etcd_bytes(json_object_get(from, "kv"), "value", value, &event->value_len);
	if (r == 0 && had_one && !json_is_object(before))
		return ERR_EXPIRED;
	if (r == 0 && had_one) {
		r = etcd_bytes(before, "value", previous, &event->previous_len);
		event->create_revision = etcd_number(before, "create_revision");
	}
	event->value = *value;
	event->previous = *previous;
	return r;
}

static int read_event(struct stream *stream, const json_t *from)
{
	const json_t *pair = json_object_get(from, "kv");
	const char *type = json_string_value(json_object_get(from, "type"));
	CLEANUP_FREE char *key = NULL, *value = NULL, *previous = NULL;
	struct store_event event = {.kind = type && str_eq(type, "DELETE") ? STORE_EVENT_DELETE : STORE_EVENT_PUT,
				    .revision = etcd_number(pair, "mod_revision"),
				    .create_revision = etcd_number(pair, "create_revision")};
	int r = etcd_key(stream->etcd, pair, &key);

	/* A member that lags behind may tell what was told before. */
	if (r == 0 && event.revision && event.revision < stream->from)
		return 0;
	if (r < 0 || event.revision < stream->revision || !event.revision)
		return r < 0 ? r : ERR_SYNTAX;
	stream->index = event.revision == stream->revision ? stream->index + 1 : 0;
	stream->revision = event.revision;
	if (!key)
		return 0;
	if (stream->index >= 127)
		return ERR_SYNTAX;
	r = read_values(from, &event, &value, &previous);
	event.key = key;
	return r == 0 ? keep_event(stream, &event) : r;
}

static int read_result(struct stream *stream, const json_t *result)
{
	json_t *event;
	size_t i;
	int r = 0;

	if (json_is_true(json_object_get(result, "canceled"))) {
		stream->compacted = etcd_number(result, "compact_revision");
		return stream->compacted ? ERR_EXPIRED : ERR_UNAVAILABLE;
	}
	json_array_foreach(json_object_get(result, "events"), i, event) {
		r = read_event(stream, event);
		if (r < 0)
			return r;
	}
	/* A large answer comes in fragments, and a revision may be in two of them. */
	return i && !json_is_true(json_object_get(result, "fragment")) ? stream->complete(stream) : 0;
}

static int read_line(struct stream *stream, const char *line, size_t len)
{
	json_t *answer = json_loadb(line, len, 0, NULL);
	const json_t *result = json_object_get(answer, "result");
	int r = json_is_object(result)             ? read_result(stream, result)
		: json_object_get(answer, "error") ? ERR_UNAVAILABLE
						   : ERR_SYNTAX;

	json_decref(answer);
	return r;
}

static int on_bytes(void *user, const char *bytes, size_t len)
{
	struct stream *stream = user;
	const char *end;
	int r = buf_append(&stream->line, bytes, len);

	while (r == 0 &&
	       (end = memchr(stream->line.data + stream->scanned, '\n', stream->line.len - stream->scanned))) {
		size_t length = (size_t)(end - stream->line.data);

		r = length ? read_line(stream, stream->line.data, length) : 0;
		buf_consume(&stream->line, length + 1);
		stream->scanned = 0;
	}
	stream->scanned = stream->line.len;
	return r;
}

static int put_watch(const struct etcd_store *etcd, struct buf *to, uint64_t from)
{
	CLEANUP_BUF struct buf range = buf_of(STORE_KEY_MAX * 8);
	int r = buf_puts(to, "{\"create_request\":{\"prev_kv\":true,\"fragment\":true,\"progress_notify\":true,");

	/* All kinds of keys lie between the store's and the tick's. */
	if (r == 0)
		r = etcd_put_key(etcd, to, "key", 'k', "", "", 0);
	if (r == 0)
		r = buf_putc(to, ',');
	if (r == 0)
		r = etcd_put_key(etcd, to, "range_end", 't' + 1, "", "", 0);
	return r == 0 ? buf_printf(to, ",\"start_revision\":\"%llu\"}}", (unsigned long long)from) : r;
}

/* Watches from a revision on until a callback ends it. */
static int watch(struct stream *stream, struct http_client *client, uint64_t from, unsigned timeout_ms, struct err *err)
{
	/* The member ends the watch when it is cut off from the others. */
	static const char *const headers[] = {"Content-Type: application/json",
					      "Expect:", "Grpc-Metadata-Hasleader: true", NULL};
	CLEANUP_HTTP_REPLY struct http_reply reply = {.body = {0}};
	CLEANUP_BUF struct buf body = buf_of(STORE_KEY_MAX * 8);
	size_t index;
	const char *endpoint = etcd_endpoint(stream->etcd, &index);
	CLEANUP_FREE char *url = str_format("%s/v3/watch", endpoint);
	struct http_call call = {.method = "POST",
				 .url = url,
				 .headers = headers,
				 .receive = on_bytes,
				 .user = stream,
				 .timeout_ms = timeout_ms};
	int r = url ? put_watch(stream->etcd, &body, from) : -ENOMEM;

	stream->from = from;
	if (r < 0)
		return err_sys(err, r, "cannot write a request");
	call.body = body.data;
	call.body_len = body.len;
	r = http_client_call(client, &call, &reply, err);
	if (r == 0)
		r = err_set(err, ERR_UNAVAILABLE, "store at '%s' ends its watch with status %d", endpoint,
			    reply.status);
	/* A call that was cancelled is one whose member was doubted. */
	if (r != ERR_EXPIRED && r != -EALREADY)
		etcd_endpoint_failed(stream->etcd, index);
	return r;
}

/* --- the watch that feeds the ring --- */

static void note_published(struct etcd_store *etcd, uint64_t revision)
{
	uint64_t now = now_ms();

	marks_note(&etcd->marks, now, revision, etcd->bytes);
	(void)pthread_mutex_lock(&etcd->lock);
	etcd->published = revision;
	etcd->heard_ms = now;
	etcd->answered_ms = now;
	etcd->forgotten = marks_target(&etcd->marks, now, revision, etcd->bytes);
	(void)pthread_cond_broadcast(&etcd->moved);
	(void)pthread_mutex_unlock(&etcd->lock);
}

static int publish(struct stream *stream)
{
	struct etcd_store *etcd = stream->etcd;

	for (size_t i = 0; i < stream->count; i++)
		etcd->bytes += ring_event_get(stream->events[i])->value_len;
	ring_publish(etcd->store.ring, stream->events, stream->count, stream->revision);
	stream->count = 0;
	note_published(etcd, stream->revision);
	return 0;
}

/* What lies behind the gap begins at the present. */
static void jump(struct etcd_store *etcd)
{
	struct err ignored;
	uint64_t revision;

	if (etcd_tick(etcd, &revision, &ignored) < 0)
		return;
	ring_restart(etcd->store.ring, revision);
	note_published(etcd, revision);
}

static bool set_watching(struct etcd_store *etcd, struct http_client *client)
{
	bool closing;

	(void)pthread_mutex_lock(&etcd->lock);
	closing = etcd->closing;
	etcd->watching = closing ? NULL : client;
	etcd->heard_ms = now_ms();
	(void)pthread_mutex_unlock(&etcd->lock);
	return !closing;
}

/* Sleeps; false when the store closes. */
static bool rest(struct etcd_store *etcd, unsigned ms)
{
	struct timespec until = in_ms(ms);
	bool closing;

	(void)pthread_mutex_lock(&etcd->lock);
	while (!etcd->closing && pthread_cond_timedwait(&etcd->moved, &etcd->lock, &until) != ETIMEDOUT)
		continue;
	closing = etcd->closing;
	(void)pthread_mutex_unlock(&etcd->lock);
	return !closing;
}

static int watch_once(struct etcd_store *etcd, struct http_client *client)
{
	struct stream stream = {.etcd = etcd,
				.line = buf_of(LINE_MAX_BYTES),
				.revision = etcd->published,
				.complete = publish};
	struct err ignored;
	int r = watch(&stream, client, etcd->published + 1, 0, &ignored);

	/* Compacted up to there: what lies above can still be had, if anybody asks for it before the next compaction. */
	if (r == ERR_EXPIRED)
		jump(etcd);
	stream_done(&stream);
	return r;
}

void *etcd_watch_loop(void *store)
{
	struct etcd_store *etcd = store;
	/* The keeper watches over silence: the client need not. */
	struct http_client_config config = etcd->tls;
	bool more = true;

	config.stall_ms = 4 * SILENCE_MS;
	while (more) {
		struct http_client *client = NULL;
		struct err ignored;

		if (http_client_new(&config, &client, &ignored) == 0 && set_watching(etcd, client))
			(void)watch_once(etcd, client);
		(void)set_watching(etcd, NULL);
		http_client_free(client);
		more = rest(etcd, PAUSE_MS);
	}
	return NULL;
}

/* Other processes over the same etcd ask for the same: whoever comes first does it. */
static void forget(struct etcd_store *etcd, uint64_t target)
{
	CLEANUP_BUF struct buf body = buf_of(128);
	CLEANUP(cleanup_answer) json_t *answer = NULL;
	struct err ignored;

	if (target < etcd->compacted + etcd->marks.limits.revisions / 10 + 1)
		return;
	if (buf_printf(&body, "{\"revision\":\"%llu\"}", (unsigned long long)target) == 0 &&
	    etcd_post(etcd, "/v3/kv/compaction", &body, true, &answer, &ignored) != 0 && ignored.code != ERR_EXPIRED)
		return;
	etcd->compacted = target;
	etcd_sweep_marks(etcd, target);
}

void *etcd_keep_loop(void *store)
{
	struct etcd_store *etcd = store;

	while (rest(etcd, ROUND_MS)) {
		struct err ignored;
		uint64_t silent, quiet, revision, target;

		(void)pthread_mutex_lock(&etcd->lock);
		silent = now_ms() - etcd->heard_ms;
		target = etcd->forgotten;
		quiet = now_ms() - etcd->answered_ms;
		(void)pthread_mutex_unlock(&etcd->lock);
		if (silent > SILENCE_MS)
			etcd_rewatch(etcd, SILENCE_MS);
		else if (silent > IDLE_MS)
			(void)!etcd_tick(etcd, &revision, &ignored);
		else if (quiet >= ROUND_MS)
			etcd_probe(etcd);
		forget(etcd, target);
	}
	return NULL;
}

/* --- the past behind the ring --- */

/* What a reader of the past wants of it. */
struct wanted {
	const char *prefix;
	uint64_t above, until;
	size_t limit;
	struct ring_event **events;
	size_t count;
	uint64_t seen;
	bool all;
};

static int collect(struct stream *stream)
{
	struct wanted *wanted = stream->user;
	size_t i;

	for (i = 0; i < stream->count && wanted->count < wanted->limit; i++) {
		struct ring_event *event = stream->events[i];
		uint64_t id = ring_event_id(event);

		if (id <= wanted->above || id > wanted->until)
			continue;
		wanted->seen = id;
		if (!str_starts(ring_event_get(event)->key, wanted->prefix))
			continue;
		wanted->events[wanted->count++] = event;
		stream->events[i] = NULL;
	}
	wanted->all = i == stream->count && stream->revision >= RING_REVISION(wanted->until);
	drop_events(stream);
	return wanted->all || wanted->count == wanted->limit ? -EALREADY : 0;
}

static int read_past(struct etcd_store *etcd, struct wanted *wanted, struct err *err)
{
	struct stream stream = {.etcd = etcd, .line = buf_of(LINE_MAX_BYTES), .complete = collect, .user = wanted};
	struct http_client *client;
	uint64_t from = RING_REVISION(wanted->above), now;
	/* An event is to come to, else one is made. */
	bool ends = wanted->until != RING_ID_END(RING_REVISION(wanted->until));
	int r = ends ? 0 : etcd_tick(etcd, &now, err);

	if (r == 0)
		r = http_client_new(&etcd->tls, &client, err);
	if (r < 0)
		return r;
	r = watch(&stream, client, wanted->above == RING_ID_END(from) || !from ? from + 1 : from, HISTORY_MS, err);
	http_client_free(client);
	stream_done(&stream);
	return r == -EALREADY ? 0 : r;
}

static int expired(struct err *err)
{
	return err_set(err, ERR_EXPIRED, "the history asked for is compacted away");
}

int etcd_history(struct store *store, const char *prefix, uint64_t *seen, uint64_t until, size_t limit,
		 struct ring_event **ret_events, size_t *ret_count, struct err *err)
{
	struct etcd_store *etcd = (struct etcd_store *)store;
	struct wanted wanted =
		{.prefix = prefix, .above = *seen, .until = until, .limit = limit, .events = ret_events, .seen = *seen};
	uint64_t revision = RING_REVISION(*seen);
	int r = limit ? read_past(etcd, &wanted, err) : 0;

	/* Looked at afterwards: what is there now was there while it was read. */
	if (r == 0)
		r = etcd_check_past(etcd, *seen == RING_ID_END(revision) ? revision : revision - 1, err);
	if (r < 0) {
		for (size_t i = 0; i < wanted.count; i++)
			ring_event_drop(ret_events[i]);
		return r == ERR_EXPIRED ? expired(err) : r;
	}
	*ret_count = wanted.count;
	if (limit)
		*seen = wanted.all ? until : wanted.seen;
	return 0;
}
