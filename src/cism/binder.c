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
#include "cism/conditions.h"
#include "cism/happenings.h"
#include "cism/imagepolicies.h"
#include "cism/instances.h"
#include "cism/joins.h"
#include "cism/podfacts.h"
#include "cism/shared_topology.h"
#include "cism/tags.h"
#include "cism/tickets.h"

#define DIGESTS "nfv.bulkhead.dev/images" /* annotation: which digests the tags were resolved to */
#define TRIES 4

/* What a binding is made of beside the facts. */
struct binding {
	json_t *pod;                 /* as it will be stored */
	struct policy_ticket ticket; /* borrows domain_spec */
	struct buf envelope;
};

static void binding_done(struct binding *binding)
{
	struct policy_ticket *ticket = &binding->ticket;

	for (size_t i = 0; ticket->pulls && i < ticket->pull_count; i++)
		policy_pull_done(&ticket->pulls[i]);
	free(ticket->pulls);
	free(ticket->pod_text);
	json_decref(binding->pod);
	buf_done(&binding->envelope);
}

/* --- images --- */

/* Images are added once, after the ImagePolicies are met. */
static int add_pull(struct cism *cism, const struct bindfacts *facts, const struct imagepolicies *policies,
		    struct policy_ticket *ticket, const char *image, struct err *err)
{
	struct policy_pull *pull = &ticket->pulls[ticket->pull_count];

	for (size_t i = 0; i < ticket->pull_count; i++)
		if (str_eq(ticket->pulls[i].image, image))
			return 0;
	ticket->pull_count++;
	pull->image = strdup(image);
	if (!pull->image)
		return err_sys(err, -ENOMEM, "cannot resolve the images");
	return imagepolicies_verify(cism, policies, facts->who.domain, pull, err);
}

/* Puts the digests into the final pod and, by container, into *digests. */
static int resolve_images(struct cism *cism, const struct bindfacts *facts, json_t *final, struct policy_ticket *ticket,
			  json_t *digests, struct err *err)
{
	/* Where sub-function or cache class follow from a repository's name, the repository must really hold the image. */
	bool proven = facts->domain && (facts->domain->subfunction_count || facts->domain->cache_count);
	CLEANUP_IMAGEPOLICIES struct imagepolicies policies = {0};
	struct podfacts_walk walk = {0};
	json_t *container;

	ticket->pulls = calloc(PODFACTS_CONTAINERS_MAX, sizeof(*ticket->pulls));
	if (!ticket->pulls)
		return err_sys(err, -ENOMEM, "cannot resolve the images");
	/* Behind the revision of the rules: what is newer fails the commit. */
	if (imagepolicies_read(cism, &policies, err) < 0)
		return err->code;
	while ((container = podfacts_next(final, &walk))) {
		const char *image = api_string(container, "image");
		char resolved[TAGS_IMAGE_SIZE];
		int r;

		if (ticket->pull_count == PODFACTS_CONTAINERS_MAX)
			return err_set(err, ERR_TOO_LARGE, "the pod has more than %d images", PODFACTS_CONTAINERS_MAX);
		r = tags_resolve(cism, image ? image : "", proven, resolved, err);
		if (r == 0)
			r = add_pull(cism, facts, &policies, ticket, resolved, err);
		if (r < 0)
			return r;
		if (json_object_set_new(container, "image", json_string(resolved)) < 0 ||
		    json_object_set_new(digests, api_string(container, "name"), json_string(resolved)) < 0)
			return err_sys(err, -ENOMEM, "cannot resolve the images");
	}
	return 0;
}

/* --- the ticket --- */

/* The pod the instance runs: identity, labels, annotations and the spec; nothing that changes afterwards. */
static json_t *final_pod(const json_t *pod, const char *instance)
{
	const json_t *metadata = json_object_get(pod, "metadata");
	json_t *spec = json_deep_copy(json_object_get(pod, "spec"));

	if (spec)
		(void)json_object_set_new(spec, "nodeName", json_string(instance));
	return json_pack("{s:s, s:s, s:{s:O, s:O, s:O, s:O*, s:O*}, s:o}", "apiVersion", "v1", "kind", "Pod",
			 "metadata", "name", json_object_get(metadata, "name"), "namespace",
			 json_object_get(metadata, "namespace"), "uid", json_object_get(metadata, "uid"), "labels",
			 json_object_get(metadata, "labels"), "annotations", json_object_get(metadata, "annotations"),
			 "spec", spec);
}

static int make_ticket(struct cism *cism, const struct bindfacts *facts, const struct placement_verdict *chosen,
		       const json_t *final, struct binding *to, struct err *err)
{
	struct policy_ticket *ticket = &to->ticket;
	char certificate[65];
	int r;

	r = joins_certificate(cism, chosen->instance, certificate, err);
	if (r < 0)
		return r;
	ticket->pod_text = api_format(final);
	if (!ticket->pod_text)
		return err_sys(err, -ENOMEM, "cannot write the ticket");
	ticket->uid = (char *)(uintptr_t)facts->who.uid;
	ticket->namespace = (char *)(uintptr_t)facts->who.namespace;
	ticket->name = (char *)(uintptr_t)facts->who.name;
	ticket->instance = (char *)(uintptr_t)chosen->instance;
	ticket->server = (char *)(uintptr_t)chosen->mapping->server;
	ticket->epoch = chosen->mapping->epoch;
	ticket->domain_name = (char *)(uintptr_t)facts->who.domain;
	ticket->domain_spec = api_value(facts->admission.domain.json, "spec");
	ticket->domains_revision = facts->rules;
	ticket->subfunction = (char *)(uintptr_t)(facts->who.subfunction ? facts->who.subfunction : "");
	return tickets_seal(cism, ticket, certificate, &to->envelope, err);
}

/* --- the stored pod --- */

static int make_pod(const struct bindfacts *facts, const char *instance, const json_t *digests, struct binding *to,
		    struct err *err)
{
	CLEANUP_FREE char *text = api_format(digests);

	to->pod = json_deep_copy(facts->pod.json);
	if (!to->pod || !text ||
	    (!api_value(to->pod, "metadata.annotations") &&
	     api_set(to->pod, "metadata.annotations", json_object()) < 0) ||
	    json_object_set_new(api_value(to->pod, "metadata.annotations"), DIGESTS, json_string(text)) < 0 ||
	    api_set(to->pod, "spec.nodeName", json_string(instance)) < 0 ||
	    conditions_set(to->pod, "PodScheduled", "True", NULL, NULL) < 0)
		return err_sys(err, -ENOMEM, "cannot bind the pod");
	return 0;
}

static int prepare(struct cism *cism, const struct bindfacts *facts, const struct placement_verdict *chosen,
		   struct binding *to, struct err *err)
{
	CLEANUP_JSON json_t *final = final_pod(facts->pod.json, chosen->instance);
	CLEANUP_JSON json_t *digests = json_object();
	int r;

	if (!final || !digests)
		return err_sys(err, -ENOMEM, "cannot bind the pod");
	r = resolve_images(cism, facts, final, &to->ticket, digests, err);
	if (r == 0)
		r = make_ticket(cism, facts, chosen, final, to, err);
	if (r == 0)
		r = make_pod(facts, chosen->instance, digests, to, err);
	return r;
}

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
		  const struct binding *binding, const json_t *report, struct err *err)
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
	__attribute__((cleanup(binding_done))) struct binding binding = {.envelope = buf_of(STORE_VALUE_MAX)};
	CLEANUP_JSON json_t *report = NULL;
	int r;

	r = prepare(cism, facts, chosen, &binding, err);
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
