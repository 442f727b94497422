/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/verbs.h"

#include <errno.h>

#include "base/str.h"
#include "cism/continuation.h"

#define LIMIT_MOST 10000

void verbs_get(struct call *call)
{
	CLEANUP_OBJECT struct object object = {0};
	struct err err = {0};

	if (records_get(call->cism->store, call->routing.kind, call->routing.namespace, call->routing.name, &object,
			&err) < 0)
		call_answer_error(call, &err);
	else
		call_answer_object(call, 200, call->routing.kind, object.json);
}

/* The revision a list is asked of: 0 for the newest. */
static int read_revision(const struct call *call, uint64_t *ret_revision, struct err *err)
{
	const char *text = http_query(call->request, "resourceVersion");
	const char *match = http_query(call->request, "resourceVersionMatch");
	uint64_t revision = 0;
	int r;

	*ret_revision = 0;
	if (match && match[0] && !str_eq(match, "Exact") && !str_eq(match, "NotOlderThan"))
		return err_set(err, ERR_INVALID, "resourceVersionMatch: Unsupported value: \"%.40s\"", match);
	if (match && match[0] && (!text || !text[0]))
		return err_set(err, ERR_INVALID,
			       "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless "
			       "resourceVersion is provided");
	if (!text || !text[0])
		return 0;
	if (str_parse_u64(text, INT64_MAX, &revision) < 0)
		return err_set(err, ERR_SYNTAX, "resourceVersion: Invalid value: \"%.40s\"", text);
	r = records_reach(call->cism->store, revision, err);
	if (r < 0)
		return r;
	if (match && str_eq(match, "Exact"))
		*ret_revision = revision;
	return 0;
}

static int read_limit(const struct call *call, size_t *ret_limit, struct err *err)
{
	const char *text = http_query(call->request, "limit");
	uint64_t limit = 0;

	if (text && text[0] && str_parse_u64(text, INT64_MAX, &limit) < 0)
		return err_set(err, ERR_SYNTAX, "limit: '%.40s' is no number", text);
	*ret_limit = limit > LIMIT_MOST ? LIMIT_MOST : limit;
	return 0;
}

static int read_continue(const struct call *call, struct records_query *query, char after[static STORE_KEY_MAX + 1],
			 struct err *err)
{
	const char *token = http_query(call->request, "continue");
	char prefix[STORE_KEY_MAX + 1];
	int r;

	if (!token || !token[0])
		return 0;
	r = records_key(query->kind, query->namespace, NULL, prefix, err);
	if (r == 0)
		r = continuation_parse(token, prefix, &query->at_revision, after, err);
	query->after = after;
	return r;
}

struct selectors {
	struct api_selector *labels, *fields;
};

static void selectors_done(struct selectors *selectors)
{
	api_selector_free(selectors->labels);
	api_selector_free(selectors->fields);
}

static int read_selectors(const struct call *call, struct selectors *to, struct err *err)
{
	const char *labels = http_query(call->request, "labelSelector");
	const char *fields = http_query(call->request, "fieldSelector");
	int r = 0;

	if (labels && labels[0])
		r = api_selector_parse_labels(labels, &to->labels, err);
	if (r == 0 && fields && fields[0])
		r = api_selector_parse_fields(call->routing.kind, fields, &to->fields, err);
	return r;
}

int verbs_select(struct call *call, struct object_list *ret_list, struct err *err)
{
	__attribute__((cleanup(selectors_done))) struct selectors selectors = {0};
	struct records_query query = {.kind = call->routing.kind, .namespace = call->routing.namespace};
	char after[STORE_KEY_MAX + 1];
	int r;

	r = read_selectors(call, &selectors, err);
	if (r == 0)
		r = read_revision(call, &query.at_revision, err);
	if (r == 0)
		r = read_limit(call, &query.limit, err);
	if (r == 0)
		r = read_continue(call, &query, after, err);
	if (r < 0)
		return r;
	query.labels = selectors.labels;
	query.fields = selectors.fields;
	return records_list(call->cism->store, &query, ret_list, err);
}

void verbs_list(struct call *call)
{
	CLEANUP_OBJECT_LIST struct object_list list = {0};
	struct err err = {0};

	if (verbs_select(call, &list, &err) < 0)
		call_answer_error(call, &err);
	else
		call_answer_list(call, call->routing.kind, &list);
}
