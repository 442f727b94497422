/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "api/api.h"
#include "base/str.h"

#define SERVERS LEDGER_SERVERS

void ledger_server_key(const char *server, char key[static STORE_KEY_MAX + 1])
{
	(void)snprintf(key, STORE_KEY_MAX + 1, SERVERS "%s", server);
}

static void pod_key(const char *uid, char key[static STORE_KEY_MAX + 1])
{
	(void)snprintf(key, STORE_KEY_MAX + 1, "/ledger/pods/%s", uid);
}

void ledger_namespace_key(const char *namespace, char key[static STORE_KEY_MAX + 1])
{
	(void)snprintf(key, STORE_KEY_MAX + 1, "/ledger/namespaces/%s", namespace);
}

void ledger_domain_key(const char *domain, char key[static STORE_KEY_MAX + 1])
{
	(void)snprintf(key, STORE_KEY_MAX + 1, "/ledger/domains/%s", domain);
}

static int parse(const struct store_entry *entry, json_t **ret_json, struct err *err)
{
	json_error_t fault;
	json_t *json = json_loadb(entry->value, entry->value_len, JSON_REJECT_DUPLICATES, &fault);

	if (!json_is_object(json)) {
		json_decref(json);
		return err_set(err, ERR_CORRUPT, "ledger record '%s' is damaged: %s", entry->key, fault.text);
	}
	*ret_json = json;
	return 0;
}

/* Reads a record; *ret_json is NULL and the revision 0 when there is none. */
static int read_record(struct store *store, const char *key, json_t **ret_json, uint64_t *ret_revision, struct err *err)
{
	CLEANUP_STORE_ENTRY struct store_entry entry = {0};
	int r = store_get(store, key, &entry, err);

	*ret_json = NULL;
	*ret_revision = 0;
	if (r == ERR_NOT_FOUND)
		return 0;
	if (r < 0)
		return r;
	*ret_revision = entry.mod_revision;
	return parse(&entry, ret_json, err);
}

static const char *text_of(const json_t *row, const char *name)
{
	const char *text = json_string_value(json_object_get(row, name));

	return text ? text : "";
}

static struct ledger_holder holder_of(const json_t *row, const char *server)
{
	return (struct ledger_holder){
		.uid = text_of(row, "uid"),
		.namespace = text_of(row, "namespace"),
		.name = text_of(row, "name"),
		.domain = text_of(row, "domain"),
		.subfunction = text_of(row, "subFunction"),
		.instance = text_of(row, "instance"),
		.server = server,
		.epoch = (uint64_t)json_integer_value(json_object_get(row, "epoch")),
		.cpu_milli = json_integer_value(json_object_get(row, "cpuMilli")),
		.memory_bytes = json_integer_value(json_object_get(row, "memoryBytes")),
	};
}

static int take_holders(struct ledger *ledger, size_t index)
{
	const json_t *rows = json_object_get(ledger->records[index], "holders");
	const char *server = ledger->range.entries[index].key + strlen(SERVERS);
	size_t count = ledger->holder_count + json_array_size(rows);
	struct ledger_holder *holders = reallocarray(ledger->holders, count + 1, sizeof(*holders));
	const json_t *row;
	size_t i;

	if (!holders)
		return -ENOMEM;
	ledger->holders = holders;
	json_array_foreach(rows, i, row)
		holders[ledger->holder_count++] = holder_of(row, server);
	return 0;
}

int ledger_read(struct store *store, struct ledger *ret_ledger, struct err *err)
{
	struct ledger ledger = {0};
	int r = store_list(store, SERVERS, NULL, 0, 0, &ledger.range, err);

	if (r < 0)
		return r;
	ledger.records = calloc(ledger.range.count + 1, sizeof(*ledger.records));
	if (!ledger.records)
		r = err_sys(err, -ENOMEM, "cannot read the ledger");
	for (size_t i = 0; r == 0 && i < ledger.range.count; i++) {
		r = parse(&ledger.range.entries[i], &ledger.records[i], err);
		if (r == 0 && BULKHEAD_LEDGER > 0 && take_holders(&ledger, i) < 0)
			r = err_sys(err, -ENOMEM, "cannot read the ledger");
	}
	if (r < 0) {
		ledger_done(&ledger);
		return r;
	}
	*ret_ledger = ledger;
	return 0;
}

void ledger_done(struct ledger *ledger)
{
	for (size_t i = 0; ledger->records && i < ledger->range.count; i++)
		json_decref(ledger->records[i]);
	free(ledger->records);
	free(ledger->holders);
	store_range_done(&ledger->range);
	*ledger = (struct ledger){0};
}

