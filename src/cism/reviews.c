/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/reviews.h"

#include <errno.h>

#include "base/str.h"

static int decode(struct call *call, json_t **ret_review, struct err *err)
{
	const char *type = http_header(call->request, "Content-Type");

	return api_decode(call->routing.kind, type && type[0] ? type : "application/json", call->body, call->body_len,
			  call->strictness, ret_review, &call->warnings, err);
}

static const char *text(const json_t *object, const char *path)
{
	const char *value = api_string(object, path);

	/* Kubernetes' "*" and an absent value ask about everything: as a question only masters say yes to. */
	return value ? value : "";
}

static int decide(struct call *call, const json_t *review, struct err *err)
{
	struct authorizer_question question = {.group = "",
					       .resource = "",
					       .subresource = "",
					       .namespace = "",
					       .name = ""};
	const json_t *resource = api_value(review, "spec.resourceAttributes");
	const json_t *path = api_value(review, "spec.nonResourceAttributes");

	if (resource) {
		question.verb = text(resource, "verb");
		question.group = text(resource, "group");
		question.resource = text(resource, "resource");
		question.subresource = text(resource, "subresource");
		question.namespace = text(resource, "namespace");
		question.name = text(resource, "name");
	} else if (path) {
		question.verb = text(path, "verb");
		question.path = text(path, "path");
	} else {
		return err_set(err, ERR_INVALID,
			       "spec.resourceAttributes: Required value: exactly one of nonResourceAttributes or "
			       "resourceAttributes is required");
	}
	return authorizer_decide(&call->user, &question, call->cism->store, err);
}

void reviews_access(struct call *call)
{
	CLEANUP_JSON json_t *review = NULL;
	struct err err = {0};
	int r = decode(call, &review, &err);

	if (r == 0)
		r = decide(call, review, &err);
	if (r < 0 && r != ERR_DENIED) {
		call_answer_error(call, &err);
		return;
	}
	if (api_set(review, "status", json_pack("{s:b, s:s}", "allowed", r == 0, "reason", r == 0 ? "" : err.msg)) < 0)
		(void)json_object_del(review, "status");
	call_answer_json(call, 201, review);
}

void reviews_rules(struct call *call)
{
	CLEANUP_JSON json_t *review = NULL;
	bool master = authorizer_is_master(&call->user);
	struct err err = {0};

	if (decode(call, &review, &err) < 0) {
		call_answer_error(call, &err);
		return;
	}
	if (api_set(review, "status",
		    json_pack("{s:o, s:o, s:b}", "resourceRules",
			      master ? json_pack("[{s:[s], s:[s], s:[s]}]", "verbs", "*", "apiGroups", "*", "resources",
						 "*")
				     : json_array(),
			      "nonResourceRules",
			      master ? json_pack("[{s:[s], s:[s]}]", "verbs", "*", "nonResourceURLs", "*")
				     : json_array(),
			      "incomplete", !master)) < 0)
		(void)json_object_del(review, "status");
	call_answer_json(call, 201, review);
}

void reviews_subject(struct call *call)
{
	CLEANUP_JSON json_t *review = NULL;
	json_t *groups = json_array();
	struct err err = {0};
	int r = decode(call, &review, &err);

	for (size_t i = 0; i < call->user.group_count; i++)
		(void)json_array_append_new(groups, json_string(call->user.groups[i]));
	(void)json_array_append_new(groups, json_string("system:authenticated"));
	if (r < 0) {
		json_decref(groups);
		call_answer_error(call, &err);
		return;
	}
	if (api_set(review, "status",
		    json_pack("{s:{s:s, s:o}}", "userInfo", "username", call->user.name, "groups", groups)) < 0)
		(void)json_object_del(review, "status");
	call_answer_json(call, 201, review);
}
