/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/quotas.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/str.h"
#include "cism/leader.h"
#include "cism/podfacts.h"
#include "crypto/key.h"
#include "policy/resourcequota.h"

#define BLOCKS 16
#define QUOTAS_MAX 32 /* of a namespace that are looked at */

/* Everything a charge is decided by, as of one revision but for the quotas, whose revision is compared. */
struct tally {
	const char *namespace;
	uint64_t rules, pool;
	struct policy_resourcequota_block blocks[BLOCKS];
	uint64_t revisions[BLOCKS]; /* 0: not there */
	struct object_list objects;
	struct policy_resourcequota quotas[QUOTAS_MAX];
	size_t quota_count;
};

static void tally_free(struct tally *tally)
{
	if (tally)
		records_list_done(&tally->objects);
	free(tally);
}
CLEANUP_DEFINE(tally, struct tally *, tally_free)

/* --- what a pod uses --- */

/* Adds the amounts of "requests" or "limits" of a container. */
static int add_list(struct policy_amounts *to, const json_t *container, const char *which, struct err *err)
{
	char name[2 * POLICY_AMOUNT_NAME];
	const char *resource;
	json_t *value;
	int r = 0;

	json_object_foreach(api_value(api_value(container, "resources"), which), resource, value) {
		int64_t milli = 0;

		(void)snprintf(name, sizeof(name), "%s.%s", which, resource);
		r = api_quantity(json_is_string(value) ? json_string_value(value) : "", &milli, err);
		if (r == 0)
			r = policy_amounts_add(to, name, milli, err);
		if (r < 0)
			return r;
	}
	return r;
}

/* The sum over containers, or the largest init container where that is more; and the pod itself. */
static int pod_amounts(const json_t *pod, struct policy_amounts *to, struct err *err)
{
	struct policy_amounts *largest = calloc(1, sizeof(*largest));
	struct policy_amounts *one = calloc(1, sizeof(*one));
	struct podfacts_walk walk = {0};
	const json_t *container;
	int r = largest && one ? 0 : err_sys(err, -ENOMEM, "cannot count the pod");

	while (r == 0 && (container = podfacts_next(pod, &walk))) {
		bool is_init = walk.list == 0;

		one->count = 0;
		r = add_list(is_init ? one : to, container, "requests", err);
		if (r == 0)
			r = add_list(is_init ? one : to, container, "limits", err);
		if (r == 0)
			r = policy_amounts_raise(largest, one, err);
	}
	if (r == 0)
		r = policy_amounts_raise(to, largest, err);
	if (r == 0)
		r = policy_amounts_add(to, "pods", 1000, err);
	free(largest);
	free(one);
	return r;
}

static bool counts(const json_t *pod)
{
	const char *phase = api_string(pod, "status.phase");

	return pod && !(phase && (str_eq(phase, "Succeeded") || str_eq(phase, "Failed")));
}

/* --- what is stored --- */

static void key_of(const char *namespace, const char *rest, char key[static STORE_KEY_MAX + 1])
{
	(void)snprintf(key, STORE_KEY_MAX + 1, "/quota/%s/%s", namespace, rest);
}

static int parse_amounts(const json_t *object, struct policy_amounts *to, struct err *err)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)object, name, value) {
		int r = policy_amounts_add(to, name, json_integer_value(value), err);

		if (r < 0)
			return r;
	}
	return 0;
}

static json_t *format_amounts(const struct policy_amounts *amounts)
{
	json_t *object = json_object();

	for (size_t i = 0; object && i < amounts->count; i++)
		if (json_object_set_new(object, amounts->rows[i].name, json_integer(amounts->rows[i].milli)) < 0)
			return json_decref(object), NULL;
	return object;
}

static int take_block(struct tally *tally, const struct store_entry *entry, const char *rest, struct err *err)
{
	CLEANUP_JSON json_t *json = NULL;
	struct policy_resourcequota_block *block;
	uint64_t index;
	int r = records_parse(entry->key, entry->value, entry->value_len, entry->mod_revision, &json, err);

	if (r == 0 && str_parse_u64(rest, BLOCKS - 1, &index) < 0)
		r = err_set(err, ERR_CORRUPT, "'%s' is no block of a quota", entry->key);
	if (r < 0)
		return r;
	block = &tally->blocks[index];
	tally->revisions[index] = entry->mod_revision;
	block->current = (uint64_t)api_integer(json, "rules", -1) == tally->rules;
	r = parse_amounts(api_value(json, "granted"), &block->granted, err);
	return r < 0 ? r : parse_amounts(api_value(json, "used"), &block->used, err);
}

