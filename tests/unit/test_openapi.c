/* SPDX-License-Identifier: Apache-2.0 */
#include "api/openapi.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/api.h"
#include "base/str.h"

static json_t *document(const char *path)
{
	CLEANUP_BUF struct buf text = buf_of(OPENAPI_DOCUMENT_MAX);
	const char *type = NULL;
	struct err err = {0};
	json_t *parsed;

	if (str_eq(path, "/openapi/v2"))
		assert_int_equal(api_openapi_v2("application/json", &text, &type, &err), 0);
	else
		assert_int_equal(api_openapi_v3(path, &text, &type, &err), 0);
	assert_string_equal(type, "application/json");
	parsed = json_loadb(text.data, text.len, 0, NULL);
	assert_non_null(parsed);
	return parsed;
}

/* Every reference of a value must lead to a schema. */
static void check_references(const json_t *value, const char *prefix, const json_t *schemas)
{
	const char *reference = json_string_value(json_object_get(value, "$ref")), *name;
	json_t *item;
	size_t i;

	if (reference) {
		assert_true(str_starts(reference, prefix));
		if (!json_object_get(schemas, reference + strlen(prefix)))
			fail_msg("%s leads nowhere", reference);
	}
	json_object_foreach((json_t *)value, name, item)
		check_references(item, prefix, schemas);
	json_array_foreach((json_t *)value, i, item)
		check_references(item, prefix, schemas);
}

static bool same_kind(const json_t *gvk, const struct api_kind *kind)
{
	return str_eq(api_string(gvk, "group"), kind->group) && str_eq(api_string(gvk, "version"), kind->version) &&
	       str_eq(api_string(gvk, "kind"), kind->kind);
}

/* Each kind of a group has its schema there, and where it can be patched kubectl finds that out. */
static void test_v3(void **state)
{
	CLEANUP_JSON json_t *index = document("/openapi/v3");

	(void)state;
	for (const struct api_kind *const *at = api_kinds(); *at; at++) {
		const struct api_kind *kind = *at;
		char name[400], path[500];
		const json_t *schemas, *schema, *operations;

		(void)snprintf(name, sizeof(name), "%s%s/%s", *kind->group ? "apis/" : "api", kind->group,
			       kind->version);
		assert_non_null(json_object_get(json_object_get(index, "paths"), name));
		(void)snprintf(path, sizeof(path), "/openapi/v3/%s", name);
		CLEANUP_JSON json_t *group = document(path);
		schemas = json_object_get(json_object_get(group, "components"), "schemas");
		check_references(group, "#/components/schemas/", schemas);
		schema = json_object_get(schemas, "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta");
		assert_true(schema || !kind->name_check);
		(void)snprintf(path, sizeof(path), "/%s/%s%s/{name}", name,
			       kind->namespaced ? "namespaces/{namespace}/" : "", kind->resource);
		operations = json_object_get(json_object_get(group, "paths"), path);
		if (!kind->list_kind)
			continue;
		assert_true(same_kind(json_object_get(json_object_get(operations, "patch"),
						      "x-kubernetes-group-version-kind"),
				      kind));
		assert_string_equal(api_string(json_array_get(json_object_get(json_object_get(operations, "patch"),
									      "parameters"),
							      2),
					       "name"),
				    "fieldValidation");
	}
}

static void test_v2(void **state)
{
	CLEANUP_JSON json_t *all = document("/openapi/v2");
	CLEANUP_BUF struct buf wire = buf_of(OPENAPI_DOCUMENT_MAX);
	const json_t *definitions = json_object_get(all, "definitions"), *ports;
	const char *type = NULL;
	struct err err = {0};

	(void)state;
	check_references(all, "#/definitions/", definitions);
	ports = json_object_get(json_object_get(json_object_get(definitions, "io.k8s.api.core.v1.Container"),
						"properties"),
				"ports");
	CLEANUP_FREE char *text = api_format(ports);
	assert_string_equal(
		text, "{\"type\":\"array\",\"items\":{\"$ref\":\"#/definitions/io.k8s.api.core.v1.ContainerPort\"},"
		      "\"x-kubernetes-patch-strategy\":\"merge\",\"x-kubernetes-patch-merge-key\":\"containerPort\","
		      "\"x-kubernetes-list-type\":\"map\",\"x-kubernetes-list-map-keys\":[\"containerPort\","
		      "\"protocol\"],\"description\":\"Ports the container listens on.\"}");
	assert_int_equal(api_openapi_v2("application/com.github.proto-openapi.spec.v2@v1.0+protobuf", &wire, &type,
					&err),
			 0);
	assert_string_equal(type, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf");
	assert_memory_equal(wire.data,
			    "\x0a\x03"
			    "2.0",
			    5);
}

static void test_missing(void **state)
{
	static const char *const paths[] = {"/openapi/v3/api/v2", "/openapi/v3/apis/x.org/v1", "/openapi/v3x",
					    "/openapi/v3/apis/x"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		CLEANUP_BUF struct buf text = buf_of(OPENAPI_DOCUMENT_MAX);
		const char *type = NULL;
		struct err err = {0};

		assert_int_equal(api_openapi_v3(paths[i], &text, &type, &err), ERR_NOT_FOUND);
		assert_string_equal(err.msg, "the server could not find the requested resource");
	}
}

static void test_discovery(void **state)
{
	static const struct {
		const char *path, *accept, *type, *kind;
	} rows[] = {
		{"/api", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json",
		 "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList", "APIGroupDiscoveryList"},
		{"/apis", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json",
		 "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList", "APIGroupDiscoveryList"},
		{"/api", "application/json, */*", "application/json", "APIVersions"},
		{"/apis", NULL, "application/json", "APIGroupList"},
		{"/api/v1", NULL, "application/json", "APIResourceList"},
		{"/apis/trust.bulkhead.dev", NULL, "application/json", "APIGroup"},
		{"/apis/trust.bulkhead.dev/v1", NULL, "application/json", "APIResourceList"},
		{"/apis/trust.bulkhead.dev/v2", NULL, NULL, NULL},
		{"/apis/x.org", NULL, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_BUF struct buf text = buf_of(OPENAPI_DOCUMENT_MAX);
		CLEANUP_JSON json_t *parsed = NULL;
		const char *type = NULL;
		struct err err = {0};
		int r = api_discovery(rows[i].path, rows[i].accept, &text, &type, &err);

		assert_int_equal(r, rows[i].type ? 0 : ERR_NOT_FOUND);
		if (!rows[i].type)
			continue;
		assert_string_equal(type, rows[i].type);
		parsed = json_loadb(text.data, text.len, 0, NULL);
		assert_string_equal(api_string(parsed, "kind"), rows[i].kind);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v3),
		cmocka_unit_test(test_v2),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_discovery),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
