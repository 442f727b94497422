/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/verbs.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"
#include "cism/admission.h"
#include "cism/board.h"
#include "cism/ledger.h"
#include "cism/quotas.h"
#include "crypto/key.h"

#define TRIES 8 /* how often a write without a stated revision is repeated when others come between */

static const char *const kept_metadata[] =
	{"uid",  "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds",
	 "name", "namespace",         "generation"};

static bool has_subresource(const struct api_kind *kind, const char *name)
{
	for (const char *const *sub = kind->subresources; sub && *sub; sub++)
		if (str_eq(*sub, name))
			return true;
	return false;
}

static int commit_once(struct call *call, struct change *change, json_t *object, struct err *err)
{
	uint64_t revision = 0;
	int r;

	if (call->dry_run)
		return 0;
	r = change_commit(change, call->cism->store, &revision, err);
	if (r == 0)
		r = records_set_revision(object, revision);
	return r;
}

static int modified(const struct call *call, const char *name, struct err *err)
{
	return err_set(err, ERR_CONFLICT,
		       "Operation cannot be fulfilled on %s%s%s \"%s\": the object has been modified; please apply "
		       "your changes to the "
		       "latest version and try again",
		       call->routing.kind->resource, call->routing.kind->group[0] ? "." : "", call->routing.kind->group,
		       name);
}

/* --- create --- */

static int name_object(struct call *call, json_t *object, struct err *err)
{
	static const char letters[] = "bcdfghjklmnpqrstvwxz2456789";
	const char *prefix = api_string(object, "metadata.generateName");
	uint8_t random[5];
	char name[254];
	size_t len;

	if (api_string(object, "metadata.name") && api_string(object, "metadata.name")[0])
		return 0;
	if (!prefix || !prefix[0])
		return err_set(err, ERR_INVALID, "metadata.name: Required value: name or generateName is required");
	len = strlen(prefix) > 58 ? 58 : strlen(prefix);
	crypto_random(random, sizeof(random));
	memcpy(name, prefix, len);
	for (size_t i = 0; i < sizeof(random); i++)
		name[len + i] = letters[random[i] % (sizeof(letters) - 1)];
	name[len + sizeof(random)] = '\0';
	return api_set(object, "metadata.name", json_string(name));
}

static int place_object(struct call *call, json_t *object, struct err *err)
{
	const char *namespace = api_string(object, "metadata.namespace");

	if (!call->routing.kind->namespaced) {
		if (namespace && namespace[0])
			return err_set(err, ERR_INVALID, "metadata.namespace: Forbidden: %s have no namespace",
				       call->routing.kind->resource);
		(void)json_object_del(api_value(object, "metadata"), "namespace");
		return 0;
	}
	if (!call->routing.namespace[0])
		return err_set(err, ERR_SYNTAX, "an object of kind %s is created in a namespace",
			       call->routing.kind->kind);
	if (namespace && namespace[0] && !str_eq(namespace, call->routing.namespace))
		return err_set(err, ERR_SYNTAX,
			       "the namespace of the provided object does not match the namespace sent on the request");
	return api_set(object, "metadata.namespace", json_string(call->routing.namespace));
}

/* Whether the request is a server-side apply, which keeps the book of managers itself. */
static bool is_apply(const struct call *call)
{
	const char *type = http_header(call->request, "Content-Type");

	return call->routing.verb == ROUTING_PATCH && type && str_starts(type, "application/apply-patch");
}

/* What the service itself says about a new object. */
static int stamp_object(struct call *call, json_t *object, struct err *err)
{
	static const char *const not_given[] = {"deletionTimestamp", "deletionGracePeriodSeconds", "selfLink",
						"resourceVersion"};
	const struct api_kind *kind = call->routing.kind;
	const char *revision = api_string(object, "metadata.resourceVersion");
	char stamp[CLOCK_STAMP_SIZE];
	char uid[37];
	int r;

	if (revision && revision[0])
		return err_set(err, ERR_SYNTAX, "resourceVersion should not be set on objects to be created");
	r = place_object(call, object, err);
	if (r == 0)
		r = name_object(call, object, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(not_given); i++)
		(void)json_object_del(api_value(object, "metadata"), not_given[i]);
	call_uid(uid);
	clock_format(stamp, clock_wall_ms());
	if (api_set(object, "metadata.uid", json_string(uid)) < 0 ||
	    api_set(object, "metadata.creationTimestamp", json_string(stamp)) < 0 ||
	    (kind->has_generation && api_set(object, "metadata.generation", json_integer(1)) < 0))
		return err_sys(err, -ENOMEM, "cannot create the object");
	if (has_subresource(kind, "status"))
		(void)json_object_del(object, "status");
	return is_apply(call) ? 0 : api_manage(kind, NULL, object, call->manager, NULL, err);
}

