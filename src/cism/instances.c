/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/instances.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "base/crashpoint.h"
#include "base/log.h"
#include "base/str.h"
#include "cism/joins.h"
#include "cism/ledger.h"
#include "cism/quarantines.h"
#include "cism/quotas.h"
#include "cism/tickets.h"
#include "policy/fields.h"

#define STOPPED_MAX 4096
#define ENVELOPE_TYPE "application/vnd.bulkhead.signed.v1+json"

void instances_ticket_key(const char *uid, char key[static STORE_KEY_MAX + 1])
{
	(void)snprintf(key, STORE_KEY_MAX + 1, "/tickets/%s", uid);
}

void instances_decision_key(const char *namespace, const char *name, char key[static STORE_KEY_MAX + 1])
{
	(void)snprintf(key, STORE_KEY_MAX + 1, "/decisions/%s/%s", namespace, name);
}

void instances_forget_decision(struct change *change, const json_t *pod)
{
	char key[STORE_KEY_MAX + 1];

	instances_decision_key(api_string(pod, "metadata.namespace"), api_string(pod, "metadata.name"), key);
	change_delete(change, key);
}

/* --- stopped --- */

bool instances_is_uid(const char *text)
{
	size_t len = strlen(text);

	for (const char *at = text; *at; at++)
		if (!isalnum((unsigned char)*at) && *at != '-')
			return false;
	return len > 0 && len <= 63;
}

/* The Pod object goes with its holder when its deletion was asked for. */
static int remove_pod(struct store *store, const char *namespace, const char *name, const char *uid,
		      struct change *change, struct err *err)
{
	CLEANUP_OBJECT struct object pod = {0};
	char key[STORE_KEY_MAX + 1];
	int r = records_key(records_pods(), namespace, name, key, err);

	if (r == 0)
		r = records_get(store, records_pods(), namespace, name, &pod, err);
	if (r < 0 && r != ERR_NOT_FOUND)
		return r;
	/* A deletion that is asked for meanwhile must not miss that the holder has gone. */
	change_compare(change, key, pod.revision);
	if (r == ERR_NOT_FOUND)
		return 0;
	if (!str_eq(api_string(pod.json, "metadata.uid"), uid) || !api_string(pod.json, "metadata.deletionTimestamp") ||
	    json_array_size(api_value(pod.json, "metadata.finalizers")) > 0)
		return 0;
	r = quotas_settle(store, pod.json, NULL, change, err);
	if (r < 0)
		return r;
	records_remove(change, records_pods(), pod.json, pod.revision);
	instances_forget_decision(change, pod.json);
	return 0;
}

int instances_release(struct store *store, const char *instance, const char *uid, struct change *change,
		      struct err *err)
{
	CLEANUP_JSON json_t *place = NULL;
	char key[STORE_KEY_MAX + 1];
	int r = ledger_find(store, uid, NULL, &place, err);

	if (r < 0)
		return r;
	r = ledger_release(store, instance, uid, change, err);
	if (r == 0)
		r = remove_pod(store, api_string(place, "namespace"), api_string(place, "name"), uid, change, err);
	instances_ticket_key(uid, key);
	if (r == 0)
		change_delete(change, key);
	return r;
}

static int release_once(struct store *store, const char *instance, const char *uid, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	CLEANUP_JSON json_t *place = NULL;
	uint64_t revision;
	int r;

	change_init(&change);
	r = ledger_find(store, uid, NULL, &place, err);
	if (r < 0 || !place)
		return r;
	r = quarantines_check(store, instance, api_string(place, "server"), &change, err);
	if (r == 0)
		r = instances_release(store, instance, uid, &change, err);
	if (r < 0)
		return r == ERR_NOT_FOUND ? 0 : r; /* released before, or never held: nothing to do */
	r = change_commit(&change, store, &revision, err);
	crashpoint("cism-stopped");
	return r;
}

static int release(struct store *store, const char *instance, const char *uid, struct err *err)
{
	int r = ERR_CONFLICT;

	if (!instances_is_uid(uid))
		return err_set(err, ERR_INVALID, "uids: '%.70s' is no uid", uid);
	for (int i = 0; i < INSTANCES_TRIES && r == ERR_CONFLICT; i++)
		r = release_once(store, instance, uid, err);
	return r;
}

