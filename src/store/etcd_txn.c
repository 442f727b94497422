/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transactions. An answer can get lost, and what was sent can still be on its way through a member that stands still. So
 * each transaction also compares and writes a mark, a key of its connection's own: who lost an answer writes the mark
 * itself, if it is as it was. Either that succeeds, and the transaction never happens any more and is sent again, or the
 * mark tells at which revision it happened. A mark is never made twice: its name is random.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "crypto/key.h"
#include "store/etcd.h"

#define PUBLISH_MS 2000 /* a transaction waits so long for the watch before it doubts it */
#define TRY_MS 10000    /* what is to be asked or sent again is for so long */
#define SWEPT_MAX 100   /* marks removed at once */

static int put_compare(const struct etcd_store *etcd, struct buf *to, const struct store_compare *compare)
{
	int r = buf_puts(to, "{\"target\":\"MOD\",\"result\":\"EQUAL\",");

	if (r == 0)
		r = etcd_put_key(etcd, to, "key", 'k', compare->key, "", 0);
	return r == 0 ? buf_printf(to, ",\"mod_revision\":\"%llu\"}", (unsigned long long)compare->mod_revision) : r;
}

static int put_op(const struct etcd_store *etcd, struct buf *to, const struct store_op *op)
{
	int r = buf_puts(to, op->kind == STORE_PUT ? "{\"request_put\":{" : "{\"request_delete_range\":{");

	if (r == 0)
		r = etcd_put_key(etcd, to, "key", 'k', op->key, "", 0);
	if (r == 0 && op->kind == STORE_PUT) {
		r = buf_puts(to, ",\"value\":\"");
		if (r == 0 && op->value_len)
			r = crypto_base64(to, op->value, op->value_len);
		if (r == 0)
			r = buf_putc(to, '"');
	}
	return r == 0 ? buf_puts(to, "}}") : r;
}

/* On failure the compared keys are read in the same transaction, to tell which of them changed. */
static int put_look(const struct etcd_store *etcd, struct buf *to, const struct store_compare *compare)
{
	int r = buf_puts(to, "{\"request_range\":{\"keys_only\":true,");

	if (r == 0)
		r = etcd_put_key(etcd, to, "key", 'k', compare->key, "", 0);
	return r == 0 ? buf_puts(to, "}}") : r;
}

/* The connection's mark is as it was. */
static int put_mark_compare(const struct etcd_store *etcd, struct buf *to, const struct etcd_client *client)
{
	int r = buf_puts(to, "{\"target\":\"MOD\",\"result\":\"EQUAL\",");

	if (r == 0)
		r = etcd_put_key(etcd, to, "key", 'a', client->mark, "", 0);
	return r == 0 ? buf_printf(to, ",\"mod_revision\":\"%llu\"}", (unsigned long long)client->marked) : r;
}

static int put_mark(const struct etcd_store *etcd, struct buf *to, const struct etcd_client *client, const char *value)
{
	int r = etcd_put_key(etcd, to, "key", 'a', client->mark, "", 0);

	if (r == 0)
		r = buf_puts(to, ",\"value\":\"");
	if (r == 0)
		r = crypto_base64(to, value, strlen(value));
	return r == 0 ? buf_putc(to, '"') : r;
}

static int put_mark_look(const struct etcd_store *etcd, struct buf *to, const struct etcd_client *client)
{
	int r = buf_puts(to, "{\"request_range\":{");

	if (r == 0)
		r = etcd_put_key(etcd, to, "key", 'a', client->mark, "", 0);
	return r == 0 ? buf_puts(to, "}}") : r;
}

/* The mark goes first in each of the three lists, if the transaction changes anything. */
static int put_compares(const struct etcd_store *etcd, struct buf *to, const struct etcd_client *client,
			const struct store_transaction *transaction)
{
	int r = buf_puts(to, "{\"compare\":[");

	if (r == 0 && transaction->op_count)
		r = put_mark_compare(etcd, to, client);
	for (size_t i = 0; i < transaction->compare_count && r == 0; i++) {
		r = i || transaction->op_count ? buf_putc(to, ',') : 0;
		if (r == 0)
			r = put_compare(etcd, to, &transaction->compares[i]);
	}
	return r;
}

static int put_ops(const struct etcd_store *etcd, struct buf *to, const struct etcd_client *client,
		   const struct store_transaction *transaction)
{
	int r = buf_puts(to, "],\"success\":[");

	if (r == 0 && transaction->op_count) {
		r = buf_puts(to, "{\"request_put\":{");
		if (r == 0)
			r = put_mark(etcd, to, client, "done");
		if (r == 0)
			r = buf_puts(to, "}}");
	}
	for (size_t i = 0; i < transaction->op_count && r == 0; i++) {
		r = buf_putc(to, ',');
		if (r == 0)
			r = put_op(etcd, to, &transaction->ops[i]);
	}
	return r;
}

