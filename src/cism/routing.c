/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/routing.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

#define SEGMENTS_MAX 9
#define SEGMENT_SIZE 254

struct segments {
	char at[SEGMENTS_MAX][SEGMENT_SIZE];
	size_t count;
};

static const char *const verb_names[] = {
	[ROUTING_GET] = "get",       [ROUTING_LIST] = "list",
	[ROUTING_WATCH] = "watch",   [ROUTING_CREATE] = "create",
	[ROUTING_UPDATE] = "update", [ROUTING_PATCH] = "patch",
	[ROUTING_DELETE] = "delete", [ROUTING_DELETE_COLLECTION] = "deletecollection",
};

static const struct {
	const char *path;
	enum routing_class class;
	bool below; /* paths below it belong to it too */
	bool post;  /* written to, not read */
} fixed_paths[] = {
	{"/livez", ROUTING_PROBE, true},           {"/readyz", ROUTING_PROBE, true},
	{"/healthz", ROUTING_PROBE, false},        {"/version", ROUTING_VERSION, false},
	{"/metrics", ROUTING_METRICS, false},      {"/openapi/v2", ROUTING_OPENAPI_V2, false},
	{"/openapi/v3", ROUTING_OPENAPI_V3, true}, {"/api", ROUTING_DISCOVERY, false},
	{"/apis", ROUTING_DISCOVERY, false},       {"/join", ROUTING_JOIN, false, true},
};

const char *routing_verb_name(enum routing_verb verb)
{
	return verb_names[verb];
}

bool routing_reads(enum routing_verb verb)
{
	return verb == ROUTING_GET || verb == ROUTING_LIST || verb == ROUTING_WATCH;
}

static int not_found(const char *path, struct err *err)
{
	return err_set(err, ERR_NOT_FOUND, "the server could not find the requested resource: '%.200s'", path);
}

static int split(const char *path, struct segments *to, struct err *err)
{
	const char *at = path;

	to->count = 0;
	while (*at == '/') {
		const char *end = strchrnul(at + 1, '/');
		size_t len = (size_t)(end - at - 1);

		if (len == 0 && *end == '\0')
			break; /* one slash at the end is no segment */
		if (to->count == SEGMENTS_MAX || len == 0 || len >= SEGMENT_SIZE)
			return not_found(path, err);
		memcpy(to->at[to->count], at + 1, len);
		to->at[to->count++][len] = '\0';
		at = end;
	}
	return *at == '\0' ? 0 : not_found(path, err);
}

/* The instance's protocol: not in discovery, docs/protocols.md. */
static const struct {
	const char *resource;
	const char *subresource;
} private_rows[] = {
	{"nodes", "stopped"}, {"nodes", "holders"}, {"nodes", "streams"}, {"pods", "keys"}, {"nodes", "certificate"},
};

static bool is_subresource(const struct api_kind *kind, const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(private_rows); i++)
		if (kind->group[0] == '\0' && str_eq(kind->resource, private_rows[i].resource) &&
		    str_eq(word, private_rows[i].subresource))
			return true;
	for (const char *const *sub = kind->subresources; sub && *sub; sub++)
		if (str_eq(*sub, word))
			return true;
	return false;
}

static int fixed(const char *method, const char *path, struct routing *to, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(fixed_paths); i++) {
		size_t len = strlen(fixed_paths[i].path);

		if (strncmp(path, fixed_paths[i].path, len) != 0)
			continue;
		if (path[len] != '\0' && !(path[len] == '/' && (fixed_paths[i].below || path[len + 1] == '\0')))
			continue;
		if (fixed_paths[i].post ? !str_eq(method, "POST") : !str_eq(method, "GET") && !str_eq(method, "HEAD"))
			return err_set(err, -EOPNOTSUPP,
				       "the server does not allow this method on the requested resource");
		to->class = fixed_paths[i].class;
		to->verb = fixed_paths[i].post ? ROUTING_CREATE : ROUTING_GET;
		return 1;
	}
	return 0;
}

/* Takes the namespace off the front: rest begins at the resource. */
static int namespace_of(const struct segments *segments, size_t first, const struct api_kind *namespaces,
			struct routing *to, size_t *ret_rest)
{
	*ret_rest = first;
	if (!str_eq(segments->at[first], "namespaces") || segments->count < first + 3)
		return 0;
	if (namespaces && is_subresource(namespaces, segments->at[first + 2]))
		return 0;
	*ret_rest = first + 2;
	return str_copy(to->namespace, sizeof(to->namespace), segments->at[first + 1]);
}

