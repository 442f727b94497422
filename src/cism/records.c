/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/records.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/str.h"

#define PAGE 500 /* keys read from the store at a time when a selector may drop some */

void records_done(struct object *object)
{
	json_decref(object->json);
	object->json = NULL;
}

void records_list_done(struct object_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		json_decref(list->items[i]);
	free(list->items);
	list->items = NULL;
	list->count = 0;
}

int records_key(const struct api_kind *kind, const char *namespace, const char *name,
		char key[static STORE_KEY_MAX + 1], struct err *err)
{
	const char *group = kind->group[0] ? kind->group : "core";
	bool scoped = kind->namespaced && namespace && namespace[0];
	int len;

	len = snprintf(key, STORE_KEY_MAX + 1, "/registry/%s/%s/%s%s%s", group, kind->resource, scoped ? namespace : "",
		       scoped ? "/" : "", name ? name : "");
	if (len < 0 || len > STORE_KEY_MAX)
		return err_set(err, ERR_INVALID, "name of %s '%.100s' is too long", kind->kind, name ? name : "");
	return 0;
}

int records_set_revision(json_t *json, uint64_t revision)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%" PRIu64, revision);
	return api_set(json, "metadata.resourceVersion", json_string(text));
}

int records_parse(const char *key, const char *value, size_t len, uint64_t revision, json_t **ret_json, struct err *err)
{
	json_error_t fault;
	json_t *json = json_loadb(value, len, JSON_REJECT_DUPLICATES, &fault);

	if (!json_is_object(json)) {
		json_decref(json);
		return err_set(err, ERR_CORRUPT, "stored object '%s' is damaged: %s", key, fault.text);
	}
	if (records_set_revision(json, revision) < 0) {
		json_decref(json);
		return err_sys(err, -ENOMEM, "cannot read '%s'", key);
	}
	*ret_json = json;
	return 0;
}

/* As Kubernetes names a kind in refusals: pods, trustdomains.trust.bulkhead.dev. */
static void resource_words(const struct api_kind *kind, char *to, size_t size)
{
	(void)snprintf(to, size, "%s%s%s", kind->resource, kind->group[0] ? "." : "", kind->group);
}

int records_get(struct store *store, const struct api_kind *kind, const char *namespace, const char *name,
		struct object *ret_object, struct err *err)
{
	CLEANUP_STORE_ENTRY struct store_entry entry = {0};
	char key[STORE_KEY_MAX + 1];
	char words[256];
	int r;

	r = records_key(kind, namespace, name, key, err);
	if (r < 0)
		return r;
	r = store_get(store, key, &entry, err);
	if (r == ERR_NOT_FOUND) {
		resource_words(kind, words, sizeof(words));
		return err_set(err, r, "%s \"%s\" not found", words, name);
	}
	if (r < 0)
		return r;
	ret_object->revision = entry.mod_revision;
	return records_parse(key, entry.value, entry.value_len, entry.mod_revision, &ret_object->json, err);
}

