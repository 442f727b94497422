/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/verbs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/crashpoint.h"
#include "base/str.h"
#include "cism/instances.h"
#include "cism/ledger.h"
#include "cism/quotas.h"

#define TRIES 8
#define GRACE_DEFAULT 30
#define GRACE_MOST 86400

/* DeleteOptions of the body and the query. */
struct removal {
	json_int_t grace; /* seconds; -1: the object's own */
	char uid[64];     /* precondition, or empty */
	char revision[24];
	bool dry_run;
};

static int read_body(struct call *call, json_t **ret_options, struct err *err)
{
	const struct api_kind *kind = api_kind_by_name("", "v1", "DeleteOptions");
	const char *type = http_header(call->request, "Content-Type");
	json_error_t fault;

	if (call->body_len == 0)
		return 0;
	if (type && str_starts(type, "application/vnd.kubernetes.protobuf")) {
		if (!kind)
			return err_set(err, -EMEDIUMTYPE, "the body of a deletion must be application/json");
		return api_decode(kind, type, call->body, call->body_len, API_IGNORE, ret_options, &call->warnings,
				  err);
	}
	*ret_options = json_loadb(call->body, call->body_len, JSON_REJECT_DUPLICATES, &fault);
	if (!json_is_object(*ret_options))
		return err_set(err, ERR_SYNTAX, "the body is no DeleteOptions object: %s", fault.text);
	return 0;
}

static int take_text(const json_t *options, const char *path, char *to, size_t size, struct err *err)
{
	const char *text = api_string(options, path);

	if (text && str_copy(to, size, text) < 0)
		return err_set(err, ERR_INVALID, "%s: Too long", path);
	return 0;
}

static bool is_policy(const char *word)
{
	return str_eq(word, "Background") || str_eq(word, "Foreground") || str_eq(word, "Orphan");
}

static int take_options(struct call *call, const json_t *options, struct removal *to, struct err *err)
{
	const char *propagation = http_query(call->request, "propagationPolicy");
	const char *grace = http_query(call->request, "gracePeriodSeconds");
	const json_t *value = api_value(options, "gracePeriodSeconds");
	int64_t seconds = -1;
	int r;

	if (api_string(options, "propagationPolicy"))
		propagation = api_string(options, "propagationPolicy");
	if (propagation && propagation[0] && !is_policy(propagation))
		return err_set(err, ERR_INVALID,
			       "propagationPolicy: Unsupported value: \"%.40s\": supported values: \"Background\", "
			       "\"Foreground\", \"Orphan\"",
			       propagation);
	if (grace && grace[0] && str_parse_i64(grace, 0, GRACE_MOST, &seconds) < 0)
		return err_set(err, ERR_INVALID, "gracePeriodSeconds: Invalid value: \"%.40s\"", grace);
	if (value && !json_is_null(value)) {
		if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > GRACE_MOST)
			return err_set(err, ERR_INVALID, "gracePeriodSeconds: Invalid value: must be 0 to %d",
				       GRACE_MOST);
		seconds = json_integer_value(value);
	}
	to->grace = seconds;
	to->dry_run = call->dry_run || json_array_size(api_value(options, "dryRun")) > 0;
	r = take_text(options, "preconditions.uid", to->uid, sizeof(to->uid), err);
	if (r == 0)
		r = take_text(options, "preconditions.resourceVersion", to->revision, sizeof(to->revision), err);
	return r;
}

static int read_removal(struct call *call, struct removal *to, struct err *err)
{
	CLEANUP_JSON json_t *options = NULL;
	int r = read_body(call, &options, err);

	return r < 0 ? r : take_options(call, options, to, err);
}

static int check_preconditions(const struct call *call, const struct removal *removal, const json_t *object,
			       struct err *err)
{
	const char *uid = api_string(object, "metadata.uid");
	const char *revision = api_string(object, "metadata.resourceVersion");
	bool uid_differs = removal->uid[0] && !str_eq(removal->uid, uid);