/* Keys come in order: blocks before pool and rules, so they are looked at in two rounds. */
static int take_entries(struct tally *tally, const struct store_range *range, size_t prefix, struct err *err)
{
	int r = 0;

	for (size_t i = 0; i < range->count; i++) {
		const char *rest = range->entries[i].key + prefix;

		if (str_eq(rest, "rules"))
			tally->rules = range->entries[i].mod_revision;
		else if (str_eq(rest, "pool"))
			tally->pool = range->entries[i].mod_revision;
	}
	for (size_t i = 0; r == 0 && i < range->count; i++)
		if (str_starts(range->entries[i].key + prefix, "blocks/"))
			r = take_block(tally, &range->entries[i], range->entries[i].key + prefix + strlen("blocks/"),
				       err);
	return r;
}

/* A quota with scopes counts other pods than all, which is not done. */
static bool is_enforced(const json_t *quota)
{
	return json_array_size(api_value(quota, "spec.scopes")) == 0 && !api_value(quota, "spec.scopeSelector");
}

static int take_quota(struct tally *tally, const json_t *object, struct err *err)
{
	struct policy_resourcequota *quota = &tally->quotas[tally->quota_count];
	const char *hard;
	json_t *value;

	if (!is_enforced(object))
		return 0;
	if (tally->quota_count == QUOTAS_MAX)
		return err_set(err, ERR_DENIED, "namespace '%s' has more than %d resourcequotas", tally->namespace,
			       QUOTAS_MAX);
	quota->name = api_string(object, "metadata.name");
	json_object_foreach(api_value(object, "spec.hard"), hard, value) {
		int64_t milli = 0;
		int r = api_quantity(json_is_string(value) ? json_string_value(value) : "", &milli, err);

		if (r == 0)
			r = policy_resourcequota_limit(quota, hard, milli, err);
		if (r < 0)
			return r;
	}
	tally->quota_count++;
	return 0;
}

static int tally_read(struct store *store, const char *namespace, struct tally **ret_tally, struct err *err)
{
	CLEANUP_STORE_RANGE struct store_range range = {0};
	CLEANUP(cleanup_tally) struct tally *tally = calloc(1, sizeof(*tally));
	char prefix[STORE_KEY_MAX + 1];
	int r;

	if (!tally)
		return err_sys(err, -ENOMEM, "cannot count the pod");
	tally->namespace = namespace;
	key_of(namespace, "", prefix);
	r = store_list(store, prefix, NULL, 0, 0, &range, err);
	if (r == 0)
		r = take_entries(tally, &range, strlen(prefix), err);
	if (r == 0 && tally->rules) {
		struct records_query query = {.kind = records_quotas(), .namespace = namespace};

		r = records_list(store, &query, &tally->objects, err);
	}
	for (size_t i = 0; r == 0 && i < tally->objects.count; i++)
		r = take_quota(tally, tally->objects.items[i], err);
	if (r == 0)
		*ret_tally = take_ptr(tally);
	return r;
}

/* --- the charge --- */

/* A thread keeps to one block; those of one process have different ones as long as there are enough. */
static size_t own_block(void)
{
	static atomic_uint threads;
	static _Thread_local size_t index = BLOCKS;
	static atomic_uint first = BLOCKS; /* of this process */

	if (index == BLOCKS) {
		unsigned none = BLOCKS;
		uint8_t random;

		crypto_random(&random, sizeof(random));
		(void)atomic_compare_exchange_strong(&first, &none, random % BLOCKS);
		index = (atomic_load(&first) + atomic_fetch_add(&threads, 1)) % BLOCKS;
	}
	return index;
}

static void put_block(struct change *change, const struct tally *tally, size_t index)
{
	const struct policy_resourcequota_block *block = &tally->blocks[index];
	CLEANUP_JSON json_t *json = json_pack("{s:I, s:o, s:o}", "rules",
					      (json_int_t)(block->current ? tally->rules : 0), "granted",
					      format_amounts(&block->granted), "used", format_amounts(&block->used));
	char key[STORE_KEY_MAX + 1];
	char rest[32];

	(void)snprintf(rest, sizeof(rest), "blocks/%zu", index);
	key_of(tally->namespace, rest, key);
	if (!json)
		change->failed = change->failed ? change->failed : -ENOMEM;
	change_compare(change, key, tally->revisions[index]);
	change_put(change, key, json);
}

