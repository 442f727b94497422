/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of etcd's JSON gateway, and how it writes keys and numbers. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "crypto/key.h"
#include "store/etcd.h"

#define ANSWER_MAX ((size_t)512 << 20)
#define CALL_MS 5000 /* one question to one member */
#define ASK_MS 10000 /* with all repetitions */
#define ROUNDS 3     /* through all endpoints, for what may be asked again */

static uint64_t now_ms(void)
{
	return clock_monotonic_ns() / 1000000;
}

const char *etcd_endpoint(struct etcd_store *etcd, size_t *ret_index)
{
	*ret_index = atomic_load(&etcd->preferred);
	return etcd->endpoints[*ret_index];
}

void etcd_endpoint_failed(struct etcd_store *etcd, size_t index)
{
	/* Of several that fail at the same one only the first moves on. */
	(void)atomic_compare_exchange_strong(&etcd->preferred, &index, (index + 1) % etcd->endpoint_count);
}

static void free_client(struct etcd_client *client)
{
	http_client_free(client->http);
	free(client);
}

static int new_client(struct etcd_store *etcd, struct etcd_client **ret_client, struct err *err)
{
	struct etcd_client *client = calloc(1, sizeof(*client));
	int r = client ? http_client_new(&etcd->tls, &client->http, err) : err_set(err, -ENOMEM, "out of memory");

	if (r < 0) {
		free(client);
		return r;
	}
	*ret_client = client;
	return 0;
}

int etcd_take(struct etcd_store *etcd, struct etcd_client **ret_client, struct err *err)
{
	struct etcd_client *client = NULL;
	int r = 0;

	(void)pthread_mutex_lock(&etcd->pool_lock);
	while (!etcd->idle_count && etcd->busy_count == ETCD_CLIENTS)
		(void)pthread_cond_wait(&etcd->pool_free, &etcd->pool_lock);
	if (etcd->idle_count)
		client = etcd->idle[--etcd->idle_count];
	etcd->busy_count++;
	(void)pthread_mutex_unlock(&etcd->pool_lock);
	if (!client)
		r = new_client(etcd, &client, err);
	if (r < 0) {
		(void)pthread_mutex_lock(&etcd->pool_lock);
		etcd->busy_count--;
		(void)pthread_cond_signal(&etcd->pool_free);
		(void)pthread_mutex_unlock(&etcd->pool_lock);
		return r;
	}
	*ret_client = client;
	return 0;
}

void etcd_give(struct etcd_store *etcd, struct etcd_client *client)
{
	(void)pthread_mutex_lock(&etcd->pool_lock);
	etcd->busy_count--;
	etcd->idle[etcd->idle_count++] = client;
	(void)pthread_cond_signal(&etcd->pool_free);
	(void)pthread_mutex_unlock(&etcd->pool_lock);
}

void etcd_free_clients(struct etcd_store *etcd)
{
	while (etcd->idle_count)
		free_client(etcd->idle[--etcd->idle_count]);
}

/* What etcd says in words, as gRPC codes are too coarse; 3.4 has the words in "error", later ones in "message" as well. */
static const struct {
	const char *words;
	int code;
} refusals[] = {
	{"required revision has been compacted", ERR_EXPIRED},
	{"required revision is a future revision", ERR_INVALID},
	{"request is too large", ERR_TOO_LARGE},
	{"database space exceeded", -ENOSPC},
	{"too many requests", ERR_BUSY},
	{"permission denied", ERR_DENIED},
};

static int refuse(const char *endpoint, int status, const json_t *answer, struct err *err)
{
	const char *words = json_string_value(json_object_get(answer, "error"));
	int code = status >= 500 ? ERR_UNAVAILABLE : -EIO;

	if (!words)
		words = json_string_value(json_object_get(answer, "message"));
	if (!words)
		words = "no reason given";
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (strstr(words, refusals[i].words))
			code = refusals[i].code;
	(void)err_set(err, code, "store at '%s' answers with status %d: %.200s", endpoint, status, words);
	return code == -ENOSPC ? err_hint(err, "compact and defragment etcd, then disarm its NOSPACE alarm") : code;
}

/* What is asked, and how it went. */
struct asked {
	const char *path;
	const struct buf *body;
	bool again;
	uint64_t until_ms;
	bool unsent;
	json_t *answer;
};

