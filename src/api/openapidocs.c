/* SPDX-License-Identifier: Apache-2.0 */
/* The documents /openapi/v2 and /openapi/v3. */
#include <errno.h>
#include <stdio.h>

#include "api/openapi.h"
#include "api/schema.h"
#include "base/str.h"

#define PATCH_JSON "application/json-patch+json"
#define PATCH_MERGE "application/merge-patch+json"
#define PATCH_STRATEGIC "application/strategic-merge-patch+json"
#define PATCH_APPLY "application/apply-patch+yaml"

static const char *const patch_types[] = {PATCH_JSON, PATCH_MERGE, PATCH_STRATEGIC, PATCH_APPLY};

/* What a client may do with an object or a collection, by HTTP method. */
static const struct operation {
	const char *method;
	const char *action;
	const char *verb; /* of discovery; without it the operation is not there */
	bool item;        /* on an object, not on the collection */
	bool writes;
} operations[] = {
	{"get", "list", "list", false, false},   {"post", "post", "create", false, true},
	{"get", "get", "get", true, false},      {"put", "put", "update", true, true},
	{"patch", "patch", "patch", true, true}, {"delete", "delete", "delete", true, true},
};

static bool has_verb(const struct api_kind *kind, const char *verb)
{
	for (const char *const *word = kind->verbs; *word; word++)
		if (str_eq(*word, verb))
			return true;
	return false;
}

/* A query parameter as version 2 or 3 has it. */
static json_t *parameter(const char *name, bool v3)
{
	if (v3)
		return json_pack("{s:s, s:s, s:{s:s}}", "name", name, "in", "query", "schema", "type", "string");
	return json_pack("{s:s, s:s, s:s}", "name", name, "in", "query", "type", "string");
}

static json_t *write_parameters(bool v3)
{
	return json_pack("[o, o, o]", parameter("dryRun", v3), parameter("fieldManager", v3),
			 parameter("fieldValidation", v3));
}

static json_t *kind_reference(const struct api_kind *kind, bool v3)
{
	CLEANUP_FREE char *text = str_format("%s%s", v3 ? "#/components/schemas/" : "#/definitions/",
					     kind->message->name);

	return text ? json_pack("{s:s}", "$ref", text) : NULL;
}

static int add_request_body(json_t *operation, const struct api_kind *kind, const struct operation *row)
{
	json_t *content = json_object();
	int r = content ? 0 : -1;

	if (!str_eq(row->method, "patch")) {
		r = json_object_set_new(content, "application/json",
					json_pack("{s:o}", "schema", kind_reference(kind, true)));
	} else {
		for (size_t i = 0; r == 0 && i < ARRAY_SIZE(patch_types); i++)
			r = json_object_set_new(content, patch_types[i],
						json_pack("{s:{s:s}}", "schema", "type", "object"));
	}
	if (r < 0) {
		json_decref(content);
		return r;
	}
	return json_object_set_new(operation, "requestBody", json_pack("{s:o}", "content", content));
}

static json_t *operation_of(const struct api_kind *kind, const struct operation *row, bool v3)
{
	json_t *operation = json_pack("{s:s, s:o}", "x-kubernetes-action", row->action,
				      "x-kubernetes-group-version-kind", openapi_gvk(kind));
	json_t *answer = v3 ? json_pack("{s:s, s:{s:{s:o}}}", "description", "OK", "content", "application/json",
					"schema", kind_reference(kind, true))
			    : json_pack("{s:s, s:o}", "description", "OK", "schema", kind_reference(kind, false));
	int r = json_object_set_new(operation, "responses", json_pack("{s:o}", "200", answer));

	if (r == 0 && row->writes)
		r = json_object_set_new(operation, "parameters", write_parameters(v3));
	if (r == 0 && v3 && row->writes && !str_eq(row->method, "delete"))
		r = add_request_body(operation, kind, row);
	if (r == 0 && !v3 && str_eq(row->method, "patch"))
		r = json_object_set_new(operation, "consumes",
					json_pack("[s, s, s, s]", PATCH_JSON, PATCH_MERGE, PATCH_STRATEGIC,
						  PATCH_APPLY));
	if (r < 0) {
		json_decref(operation);
		return NULL;
	}
	return operation;
}

static int add_path(json_t *paths, const struct api_kind *kind, bool item, bool v3)
{
	char version[API_VERSION_MAX], path[512];
	json_t *methods = json_object();
	int r = methods ? 0 : -1;

	api_version_format(kind, version);
	(void)snprintf(path, sizeof(path), "/%s/%s%s/%s%s", *kind->group ? "apis" : "api", version,
		       kind->namespaced ? "/namespaces/{namespace}" : "", kind->resource, item ? "/{name}" : "");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(operations); i++)
		if (operations[i].item == item && has_verb(kind, operations[i].verb))
			r = json_object_set_new(methods, operations[i].method, operation_of(kind, &operations[i], v3));
	if (r < 0 || !json_object_size(methods)) {
		json_decref(methods);
		return r;
	}
	return json_object_set_new(paths, path, methods);
}