static int release_all(struct call *call, const json_t *uids, struct err *err)
{
	const json_t *uid;
	size_t i;

	json_array_foreach(uids, i, uid) {
		const char *text = json_string_value(uid);
		int r = text ? release(call->cism->store, call->routing.name, text, err)
			     : err_set(err, ERR_INVALID, "uids[%zu]: must be a string", i);

		if (r < 0)
			return r;
		log_info("stop confirmed", "instance", call->routing.name, "uid", text);
	}
	return 0;
}

void instances_stopped(struct call *call)
{
	static const struct policy_field fields[] = {{"uids", POLICY_FIELD_ARRAY, true, STOPPED_MAX}};
	CLEANUP_JSON json_t *body = NULL;
	struct err err = {0};
	int r;

	r = policy_fields_load("stopped", call->body, call->body_len, &body, &err);
	if (r == 0)
		r = policy_fields_check(body, "", fields, ARRAY_SIZE(fields), &err);
	if (r == 0)
		r = release_all(call, json_object_get(body, "uids"), &err);
	if (r < 0)
		call_answer_error(call, &err);
	else
		call_answer(call, 200, "application/json", "{}", 2);
}

/* --- holders --- */

void instances_holders(struct call *call)
{
	CLEANUP_LEDGER struct ledger ledger = {0};
	CLEANUP_JSON json_t *answer = json_pack("{s:[]}", "uids");
	struct err err = {0};
	int r = ledger_read(call->cism->store, &ledger, &err);

	for (size_t i = 0; r == 0 && i < ledger.holder_count; i++)
		if (str_eq(ledger.holders[i].instance, call->routing.name) &&
		    json_array_append_new(json_object_get(answer, "uids"), json_string(ledger.holders[i].uid)) < 0)
			r = err_sys(&err, -ENOMEM, "cannot list the holders");
	if (r < 0)
		call_answer_error(call, &err);
	else
		call_answer_json(call, 200, answer);
}

/* --- ticket --- */

int instances_read_ticket(struct call *call, struct buf *to, struct err *err)
{
	CLEANUP_OBJECT struct object pod = {0};
	CLEANUP_STORE_ENTRY struct store_entry entry = {0};
	char key[STORE_KEY_MAX + 1];
	char certificate[65];
	const char *instance;
	int r;

	r = records_get(call->cism->store, records_pods(), call->routing.namespace, call->routing.name, &pod, err);
	if (r < 0)
		return r;
	instance = api_string(pod.json, "spec.nodeName");
	instances_ticket_key(api_string(pod.json, "metadata.uid"), key);
	r = instance ? store_get(call->cism->store, key, &entry, err) : ERR_NOT_FOUND;
	if (r == ERR_NOT_FOUND)
		return err_set(err, r, "pod \"%s\" has no ticket: it is not bound", call->routing.name);
	if (r == 0)
		r = joins_certificate(call->cism, instance, certificate, err);
	if (r == 0)
		r = tickets_refresh(call->cism, entry.value, entry.value_len, certificate, to, err);
	return r;
}

void instances_ticket(struct call *call)
{
	CLEANUP_BUF struct buf ticket = buf_of(STORE_VALUE_MAX);
	struct err err = {0};

	if (instances_read_ticket(call, &ticket, &err) < 0)
		call_answer_error(call, &err);
	else
		call_answer(call, 200, ENVELOPE_TYPE, ticket.data, ticket.len);
}

/* --- decision --- */

void instances_decision(struct call *call)
{
	CLEANUP_OBJECT struct object pod = {0};
	CLEANUP_STORE_ENTRY struct store_entry entry = {0};
	char key[STORE_KEY_MAX + 1];
	struct err err = {0};
	int r;

	instances_decision_key(call->routing.namespace, call->routing.name, key);
	r = records_get(call->cism->store, records_pods(), call->routing.namespace, call->routing.name, &pod, &err);
	if (r == 0) {
		r = store_get(call->cism->store, key, &entry, &err);
		if (r == ERR_NOT_FOUND)
			(void)err_set(&err, r, "no decision about pod \"%s\" yet", call->routing.name);
	}
	if (r < 0)
		call_answer_error(call, &err);
	else
		call_answer(call, 200, "application/json", entry.value, entry.value_len);
}