static void put_all(struct change *change, const struct tally *tally, enum policy_resourcequota_way way)
{
	char key[STORE_KEY_MAX + 1];

	/* Without quotas nothing is granted: what one makes counts begins with what is used then. */
	key_of(tally->namespace, "rules", key);
	change_compare(change, key, tally->rules);
	for (size_t i = 0; i < BLOCKS; i++)
		if (tally->blocks[i].changed)
			put_block(change, tally, i);
	if (way == POLICY_RESOURCEQUOTA_COVERED)
		return;
	key_of(tally->namespace, "pool", key);
	change_compare(change, key, tally->pool);
	change_put_bytes(change, key, "{}", 2);
}

int quotas_settle(struct store *store, const json_t *old, const json_t *now, struct change *change, struct err *err)
{
	CLEANUP(cleanup_tally) struct tally *tally = NULL;
	CLEANUP_FREE struct policy_amounts *amounts = NULL;
	const json_t *pod = now ? now : old;
	enum policy_resourcequota_way way = POLICY_RESOURCEQUOTA_COVERED;
	bool charges = counts(now) && !counts(old);
	int r;

	if (counts(now) == counts(old))
		return 0;
	amounts = calloc(2, sizeof(*amounts));
	if (!amounts)
		return err_sys(err, -ENOMEM, "cannot count the pod");
	r = pod_amounts(pod, &amounts[0], err);
	if (r == 0)
		r = policy_amounts_add_all(&amounts[1], &amounts[0], charges ? 1 : -1, err);
	if (r == 0)
		r = tally_read(store, api_string(pod, "metadata.namespace"), &tally, err);
	if (r < 0)
		return r;
	r = policy_resourcequota_charge(tally->quotas, tally->quota_count, tally->blocks, BLOCKS, own_block(),
					&amounts[1], &way, err);
	if (r < 0)
		return err_prefix(err, "pods \"%s\" is forbidden", api_string(pod, "metadata.name")), r;
	put_all(change, tally, way);
	return 0;
}

int quotas_forget(struct store *store, const char *namespace, struct change *change, struct err *err)
{
	CLEANUP_STORE_RANGE struct store_range range = {0};
	char prefix[STORE_KEY_MAX + 1];
	int r;

	key_of(namespace, "", prefix);
	r = store_list(store, prefix, NULL, BLOCKS + 2, 0, &range, err);
	for (size_t i = 0; r == 0 && i < range.count; i++)
		change_delete(change, range.entries[i].key);
	return r;
}

/* --- the status --- */

static json_t *used_of(const struct tally *tally, const json_t *hard)
{
	json_t *used = json_object();
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)hard, name, value) {
		char counted[POLICY_AMOUNT_NAME], text[32];
		int64_t sum = 0;

		if (!policy_resourcequota_counts(name))
			continue;
		policy_resourcequota_name(name, counted);
		for (size_t i = 0; i < BLOCKS; i++)
			sum += policy_amounts_get(&tally->blocks[i].used, counted);
		policy_amount_format(counted, sum, text);
		if (!used || json_object_set_new(used, name, json_string(text)) < 0)
			return json_decref(used), NULL;
	}
	return used;
}

static int follow(struct cism *cism, json_t *quota, struct err *err)
{
	CLEANUP(cleanup_tally) struct tally *tally = NULL;
	CLEANUP_CHANGE struct change change = {0};
	CLEANUP_JSON json_t *status = NULL;
	const json_t *hard = api_value(quota, "spec.hard");
	uint64_t revision = 0;
	int r = tally_read(cism->store, api_string(quota, "metadata.namespace"), &tally, err);

	if (r < 0)
		return r;
	status = json_pack("{s:O, s:o}", "hard", hard, "used", used_of(tally, hard));
	if (!status || str_parse_u64(api_string(quota, "metadata.resourceVersion"), UINT64_MAX, &revision) < 0)
		return err_sys(err, -ENOMEM, "cannot bring a quota up to date");
	if (json_equal(status, api_value(quota, "status")))
		return 0;
	if (api_set(quota, "status", take_ptr(status)) < 0)
		return err_sys(err, -ENOMEM, "cannot bring a quota up to date");
	change_init(&change);
	records_put_status(&change, records_quotas(), quota, revision);
	leader_compare(cism, &change);
	r = change_commit(&change, cism->store, &revision, err);
	return r == ERR_CONFLICT ? 0 : r; /* the next round sees what came between */
}

int quotas_follow(struct cism *cism, struct err *err)
{
	CLEANUP_OBJECT_LIST struct object_list list = {0};
	struct records_query query = {.kind = records_quotas()};
	int r = records_list(cism->store, &query, &list, err);

	for (size_t i = 0; r == 0 && i < list.count; i++)
		if (api_value(list.items[i], "spec.hard") && is_enforced(list.items[i]))
			r = follow(cism, list.items[i], err);
	return r;
}
