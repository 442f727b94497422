/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/serve.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/str.h"
#include "cism/binder.h"
#include "cism/call.h"
#include "cism/imagekeys.h"
#include "cism/instances.h"
#include "cism/joins.h"
#include "cism/oversight.h"
#include "cism/quarantines.h"
#include "cism/relays.h"
#include "cism/reviews.h"
#include "cism/verbs.h"
#include "cism/watches.h"
#include "cism/workers.h"

#define JOIN_MAX 32768

/* What is answered by a function of its own instead of the generic verb. */
static const struct {
	const char *resource;
	const char *subresource;
	enum routing_verb verb;
	void (*answer)(struct call *call);
} special_rows[] = {
	{"pods", "binding", ROUTING_CREATE, binder_answer},
	{"pods", "eviction", ROUTING_CREATE, verbs_evict},
	{"pods", "log", ROUTING_GET, relays_log},
	{"pods", "ticket", ROUTING_GET, instances_ticket},
	{"pods", "keys", ROUTING_CREATE, imagekeys_answer},
	{"nodes", "stopped", ROUTING_CREATE, instances_stopped},
	{"nodes", "holders", ROUTING_GET, instances_holders},
	{"nodes", "streams", ROUTING_GET, relays_poll},
	{"nodes", "certificate", ROUTING_CREATE, joins_renew},
	{"selfsubjectaccessreviews", "", ROUTING_CREATE, reviews_access},
	{"selfsubjectrulesreviews", "", ROUTING_CREATE, reviews_rules},
	{"selfsubjectreviews", "", ROUTING_CREATE, reviews_subject},
};

static void (*const verb_functions[])(struct call *call) = {
	[ROUTING_GET] = verbs_get,       [ROUTING_LIST] = verbs_list,
	[ROUTING_WATCH] = watches_begin, [ROUTING_CREATE] = verbs_create,
	[ROUTING_UPDATE] = verbs_update, [ROUTING_PATCH] = verbs_patch,
	[ROUTING_DELETE] = verbs_delete, [ROUTING_DELETE_COLLECTION] = verbs_delete_collection,
};

static void release_call(void *data)
{
	struct call *call = data;

	if (call->ended)
		call->ended(call->ended_user);
	buf_done(&call->warnings);
	free(call);
}

static struct call *call_of(struct http_request *request, struct cism *cism)
{
	struct call *call = calloc(1, sizeof(*call));
	const struct http_peer *peer = http_peer_of(request);

	if (!call)
		return NULL;
	call->cism = cism;
	call->request = request;
	call->warnings = buf_of(8192);
	call->user.name = peer->common_name;
	for (size_t i = 0; i < peer->organization_count && i < AUTHORIZER_GROUPS_MAX; i++)
		call->user.groups[call->user.group_count++] = peer->organizations[i];
	call_uid(call->audit_id);
	http_set_data(request, call, release_call);
	return call;
}

/* --- documents --- */

static void answer_version(struct call *call)
{
	CLEANUP_JSON json_t *version = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "major", "1", "minor",
						 "33", "gitVersion", "v1.33.0+bulkhead-" BULKHEAD_VERSION, "gitCommit",
						 "", "gitTreeState", "clean", "buildDate", "1970-01-01T00:00:00Z",
						 "goVersion", "none", "compiler", "gcc", "platform", "linux/amd64");

	call_answer_json(call, 200, version);
}

static void answer_metrics(struct call *call)
{
	char text[512];
	int len = snprintf(
		text, sizeof(text),
		"# TYPE bulkhead_requests_total counter\nbulkhead_requests_total %" PRIuFAST64 "\n"
		"# TYPE bulkhead_placement_decisions_total counter\nbulkhead_placement_decisions_total %" PRIuFAST64
		"\n"
		"# TYPE bulkhead_binds_total counter\nbulkhead_binds_total %" PRIuFAST64 "\n"
		"# TYPE bulkhead_leading gauge\nbulkhead_leading %d\n"
		"# TYPE bulkhead_store_revision gauge\nbulkhead_store_revision %" PRIu64 "\n",
		atomic_load(&call->cism->requests), atomic_load(&call->cism->decisions),
		atomic_load(&call->cism->binds), atomic_load(&call->cism->leading), store_revision(call->cism->store));

	call_answer(call, 200, "text/plain; version=0.0.4", text, (size_t)len);
}