static size_t index_of(const struct ledger *ledger, const char *server)
{
	size_t i = 0;

	while (i < ledger->range.count && !str_eq(ledger->range.entries[i].key + strlen(SERVERS), server))
		i++;
	return i;
}

uint64_t ledger_revision(const struct ledger *ledger, const char *server)
{
	size_t i = index_of(ledger, server);

	return i < ledger->range.count ? ledger->range.entries[i].mod_revision : 0;
}

static json_t *row_of(const struct ledger_holder *holder)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "uid", holder->uid, "namespace",
			 holder->namespace, "name", holder->name, "domain", holder->domain, "subFunction",
			 holder->subfunction, "instance", holder->instance, "epoch", (json_int_t)holder->epoch,
			 "cpuMilli", (json_int_t)holder->cpu_milli, "memoryBytes", (json_int_t)holder->memory_bytes);
}

/* Moves a count that has to be what it was when it was read by one up or down; at nothing the record goes. */
static int move_count(const char *key, const char *member, uint64_t count, uint64_t revision, int by,
		      struct change *change, struct err *err)
{
	if (by < 0 && count == 0)
		return err_set(err, ERR_CORRUPT, "ledger record '%s' counts nothing where one leaves", key);
	change_compare(change, key, revision);
	if (by < 0 && count == 1) {
		change_delete(change, key);
		return 0;
	}
	CLEANUP_JSON json_t *record = json_pack("{s:I}", member, (json_int_t)count + by);

	change_put(change, key, record);
	return 0;
}

static int count_namespace(struct store *store, const char *namespace, int by, struct change *change, struct err *err)
{
	char key[STORE_KEY_MAX + 1];
	uint64_t count = 0, revision = 0;
	int r = ledger_namespace(store, namespace, &count, &revision, err);

	ledger_namespace_key(namespace, key);
	return r < 0 ? r : move_count(key, "holders", count, revision, by, change, err);
}

static int count_server(struct store *store, const char *domain, int by, struct change *change, struct err *err)
{
	char key[STORE_KEY_MAX + 1];
	uint64_t count = 0, revision = 0;
	int r = ledger_domain(store, domain, &count, &revision, err);

	ledger_domain_key(domain, key);
	return r < 0 ? r : move_count(key, "servers", count, revision, by, change, err);
}

static bool has_domain(const json_t *record, const char *domain)
{
	const json_t *row;
	size_t i;

	json_array_foreach(json_object_get(record, "holders"), i, row)
		if (str_eq(text_of(row, "domain"), domain))
			return true;
	return false;
}

bool ledger_has_domain(const struct ledger *ledger, const char *server, const char *domain)
{
	size_t i = index_of(ledger, server);

	return i < ledger->range.count && has_domain(ledger->records[i], domain);
}

int ledger_hold(const struct ledger *ledger, struct store *store, const struct ledger_holder *holder,
		struct change *change, struct err *err)
{
	size_t i = index_of(ledger, holder->server);
	CLEANUP_JSON json_t *record = i < ledger->range.count ? json_deep_copy(ledger->records[i])
							      : json_pack("{s:[]}", "holders");
	CLEANUP_JSON json_t *place = json_pack("{s:s, s:s, s:s, s:s}", "server", holder->server, "instance",
					       holder->instance, "namespace", holder->namespace, "name", holder->name);
	char key[STORE_KEY_MAX + 1];
	int r;

	if (!record || !place || json_array_append_new(json_object_get(record, "holders"), row_of(holder)) < 0)
		return err_sys(err, -ENOMEM, "cannot charge server '%s'", holder->server);
	ledger_server_key(holder->server, key);
	if (BULKHEAD_LEDGER > 1)
		change_compare(change, key, ledger_revision(ledger, holder->server));
	change_put(change, key, record);
	pod_key(holder->uid, key);
	change_compare(change, key, 0);
	change_put(change, key, place);
	r = count_namespace(store, holder->namespace, 1, change, err);
	if (r == 0 && !ledger_has_domain(ledger, holder->server, holder->domain))
		r = count_server(store, holder->domain, 1, change, err);
	return r;
}

/* Takes the row of a uid out of a record: a new reference, NULL when it has none. */
static json_t *take_row(json_t *record, const char *uid)
{
	json_t *rows = json_object_get(record, "holders");
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
		if (str_eq(text_of(row, "uid"), uid)) {
			json_incref(row);
			(void)json_array_remove(rows, i);
			return row;
		}
	return NULL;
}

