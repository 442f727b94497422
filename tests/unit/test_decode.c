/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include <errno.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

#define POD "Pod in version \"v1\" cannot be handled as a Pod: "

static const struct api_kind *pod_kind(void)
{
	return api_kind_by_name("", "v1", "Pod");
}

static void test_good(void **state)
{
	static const char body[] = "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\",\"namespace\":"
				   "\"n\",\"creationTimestamp\":null},"
				   "\"spec\":{\"containers\":[{\"name\":\"c\",\"image\":\"h/"
				   "r:1\",\"ports\":[{\"containerPort\":5060,\"protocol\":\"UDP\"}],"
				   "\"resources\":{\"limits\":{\"cpu\":1,\"memory\":\"64Mi\"}}}],\"volumes\":[{"
				   "\"name\":\"v\",\"emptyDir\":{}}]},\"status\":{}}";
	json_t *pod = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(api_decode(pod_kind(), "application/json", body, strlen(body), API_STRICT, &pod, NULL, &err),
			 0);
	assert_null(api_value(pod, "metadata.creationTimestamp"));
	assert_int_equal(api_default(pod_kind(), pod, &err), 0);
	assert_string_equal(api_string(pod, "spec.restartPolicy"), "Always");
	assert_string_equal(api_string(pod, "status.phase"), "Pending");
	assert_int_equal(api_integer(pod, "spec.terminationGracePeriodSeconds", 0), 30);
	json_t *container = json_array_get(api_value(pod, "spec.containers"), 0);
	assert_string_equal(api_string(container, "imagePullPolicy"), "IfNotPresent");
	assert_string_equal(api_string(container, "resources.limits.cpu"), "1");
	assert_string_equal(api_string(container, "resources.requests.cpu"), "1");
	assert_int_equal(api_validate(pod_kind(), pod, NULL, &err), 0);
	json_decref(pod);
}

static void test_bad(void **state)
{
	static const struct {
		const char *type, *body, *message;
		int code;
	} bad[] = {
		{"application/json", "{\"spec\":{\"containers\":[{\"imag\":1}],\"x\":2},\"y\":3}",
		 POD "strict decoding error: unknown field \"spec.containers[0].imag\", unknown field \"spec.x\", "
		     "unknown field \"y\"",
		 ERR_SYNTAX},
		{"application/json", "{\"metadata\":{\"name\":\"a\",\"name\":\"b\"}}",
		 POD "duplicate field \"metadata.name\"", ERR_SYNTAX},
		{"application/json",
		 "{\"spec\":{\"containers\":[{\"name\":\"a\"},{\"env\":[{\"name\":\"a\",\"name\":\"b\"}]}]}}",
		 POD "duplicate field \"spec.containers[1].env[0].name\"", ERR_SYNTAX},
		{"application/json", "{\"spec\":{\"containers\":{}}}",
		 POD "json: cannot unmarshal object into field \"spec.containers\" of type []Container", ERR_SYNTAX},
		{"application/json", "{\"spec\":{\"containers\":[{\"name\":7}]}}",
		 POD "json: cannot unmarshal number into field \"spec.containers[0].name\" of type string", ERR_SYNTAX},
		{"application/json", "{\"spec\":{\"hostNetwork\":\"yes\"}}",
		 POD "json: cannot unmarshal string into field \"spec.hostNetwork\" of type bool", ERR_SYNTAX},
		{"application/json", "{\"metadata\":{\"labels\":{\"a\":true}}}",
		 POD "json: cannot unmarshal bool into field \"metadata.labels[a]\" of type string", ERR_SYNTAX},
		{"application/json", "{\"spec\":{\"containers\":[{\"ports\":[{\"containerPort\":4294967296}]}]}}",
		 POD "json: cannot unmarshal number 4294967296 into field "
		     "\"spec.containers[0].ports[0].containerPort\" of type int32",
		 ERR_SYNTAX},
		{"application/json", "{\"spec\":{\"containers\":[{\"resources\":{\"limits\":{\"cpu\":\"1q\"}}}]}}",
		 POD "field \"spec.containers[0].resources.limits[cpu]\": quantities must match the regular expression "
		     "'^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
		 ERR_SYNTAX},
		{"application/json", "{\"metadata\":{\"creationTimestamp\":\"today\"}}",
		 POD "field \"metadata.creationTimestamp\": not a time as RFC 3339 has it", ERR_SYNTAX},
		{"application/json", "{\"kind\":\"Node\"}",
		 POD "the kind in the data (Node) does not match the expected kind (Pod)", ERR_SYNTAX},
		{"application/json", "{\"apiVersion\":\"v2\"}",
		 POD "the API version in the data (v2) does not match the expected API version (v1)", ERR_SYNTAX},
		{"application/json", "[]", POD "an object is expected", ERR_SYNTAX},
		{"application/json", "{\"a\":", POD "json: line 1: unexpected token near end of file", ERR_SYNTAX},
		{"application/yaml", "spec:\n  containers:\n  - imag: a\n",
		 POD "strict decoding error: unknown field \"spec.containers[0].imag\"", ERR_SYNTAX},
		{"application/yaml", "a: &x 1\nb: *x\n", POD "yaml: line 2: aliases are not supported", ERR_SYNTAX},
		{"application/yaml", "metadata: {name: a, name: b}\n", POD "yaml: line 1: duplicate field \"name\"",
		 ERR_SYNTAX},
		{"application/vnd.kubernetes.protobuf", "nope",
		 POD "protobuf: body does not begin with k8s and a zero byte", ERR_SYNTAX},
		{"text/plain", "",
		 "the body of the request was in an unknown format - accepted media types include: application/json, "
		 "application/yaml, application/vnd.kubernetes.protobuf",
		 -EMEDIUMTYPE},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct err err = {0};
		json_t *pod = NULL;

		assert_int_equal(api_decode(pod_kind(), bad[i].type, bad[i].body, strlen(bad[i].body), API_STRICT, &pod,
					    NULL, &err),
				 bad[i].code);
		assert_string_equal(err.msg, bad[i].message);
		assert_null(pod);
	}
}

