/* SPDX-License-Identifier: Apache-2.0 */
#include "store/etcd.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "crypto/key.h"

#define PAGE 500 /* entries asked for at once */
#define OPEN_MS 10000
#define REACH_SOON_MS 50 /* what another process just wrote is told of soon */
#define REACH_MS 3000
#define HEALTHY_MS 4000 /* something is asked every second */

static int no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

int etcd_tick(struct etcd_store *etcd, uint64_t *ret_revision, struct err *err)
{
	CLEANUP_BUF struct buf body = buf_of(ETCD_BODY_MAX);
	CLEANUP(cleanup_answer) json_t *answer = NULL;
	int r = buf_putc(&body, '{');

	if (r == 0)
		r = etcd_put_key(etcd, &body, "key", 't', "", "", 0);
	if (r == 0)
		r = buf_putc(&body, '}');
	if (r < 0)
		return err_sys(err, r, "cannot write a request");
	r = etcd_post(etcd, "/v3/kv/put", &body, true, &answer, err);
	if (r == 0)
		*ret_revision = etcd_revision(answer);
	return r;
}

/* --- reads --- */

/* Fills an entry whose key the caller owns already. */
static int fill_entry(const json_t *pair, struct store_entry *entry)
{
	entry->create_revision = etcd_number(pair, "create_revision");
	entry->mod_revision = etcd_number(pair, "mod_revision");
	return etcd_bytes(pair, "value", &entry->value, &entry->value_len);
}

static int add_pair(const struct etcd_store *etcd, const json_t *pair, struct store_range *range, struct err *err)
{
	struct store_entry entry = {0};
	int r = etcd_key(etcd, pair, &entry.key);

	if (r == 0 && !entry.key)
		return 0;
	if (r == 0)
		r = fill_entry(pair, &entry);
	if (r == 0)
		r = store_range_add(range, &entry, err);
	else
		r = err_set(err, r, "store answers with a key or value that is none");
	if (r < 0)
		store_entry_done(&entry);
	return r;
}

static int get_range(struct etcd_store *etcd, const struct buf *body, json_t **ret_answer, struct err *err)
{
	return etcd_post(etcd, "/v3/kv/range", body, true, ret_answer, err);
}

static int get(struct store *store, const char *key, struct store_entry *ret_entry, struct err *err)
{
	struct etcd_store *etcd = (struct etcd_store *)store;
	CLEANUP_STORE_RANGE struct store_range range = {0};
	CLEANUP_BUF struct buf body = buf_of(ETCD_BODY_MAX);
	CLEANUP(cleanup_answer) json_t *answer = NULL;
	int r = buf_putc(&body, '{');

	if (r == 0)
		r = etcd_put_key(etcd, &body, "key", 'k', key, "", 0);
	if (r == 0)
		r = buf_putc(&body, '}');
	if (r < 0)
		return err_sys(err, r, "cannot write a request");
	r = get_range(etcd, &body, &answer, err);
	if (r == 0 && json_array_size(json_object_get(answer, "kvs")))
		r = add_pair(etcd, json_array_get(json_object_get(answer, "kvs"), 0), &range, err);
	if (r < 0)
		return r;
	if (!range.count)
		return err_set(err, ERR_NOT_FOUND, "key '%s' does not exist", key);
	*ret_entry = range.entries[0];
	range.entries[0] = (struct store_entry){0};
	return 0;
}

static int put_page(const struct etcd_store *etcd, struct buf *to, const char *prefix, const char *after, size_t limit,
		    uint64_t revision)
{
	int r = buf_putc(to, '{');

	if (r == 0)
		r = etcd_put_range(etcd, to, 'k', prefix, after);
	if (r == 0)
		r = buf_printf(to, ",\"limit\":\"%zu\"", limit);
	if (r == 0 && revision)
		r = buf_printf(to, ",\"revision\":\"%llu\"", (unsigned long long)revision);
	return r == 0 ? buf_putc(to, '}') : r;
}

/* Adds at most limit entries as of range->revision, or of the newest, which it then is. */
static int add_page(struct etcd_store *etcd, const char *prefix, const char *after, size_t limit,
		    struct store_range *range, struct err *err)
{
	CLEANUP_BUF struct buf body = buf_of(ETCD_BODY_MAX);
	CLEANUP(cleanup_answer) json_t *answer = NULL;
	json_t *pair;
	size_t i;
	int r = put_page(etcd, &body, prefix, after, limit, range->revision);