/* Pods are counted against the quotas of their namespace. */
static int settle(struct call *call, const json_t *old, const json_t *now, struct change *change, struct err *err)
{
	return call->routing.kind == records_pods() ? quotas_settle(call->cism->store, old, now, change, err) : 0;
}

static int insert_once(struct call *call, json_t *object, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	struct admission admission = {.call = call, .kind = call->routing.kind, .object = object, .change = &change};
	int r;

	change_init(&change);
	/* validated before, so that admission works on what is well formed, and after, because it changes the object */
	r = api_default(admission.kind, object, err);
	if (r == 0)
		r = api_validate(admission.kind, object, NULL, err);
	if (r == 0)
		r = admission_run(&admission, err);
	if (r == 0)
		r = api_validate(admission.kind, object, NULL, err);
	if (r == 0)
		r = settle(call, NULL, object, &change, err);
	if (r < 0)
		return r;
	records_put(&change, admission.kind, object, 0);
	/* Before the commit: the placement may hear of the pod before this goes on. */
	if (admission.kind == records_pods() && !call->dry_run)
		board_own(call->cism->board, api_string(object, "metadata.uid"));
	return commit_once(call, &change, object, err);
}

/* Whether a conflict of a creation came from an object of that name, with the error set so. */
static bool exists(struct call *call, const json_t *object, struct err *err)
{
	CLEANUP_OBJECT struct object found = {0};
	const char *name = api_string(object, "metadata.name");

	if (records_get(call->cism->store, call->routing.kind, call->routing.namespace, name, &found, NULL) < 0)
		return false;
	(void)err_set(err, ERR_EXISTS, "%s%s%s \"%s\" already exists", call->routing.kind->resource,
		      call->routing.kind->group[0] ? "." : "", call->routing.kind->group, name);
	return true;
}

int verbs_insert(struct call *call, json_t *object, struct err *err)
{
	bool generated;
	int r;

	if (!json_is_object(api_value(object, "metadata")) && api_set(object, "metadata", json_object()) < 0)
		return err_sys(err, -ENOMEM, "cannot create the object");
	generated = !api_string(object, "metadata.name") || !api_string(object, "metadata.name")[0];
	r = stamp_object(call, object, err);
	if (r < 0)
		return r;
	if (!generated && exists(call, object, err))
		return ERR_EXISTS;
	for (int i = 0; i < TRIES; i++) {
		r = insert_once(call, object, err);
		if (r != ERR_CONFLICT)
			return r;
		if (!exists(call, object, err))
			continue;
		if (!generated)
			return ERR_EXISTS;
		(void)json_object_del(api_value(object, "metadata"), "name");
		r = name_object(call, object, err);
		if (r < 0)
			return r;
	}
	return r;
}

static int decode(struct call *call, json_t **ret_object, struct err *err)
{
	const char *type = http_header(call->request, "Content-Type");

	return api_decode(call->routing.kind, type && type[0] ? type : "application/json", call->body, call->body_len,
			  call->strictness, ret_object, &call->warnings, err);
}

void verbs_create(struct call *call)
{
	CLEANUP_JSON json_t *object = NULL;
	struct err err = {0};
	int r;

	r = decode(call, &object, &err);
	if (r == 0)
		r = verbs_insert(call, object, &err);
	if (api_string(object, "metadata.name"))
		(void)snprintf(call->routing.name, sizeof(call->routing.name), "%s",
			       api_string(object, "metadata.name"));
	if (r == 0) {
		call_answer_object(call, 201, call->routing.kind, object);
	} else {
		call_answer_error(call, &err);
	}
}

/* --- update and patch --- */

/* What the client may not change, taken from the stored object. */
static int keep_metadata(json_t *object, const json_t *old)
{
	json_t *metadata = api_value(object, "metadata");

	if (!json_is_object(metadata)) {
		if (api_set(object, "metadata", json_object()) < 0)
			return -ENOMEM;
		metadata = api_value(object, "metadata");
	}
	for (size_t i = 0; i < ARRAY_SIZE(kept_metadata); i++) {
		json_t *value = json_object_get(api_value(old, "metadata"), kept_metadata[i]);

		if (!value)
			(void)json_object_del(metadata, kept_metadata[i]);
		else if (json_object_set(metadata, kept_metadata[i], value) < 0)
			return -ENOMEM;
	}
	(void)json_object_del(metadata, "selfLink");
	return 0;
}