static int post_once(struct etcd_store *etcd, struct etcd_client *client, struct asked *asked, struct err *err)
{
	static const char *const headers[] = {"Content-Type: application/json", "Expect:", NULL};
	CLEANUP_HTTP_REPLY struct http_reply reply = {.body = buf_of(ANSWER_MAX)};
	uint64_t now = now_ms();
	uint64_t left = asked->until_ms > now ? asked->until_ms - now : 1;
	size_t index;
	const char *endpoint = etcd_endpoint(etcd, &index);
	CLEANUP_FREE char *url = str_format("%s%s", endpoint, asked->path);
	const struct http_call call = {.method = "POST",
				       .url = url,
				       .headers = headers,
				       .body = asked->body->data,
				       .body_len = asked->body->len,
				       .once = !asked->again,
				       .timeout_ms = left < CALL_MS ? (unsigned)left : CALL_MS};
	json_t *answer;
	int r = url ? http_client_call(client->http, &call, &reply, err) : err_set(err, -ENOMEM, "no memory");

	asked->unsent = r < 0 && reply.unsent;
	if (r < 0) {
		etcd_endpoint_failed(etcd, index);
		/* A member that shows no good certificate is away; who asked is not the one who is unknown. */
		if (r == ERR_UNKNOWN_PEER)
			r = ERR_UNAVAILABLE;
		if (err)
			err->code = r;
		return r;
	}
	answer = json_loadb(reply.body.data ? reply.body.data : "", reply.body.len, 0, NULL);
	if (reply.status == 200 && json_is_object(answer)) {
		asked->answer = answer;
		return 0;
	}
	r = reply.status == 200 ? err_set(err, ERR_SYNTAX, "store at '%s' does not answer with JSON", endpoint)
				: refuse(endpoint, reply.status, answer, err);
	json_decref(answer);
	if (r == ERR_UNAVAILABLE)
		etcd_endpoint_failed(etcd, index);
	return r;
}

static void rest(unsigned ms)
{
	const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	(void)nanosleep(&time, NULL);
}

/* Whether etcd itself said no: then nothing has happened. */
static bool is_refusal(int code)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++)
		if (refusals[i].code == code)
			return true;
	return false;
}

/* What was told must stay true: a store that was replaced by another or by an older copy of itself is never written to. */
static int check_answer(struct etcd_store *etcd, const json_t *answer, uint64_t published, struct err *err)
{
	const char *cluster = json_string_value(json_object_get(json_object_get(answer, "header"), "cluster_id"));
	uint64_t revision = etcd_revision(answer);
	struct err failure = {0};

	(void)pthread_mutex_lock(&etcd->lock);
	if (!etcd->cluster[0] && cluster)
		(void)snprintf(etcd->cluster, sizeof(etcd->cluster), "%s", cluster);
	if (cluster && !str_eq(cluster, etcd->cluster))
		(void)err_set(&failure, ERR_CORRUPT, "the store is another one: its cluster was '%s' and is '%.24s'",
			      etcd->cluster, cluster);
	else if (revision && revision < published)
		(void)err_set(&failure, ERR_CORRUPT,
			      "the store went back from revision %llu to %llu: it is an older copy",
			      (unsigned long long)published, (unsigned long long)revision);
	else
		etcd->answered_ms = now_ms();
	if (failure.code) {
		(void)err_hint(&failure,
			       "what was told since may be undone: see that it is the right store, then start again");
		etcd->failure = failure;
	}
	(void)pthread_mutex_unlock(&etcd->lock);
	if (failure.code && err)
		*err = failure;
	return failure.code;
}

/* The revision that was told of, unless the store has failed for good. */
static int begin_asking(struct etcd_store *etcd, uint64_t *ret_published, struct err *err)
{
	int r;

	(void)pthread_mutex_lock(&etcd->lock);
	*ret_published = etcd->published;
	r = etcd->failure.code;
	if (r < 0 && err)
		*err = etcd->failure;
	(void)pthread_mutex_unlock(&etcd->lock);
	return r;
}

int etcd_ask(struct etcd_store *etcd, struct etcd_client *client, const char *path, const struct buf *body, bool again,
	     json_t **ret_answer, bool *ret_lost, struct err *err)
{
	struct asked asked = {.path = path, .body = body, .again = again, .until_ms = now_ms() + ASK_MS};
	uint64_t published;
	int r = begin_asking(etcd, &published, err);

	if (r < 0)
		return r;
	for (size_t attempt = 1;; attempt++) {
		r = post_once(etcd, client, &asked, err);
		if (r == 0 || (!asked.unsent && !(again && (r == ERR_UNAVAILABLE || r == -ETIMEDOUT))))
			break;
		if (now_ms() >= asked.until_ms)
			break;
		/* A whole round has failed: an election takes about a second. */
		if (attempt % etcd->endpoint_count == 0) {
			if (attempt >= ROUNDS * etcd->endpoint_count)
				break;
			rest(300);
		}
	}
	if (ret_lost)
		*ret_lost = r < 0 && !asked.unsent && !is_refusal(r);
	if (r == 0 && !str_eq(path, "/v3/kv/compaction"))
		r = check_answer(etcd, asked.answer, published, err);
	*ret_answer = asked.answer;
	return r;
}

