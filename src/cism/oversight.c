/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/oversight.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "cism/charges.h"
#include "cism/happenings.h"
#include "cism/instances.h"
#include "cism/prover.h"
#include "policy/fields.h"

#define REASON_MAX 512

/* --- ledger --- */

/* The servers that its instance left since, where it counts too; NULL: none. */
static json_t *left_by(const struct charges *charges, const struct ledger_holder *holder)
{
	json_t *servers = json_array();
	const char *left;
	size_t at = 0;

	while ((left = topology_next_left(&charges->topology, holder->instance, holder->epoch, &at)))
		if (!str_eq(left, holder->server) && json_array_append_new(servers, json_string(left)) < 0)
			break;
	if (json_array_size(servers) > 0)
		return servers;
	json_decref(servers);
	return NULL;
}

static json_t *row_of(const struct charges *charges, const struct ledger_holder *holder)
{
	const struct topology_instance *now = topology_find(&charges->topology, holder->instance);

	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:s, s:I, s:o*}", "uid", holder->uid, "namespace",
			 holder->namespace, "name", holder->name, "domain", holder->domain, "subFunction",
			 holder->subfunction, "instance", holder->instance, "server", holder->server, "epoch",
			 (json_int_t)holder->epoch, "serverNow", now ? now->server : "", "epochNow",
			 (json_int_t)(now ? now->epoch : 0), "serversLeft", left_by(charges, holder));
}

static int list(struct call *call, json_t *answer, struct err *err)
{
	CLEANUP_CHARGES struct charges charges = {0};
	json_t *proof = NULL;
	int r = charges_read(call->cism, &charges, err);

	for (size_t i = 0; r == 0 && i < charges.ledger.holder_count; i++)
		if (json_array_append_new(json_object_get(answer, "holders"),
					  row_of(&charges, &charges.ledger.holders[i])) < 0)
			r = err_sys(err, -ENOMEM, "cannot list the ledger");
	if (r < 0)
		return r;
	r = prover_last(call->cism, &proof, err);
	if (r == ERR_NOT_FOUND)
		return 0;
	if (r == 0 && json_object_set_new(answer, "proof", proof) < 0)
		r = err_sys(err, -ENOMEM, "cannot list the ledger");
	return r;
}

void oversight_ledger(struct call *call)
{
	CLEANUP_JSON json_t *answer = json_pack("{s:s, s:s, s:[]}", "kind", "Ledger", "apiVersion",
						"trust.bulkhead.dev/v1", "holders");
	struct err err = {0};

	if (list(call, answer, &err) < 0)
		call_answer_error(call, &err);
	else
		call_answer_json(call, 200, answer);
}

/* --- releases --- */

static int release_once(struct call *call, const char *uid, const char *reason, json_t **ret_place, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	CLEANUP_JSON json_t *place = NULL;
	char key[STORE_KEY_MAX + 1], stamp[CLOCK_STAMP_SIZE];
	uint64_t revision;
	int r = ledger_find(call->cism->store, uid, NULL, &place, err);

	if (r == 0 && !place)
		r = err_set(err, ERR_NOT_FOUND, "pod uid '%s' holds nothing", uid);
	change_init(&change);
	if (r == 0)
		r = instances_release(call->cism->store, api_string(place, "instance"), uid, &change, err);
	if (r < 0)
		return r;
	clock_format(stamp, clock_wall_ms());
	if (json_object_set_new(place, "time", json_string(stamp)) < 0 ||
	    json_object_set_new(place, "by", json_string(call->user.name)) < 0 ||
	    json_object_set_new(place, "reason", json_string(reason)) < 0)
		return err_sys(err, -ENOMEM, "cannot release '%s'", uid);
	(void)snprintf(key, sizeof(key), "/releases/%s", uid);
	change_put(&change, key, place);
	r = change_commit(&change, call->cism->store, &revision, err);
	if (r == 0)
		*ret_place = json_incref(place);
	return r;
}

static int release(struct call *call, const json_t *body, json_t **ret_place, struct err *err)
{
	const char *uid = json_string_value(json_object_get(body, "uid"));
	const char *reason = json_string_value(json_object_get(body, "reason"));
	int r = ERR_CONFLICT;

	if (!instances_is_uid(uid))
		return err_set(err, ERR_INVALID, "uid: '%.70s' is no uid", uid);
	if (strspn(reason, " \t") == strlen(reason))
		return err_set(err, ERR_INVALID, "reason: why the pod cannot run any more has to be said");
	for (int i = 0; i < INSTANCES_TRIES && r == ERR_CONFLICT; i++)
		r = release_once(call, uid, reason, ret_place, err);
	return r;
}

void oversight_release(struct call *call)
{
	static const struct policy_field fields[] = {{"uid", POLICY_FIELD_STRING, true, 63},
						     {"reason", POLICY_FIELD_STRING, true, REASON_MAX}};
	CLEANUP_JSON json_t *body = NULL;
	CLEANUP_JSON json_t *place = NULL;
	struct err err = {0};
	int r = policy_fields_load("release", call->body, call->body_len, &body, &err);

	if (r == 0)
		r = policy_fields_check(body, "", fields, ARRAY_SIZE(fields), &err);
	if (r == 0)
		r = release(call, body, &place, &err);
	if (r < 0) {
		call_answer_error(call, &err);
		return;
	}
	log_warn("an administrator ended a charge", "uid", json_string_value(json_object_get(body, "uid")), "instance",
		 api_string(place, "instance"), "by", call->user.name, "reason", api_string(place, "reason"));
	call_answer_json(call, 200, place);
}
