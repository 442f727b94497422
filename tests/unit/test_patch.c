/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include <errno.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

#define JSON_PATCH "application/json-patch+json"
#define MERGE "application/merge-patch+json"
#define STRATEGIC "application/strategic-merge-patch+json"
#define APPLY "application/apply-patch+yaml"

#define HEAD "{\"apiVersion\":\"v1\",\"kind\":\"Pod\","
#define POD "Pod in version \"v1\" cannot be handled as a Pod: "

struct row {
	const char *type, *object, *patch;
	const char *result; /* or the message when code is set */
	int code;
};

static const struct row rows[] = {
	/* RFC 7386, and what Kubernetes makes of null */
	{MERGE, HEAD "\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"1\",\"y\":\"2\"}}}",
	 "{\"metadata\":{\"labels\":{\"x\":null,\"z\":\"3\"}}}",
	 HEAD "\"metadata\":{\"name\":\"a\",\"labels\":{\"y\":\"2\",\"z\":\"3\"}}}", 0},
	{MERGE, HEAD "\"spec\":{\"containers\":[{\"name\":\"a\"}]}}", "{\"spec\":{\"containers\":[{\"name\":\"b\"}]}}",
	 HEAD "\"spec\":{\"containers\":[{\"name\":\"b\"}]}}", 0},
	{MERGE, HEAD "\"spec\":{}}", "{\"spec\":{\"imag\":1}}",
	 POD "strict decoding error: unknown field \"spec.imag\"", ERR_SYNTAX},
	{MERGE, HEAD "\"spec\":{}}", "{\"kind\":\"Node\"}", "the patch changes apiVersion or kind of the object",
	 ERR_SYNTAX},
	{MERGE, HEAD "\"spec\":{}}", "[]", "the patch must be an object", ERR_SYNTAX},

	/* RFC 6902 */
	{JSON_PATCH, HEAD "\"metadata\":{\"labels\":{\"a/b\":\"1\"}}}",
	 "[{\"op\":\"test\",\"path\":\"/metadata/labels/a~1b\",\"value\":\"1\"},{\"op\":\"replace\",\"path\":\"/"
	 "metadata/labels/a~1b\","
	 "\"value\":\"2\"},{\"op\":\"copy\",\"from\":\"/metadata/labels/a~1b\",\"path\":\"/metadata/labels/c\"},"
	 "{\"op\":\"move\",\"from\":\"/metadata/labels/c\",\"path\":\"/metadata/labels/d\"}]",
	 HEAD "\"metadata\":{\"labels\":{\"a/b\":\"2\",\"d\":\"2\"}}}", 0},
	{JSON_PATCH, HEAD "\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"c\"}]}}",
	 "[{\"op\":\"add\",\"path\":\"/spec/containers/1\",\"value\":{\"name\":\"b\"}},{\"op\":\"add\",\"path\":\"/"
	 "spec/containers/-\","
	 "\"value\":{\"name\":\"d\"}},{\"op\":\"remove\",\"path\":\"/spec/containers/0\"}]",
	 HEAD "\"spec\":{\"containers\":[{\"name\":\"b\"},{\"name\":\"c\"},{\"name\":\"d\"}]}}", 0},
	{JSON_PATCH, HEAD "\"metadata\":{}}", "[{\"op\":\"test\",\"path\":\"/metadata/name\",\"value\":\"b\"}]",
	 "json patch: operation 0: test failed for '/metadata/name'", ERR_INVALID},
	{JSON_PATCH, HEAD "\"metadata\":{}}", "[{\"op\":\"remove\",\"path\":\"/metadata/name\"}]",
	 "json patch: operation 0: no such path '/metadata/name'", ERR_INVALID},
	{JSON_PATCH, HEAD "\"metadata\":{}}", "[{\"op\":\"add\",\"path\":\"/spec/x/y\",\"value\":1}]",
	 "json patch: operation 0: no such path '/spec/x/y'", ERR_INVALID},
	{JSON_PATCH, HEAD "\"metadata\":{}}", "[{\"op\":\"jump\",\"path\":\"/metadata\"}]",
	 "json patch: operation 0: unknown op 'jump'", ERR_INVALID},
	{JSON_PATCH, HEAD "\"metadata\":{}}", "[{\"op\":\"move\",\"from\":\"/metadata\",\"path\":\"/metadata/a\"}]",
	 "json patch: operation 0: cannot move into itself '/metadata/a'", ERR_INVALID},
	{JSON_PATCH, HEAD "\"metadata\":{}}", "{}", "the patch must be a list of operations", ERR_SYNTAX},

	/* strategic merge, as kubectl apply sends it */
	{STRATEGIC,
	 HEAD "\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"i:1\"},{\"name\":\"b\",\"image\":\"j:1\"}]}}",
	 "{\"spec\":{\"$setElementOrder/"
	 "containers\":[{\"name\":\"a\"},{\"name\":\"b\"}],\"containers\":[{\"name\":\"b\",\"image\":\"j:2\"}]}}",
	 HEAD "\"spec\":{\"containers\":[{\"name\":\"a\",\"image\":\"i:1\"},{\"name\":\"b\",\"image\":\"j:2\"}]}}", 0},
	{STRATEGIC, HEAD "\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"x\"}]}}",
	 "{\"spec\":{\"$setElementOrder/"
	 "containers\":[{\"name\":\"c\"},{\"name\":\"b\"}],\"containers\":[{\"name\":\"c\"},"
	 "{\"$patch\":\"delete\",\"name\":\"a\"}]}}",
	 HEAD "\"spec\":{\"containers\":[{\"name\":\"c\"},{\"name\":\"b\"},{\"name\":\"x\"}]}}", 0},
	{STRATEGIC, HEAD "\"spec\":{\"containers\":[{\"name\":\"a\"},{\"name\":\"b\"}]}}",
	 "{\"spec\":{\"containers\":[{\"$patch\":\"replace\"},{\"name\":\"z\"}]}}",
	 HEAD "\"spec\":{\"containers\":[{\"name\":\"z\"}]}}", 0},
	{STRATEGIC, HEAD "\"spec\":{\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]}}",
	 "{\"spec\":{\"volumes\":[{\"$retainKeys\":[\"name\",\"secret\"],\"name\":\"v\",\"secret\":{\"secretName\":"
	 "\"s\"}}]}}",
	 HEAD "\"spec\":{\"volumes\":[{\"name\":\"v\",\"secret\":{\"secretName\":\"s\"}}]}}", 0},
	{STRATEGIC, HEAD "\"metadata\":{\"finalizers\":[\"a/1\",\"a/2\"]}}",
	 "{\"metadata\":{\"$deleteFromPrimitiveList/finalizers\":[\"a/1\"],\"finalizers\":[\"a/3\"]}}",
	 HEAD "\"metadata\":{\"finalizers\":[\"a/2\",\"a/3\"]}}", 0},
	{STRATEGIC, HEAD "\"metadata\":{\"labels\":{\"x\":\"1\",\"y\":\"2\"}}}",
	 "{\"metadata\":{\"labels\":{\"$patch\":\"replace\",\"z\":\"3\"}}}",
	 HEAD "\"metadata\":{\"labels\":{\"z\":\"3\"}}}", 0},
	{STRATEGIC, HEAD "\"spec\":{\"nodeSelector\":{\"x\":\"1\"}}}", "{\"spec\":{\"nodeSelector\":null}}",
	 HEAD "\"spec\":{}}", 0},
	{STRATEGIC, HEAD "\"spec\":{}}", "{\"spec\":{\"containers\":[{\"image\":\"x\"}]}}",
	 "strategic merge patch: an item of containers has no name", ERR_INVALID},
	{STRATEGIC, HEAD "\"spec\":{}}", "{\"spec\":{\"$explode\":1}}",
	 "strategic merge patch: unknown or malformed directive $explode", ERR_SYNTAX},
	{STRATEGIC, HEAD "\"spec\":{}}", "{\"spec\":{\"$patch\":\"swap\"}}",
	 "strategic merge patch: $patch must be replace, delete or merge", ERR_SYNTAX},
	{"application/json", HEAD "\"spec\":{}}", "{}",
	 "the body of the request was in an unknown format - accepted media types include: "
	 "application/json-patch+json, "
	 "application/merge-patch+json, application/strategic-merge-patch+json, application/apply-patch+yaml",
	 -EMEDIUMTYPE},
};