static int put_looks(const struct etcd_store *etcd, struct buf *to, const struct etcd_client *client,
		     const struct store_transaction *transaction)
{
	int r = buf_puts(to, "],\"failure\":[");

	if (r == 0 && transaction->op_count)
		r = put_mark_look(etcd, to, client);
	for (size_t i = 0; i < transaction->compare_count && r == 0; i++) {
		r = i || transaction->op_count ? buf_putc(to, ',') : 0;
		if (r == 0)
			r = put_look(etcd, to, &transaction->compares[i]);
	}
	return r == 0 ? buf_puts(to, "]}") : r;
}

static const json_t *response(const json_t *answer, size_t index, const char *kind)
{
	return json_object_get(json_array_get(json_object_get(answer, "responses"), index), kind);
}

static uint64_t found_revision(const json_t *answer, size_t index)
{
	const json_t *found = json_array_get(json_object_get(response(answer, index, "response_range"), "kvs"), 0);

	return etcd_number(found, "mod_revision");
}

static int find_conflict(const json_t *answer, const struct store_transaction *transaction, size_t *ret_failed,
			 struct err *err)
{
	for (size_t i = 0; i < transaction->compare_count; i++) {
		const struct store_compare *compare = &transaction->compares[i];
		uint64_t revision = found_revision(answer, i + (transaction->op_count > 0));

		if (revision == compare->mod_revision)
			continue;
		*ret_failed = i;
		return store_conflict(compare, revision, err);
	}
	return err_set(err, ERR_SYNTAX, "store refuses a transaction of which every compare holds");
}

static bool changed_something(const json_t *answer, const struct store_transaction *transaction)
{
	for (size_t i = 0; i < transaction->op_count; i++)
		if (transaction->ops[i].kind == STORE_PUT ||
		    etcd_number(response(answer, i + 1, "response_delete_range"), "deleted"))
			return true;
	return false;
}

/* A new mark; nothing that was sent before compares it. */
static int begin_mark(struct etcd_store *etcd, struct etcd_client *client, struct err *err)
{
	CLEANUP_BUF struct buf body = buf_of(ETCD_BODY_MAX);
	CLEANUP(cleanup_answer) json_t *answer = NULL;
	uint8_t random[16];
	int r;

	crypto_random(random, sizeof(random));
	str_hex(client->mark, random, sizeof(random));
	r = buf_putc(&body, '{');
	if (r == 0)
		r = put_mark(etcd, &body, client, "");
	if (r == 0)
		r = buf_putc(&body, '}');
	if (r < 0)
		return err_sys(err, r, "cannot write a request");
	r = etcd_ask(etcd, client, "/v3/kv/put", &body, true, &answer, NULL, err);
	if (r == 0)
		client->marked = etcd_revision(answer);
	return r;
}

static int put_settlement(const struct etcd_store *etcd, struct buf *to, const struct etcd_client *client)
{
	int r = buf_puts(to, "{\"compare\":[");

	if (r == 0)
		r = put_mark_compare(etcd, to, client);
	if (r == 0)
		r = buf_puts(to, "],\"success\":[{\"request_put\":{");
	if (r == 0)
		r = put_mark(etcd, to, client, "");
	if (r == 0)
		r = buf_puts(to, "}}],\"failure\":[");
	if (r == 0)
		r = put_mark_look(etcd, to, client);
	return r == 0 ? buf_puts(to, "]}") : r;
}

/* What the mark says after a settlement: the revision at which the transaction happened; 0 for never. */
static uint64_t happened_at(const json_t *answer, struct etcd_client *client)
{
	const json_t *found = json_array_get(json_object_get(response(answer, 0, "response_range"), "kvs"), 0);
	CLEANUP_FREE char *value = NULL;
	size_t len;

	if (json_is_true(json_object_get(answer, "succeeded"))) {
		client->marked = etcd_revision(answer);
		return 0;
	}
	/* Without a value it is this settlement, which came through before its answer got lost; gone marks are not made again. */
	client->marked = etcd_number(found, "mod_revision");
	if (!client->marked || etcd_bytes(found, "value", &value, &len) < 0)
		return 0;
	return len ? client->marked : 0;
}

/* After a lost answer: 0 with the revision at which it happened, -EAGAIN when it never will, or why that cannot be known. */
static int settle(struct etcd_store *etcd, struct etcd_client *client, uint64_t *ret_revision, struct err *err)
{
	CLEANUP_BUF struct buf body = buf_of(ETCD_BODY_MAX);
	CLEANUP(cleanup_answer) json_t *answer = NULL;
	uint64_t until = clock_monotonic_ns() + TRY_MS * UINT64_C(1000000);
	int r = put_settlement(etcd, &body, client);

	if (r < 0)
		return err_sys(err, r, "cannot write a request");
	do
		r = etcd_ask(etcd, client, "/v3/kv/txn", &body, true, &answer, NULL, err);
	while ((r == ERR_UNAVAILABLE || r == -ETIMEDOUT) && clock_monotonic_ns() < until);
	if (r < 0) {
		client->marked = 0;
		return err_prefix(err, "a transaction may have happened or not"), r;
	}
	*ret_revision = happened_at(answer, client);
	return *ret_revision ? 0 : -EAGAIN;
}