static void answer_document(struct call *call)
{
	CLEANUP_BUF struct buf document = buf_of((size_t)16 * 1024 * 1024);
	const char *path = http_path(call->request);
	const char *accept = http_header(call->request, "Accept");
	const char *type = NULL;
	struct err err = {0};
	int r = -ENOENT;

	if (call->routing.class == ROUTING_DISCOVERY)
		r = api_discovery(path, accept, &document, &type, &err);
	else if (call->routing.class == ROUTING_OPENAPI_V2)
		r = api_openapi_v2(accept, &document, &type, &err);
	else if (call->routing.class == ROUTING_OPENAPI_V3)
		r = api_openapi_v3(path, &document, &type, &err);
	if (r < 0)
		call_answer_error(call, &err);
	else
		call_answer(call, 200, type, document.data, document.len);
}

/* --- resources --- */

static bool takes_body(enum routing_verb verb)
{
	return !routing_reads(verb);
}

static void dispatch(struct call *call)
{
	const struct routing *routing = &call->routing;
	struct err err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(special_rows); i++)
		if (special_rows[i].verb == routing->verb &&
		    str_eq(special_rows[i].subresource, routing->subresource) &&
		    str_eq(special_rows[i].resource, routing->kind->resource)) {
			special_rows[i].answer(call);
			return;
		}
	if (routing->subresource[0] && (!str_eq(routing->subresource, "status") || routing->verb == ROUTING_CREATE ||
					routing->verb == ROUTING_WATCH)) {
		(void)err_set(&err, -EOPNOTSUPP, "the server does not allow this method on the requested resource");
		call_answer_error(call, &err);
		return;
	}
	if (!routing->kind->list_kind) { /* a body without a place of its own */
		(void)err_set(&err, -EOPNOTSUPP, "the server does not allow this method on the requested resource");
		call_answer_error(call, &err);
		return;
	}
	verb_functions[routing->verb](call);
}

static bool has_verb(const struct api_kind *kind, const char *verb)
{
	for (const char *const *known = kind->verbs; known && *known; known++)
		if (str_eq(*known, verb))
			return true;
	return false;
}

/* --- from the request line to the answer --- */

/* The resource of what administrators alone ask; NULL for everything else. */
static const char *oversight_name(enum routing_class class)
{
	if (class == ROUTING_DECISION)
		return "decisions";
	if (class == ROUTING_LEDGER)
		return "ledger";
	return class == ROUTING_RELEASE ? "releases" : NULL;
}

static int authorize(struct call *call, struct err *err)
{
	const struct routing *routing = &call->routing;
	struct authorizer_question question = {.verb = routing_verb_name(routing->verb),
					       .group = "",
					       .resource = "",
					       .subresource = "",
					       .namespace = routing->namespace,
					       .name = routing->name};

	if (routing->class == ROUTING_PROBE || routing->class == ROUTING_VERSION || routing->class == ROUTING_JOIN)
		return 0;
	if (routing->class == ROUTING_RESOURCE) {
		question.group = routing->kind->group;
		question.resource = routing->kind->resource;
		question.subresource = routing->subresource;
		question.field_selector = http_query(call->request, "fieldSelector");
		/* A watch on one object is a watch confined by its name. */
	} else if (oversight_name(routing->class)) {
		question.group = "trust.bulkhead.dev";
		question.resource = oversight_name(routing->class);
	} else {
		question.path = http_path(call->request);
	}
	return authorizer_decide(&call->user, &question, call->cism->store, err);
}

/*
 * An instance speaks with the certificate of its last join alone; what is signed for it names that one. The one of before a
 * quarantine is nobody's any more.
 */
static int check_instance(struct call *call, struct err *err)
{
	const char *instance = authorizer_instance(&call->user);
	const uint8_t *certificate = http_peer_of(call->request)->certificate_sha256;

	if (!instance || call->routing.class != ROUTING_RESOURCE)
		return 0;
	if (quarantines_revoked(call->cism, certificate))
		return err_set(
			err, ERR_DENIED,
			"the certificate of instance '%s' was revoked when its quarantine ended: it has to join again",
			instance);
	return joins_check(call->cism, instance, certificate, err);
}

static void answer_resource(struct call *call)
{
	const struct routing *routing = &call->routing;
	struct err err = {0};
	int r = 0;

	if (!routing->subresource[0] && !has_verb(routing->kind, routing_verb_name(routing->verb)))
		r = err_set(&err, -EOPNOTSUPP, "the server does not allow this method on the requested resource");
	if (r == 0)
		r = call_options(call, &err);
	if (r < 0)
		call_answer_error(call, &err);
	else
		dispatch(call);
}