static int append(struct object_list *list, size_t *room, json_t *item)
{
	if (list->count == *room) {
		size_t more = *room ? *room * 2 : 64;
		json_t **items = reallocarray(list->items, more, sizeof(*items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		*room = more;
	}
	list->items[list->count++] = item;
	return 0;
}

static int take_page(const struct records_query *query, const struct store_range *range, struct object_list *list,
		     size_t *room, struct err *err)
{
	for (size_t i = 0; i < range->count; i++) {
		const struct store_entry *entry = &range->entries[i];
		json_t *item = NULL;
		int r;

		if (query->limit > 0 && list->count == query->limit) {
			list->more = true;
			return 0;
		}
		r = records_parse(entry->key, entry->value, entry->value_len, entry->mod_revision, &item, err);
		if (r < 0)
			return r;
		(void)snprintf(list->last_key, sizeof(list->last_key), "%s", entry->key);
		if ((query->labels && !api_selector_matches(query->labels, item)) ||
		    (query->fields && !api_selector_matches(query->fields, item))) {
			json_decref(item);
			continue;
		}
		if (append(list, room, item) < 0) {
			json_decref(item);
			return err_sys(err, -ENOMEM, "cannot list %s", query->kind->resource);
		}
	}
	list->more = range->more;
	return 0;
}

int records_list(struct store *store, const struct records_query *query, struct object_list *ret_list, struct err *err)
{
	struct object_list list = {0};
	char prefix[STORE_KEY_MAX + 1];
	uint64_t revision = query->at_revision;
	size_t room = 0;
	int r;

	r = records_key(query->kind, query->namespace, NULL, prefix, err);
	if (r < 0)
		return r;
	if (query->after)
		(void)snprintf(list.last_key, sizeof(list.last_key), "%s", query->after);
	do {
		CLEANUP_STORE_RANGE struct store_range range = {0};

		r = store_list(store, prefix, list.last_key[0] ? list.last_key : NULL, query->limit ? PAGE : 0,
			       revision, &range, err);
		if (r == 0) {
			revision = range.revision;
			r = take_page(query, &range, &list, &room, err);
		}
		if (r < 0) {
			records_list_done(&list);
			return r;
		}
	} while (list.more && (query->limit == 0 || list.count < query->limit));
	list.revision = revision;
	*ret_list = list;
	return 0;
}

int records_reach(struct store *store, uint64_t revision, struct err *err)
{
	int r = store_reach(store, revision, err);

	if (r == ERR_INVALID || r == -ETIMEDOUT)
		return err_set(err, -ETIMEDOUT, "Too large resource version: %" PRIu64 ", current: %" PRIu64, revision,
			       store_revision(store));
	return r;
}

/* What decisions are made by has a key of its own that changes with it: one compare holds a decision to all of them. */
static void mark_rules(struct change *change, const struct api_kind *kind, const json_t *json)
{
	char key[STORE_KEY_MAX + 1];

	if (kind == records_domains() || kind == records_image_policies() || kind == records_quarantines())
		change_put_bytes(change, RECORDS_RULES_KEY, "{}", 2);
	if (kind == records_quotas()) {
		(void)snprintf(key, sizeof(key), RECORDS_QUOTAS_KEY, api_string(json, "metadata.namespace"));
		change_put_bytes(change, key, "{}", 2);
	}
}

static void add(struct change *change, const struct api_kind *kind, const json_t *json, uint64_t revision, bool put)
{
	char key[STORE_KEY_MAX + 1];
	CLEANUP_JSON json_t *copy = NULL;
	int r;

	r = records_key(kind, api_string(json, "metadata.namespace"), api_string(json, "metadata.name"), key, NULL);
	if (r < 0) {
		change->failed = change->failed ? change->failed : r;
		return;
	}
	change_compare(change, key, revision);
	if (put) {
		copy = json_deep_copy(json);
		if (copy)
			(void)json_object_del(api_value(copy, "metadata"), "resourceVersion");
		change_put(change, key, copy);
	} else {
		change_delete(change, key);
	}
}

void records_put(struct change *change, const struct api_kind *kind, const json_t *json, uint64_t revision)
{
	add(change, kind, json, revision, true);
	mark_rules(change, kind, json);
}

void records_put_status(struct change *change, const struct api_kind *kind, const json_t *json, uint64_t revision)
{
	add(change, kind, json, revision, true);
}

void records_remove(struct change *change, const struct api_kind *kind, const json_t *json, uint64_t revision)
{
	add(change, kind, json, revision, false);
	mark_rules(change, kind, json);
}

int records_rules_revision(struct store *store, uint64_t *ret_revision, struct err *err)
{
	CLEANUP_STORE_ENTRY struct store_entry entry = {0};
	int r = store_get(store, RECORDS_RULES_KEY, &entry, err);

	if (r < 0 && r != ERR_NOT_FOUND)
		return r;
	*ret_revision = r == ERR_NOT_FOUND ? 0 : entry.mod_revision;
	return 0;
}

const struct api_kind *records_quotas(void)
{
	return api_kind_by_resource("", "v1", "resourcequotas");
}

const struct api_kind *records_pods(void)
{
	return api_kind_by_resource("", "v1", "pods");
}

const struct api_kind *records_nodes(void)
{
	return api_kind_by_resource("", "v1", "nodes");
}

const struct api_kind *records_namespaces(void)
{
	return api_kind_by_resource("", "v1", "namespaces");
}

const struct api_kind *records_events(void)
{
	return api_kind_by_resource("", "v1", "events");
}

const struct api_kind *records_priorities(void)
{
	return api_kind_by_resource("scheduling.k8s.io", "v1", "priorityclasses");
}

const struct api_kind *records_leases(void)
{
	return api_kind_by_resource("coordination.k8s.io", "v1", "leases");
}

const struct api_kind *records_domains(void)
{
	return api_kind_by_resource("trust.bulkhead.dev", "v1", "trustdomains");
}

const struct api_kind *records_quarantines(void)
{
	return api_kind_by_resource("trust.bulkhead.dev", "v1", "quarantines");
}

const struct api_kind *records_image_policies(void)
{
	return api_kind_by_resource("trust.bulkhead.dev", "v1", "imagepolicies");
}