static void test_rows(void **state)
{
	const struct api_kind *kind = api_kind_by_name("", "v1", "Pod");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct api_patch_options options = {.content_type = rows[i].type, .field_manager = "m"};
		CLEANUP_JSON json_t *object = json_loads(rows[i].object, 0, NULL), *result = NULL;
		CLEANUP_FREE char *text = NULL;
		struct err err = {0};
		int r = api_patch(kind, object, &options, rows[i].patch, strlen(rows[i].patch), &result, NULL, &err);

		text = result ? api_format(result) : NULL;
		assert_string_equal(r < 0 ? err.msg : text, rows[i].result);
		assert_int_equal(r, rows[i].code);
	}
}

static json_t *apply(json_t *object, const char *manager, bool force, const char *text, const char *message)
{
	const struct api_kind *kind = api_kind_by_name("", "v1", "Pod");
	struct api_patch_options options = {.content_type = APPLY, .field_manager = manager, .force = force};
	json_t *result = NULL;
	struct err err = {0};
	int r = api_patch(kind, object, &options, text, strlen(text), &result, NULL, &err);

	assert_string_equal(err.msg, message ? message : "");
	assert_int_equal(r, message ? ERR_CONFLICT : 0);
	return result;
}

static const char *image_of(json_t *pod, size_t i)
{
	return api_string(json_array_get(api_value(pod, "spec.containers"), i), "image");
}