/* The client's own claims about what it changes: they must agree with what is stored. */
static int check_claims(const struct call *call, const json_t *object, const struct object *old, bool *ret_stated,
			struct err *err)
{
	const char *revision = api_string(object, "metadata.resourceVersion");
	const char *uid = api_string(object, "metadata.uid");
	const char *name = api_string(object, "metadata.name");
	const char *namespace = api_string(object, "metadata.namespace");

	if (name && name[0] && !str_eq(name, call->routing.name))
		return err_set(err, ERR_SYNTAX, "the name of the object (%s) does not match the name on the URL (%s)",
			       name, call->routing.name);
	if (namespace && namespace[0] && !str_eq(namespace, call->routing.namespace))
		return err_set(err, ERR_SYNTAX,
			       "the namespace of the object (%s) does not match the namespace on the request (%s)",
			       namespace, call->routing.namespace);
	if (uid && uid[0] && !str_eq(uid, api_string(old->json, "metadata.uid")))
		return err_set(err, ERR_CONFLICT,
			       "Operation cannot be fulfilled on %s \"%s\": Precondition failed: UID in precondition: "
			       "%s, UID in object "
			       "meta: %s",
			       call->routing.kind->resource, call->routing.name, uid,
			       api_string(old->json, "metadata.uid"));
	*ret_stated = revision && revision[0] && !str_eq(revision, "0");
	if (*ret_stated && !str_eq(revision, api_string(old->json, "metadata.resourceVersion")))
		return modified(call, call->routing.name, err);
	return 0;
}

/* Through the status door only the status changes, through the main door everything else. */
static int confine_to_door(struct call *call, json_t **object, const json_t *old)
{
	bool status_door = str_eq(call->routing.subresource, "status");
	json_t *status;

	if (!status_door && !has_subresource(call->routing.kind, "status"))
		return 0;
	if (!status_door) {
		status = json_object_get(old, "status");
		return status ? json_object_set(*object, "status", status) : (json_object_del(*object, "status"), 0);
	}
	status = json_incref(json_object_get(*object, "status"));
	json_decref(*object);
	*object = json_deep_copy(old);
	if (!*object || !status) {
		json_decref(status);
		return *object ? 0 : -ENOMEM;
	}
	return json_object_set_new(*object, "status", status);
}

static int bump_generation(const struct call *call, json_t *object, const json_t *old)
{
	if (!call->routing.kind->has_generation ||
	    json_equal(json_object_get(object, "spec"), json_object_get(old, "spec")))
		return 0;
	return api_set(object, "metadata.generation", json_integer(api_integer(old, "metadata.generation", 0) + 1));
}

/* Whether nothing holds an object any more whose deletion was asked for: 1, 0, or what the store answered. */
static int is_finished(const struct call *call, const json_t *object, struct change *change, struct err *err)
{
	CLEANUP_JSON json_t *place = NULL;
	int r;

	if (!api_string(object, "metadata.deletionTimestamp") ||
	    json_array_size(api_value(object, "metadata.finalizers")) > 0 || call->routing.kind == records_namespaces())
		return 0;
	if (call->routing.kind != records_pods())
		return 1;
	r = ledger_find(call->cism->store, api_string(object, "metadata.uid"), change, &place, err);
	return r < 0 ? r : !place;
}

/* Writes a new version of an object. *object is replaced by what is stored. */
static int replace_once(struct call *call, json_t **object, const struct object *old, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	struct admission admission = {.call = call, .kind = call->routing.kind, .old = old->json, .change = &change};
	bool finished;
	int r;

	change_init(&change);
	if (keep_metadata(*object, old->json) < 0 || confine_to_door(call, object, old->json) < 0 ||
	    bump_generation(call, *object, old->json) < 0 || records_set_revision(*object, old->revision) < 0)
		return err_sys(err, -ENOMEM, "cannot change the object");
	admission.object = *object;
	admission.operation = call->routing.subresource[0] ? ADMISSION_UPDATE_STATUS : ADMISSION_UPDATE;
	r = api_default(admission.kind, *object, err);
	if (r == 0 && !is_apply(call))
		r = api_manage(admission.kind, old->json, *object, call->manager, call->routing.subresource, err);
	if (r == 0)
		r = api_validate(admission.kind, *object, old->json, err);
	if (r == 0)
		r = admission_run(&admission, err);
	if (r == 0)
		r = api_validate(admission.kind, *object, old->json, err);
	if (r < 0 || json_equal(*object, old->json))
		return r;
	r = is_finished(call, *object, &change, err);
	finished = r > 0;
	if (r >= 0)
		r = settle(call, old->json, finished ? NULL : *object, &change, err);
	if (r < 0)
		return r;
	if (finished)
		records_remove(&change, admission.kind, *object, old->revision);
	else
		records_put(&change, admission.kind, *object, old->revision);
	return commit_once(call, &change, *object, err);
}