int etcd_post(struct etcd_store *etcd, const char *path, const struct buf *body, bool again, json_t **ret_answer,
	      struct err *err)
{
	struct etcd_client *client;
	int r = etcd_take(etcd, &client, err);

	if (r < 0)
		return r;
	r = etcd_ask(etcd, client, path, body, again, ret_answer, NULL, err);
	etcd_give(etcd, client);
	return r;
}

int etcd_put_key(const struct etcd_store *etcd, struct buf *to, const char *name, char kind, const char *key,
		 const char *tail, size_t tail_len)
{
	char whole[2 * STORE_KEY_MAX + 8];
	size_t prefix_len = strlen(etcd->prefix), key_len = strlen(key), len = prefix_len + 1 + key_len + tail_len;
	int r;

	if (len > sizeof(whole))
		return -EFBIG;
	memcpy(whole, etcd->prefix, prefix_len);
	whole[prefix_len] = kind;
	memcpy(whole + prefix_len + 1, key, key_len);
	if (tail_len)
		memcpy(whole + prefix_len + 1 + key_len, tail, tail_len);
	r = buf_printf(to, "\"%s\":\"", name);
	if (r == 0)
		r = crypto_base64(to, whole, len);
	return r == 0 ? buf_putc(to, '"') : r;
}

/* The end of a range of all that start with prefix, as far as that begins with kind. */
static int put_end(const struct etcd_store *etcd, struct buf *to, char kind, const char *prefix)
{
	char end[STORE_KEY_MAX + 1];
	size_t len = store_prefix_end(prefix, end);

	end[len] = '\0';
	return etcd_put_key(etcd, to, "range_end", len ? kind : (char)(kind + 1), end, "", 0);
}

int etcd_put_range(const struct etcd_store *etcd, struct buf *to, char kind, const char *prefix, const char *after)
{
	bool above = after && strcmp(after, prefix) >= 0;
	int r = etcd_put_key(etcd, to, "key", kind, above ? after : prefix, "", above ? 1 : 0);

	if (r == 0)
		r = buf_putc(to, ',');
	return r == 0 ? put_end(etcd, to, kind, prefix) : r;
}

uint64_t etcd_revision(const json_t *answer)
{
	return etcd_number(json_object_get(answer, "header"), "revision");
}

uint64_t etcd_number(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);
	const char *text = json_string_value(value);
	uint64_t number = 0;

	if (json_is_integer(value) && json_integer_value(value) > 0)
		return (uint64_t)json_integer_value(value);
	return text && str_parse_u64(text, INT64_MAX, &number) == 0 ? number : 0;
}

int etcd_bytes(const json_t *object, const char *name, char **ret_bytes, size_t *ret_len)
{
	const json_t *value = json_object_get(object, name);
	CLEANUP_BUF struct buf bytes = buf_of(ANSWER_MAX);
	int r;

	if (value && !json_is_string(value))
		return ERR_SYNTAX;
	r = value ? crypto_unbase64(&bytes, json_string_value(value), json_string_length(value)) : 0;
	if (r == 0)
		r = buf_puts(&bytes, "");
	if (r < 0)
		return r == -ENOMEM ? r : ERR_SYNTAX;
	*ret_len = bytes.len;
	*ret_bytes = bytes.data ? buf_steal(&bytes) : strdup("");
	return *ret_bytes ? 0 : -ENOMEM;
}

int etcd_key(const struct etcd_store *etcd, const json_t *pair, char **ret_key)
{
	size_t prefix_len = strlen(etcd->prefix), len;
	char *whole;
	int r = etcd_bytes(pair, "key", &whole, &len);

	*ret_key = NULL;
	if (r < 0)
		return r;
	if (len > prefix_len + 1 && memcmp(whole, etcd->prefix, prefix_len) == 0 && whole[prefix_len] == 'k' &&
	    strlen(whole) == len) {
		memmove(whole, whole + prefix_len + 1, len - prefix_len);
		*ret_key = whole;
		return 0;
	}
	free(whole);
	return 0;
}
