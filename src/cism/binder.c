/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/binder.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/crashpoint.h"
#include "base/str.h"
#include "cism/bindfacts.h"
#include "cism/bindparts.h"
#include "cism/conditions.h"
#include "cism/happenings.h"
#include "cism/instances.h"
#include "cism/shared_topology.h"

#define TRIES 4

/* --- the transaction --- */

static void compare_object(struct change *change, const struct api_kind *kind, const char *name, uint64_t revision)
{
	char key[STORE_KEY_MAX + 1];

	if (records_key(kind, NULL, name, key, NULL) < 0)
		change->failed = ERR_INVALID;
	else
		change_compare(change, key, revision);
}

static int commit(struct cism *cism, const struct bindfacts *facts, const struct placement_verdict *chosen,
		  const struct bindparts *binding, const json_t *report, struct err *err)
{
	struct ledger_holder holder = {
		.uid = facts->who.uid,
		.namespace = facts->who.namespace,
		.name = facts->who.name,
		.domain = facts->who.domain,
		.subfunction = facts->who.subfunction ? facts->who.subfunction : "",
		.instance = chosen->instance,
		.server = chosen->mapping->server,
		.epoch = chosen->mapping->epoch,
		.cpu_milli = facts->cpu_milli,
		.memory_bytes = facts->memory_bytes,
	};
	CLEANUP_CHANGE struct change change = {0};
	char key[STORE_KEY_MAX + 1];
	uint64_t revision;
	int r;

	change_init(&change);
	records_put(&change, records_pods(), binding->pod, facts->pod.revision);
	compare_object(&change, records_namespaces(), facts->who.namespace, facts->admission.namespace.revision);
	compare_object(&change, records_nodes(), chosen->instance, bindfacts_node_revision(facts, chosen->instance));
	change_compare(&change, RECORDS_RULES_KEY, facts->rules);
	change_compare(&change, SHARED_TOPOLOGY_KEY, facts->topology);
	bindfacts_compare_moved(facts, chosen->mapping->server, &change);
	if (!ledger_has_domain(&facts->ledger, holder.server, holder.domain)) {
		ledger_domain_key(holder.domain, key);
		change_compare(&change, key, facts->domain_revision);
	}
	r = ledger_hold(&facts->ledger, cism->store, &holder, &change, err);
	if (r < 0)
		return r;
	if (facts->tied) {
		CLEANUP_JSON json_t *tie = json_pack("{s:I}", "binds", (json_int_t)facts->tie_binds + 1);

		ledger_affinity_key(holder.domain, key);
		change_compare(&change, key, facts->tie_revision);
		change_put(&change, key, tie);
	}
	instances_ticket_key(facts->who.uid, key);
	change_put_bytes(&change, key, binding->envelope.data, binding->envelope.len);
	instances_decision_key(facts->who.namespace, facts->who.name, key);
	change_put(&change, key, report);
	crashpoint("cism-bind");
	r = change_commit(&change, cism->store, &revision, err);
	if (r == 0)
		crashpoint("cism-bound");
	return r;
}

/* --- the decision --- */

static bool asks_again_soon(int code)
{
	return code == ERR_UNAVAILABLE || code == -ETIMEDOUT || code == ERR_BUSY || code == ERR_NOT_FOUND ||
	       code == ERR_UNKNOWN_PEER || code == ERR_DENIED || code == ERR_INVALID || code == ERR_SYNTAX;
}