static int release_from_server(struct store *store, const char *server, const char *uid, struct change *change,
			       struct err *err)
{
	CLEANUP_JSON json_t *record = NULL;
	CLEANUP_JSON json_t *row = NULL;
	char key[STORE_KEY_MAX + 1];
	uint64_t revision;
	int r;

	ledger_server_key(server, key);
	r = read_record(store, key, &record, &revision, err);
	if (r < 0)
		return r;
	row = record ? take_row(record, uid) : NULL;
	if (!row)
		return err_set(err, ERR_CONFLICT, "ledger of server '%s' changed while '%s' was released", server, uid);
	change_compare(change, key, revision);
	if (json_array_size(json_object_get(record, "holders")) == 0)
		change_delete(change, key);
	else
		change_put(change, key, record);
	return has_domain(record, text_of(row, "domain"))
		       ? 0
		       : count_server(store, text_of(row, "domain"), -1, change, err);
}

int ledger_release(struct store *store, const char *instance, const char *uid, struct change *change, struct err *err)
{
	CLEANUP_JSON json_t *place = NULL;
	char key[STORE_KEY_MAX + 1];
	uint64_t revision;
	int r;

	pod_key(uid, key);
	r = read_record(store, key, &place, &revision, err);
	if (r < 0)
		return r;
	if (!place)
		return err_set(err, ERR_NOT_FOUND, "pod uid '%s' holds nothing", uid);
	if (!str_eq(text_of(place, "instance"), instance))
		return err_set(err, ERR_DENIED, "pod uid '%s' is not charged to instance '%s'", uid, instance);
	change_compare(change, key, revision);
	change_delete(change, key);
	r = release_from_server(store, text_of(place, "server"), uid, change, err);
	if (r < 0)
		return r;
	return count_namespace(store, text_of(place, "namespace"), -1, change, err);
}

int ledger_find(struct store *store, const char *uid, struct change *change, json_t **ret_place, struct err *err)
{
	char key[STORE_KEY_MAX + 1];
	uint64_t revision;
	int r;

	pod_key(uid, key);
	r = read_record(store, key, ret_place, &revision, err);
	if (r == 0 && change)
		change_compare(change, key, revision);
	return r;
}

static int read_count(struct store *store, const char *key, const char *member, uint64_t *ret_count,
		      uint64_t *ret_revision, struct err *err)
{
	CLEANUP_JSON json_t *record = NULL;
	int r = read_record(store, key, &record, ret_revision, err);

	if (r == 0)
		*ret_count = (uint64_t)json_integer_value(json_object_get(record, member));
	return r;
}

int ledger_namespace(struct store *store, const char *namespace, uint64_t *ret_count, uint64_t *ret_revision,
		     struct err *err)
{
	char key[STORE_KEY_MAX + 1];

	ledger_namespace_key(namespace, key);
	return read_count(store, key, "holders", ret_count, ret_revision, err);
}

int ledger_domain(struct store *store, const char *domain, uint64_t *ret_servers, uint64_t *ret_revision,
		  struct err *err)
{
	char key[STORE_KEY_MAX + 1];

	ledger_domain_key(domain, key);
	return read_count(store, key, "servers", ret_servers, ret_revision, err);
}

/* --- records as a watch tells of them --- */

size_t ledger_rows(const json_t *record)
{
	return BULKHEAD_LEDGER > 0 ? json_array_size(json_object_get(record, "holders")) : 0;
}

struct ledger_holder ledger_row(const json_t *record, size_t index, const char *server)
{
	return holder_of(json_array_get(json_object_get(record, "holders"), index), server);
}

bool ledger_find_row(const json_t *record, const char *uid, const char *server, struct ledger_holder *ret_row)
{
	for (size_t i = 0; i < ledger_rows(record); i++) {
		struct ledger_holder row = ledger_row(record, i, server);

		if (!str_eq(row.uid, uid))
			continue;
		if (ret_row)
			*ret_row = row;
		return true;
	}
	return false;
}

/* --- charges of one change --- */

void ledger_sums_done(struct ledger_sums *sums)
{
	for (size_t i = 0; i < sums->count; i++)
		json_decref(sums->items[i].json);
	free(sums->items);
	*sums = (struct ledger_sums){.known = sums->known, .user = sums->user};
}