	if (uid_differs || (removal->revision[0] && !str_eq(removal->revision, revision)))
		return err_set(
			err, ERR_CONFLICT,
			"Operation cannot be fulfilled on %s \"%s\": Precondition failed: %s in precondition: %s, "
			"%s in object meta: %s",
			call->routing.kind->resource, api_string(object, "metadata.name"),
			uid_differs ? "UID" : "ResourceVersion", uid_differs ? removal->uid : removal->revision,
			uid_differs ? "UID" : "ResourceVersion", uid_differs ? uid : revision);
	return 0;
}

/* Sets when the object shall be gone; a shorter grace than before replaces the longer. */
static int mark(json_t *object, json_int_t grace)
{
	char stamp[CLOCK_STAMP_SIZE];

	if (api_string(object, "metadata.deletionTimestamp") &&
	    api_integer(object, "metadata.deletionGracePeriodSeconds", 0) <= grace)
		return 0;
	clock_format(stamp, clock_wall_ms() + grace * 1000);
	if (api_set(object, "metadata.deletionTimestamp", json_string(stamp)) < 0)
		return -ENOMEM;
	return api_set(object, "metadata.deletionGracePeriodSeconds", json_integer(grace));
}

enum way { GONE, MARKED };

/* A pod that may run somewhere stays until its instance confirms the stop; forced, the object goes and the charge stays. */
static int pod_way(struct call *call, const struct removal *removal, json_t *pod, struct change *change,
		   enum way *ret_way, struct err *err)
{
	CLEANUP_JSON json_t *place = NULL;
	json_int_t grace = removal->grace >= 0 ? removal->grace
					       : api_integer(pod, "spec.terminationGracePeriodSeconds", GRACE_DEFAULT);
	int r;

	*ret_way = GONE;
	if (grace == 0 || !api_string(pod, "spec.nodeName"))
		return 0;
	r = ledger_find(call->cism->store, api_string(pod, "metadata.uid"), change, &place, err);
	if (r < 0 || !place)
		return r;
	*ret_way = MARKED;
	return mark(pod, grace) < 0 ? err_sys(err, -ENOMEM, "cannot mark the pod") : 0;
}

static int namespace_way(json_t *namespace, enum way *ret_way, struct err *err)
{
	static const char *const permanent[] = {"default", "kube-system", "kube-public", "kube-node-lease"};
	const char *name = api_string(namespace, "metadata.name");

	for (size_t i = 0; i < ARRAY_SIZE(permanent); i++)
		if (str_eq(name, permanent[i]))
			return err_set(err, ERR_DENIED,
				       "namespaces \"%s\" is forbidden: this namespace may not be deleted", name);
	*ret_way = MARKED;
	if (mark(namespace, 0) < 0 || api_set(namespace, "status.phase", json_string("Terminating")) < 0)
		return err_sys(err, -ENOMEM, "cannot mark the namespace");
	return 0;
}

static int way_of(struct call *call, const struct removal *removal, json_t *object, struct change *change,
		  enum way *ret_way, struct err *err)
{
	*ret_way = GONE;
	if (json_array_size(api_value(object, "metadata.finalizers")) > 0) {
		*ret_way = MARKED;
		return mark(object, 0) < 0 ? err_sys(err, -ENOMEM, "cannot mark the object") : 0;
	}
	if (call->routing.kind == records_pods())
		return pod_way(call, removal, object, change, ret_way, err);
	if (call->routing.kind == records_namespaces())
		return namespace_way(object, ret_way, err);
	return 0;
}