/* What may be said to everybody. */
static void say(struct placement_reason *reason, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(struct placement_reason *reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(reason->sentence, sizeof(reason->sentence), format, args);
	va_end(args);
	memcpy(reason->tenant, reason->sentence, sizeof(reason->tenant));
}

static int bind_to(struct cism *cism, struct bindfacts *facts, const struct placement_verdict *chosen,
		   enum binder_outcome *ret_outcome, struct placement_reason *reason, struct err *err)
{
	CLEANUP_BINDPARTS struct bindparts binding = bindparts_of();
	CLEANUP_JSON json_t *report = NULL;
	int r;

	r = bindparts_make(cism, facts, chosen, NULL, &binding, err);
	if (r < 0 && asks_again_soon(r)) {
		say(reason, "%s", err->msg);
		*ret_outcome = BINDER_LATER;
		return 0;
	}
	if (r < 0)
		return r;
	say(reason, "bound to instance '%s' of server '%s' in trust domain '%s'", chosen->instance,
	    chosen->mapping->server, facts->who.domain);
	report = bindfacts_report(facts, "Bound", reason->sentence, chosen->instance);
	if (!report)
		return err_sys(err, -ENOMEM, "cannot bind the pod");
	r = commit(cism, facts, chosen, &binding, report, err);
	if (r < 0)
		return r;
	*ret_outcome = BINDER_BOUND;
	(void)atomic_fetch_add(&cism->binds, 1);
	happenings_record(cism, binding.pod, "Normal", "Scheduled", reason->tenant);
	return 0;
}

/* Whether the last decision about a pod says the same already. */
static bool is_noted(struct cism *cism, const char *key, const char *sentence)
{
	CLEANUP_STORE_ENTRY struct store_entry entry = {0};
	CLEANUP_JSON json_t *before = NULL;
	const char *message;

	if (store_get(cism->store, key, &entry, NULL) < 0)
		return false;
	before = json_loadb(entry.value, entry.value_len, 0, NULL);
	message = api_string(before, "message");
	return message && str_eq(message, sentence);
}

/*
 * The last word about a pod that cannot be placed: to its owner in its condition and event, to operators as the decision
 * that `why` shows. Written only when it changed.
 */
static int note_refusal(struct cism *cism, struct bindfacts *facts, const struct placement_reason *reason,
			struct err *err)
{
	CLEANUP_JSON json_t *report = bindfacts_report(facts, "Pending", reason->sentence, NULL);
	CLEANUP_CHANGE struct change change = {0};
	char key[STORE_KEY_MAX + 1];
	uint64_t revision;
	bool told;
	int r;

	if (!report)
		return err_sys(err, -ENOMEM, "cannot note a decision");
	r = conditions_set(facts->pod.json, "PodScheduled", "False", "Unschedulable", reason->tenant);
	told = r == 0;
	instances_decision_key(facts->who.namespace, facts->who.name, key);
	if (r < 0 || (told && is_noted(cism, key, reason->sentence)))
		return r < 0 ? err_sys(err, r, "cannot note a decision") : 0;
	change_init(&change);
	records_put(&change, records_pods(), facts->pod.json, facts->pod.revision);
	change_put(&change, key, report);
	r = change_commit(&change, cism->store, &revision, err);
	if (r == 0 && !told)
		happenings_record(cism, facts->pod.json, "Warning", "FailedScheduling", reason->tenant);
	return r;
}

static int decide_once(struct cism *cism, const char *namespace, const char *name, const char *instance,
		       enum binder_outcome *ret_outcome, struct placement_reason *reason, struct err *err)
{
	CLEANUP_BINDFACTS struct bindfacts facts = {0};
	size_t chosen;
	int r;

	r = bindfacts_read(cism, namespace, name, &facts, err);
	if (r == ERR_NOT_FOUND || (r == 0 && facts.settled)) {
		*ret_outcome = BINDER_GONE;
		say(reason, "%s", r < 0 ? err->msg : "the pod is bound or being deleted already");
		return 0;
	}
	if (r < 0)
		return r;
	(void)atomic_fetch_add(&cism->decisions, 1);
	*ret_outcome = BINDER_REFUSED;
	chosen = bindfacts_judge(&facts, instance, reason);
	if (chosen < facts.verdict_count) {
		r = bind_to(cism, &facts, &facts.verdicts[chosen], ret_outcome, reason, err);
		if (r < 0 || *ret_outcome == BINDER_BOUND)
			return r;
	}
	return note_refusal(cism, &facts, reason, err);
}

int binder_decide(struct cism *cism, const char *namespace, const char *name, const char *instance,
		  enum binder_outcome *ret_outcome, struct placement_reason *reason, struct err *err)
{
	int r = ERR_CONFLICT;

	for (int i = 0; i < TRIES && r == ERR_CONFLICT; i++)
		r = decide_once(cism, namespace, name, instance, ret_outcome, reason, err);
	if (r < 0)
		return err_prefix(err, "cannot place pod '%s/%s'", namespace, name), r;
	return 0;
}

/* --- POST binding --- */

static int read_target(struct call *call, json_t **ret_binding, const char **ret_instance, struct err *err)
{
	const struct api_kind *kind = api_kind_by_name("", "v1", "Binding");
	const char *type = http_header(call->request, "Content-Type");
	const char *name;
	int r;

	if (!kind)
		return err_set(err, ERR_NOT_FOUND, "the server could not find the requested resource");
	r = api_decode(kind, type ? type : "application/json", call->body, call->body_len, call->strictness,
		       ret_binding, &call->warnings, err);
	if (r < 0)
		return r;
	name = api_string(*ret_binding, "target.name");
	if (!name || !name[0])
		return err_set(err, ERR_INVALID, "target.name: Required value");
	*ret_instance = name;
	return 0;
}

void binder_answer(struct call *call)
{
	CLEANUP_JSON json_t *binding = NULL;
	CLEANUP_JSON json_t *success = json_pack("{s:s, s:s, s:{}, s:s}", "kind", "Status", "apiVersion", "v1",
						 "metadata", "status", "Success");
	enum binder_outcome outcome = BINDER_REFUSED;
	const char *instance = NULL;
	struct placement_reason reason = {0};
	struct err err = {0};
	int r;

	r = read_target(call, &binding, &instance, &err);
	if (r == 0)
		r = binder_decide(call->cism, call->routing.namespace, call->routing.name, instance, &outcome, &reason,
				  &err);
	if (r == 0 && outcome != BINDER_BOUND)
		r = err_set(&err, outcome == BINDER_GONE ? ERR_CONFLICT : ERR_DENIED,
			    "pod '%s/%s' is not bound to '%s': %s", call->routing.namespace, call->routing.name,
			    instance, authorizer_is_master(&call->user) ? reason.sentence : reason.tenant);
	if (r < 0)
		call_answer_error(call, &err);
	else
		call_answer_json(call, 201, success);
}