/* The record of a key, to be changed: as known, or one that counts nothing. NULL without memory. */
static json_t *touch(struct ledger_sums *sums, const char *key, const char *member, bool counts)
{
	struct ledger_sum *sum;
	const json_t *known;

	for (size_t i = 0; i < sums->count; i++)
		if (str_eq(sums->items[i].key, key))
			return sums->items[i].json;
	if (sums->count == sums->room) {
		size_t room = sums->room ? sums->room * 2 : 16;
		struct ledger_sum *items = reallocarray(sums->items, room, sizeof(*items));

		if (!items)
			return NULL;
		sums->items = items;
		sums->room = room;
	}
	sum = &sums->items[sums->count];
	*sum = (struct ledger_sum){0};
	(void)snprintf(sum->key, sizeof(sum->key), "%s", key);
	known = sums->known(sums->user, key, &sum->revision);
	sum->json = known    ? json_deep_copy(known)
		    : counts ? json_pack("{s:I}", member, (json_int_t)0)
			     : json_pack("{s:[]}", member);
	if (!sum->json)
		return NULL;
	sums->count++;
	return sum->json;
}

static int count_up(struct ledger_sums *sums, const char *key, const char *member)
{
	json_t *record = touch(sums, key, member, true);

	return record ? json_object_set_new(record, member,
					    json_integer(json_integer_value(json_object_get(record, member)) + 1))
		      : -ENOMEM;
}

int ledger_sums_hold(struct ledger_sums *sums, const struct ledger_holder *holder, struct err *err)
{
	char key[STORE_KEY_MAX + 1];
	json_t *record;
	bool there;

	ledger_server_key(holder->server, key);
	record = touch(sums, key, "holders", false);
	there = record && has_domain(record, holder->domain);
	if (!record || json_array_append_new(json_object_get(record, "holders"), row_of(holder)) < 0)
		return err_sys(err, -ENOMEM, "cannot charge server '%s'", holder->server);
	ledger_namespace_key(holder->namespace, key);
	if (count_up(sums, key, "holders") < 0)
		return err_sys(err, -ENOMEM, "cannot charge server '%s'", holder->server);
	ledger_domain_key(holder->domain, key);
	if (!there && count_up(sums, key, "servers") < 0)
		return err_sys(err, -ENOMEM, "cannot charge server '%s'", holder->server);
	return 0;
}

void ledger_affinity_key(const char *domain, char key[static STORE_KEY_MAX + 1])
{
	(void)snprintf(key, STORE_KEY_MAX + 1, LEDGER_AFFINITY "%s", domain);
}

int ledger_sums_tie(struct ledger_sums *sums, const char *domain, struct err *err)
{
	char key[STORE_KEY_MAX + 1];

	ledger_affinity_key(domain, key);
	return count_up(sums, key, "binds") < 0 ? err_sys(err, -ENOMEM, "cannot bind in domain '%s'", domain) : 0;
}

const json_t *ledger_sums_latest(struct ledger_sums *sums, const char *key)
{
	uint64_t revision;

	for (size_t i = 0; i < sums->count; i++)
		if (str_eq(sums->items[i].key, key))
			return sums->items[i].json;
	return sums->known(sums->user, key, &revision);
}

uint64_t ledger_sums_servers(struct ledger_sums *sums, const char *domain, const char *server, bool *ret_there)
{
	char key[STORE_KEY_MAX + 1];

	ledger_server_key(server, key);
	*ret_there = has_domain(ledger_sums_latest(sums, key), domain);
	ledger_domain_key(domain, key);
	return (uint64_t)json_integer_value(json_object_get(ledger_sums_latest(sums, key), "servers"));
}

void ledger_sums_put(const struct ledger_sums *sums, struct change *change)
{
	for (size_t i = 0; i < sums->count; i++) {
		if (BULKHEAD_LEDGER > 1 || !str_starts(sums->items[i].key, SERVERS))
			change_compare(change, sums->items[i].key, sums->items[i].revision);
		change_put(change, sums->items[i].key, sums->items[i].json);
	}
}

int ledger_sums_pod(const struct ledger_holder *holder, struct change *change)
{
	CLEANUP_JSON json_t *place = json_pack("{s:s, s:s, s:s, s:s}", "server", holder->server, "instance",
					       holder->instance, "namespace", holder->namespace, "name", holder->name);
	char key[STORE_KEY_MAX + 1];

	if (!place)
		return -ENOMEM;
	pod_key(holder->uid, key);
	change_compare(change, key, 0);
	change_put(change, key, place);
	return 0;
}