static void test_apply(void **state)
{
	static const char both[] = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {x: one, y: two}}\n"
				   "spec:\n  containers:\n  - {name: c, image: i}\n  - {name: d, image: j}\n";
	static const char one[] = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {x: one}}\n"
				  "spec:\n  containers:\n  - {name: c, image: i}\n";
	static const char other[] =
		"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: k}]}\n";
	static const char two[] = "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {x: z}}\n"
				  "spec: {containers: [{name: c, image: k}]}\n";
	json_t *managers;

	(void)state;
	CLEANUP_JSON json_t *created = apply(NULL, "m", false, both, NULL);
	CLEANUP_JSON json_t *reduced = apply(created, "m", false, one, NULL);
	assert_int_equal(json_array_size(api_value(created, "spec.containers")), 2);
	assert_int_equal(json_array_size(api_value(reduced, "spec.containers")), 1);
	assert_null(api_label(reduced, "y"));

	assert_null(apply(
		reduced, "n", false, other,
		"Apply failed with 1 conflict: conflict with \"m\" using v1: .spec.containers[name=\"c\"].image"));
	assert_null(apply(reduced, "n", false, two,
			  "Apply failed with 2 conflicts: conflicts with \"m\" using v1:\n- .metadata.labels.x\n"
			  "- .spec.containers[name=\"c\"].image"));
	CLEANUP_JSON json_t *forced = apply(reduced, "n", true, other, NULL);
	assert_string_equal(image_of(forced, 0), "k");
	managers = api_value(forced, "metadata.managedFields");
	assert_int_equal(json_array_size(managers), 2);
	CLEANUP_FREE char *mine = api_format(json_object_get(json_array_get(managers, 0), "fieldsV1"));
	assert_string_equal(mine, "{\"f:metadata\":{\"f:labels\":{\"f:x\":{}}},\"f:spec\":{\"f:containers\":{"
				  "\"k:{\\\"name\\\":\\\"c\\\"}\":{\".\":{},\"f:name\":{}}}}}");
}

static void test_manage(void **state)
{
	const struct api_kind *kind = api_kind_by_name("", "v1", "Pod");
	json_t *pod = json_loads(HEAD "\"metadata\":{\"name\":\"a\",\"managedFields\":[{\"manager\":\"liar\"}]},"
				      "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]}}",
				 0, NULL);
	struct err err = {0};
	json_t *managers;

	(void)state;
	assert_int_equal(api_manage(kind, NULL, pod, "kubectl-create", NULL, &err), 0);
	managers = api_value(pod, "metadata.managedFields");
	assert_int_equal(json_array_size(managers), 1);
	assert_string_equal(api_string(json_array_get(managers, 0), "manager"), "kubectl-create");
	CLEANUP_JSON json_t *now = json_deep_copy(pod);
	json_object_set_new(json_array_get(api_value(now, "spec.containers"), 0), "image", json_string("j"));
	assert_int_equal(api_manage(kind, pod, now, "kubectl-edit", NULL, &err), 0);
	managers = api_value(now, "metadata.managedFields");
	CLEANUP_FREE char *first = api_format(json_object_get(json_array_get(managers, 0), "fieldsV1"));
	CLEANUP_FREE char *second = api_format(json_object_get(json_array_get(managers, 1), "fieldsV1"));
	assert_string_equal(
		first, "{\"f:spec\":{\"f:containers\":{\"k:{\\\"name\\\":\\\"c\\\"}\":{\".\":{},\"f:name\":{}}}}}");
	assert_string_equal(second,
			    "{\"f:spec\":{\"f:containers\":{\"k:{\\\"name\\\":\\\"c\\\"}\":{\"f:image\":{}}}}}");
	for (int i = 0; i < 30; i++) {
		CLEANUP_JSON json_t *next = json_deep_copy(now);
		char name[16];

		snprintf(name, sizeof(name), "m%d", i);
		assert_int_equal(api_set(next, "metadata.labels", json_pack("{s:s}", name, "1")), 0);
		assert_int_equal(api_manage(kind, now, next, name, NULL, &err), 0);
		assert_true(json_array_size(api_value(next, "metadata.managedFields")) <= 11);
		json_decref(now);
		now = json_incref(next);
	}
	json_decref(pod);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_apply),
		cmocka_unit_test(test_manage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