static int remove_once(struct call *call, const struct removal *removal, const char *name, const char *namespace,
		       struct object *ret_object, enum way *ret_way, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	uint64_t revision = 0;
	int r;

	change_init(&change);
	r = records_get(call->cism->store, call->routing.kind, namespace, name, ret_object, err);
	if (r == 0)
		r = check_preconditions(call, removal, ret_object->json, err);
	if (r == 0)
		r = way_of(call, removal, ret_object->json, &change, ret_way, err);
	if (r < 0 || removal->dry_run)
		return r;
	if (*ret_way == GONE && call->routing.kind == records_pods())
		r = quotas_settle(call->cism->store, ret_object->json, NULL, &change, err);
	if (r < 0)
		return r;
	if (*ret_way == MARKED)
		records_put(&change, call->routing.kind, ret_object->json, ret_object->revision);
	else
		records_remove(&change, call->routing.kind, ret_object->json, ret_object->revision);
	if (*ret_way == GONE && call->routing.kind == records_pods())
		instances_forget_decision(&change, ret_object->json);
	r = change_commit(&change, call->cism->store, &revision, err);
	if (r == 0)
		r = records_set_revision(ret_object->json, revision);
	crashpoint("cism-delete");
	return r;
}

static int remove_object(struct call *call, const struct removal *removal, const char *name, const char *namespace,
			 struct object *ret_object, enum way *ret_way, struct err *err)
{
	int r = ERR_CONFLICT;

	for (int i = 0; i < TRIES && r == ERR_CONFLICT; i++) {
		records_done(ret_object);
		r = remove_once(call, removal, name, namespace, ret_object, ret_way, err);
		if (r == ERR_CONFLICT && (removal->uid[0] || removal->revision[0]))
			break;
	}
	return r;
}

static void answer_removal(struct call *call, const struct removal *removal)
{
	CLEANUP_OBJECT struct object object = {0};
	struct err err = {0};
	enum way way = GONE;
	int r = remove_object(call, removal, call->routing.name, call->routing.namespace, &object, &way, &err);

	if (r < 0)
		call_answer_error(call, &err);
	else if (way == MARKED || call->routing.kind == records_pods())
		call_answer_object(call, 200, call->routing.kind, object.json);
	else
		call_answer_gone(call, call->routing.kind, object.json);
}

void verbs_delete(struct call *call)
{
	struct removal removal = {0};
	struct err err = {0};

	if (read_removal(call, &removal, &err) < 0)
		call_answer_error(call, &err);
	else
		answer_removal(call, &removal);
}

void verbs_delete_collection(struct call *call)
{
	CLEANUP_OBJECT_LIST struct object_list list = {0};
	struct removal removal = {0};
	struct err err = {0};
	int r = read_removal(call, &removal, &err);

	if (r == 0)
		r = verbs_select(call, &list, &err);
	for (size_t i = 0; r == 0 && i < list.count; i++) {
		CLEANUP_OBJECT struct object object = {0};
		enum way way;

		r = remove_object(call, &removal, api_string(list.items[i], "metadata.name"),
				  api_string(list.items[i], "metadata.namespace"), &object, &way, &err);
		if (r == ERR_NOT_FOUND)
			r = 0;
	}
	if (r < 0)
		call_answer_error(call, &err);
	else
		call_answer_list(call, call->routing.kind, &list);
}

void verbs_evict(struct call *call)
{
	CLEANUP_JSON json_t *eviction = NULL;
	struct removal removal = {.grace = -1};
	const struct api_kind *kind = api_kind_by_name("policy", "v1", "Eviction");
	const char *type = http_header(call->request, "Content-Type");
	struct err err = {0};
	int r;

	if (!kind)
		r = err_set(&err, ERR_NOT_FOUND, "the server could not find the requested resource");
	else
		r = api_decode(kind, type ? type : "application/json", call->body, call->body_len, call->strictness,
			       &eviction, &call->warnings, &err);
	if (r == 0)
		r = take_options(call, api_value(eviction, "deleteOptions"), &removal, &err);
	if (r < 0) {
		call_answer_error(call, &err);
		return;
	}
	call->routing.verb = ROUTING_DELETE;
	answer_removal(call, &removal);
}