	if (r < 0)
		return err_sys(err, r, "cannot write a request");
	r = get_range(etcd, &body, &answer, err);
	if (r < 0)
		return r;
	if (!range->revision)
		range->revision = etcd_revision(answer);
	range->more = json_is_true(json_object_get(answer, "more"));
	json_array_foreach(json_object_get(answer, "kvs"), i, pair) {
		r = add_pair(etcd, pair, range, err);
		if (r < 0)
			return r;
	}
	if (range->more && !i)
		return err_set(err, ERR_SYNTAX, "store answers with an empty page before the last");
	return 0;
}

static int list(struct store *store, const char *prefix, const char *after, size_t limit, uint64_t at_revision,
		struct store_range *ret_range, struct err *err)
{
	struct etcd_store *etcd = (struct etcd_store *)store;
	int r;

	ret_range->revision = at_revision;
	do {
		size_t left = limit ? limit - ret_range->count : PAGE;

		r = add_page(etcd, prefix, after, left < PAGE ? left : PAGE, ret_range, err);
		if (ret_range->count)
			after = ret_range->entries[ret_range->count - 1].key;
	} while (r == 0 && ret_range->more && (!limit || ret_range->count < limit));
	return r;
}

void etcd_probe(struct etcd_store *etcd)
{
	CLEANUP_STORE_RANGE struct store_range range = {0};
	struct err ignored;

	(void)!add_page(etcd, "", NULL, 1, &range, &ignored);
}

int etcd_check_past(struct etcd_store *etcd, uint64_t revision, struct err *err)
{
	struct store_range range CLEANUP_STORE_RANGE = {.revision = revision ? revision : 1};

	return add_page(etcd, "", NULL, 1, &range, err);
}

/* --- life --- */

static void free_parts(struct etcd_store *etcd)
{
	etcd_free_clients(etcd);
	(void)pthread_cond_destroy(&etcd->moved);
	(void)pthread_mutex_destroy(&etcd->lock);
	(void)pthread_cond_destroy(&etcd->pool_free);
	(void)pthread_mutex_destroy(&etcd->pool_lock);
	for (size_t i = 0; i < etcd->endpoint_count; i++)
		free(etcd->endpoints[i]);
	free(etcd->prefix);
	free(etcd->ca);
	free(etcd->certificate);
	free(etcd->key);
	free(etcd);
}

static void end_watch(struct etcd_store *etcd)
{
	(void)pthread_mutex_lock(&etcd->lock);
	etcd->closing = true;
	if (etcd->watching)
		http_client_cancel(etcd->watching);
	(void)pthread_cond_broadcast(&etcd->moved);
	(void)pthread_mutex_unlock(&etcd->lock);
}

static void join(struct etcd_store *etcd)
{
	(void)pthread_join(etcd->keeper, NULL);
	(void)pthread_join(etcd->watcher, NULL);
}

static void close_store(struct store *store)
{
	struct etcd_store *etcd = (struct etcd_store *)store;

	end_watch(etcd);
	join(etcd);
	free_parts(etcd);
}

/* Revisions of lists and of others' marks are no events, so one that another process was given may need one behind it. */
static int reach(struct store *store, uint64_t revision, struct err *err)
{
	struct etcd_store *etcd = (struct etcd_store *)store;
	CLEANUP_STORE_RANGE struct store_range range = {0};
	uint64_t ticked;
	int r;

	if (etcd_wait(etcd, revision, REACH_SOON_MS))
		return 0;
	r = add_page(etcd, "", NULL, 1, &range, err);
	if (r == 0 && range.revision < revision)
		return store_future(revision, range.revision, err);
	if (r == 0)
		r = etcd_tick(etcd, &ticked, err);
	if (r == 0 && !etcd_wait(etcd, revision, REACH_MS))
		r = err_set(err, -ETIMEDOUT, "revision %llu is not told of yet", (unsigned long long)revision);
	return r;
}

static int health(struct store *store, struct err *err)
{
	struct etcd_store *etcd = (struct etcd_store *)store;
	uint64_t now = clock_monotonic_ns() / 1000000, silent;
	int r = 0;

	(void)pthread_mutex_lock(&etcd->lock);
	silent = now > etcd->answered_ms ? now - etcd->answered_ms : 0;
	if (etcd->failure.code) {
		if (err)
			*err = etcd->failure;
		r = etcd->failure.code;
	} else if (silent > HEALTHY_MS) {
		r = err_set(err, ERR_UNAVAILABLE, "the store has not answered for %llu s",
			    (unsigned long long)silent / 1000);
	}
	(void)pthread_mutex_unlock(&etcd->lock);
	return r;
}