/* Sends it once. -EAGAIN when it has not happened and never will because of what was sent, err saying why. */
static int attempt(struct etcd_store *etcd, struct etcd_client *client, const struct store_transaction *transaction,
		   uint64_t *ret_revision, size_t *ret_failed, struct err *err)
{
	CLEANUP_BUF struct buf body = buf_of(ETCD_BODY_MAX);
	CLEANUP(cleanup_answer) json_t *answer = NULL;
	bool writes = transaction->op_count > 0, lost = false;
	int r = put_compares(etcd, &body, client, transaction);

	if (r == 0)
		r = put_ops(etcd, &body, client, transaction);
	if (r == 0)
		r = put_looks(etcd, &body, client, transaction);
	if (r < 0)
		return err_sys(err, r, "cannot write a transaction");
	r = etcd_ask(etcd, client, "/v3/kv/txn", &body, !writes, &answer, &lost, err);
	if (r < 0)
		return lost && writes ? settle(etcd, client, ret_revision, err) : r;
	*ret_revision = etcd_revision(answer);
	if (json_is_true(json_object_get(answer, "succeeded"))) {
		client->marked = *ret_revision;
		return changed_something(answer, transaction) ? 0 : 1;
	}
	if (!writes || found_revision(answer, 0) == client->marked)
		return find_conflict(answer, transaction, ret_failed, err);
	client->marked = 0;
	(void)err_set(err, ERR_UNAVAILABLE, "store took a connection's mark away");
	return -EAGAIN;
}

int etcd_txn(struct store *store, const struct store_transaction *transaction, uint64_t *ret_revision,
	     size_t *ret_failed, struct err *err)
{
	struct etcd_store *etcd = (struct etcd_store *)store;
	uint64_t until = clock_monotonic_ns() + TRY_MS * UINT64_C(1000000);
	struct etcd_client *client;
	int r = etcd_take(etcd, &client, err);

	if (r < 0)
		return r;
	do {
		r = client->marked || !transaction->op_count ? 0 : begin_mark(etcd, client, err);
		if (r == 0)
			r = attempt(etcd, client, transaction, ret_revision, ret_failed, err);
	} while (r == -EAGAIN && clock_monotonic_ns() < until);
	etcd_give(etcd, client);
	if (r == 0 && transaction->op_count && !etcd_wait(etcd, *ret_revision, PUBLISH_MS))
		etcd_rewatch(etcd, PUBLISH_MS);
	return r == -EAGAIN ? ERR_UNAVAILABLE : r < 0 ? r : 0;
}

/* --- marks of connections that are no more --- */

static int put_old_marks(const struct etcd_store *etcd, struct buf *to, uint64_t before)
{
	int r = buf_printf(to, "{\"keys_only\":true,\"limit\":\"%d\",\"max_mod_revision\":\"%llu\",", SWEPT_MAX,
			   (unsigned long long)before);

	if (r == 0)
		r = etcd_put_range(etcd, to, 'a', "", NULL);
	return r == 0 ? buf_putc(to, '}') : r;
}

/* The keys as they come from etcd, in base64 already. */
static int put_removal(struct buf *to, const json_t *pairs)
{
	const json_t *pair;
	size_t i;
	int r = buf_puts(to, "{\"compare\":[");

	json_array_foreach(pairs, i, pair)
		if (r == 0)
			r = buf_printf(
				to,
				"%s{\"target\":\"MOD\",\"result\":\"EQUAL\",\"key\":\"%s\",\"mod_revision\":\"%llu\"}",
				i ? "," : "", json_string_value(json_object_get(pair, "key")),
				(unsigned long long)etcd_number(pair, "mod_revision"));
	if (r == 0)
		r = buf_puts(to, "],\"success\":[");
	json_array_foreach(pairs, i, pair)
		if (r == 0)
			r = buf_printf(to, "%s{\"request_delete_range\":{\"key\":\"%s\"}}", i ? "," : "",
				       json_string_value(json_object_get(pair, "key")));
	return r == 0 ? buf_puts(to, "]}") : r;
}

void etcd_sweep_marks(struct etcd_store *etcd, uint64_t before)
{
	CLEANUP_BUF struct buf look = buf_of(ETCD_BODY_MAX), removal = buf_of(ETCD_BODY_MAX);
	CLEANUP(cleanup_answer) json_t *found = NULL, *answer = NULL;
	struct err ignored;

	/* One that is in use after all is made anew by its owner, who finds it gone. */
	if (put_old_marks(etcd, &look, before) < 0 ||
	    etcd_post(etcd, "/v3/kv/range", &look, true, &found, &ignored) < 0 ||
	    !json_array_size(json_object_get(found, "kvs")) || put_removal(&removal, json_object_get(found, "kvs")) < 0)
		return;
	(void)!etcd_post(etcd, "/v3/kv/txn", &removal, true, &answer, &ignored);
}