/* Adds what concerns the kinds of one group and version, or all (group NULL). */
static int add_kinds(json_t *paths, struct openapi_sink *sink, const char *group, const char *version, bool v3)
{
	size_t count = 0;

	for (const struct api_kind *const *at = api_kinds(); *at; at++) {
		if (group && (!str_eq((*at)->group, group) || !str_eq((*at)->version, version)))
			continue;
		if (add_path(paths, *at, false, v3) < 0 || add_path(paths, *at, true, v3) < 0 ||
		    openapi_add_kind(sink, *at) < 0)
			return -ENOMEM;
		count++;
	}
	return count ? 0 : ERR_NOT_FOUND;
}

static json_t *info(void)
{
	return json_pack("{s:s, s:s}", "title", "Bulkhead", "version", BULKHEAD_VERSION);
}

static int v2_document(json_t **ret_document)
{
	json_t *paths = json_object(), *definitions = json_object();
	struct openapi_sink sink = {.reference = "#/definitions/", .schemas = definitions};
	json_t *document = json_pack("{s:s, s:o, s:o, s:o}", "swagger", "2.0", "info", info(), "paths", paths,
				     "definitions", definitions);
	int r = document ? add_kinds(paths, &sink, NULL, NULL, false) : -ENOMEM;

	if (r < 0) {
		json_decref(document);
		return r;
	}
	*ret_document = document;
	return 0;
}

static int append_json(const json_t *document, struct buf *to, struct err *err)
{
	CLEANUP_FREE char *text = api_format(document);

	return text && buf_puts(to, text) == 0 ? 0 : err_set(err, -ENOMEM, "out of memory");
}

int api_openapi_v2(const char *accept, struct buf *to, const char **ret_type, struct err *err)
{
	CLEANUP_JSON json_t *document = NULL;

	if (v2_document(&document) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	if (accept && strstr(accept, "proto-openapi.spec.v2")) {
		/* kubectl 1.20 asks for the type with '@' and takes an answer only without it */
		*ret_type = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
		return openapi_wire_format(document, to) < 0 ? err_set(err, -ENOMEM, "out of memory") : 0;
	}
	*ret_type = "application/json";
	return append_json(document, to, err);
}

/* The index: where the document of each group and version is. */
static json_t *v3_index(void)
{
	json_t *paths = json_object();

	for (const struct api_kind *const *at = api_kinds(); *at; at++) {
		char version[API_VERSION_MAX], name[API_VERSION_MAX + 8], url[API_VERSION_MAX + 64];

		api_version_format(*at, version);
		(void)snprintf(name, sizeof(name), "%s/%s", *(*at)->group ? "apis" : "api", version);
		(void)snprintf(url, sizeof(url), "/openapi/v3/%s?hash=" BULKHEAD_VERSION, name);
		if (json_object_set_new(paths, name, json_pack("{s:s}", "serverRelativeURL", url)) < 0) {
			json_decref(paths);
			return NULL;
		}
	}
	return json_pack("{s:o}", "paths", paths);
}

/* "api/v1" or "apis/G/V" into group and version. */
static bool split_version(const char *rest, char group[static 256], char version[static 64])
{
	size_t len;

	group[0] = '\0';
	if (str_starts(rest, "api/"))
		return str_copy(version, 64, rest + 4) == 0;
	if (!str_starts(rest, "apis/"))
		return false;
	rest += 5;
	len = strcspn(rest, "/");
	if (!rest[len] || len >= 256)
		return false;
	memcpy(group, rest, len);
	group[len] = '\0';
	return str_copy(version, 64, rest + len + 1) == 0;
}

static int v3_document(const char *rest, json_t **ret_document)
{
	json_t *paths = json_object(), *schemas = json_object();
	struct openapi_sink sink = {.reference = "#/components/schemas/", .schemas = schemas};
	json_t *document = json_pack("{s:s, s:o, s:o, s:{s:o}}", "openapi", "3.0.0", "info", info(), "paths", paths,
				     "components", "schemas", schemas);
	char group[256], version[64];
	int r = document ? 0 : -ENOMEM;

	if (r == 0)
		r = split_version(rest, group, version) ? add_kinds(paths, &sink, group, version, true) : ERR_NOT_FOUND;
	if (r < 0) {
		json_decref(document);
		return r;
	}
	*ret_document = document;
	return 0;
}

int api_openapi_v3(const char *path, struct buf *to, const char **ret_type, struct err *err)
{
	static const char base[] = "/openapi/v3";
	CLEANUP_JSON json_t *document = NULL;
	const char *rest = str_starts(path, base) ? path + strlen(base) : NULL;
	int r = 0;

	*ret_type = "application/json";
	if (rest && (!*rest || str_eq(rest, "/")))
		r = (document = v3_index()) ? 0 : -ENOMEM;
	else
		r = rest && *rest == '/' ? v3_document(rest + 1, &document) : ERR_NOT_FOUND;
	if (r == ERR_NOT_FOUND)
		return err_set(err, r, "the server could not find the requested resource");
	if (r < 0)
		return err_set(err, r, "out of memory");
	return append_json(document, to, err);
}