/* Makes the new version from the stored one: a PUT's body, or a patch applied to it. */
typedef int (*make_fn)(struct call *call, const struct object *old, json_t **ret_object, struct err *err);

static int make_from_body(struct call *call, const struct object *old, json_t **ret_object, struct err *err)
{
	(void)old;
	buf_clear(&call->warnings);
	return decode(call, ret_object, err);
}

static int make_from_patch(struct call *call, const struct object *old, json_t **ret_object, struct err *err)
{
	const char *type = http_header(call->request, "Content-Type");
	const char *force = http_query(call->request, "force");
	struct api_patch_options options = {
		.content_type = type ? type : "",
		.field_manager = call->manager,
		.force = force && str_eq(force, "true"),
		.strictness = call->strictness,
	};

	buf_clear(&call->warnings);
	return api_patch(call->routing.kind, old->json, &options, call->body, call->body_len, ret_object,
			 &call->warnings, err);
}

static int replace(struct call *call, make_fn make, json_t **ret_object, struct err *err)
{
	int r = ERR_CONFLICT;

	for (int i = 0; i < TRIES; i++) {
		CLEANUP_OBJECT struct object old = {0};
		CLEANUP_JSON json_t *object = NULL;
		bool stated = false;

		r = records_get(call->cism->store, call->routing.kind, call->routing.namespace, call->routing.name,
				&old, err);
		if (r == 0)
			r = make(call, &old, &object, err);
		if (r == 0)
			r = check_claims(call, object, &old, &stated, err);
		if (r < 0)
			return r;
		r = replace_once(call, &object, &old, err);
		if (r == 0) {
			*ret_object = take_ptr(object);
			return 0;
		}
		/* A patch carries no revision of its own: the one in it is the stored one, so it is simply applied again. */
		if (r != ERR_CONFLICT || (stated && make == make_from_body))
			break;
	}
	return r == ERR_CONFLICT ? modified(call, call->routing.name, err) : r;
}

/* A heartbeat or an apply may come before its object. */
static bool may_create(const struct call *call)
{
	if (call->routing.subresource[0])
		return false;
	if (call->routing.verb == ROUTING_PATCH)
		return is_apply(call);
	return call->routing.kind == records_leases();
}

/* Creates by the path's name what a PUT or an apply brings. */
static int create_by_name(struct call *call, json_t **ret_object, struct err *err)
{
	CLEANUP_JSON json_t *empty = NULL;
	struct object none = {0};
	char api_version[300];
	int r;

	if (call->routing.verb == ROUTING_PATCH) {
		(void)snprintf(api_version, sizeof(api_version), "%s%s%s", call->routing.kind->group,
			       call->routing.kind->group[0] ? "/" : "", call->routing.kind->version);
		empty = json_pack("{s:s, s:s, s:{s:s}}", "apiVersion", api_version, "kind", call->routing.kind->kind,
				  "metadata", "name", call->routing.name);
		none.json = empty;
		r = make_from_patch(call, &none, ret_object, err);
	} else {
		r = decode(call, ret_object, err);
	}
	if (r == 0)
		r = api_set(*ret_object, "metadata.name", json_string(call->routing.name));
	return r < 0 ? r : verbs_insert(call, *ret_object, err);
}

static void change_object(struct call *call, make_fn make)
{
	CLEANUP_JSON json_t *object = NULL;
	struct err err = {0};
	int status = 200;
	int r = replace(call, make, &object, &err);

	if (r == ERR_NOT_FOUND && may_create(call)) {
		status = 201;
		r = create_by_name(call, &object, &err);
	}
	if (r < 0)
		call_answer_error(call, &err);
	else
		call_answer_object(call, status, call->routing.kind, object);
}

void verbs_update(struct call *call)
{
	change_object(call, make_from_body);
}

void verbs_patch(struct call *call)
{
	change_object(call, make_from_patch);
}