static void test_warn(void **state)
{
	static const char body[] = "{\"metadata\":{\"name\":\"a\",\"name\":\"b\",\"nam\":1},\"x\":null}";
	CLEANUP_BUF struct buf warnings = buf_of(4096);
	json_t *pod = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(api_decode(pod_kind(), NULL, body, strlen(body), API_WARN, &pod, &warnings, &err), 0);
	assert_string_equal(warnings.data,
			    "duplicate field \"metadata.name\"\nunknown field \"metadata.nam\"\nunknown field \"x\"\n");
	assert_string_equal(api_string(pod, "metadata.name"), "b");
	assert_null(api_value(pod, "metadata.nam"));
	json_decref(pod);
	pod = NULL;
	assert_int_equal(api_decode(pod_kind(), NULL, body, strlen(body), API_IGNORE, &pod, NULL, &err), 0);
	json_decref(pod);
}

static void test_deep(void **state)
{
	char body[4096];
	struct err err = {0};
	json_t *pod = NULL;

	(void)state;
	memset(body, '[', sizeof(body));
	assert_int_equal(api_decode(pod_kind(), NULL, body, sizeof(body), API_STRICT, &pod, NULL, &err), ERR_SYNTAX);
	assert_string_equal(err.msg, POD "json: nested deeper than 64 levels or more than 50000 values");
	assert_int_equal(api_decode(pod_kind(), "application/yaml", body, sizeof(body), API_STRICT, &pod, NULL, &err),
			 ERR_SYNTAX);
	assert_string_equal(err.msg, POD "yaml: line 1: nested too deeply");
}

/* Few bytes must not become much memory. */
static void test_many(void **state)
{
	static const struct {
		const char *type, *begin, *item, *message;
	} rows[] = {
		{"application/json", "[1", ",1", POD "json: nested deeper than 64 levels or more than 50000 values"},
		{"application/yaml", "", "- a\n", POD "yaml: line 49998: too many values"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CLEANUP_BUF struct buf body = buf_of(API_BODY_MAX);
		struct err err = {0};
		json_t *pod = NULL;

		assert_int_equal(buf_puts(&body, rows[i].begin), 0);
		for (int n = 0; n < 60000; n++)
			assert_int_equal(buf_puts(&body, rows[i].item), 0);
		assert_int_equal(api_decode(pod_kind(), rows[i].type, body.data, body.len, API_STRICT, &pod, NULL,
					    &err),
				 ERR_SYNTAX);
		assert_string_equal(err.msg, rows[i].message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good), cmocka_unit_test(test_bad),  cmocka_unit_test(test_warn),
		cmocka_unit_test(test_deep), cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