/* Orders for logs are kept in memory, and their answers are streams: they stay with the server's threads. */
static bool is_stream(const struct routing *routing)
{
	return routing->class == ROUTING_RESOURCE && str_eq(routing->subresource, "streams");
}

/* What needs the store, in a thread that may wait for it. */
static void work(struct call *call)
{
	struct err err = {0};

	if (authorize(call, &err) < 0 || check_instance(call, &err) < 0) {
		call_answer_error(call, &err);
		return;
	}
	if (call->routing.class == ROUTING_JOIN)
		joins_answer(call);
	else if (call->routing.class == ROUTING_DECISION)
		instances_decision(call);
	else if (call->routing.class == ROUTING_LEDGER)
		oversight_ledger(call);
	else if (call->routing.class == ROUTING_RELEASE)
		oversight_release(call);
	else if (is_stream(&call->routing))
		call->finish = relays_poll;
	else
		answer_resource(call);
}

static void on_body(struct http_request *request, const char *body, size_t len, void *user)
{
	struct call *call = http_data(request);
	struct cism *cism = user;

	call->body = body;
	call->body_len = len;
	workers_run(cism->workers, call, work);
}

/* Nobody in particular may fill the memory. */
static int check_length(const struct call *call, struct err *err)
{
	const char *text = http_header(call->request, "Content-Length");
	uint64_t len;

	return text && str_parse_u64(text, JOIN_MAX, &len) == 0
		       ? 0
		       : err_set(err, ERR_TOO_LARGE, "a join has a Content-Length of at most %d", JOIN_MAX);
}

/* A store that is known not to answer need not be waited for. */
static void hand_over(struct call *call)
{
	struct err err = {0};

	if (call->routing.class == ROUTING_JOIN && check_length(call, &err) < 0)
		call_answer_error(call, &err);
	else if (store_health(call->cism->store, &err) < 0)
		call_answer_error(call, &err);
	else if (takes_body(call->routing.verb))
		http_want_body(call->request, on_body);
	else
		workers_run(call->cism->workers, call, work);
}

/* The process lives as long as it answers; it is ready when its store answers. */
static void answer_probe(struct call *call)
{
	CLEANUP_FREE char *text = NULL;
	struct err err = {0};

	if (!str_starts(http_path(call->request), "/readyz") || store_health(call->cism->store, &err) == 0) {
		call_answer(call, 200, "text/plain; charset=utf-8", "ok", 2);
		return;
	}
	text = str_format("store: %s\n", err.msg);
	call_answer(call, 503, "text/plain; charset=utf-8", text ? text : "", text ? strlen(text) : 0);
}

/* Without the store; false for what needs it. */
static bool answer_at_once(struct call *call)
{
	switch (call->routing.class) {
	case ROUTING_PROBE:
		answer_probe(call);
		return true;
	case ROUTING_VERSION:
		answer_version(call);
		return true;
	case ROUTING_DISCOVERY:
	case ROUTING_OPENAPI_V2:
	case ROUTING_OPENAPI_V3:
		answer_document(call);
		return true;
	case ROUTING_METRICS:
		answer_metrics(call);
		return true;
	case ROUTING_LEDGER:
	case ROUTING_RELEASE:
	case ROUTING_JOIN:
	case ROUTING_DECISION:
	case ROUTING_RESOURCE:
		break;
	}
	if (is_stream(&call->routing) && call->routing.verb == ROUTING_CREATE) {
		relays_answer(call);
		return true;
	}
	return false;
}

/* Whether the user's right follows from who it is, without the store. */
static bool is_plain(const struct call *call)
{
	return !call->user.name[0] || is_stream(&call->routing) ||
	       (!oversight_name(call->routing.class) && call->routing.class != ROUTING_RESOURCE);
}

void serve_handle(struct http_request *request, void *user)
{
	struct call *call = call_of(request, user);
	const char *watch = http_query(request, "watch");
	struct err err = {0};
	int r;

	if (!call)
		return; /* answered with 500 by the server */
	r = routing_parse(http_method(request), http_path(request),
			  watch && (str_eq(watch, "true") || str_eq(watch, "1")), &call->routing, &err);
	if (r < 0 && !call->user.name[0])
		r = err_set(&err, ERR_UNKNOWN_PEER, "Unauthorized");
	if (r == 0 && is_plain(call))
		r = authorize(call, &err);
	if (r < 0)
		call_answer_error(call, &err);
	else if (!answer_at_once(call))
		hand_over(call);
}