static int verb_of(const char *method, bool watch, struct routing *to, struct err *err)
{
	bool one = to->name[0] != '\0';
	bool sub = to->subresource[0] != '\0';

	if (str_eq(method, "GET") || str_eq(method, "HEAD"))
		to->verb = watch && !sub ? ROUTING_WATCH : one ? ROUTING_GET : ROUTING_LIST;
	else if (str_eq(method, "POST") && (!one || sub))
		to->verb = ROUTING_CREATE;
	else if (str_eq(method, "PUT") && one)
		to->verb = ROUTING_UPDATE;
	else if (str_eq(method, "PATCH") && one)
		to->verb = ROUTING_PATCH;
	else if (str_eq(method, "DELETE") && !sub)
		to->verb = one ? ROUTING_DELETE : ROUTING_DELETE_COLLECTION;
	else
		return err_set(err, -EOPNOTSUPP, "the server does not allow this method on the requested resource");
	return 0;
}

static int parse_rest(const struct segments *segments, size_t rest, struct routing *to, const char *path,
		      struct err *err)
{
	size_t count = segments->count - rest;

	if (count > 4 || (count >= 3 && !is_subresource(to->kind, segments->at[rest + 2])))
		return not_found(path, err);
	if (count >= 2)
		(void)snprintf(to->name, sizeof(to->name), "%s", segments->at[rest + 1]);
	if (count >= 3 && str_copy(to->subresource, sizeof(to->subresource), segments->at[rest + 2]) < 0)
		return not_found(path, err);
	if (count == 4 &&
	    (!str_eq(to->subresource, "streams") || str_copy(to->tail, sizeof(to->tail), segments->at[rest + 3]) < 0))
		return not_found(path, err);
	if (to->kind->namespaced ? to->name[0] && !to->namespace[0] : to->namespace[0])
		return not_found(path, err);
	if (to->namespace[0] && !str_is_dns_label(to->namespace))
		return err_set(err, ERR_INVALID, "namespace '%s' is not a DNS label", to->namespace);
	return 0;
}

static int parse_decision(const char *method, const struct segments *segments, size_t rest, struct routing *to,
			  const char *path, struct err *err)
{
	if (segments->count != rest + 2 || !to->namespace[0])
		return not_found(path, err);
	to->class = ROUTING_DECISION;
	(void)snprintf(to->name, sizeof(to->name), "%s", segments->at[rest + 1]);
	return verb_of(method, false, to, err);
}

/* What administrators alone ask, in no namespace. */
static const struct {
	const char *resource, *method;
	enum routing_class class;
} oversight_rows[] = {
	{"ledger", "GET", ROUTING_LEDGER},
	{"releases", "POST", ROUTING_RELEASE},
};

/* 1 when it is one of them. */
static int parse_oversight(const char *method, const struct segments *segments, struct routing *to, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(oversight_rows); i++) {
		if (segments->count != 4 || !str_eq(segments->at[3], oversight_rows[i].resource))
			continue;
		if (!str_eq(method, oversight_rows[i].method))
			return err_set(err, -EOPNOTSUPP,
				       "the server does not allow this method on the requested resource");
		to->class = oversight_rows[i].class;
		to->verb = str_eq(method, "GET") ? ROUTING_LIST : ROUTING_CREATE;
		return 1;
	}
	return 0;
}

int routing_parse(const char *method, const char *path, bool watch, struct routing *ret_routing, struct err *err)
{
	struct routing to = {0};
	struct segments segments;
	const char *group = "";
	size_t first, rest;
	int r;

	r = fixed(method, path, &to, err);
	if (r < 0)
		return r;
	if (r == 0) {
		r = split(path, &segments, err);
		if (r < 0)
			return r;
		bool core = segments.count > 0 && str_eq(segments.at[0], "api");
		bool grouped = segments.count > 1 && str_eq(segments.at[0], "apis");

		if (!core && !grouped)
			return not_found(path, err);
		first = core ? 2 : 3;
		if (grouped)
			group = segments.at[1];
		if (segments.count <= first) {
			to.class = ROUTING_DISCOVERY;
			to.verb = ROUTING_GET;
			if (!str_eq(method, "GET") && !str_eq(method, "HEAD"))
				return err_set(err, -EOPNOTSUPP,
					       "the server does not allow this method on the requested resource");
			*ret_routing = to;
			return 0;
		}
		if (namespace_of(&segments, first, core ? api_kind_by_resource("", "v1", "namespaces") : NULL, &to,
				 &rest) < 0)
			return not_found(path, err);
		bool trust = grouped && str_eq(group, "trust.bulkhead.dev") && str_eq(segments.at[2], "v1");

		r = trust ? parse_oversight(method, &segments, &to, err) : 0;
		if (trust && str_eq(segments.at[rest], "decisions")) {
			r = parse_decision(method, &segments, rest, &to, path, err);
		} else if (r == 0) {
			to.class = ROUTING_RESOURCE;
			to.kind = api_kind_by_resource(group, segments.at[first - 1], segments.at[rest]);
			r = to.kind ? parse_rest(&segments, rest, &to, path, err) : not_found(path, err);
			if (r == 0)
				r = verb_of(method, watch, &to, err);
		}
		if (r < 0)
			return r;
	}
	*ret_routing = to;
	return 0;
}