static const struct store_engine engine = {etcd_txn, get, list, etcd_history, reach, health, close_store};

static int copy_texts(struct etcd_store *etcd, const struct store_etcd_config *config, struct err *err)
{
	if (!config->endpoint_count || config->endpoint_count > STORE_ENDPOINTS_MAX)
		return err_set(err, ERR_INVALID, "a store in etcd has 1 to %d endpoints", STORE_ENDPOINTS_MAX);
	if (!config->prefix[0] || strlen(config->prefix) > STORE_KEY_MAX)
		return err_set(err, ERR_INVALID, "the prefix of a store in etcd has 1 to %d bytes", STORE_KEY_MAX);
	etcd->prefix = strdup(config->prefix);
	if (config->ca)
		etcd->ca = strdup(config->ca);
	if (config->certificate)
		etcd->certificate = strdup(config->certificate);
	if (config->key)
		etcd->key = strdup(config->key);
	if (!etcd->prefix || !etcd->ca != !config->ca || !etcd->certificate != !config->certificate ||
	    !etcd->key != !config->key)
		return no_memory(err);
	for (; etcd->endpoint_count < config->endpoint_count; etcd->endpoint_count++) {
		etcd->endpoints[etcd->endpoint_count] = strdup(config->endpoints[etcd->endpoint_count]);
		if (!etcd->endpoints[etcd->endpoint_count])
			return no_memory(err);
	}
	etcd->tls = (struct http_client_config){.ca = etcd->ca,
						.certificate = etcd->certificate,
						.key = etcd->key,
						.connect_ms = 2000};
	return 0;
}

static struct etcd_store *new_store(void)
{
	struct etcd_store *etcd = calloc(1, sizeof(*etcd));
	pthread_condattr_t monotonic;

	if (!etcd)
		return NULL;
	etcd->store.engine = &engine;
	(void)pthread_condattr_init(&monotonic);
	(void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&etcd->moved, &monotonic);
	(void)pthread_condattr_destroy(&monotonic);
	(void)pthread_cond_init(&etcd->pool_free, NULL);
	(void)pthread_mutex_init(&etcd->lock, NULL);
	(void)pthread_mutex_init(&etcd->pool_lock, NULL);
	return etcd;
}

/* The ring begins in the past, as far as it holds: who watched through another process finds the place again. */
static int begin_ring(struct etcd_store *etcd, uint64_t revision, struct err *err)
{
	const struct store_history *limits = &etcd->marks.limits;

	etcd->published = revision > limits->ring_events ? revision - limits->ring_events : 0;
	etcd->store.ring = ring_new(limits->ring_events, limits->ring_bytes, etcd->published);
	return etcd->store.ring ? 0 : no_memory(err);
}

static int start(struct etcd_store *etcd, struct err *err)
{
	uint64_t revision;
	int r = etcd_tick(etcd, &revision, err);

	if (r == 0)
		r = begin_ring(etcd, revision, err);
	if (r < 0)
		return r;
	etcd->heard_ms = clock_monotonic_ns() / 1000000;
	r = -pthread_create(&etcd->watcher, NULL, etcd_watch_loop, etcd);
	if (r < 0)
		return err_sys(err, r, "cannot start the store's watch");
	r = -pthread_create(&etcd->keeper, NULL, etcd_keep_loop, etcd);
	if (r < 0) {
		end_watch(etcd);
		(void)pthread_join(etcd->watcher, NULL);
		return err_sys(err, r, "cannot start the store's keeper");
	}
	if (!etcd_wait(etcd, revision, OPEN_MS)) {
		end_watch(etcd);
		join(etcd);
		return err_set(err, ERR_UNAVAILABLE, "store at '%s' does not tell what happens in it",
			       etcd->endpoints[0]);
	}
	return 0;
}

int store_etcd_open(const struct store_etcd_config *config, const struct store_history *history,
		    struct store **ret_store, struct err *err)
{
	struct etcd_store *etcd = new_store();
	int r;

	if (!etcd)
		return no_memory(err);
	marks_init(&etcd->marks, history);
	r = copy_texts(etcd, config, err);
	if (r == 0)
		r = start(etcd, err);
	if (r < 0) {
		ring_free(etcd->store.ring);
		free_parts(etcd);
		return r;
	}
	*ret_store = &etcd->store;
	return 0;
}
