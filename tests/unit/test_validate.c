/* SPDX-License-Identifier: Apache-2.0 */
#include "api/api.h"

#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"

struct row {
	const char *group, *kind, *body, *old, *message;
};

static json_t *object_of(const struct api_kind *kind, const char *body)
{
	struct err err = {0};
	json_t *object = NULL;

	if (api_decode(kind, NULL, body, strlen(body), API_STRICT, &object, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(api_default(kind, object, &err), 0);
	return object;
}

#define META "\"metadata\":{\"name\":\"a\",\"namespace\":\"n\"}"
#define POD_WITH(spec) "{" META ",\"spec\":{" spec "}}"
#define ONE "\"containers\":[{\"name\":\"c\",\"image\":\"i\"}]"
#define LABEL                                                                                                       \
	"a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and " \
	"end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "          \
	"'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"

static const struct row rows[] = {
	{"", "Pod", POD_WITH(ONE), NULL, NULL},
	{"", "Pod", POD_WITH(""), NULL, "spec.containers: Required value"},
	{"", "Pod", "{\"metadata\":{\"namespace\":\"n\"},\"spec\":{" ONE "}}", NULL,
	 "metadata.name: Required value: name or generateName is required"},
	{"", "Pod", "{\"metadata\":{\"name\":\"a\"},\"spec\":{" ONE "}}", NULL, "metadata.namespace: Required value"},
	{"", "Pod", POD_WITH("\"containers\":[{}]"), NULL,
	 "spec.containers[0].name: Required value; spec.containers[0].image: Required value"},
	{"", "Pod", POD_WITH("\"containers\":[{\"name\":\"A_b\",\"image\":\"i\"}]"), NULL,
	 "spec.containers[0].name: Invalid value: \"A_b\": " LABEL},
	{"", "Pod", POD_WITH("\"containers\":[{\"name\":\"c\",\"image\":\"i\"},{\"name\":\"c\",\"image\":\"j\"}]"),
	 NULL, "spec.containers[1].name: Duplicate value: \"c\""},
	{"", "Pod", POD_WITH(ONE ",\"restartPolicy\":\"Sometimes\""), NULL,
	 "spec.restartPolicy: Unsupported value: \"Sometimes\": supported values: \"Always\", \"OnFailure\", "
	 "\"Never\""},
	{"", "Pod", POD_WITH("\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"ports\":[{\"containerPort\":0}]}]"),
	 NULL, "spec.containers[0].ports[0].containerPort: Invalid value: 0: must be between 1 and 65535, inclusive"},
	{"", "Pod", POD_WITH("\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"ports\":[{\"containerPort\":70000}]}]"),
	 NULL,
	 "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive"},
	{"", "Pod",
	 POD_WITH("\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"volumeMounts\":[{\"name\":\"v\",\"mountPath\":\"/"
		  "v\"}]}]"),
	 NULL, "spec.containers[0].volumeMounts[0].name: Not found: \"v\""},
	{"", "Pod", POD_WITH(ONE ",\"volumes\":[{\"name\":\"v\",\"emptyDir\":{},\"secret\":{\"secretName\":\"s\"}}]"),
	 NULL, "spec.volumes[0].secret: Forbidden: may not specify more than 1 volume type"},
	{"", "Pod", POD_WITH("\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"livenessProbe\":{}}]"), NULL,
	 "spec.containers[0].livenessProbe: Required value: must specify a handler type"},
	{"", "Pod",
	 POD_WITH("\"containers\":[{\"name\":\"c\",\"image\":\"i\",\"resources\":{\"limits\":{\"cpu\":\"1\"},"
		  "\"requests\":{\"cpu\":\"2\"}}}]"),
	 NULL,
	 "spec.containers[0].resources.requests: Invalid value: \"2\": must be less than or equal to cpu limit of 1"},
	{"", "Pod", POD_WITH(ONE), POD_WITH(ONE), NULL},
	{"", "Pod", POD_WITH("\"containers\":[{\"name\":\"c\",\"image\":\"j\"}]"), POD_WITH(ONE), NULL},
	{"", "Pod", POD_WITH(ONE ",\"hostname\":\"h\""), POD_WITH(ONE),
	 "spec: Forbidden: pod updates may not change fields other than "
	 "`spec.containers[*].image`,`spec.initContainers[*].image`,"
	 "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations)"},
	{"", "Pod", "{\"metadata\":{\"name\":\"b\",\"namespace\":\"n\"},\"spec\":{" ONE "}}", POD_WITH(ONE),
	 "metadata.name: Invalid value: \"b\": field is immutable"},
	{"", "Namespace", "{\"metadata\":{\"name\":\"a.b\"}}", NULL, "metadata.name: Invalid value: \"a.b\": " LABEL},
	{"", "Namespace", "{\"metadata\":{\"name\":\"a\",\"namespace\":\"b\"}}", NULL,
	 "metadata.namespace: Forbidden: not allowed on this type"},
	{"", "Namespace", "{\"metadata\":{\"name\":\"a\",\"labels\":{\"/x\":\"y\"}}}", NULL,
	 "metadata.labels: Invalid value: \"/x\": prefix part must be non-empty"},
	{"", "ConfigMap", "{" META ",\"data\":{\"a/b\":\"x\"}}", NULL,
	 "data[a/b]: Invalid value: \"a/b\": a valid config key must consist of alphanumeric characters, '-', '_' or "
	 "'.' "
	 "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"},
	{"", "ConfigMap", "{" META ",\"data\":{\"a\":\"2\"},\"immutable\":true}",
	 "{" META ",\"data\":{\"a\":\"1\"},\"immutable\":true}",
	 "data: Forbidden: field is immutable when `immutable` is set"},
	{"", "Secret", "{" META ",\"stringData\":{\"a\":\"2\"}}", NULL, NULL},
	{"", "Secret", "{" META ",\"type\":\"a\"}", "{" META ",\"type\":\"b\"}",
	 "type: Invalid value: \"a\": field is immutable"},
	{"coordination.k8s.io", "Lease", "{" META ",\"spec\":{\"leaseDurationSeconds\":0}}", NULL,
	 "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"},
	{"trust.bulkhead.dev", "TrustDomain", "{\"metadata\":{\"name\":\"a\"}}", NULL, NULL},
	{"trust.bulkhead.dev", "TrustDomain",
	 "{\"metadata\":{\"name\":\"a\"},\"spec\":{\"isolation\":\"Jail\",\"separation\":[{\"from\":{},\"level\":"
	 "\"Rack\"}],"
	 "\"interfaces\":[{\"name\":\"gm\",\"from\":{\"networks\":[\"10.0.0.1/"
	 "8\"]},\"ports\":[{\"port\":5060,\"protocol\":\"UDP\"}]},"
	 "{\"name\":\"gm\",\"from\":{},\"ports\":[]}],\"ceiling\":{\"capabilities\":[\"CAP_CHOWN\"]}}}",
	 NULL,
	 "spec.isolation: Unsupported value: \"Jail\": supported values: \"Container\", \"VM\", \"Dedicated\"; "
	 "spec.separation[0].from.domains: Required value: must name domains, or all must be true; "
	 "spec.separation[0].level: Unsupported value: \"Rack\": supported values: \"Instance\", \"Server\"; "
	 "spec.interfaces[0].from.networks[0]: Invalid value: \"10.0.0.1/8\": must not have bits set beyond its prefix "
	 "length; "
	 "spec.interfaces[1].ports: Required value; spec.interfaces[1].name: Duplicate value: \"gm\"; "
	 "spec.ceiling.capabilities[0]: Invalid value: \"CAP_CHOWN\": must be the name of a capability without the "
	 "prefix 'CAP_'"},
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct api_kind *kind = api_kind_by_name(rows[i].group, "v1", rows[i].kind);
		CLEANUP_JSON json_t *object = object_of(kind, rows[i].body);
		CLEANUP_JSON json_t *old = rows[i].old ? object_of(kind, rows[i].old) : NULL;
		struct err err = {0};
		int r = api_validate(kind, object, old, &err);

		assert_string_equal(err.msg, rows[i].message ? rows[i].message : "");
		assert_int_equal(r, rows[i].message ? ERR_INVALID : 0);
	}
}

static void test_string_data(void **state)
{
	const struct api_kind *kind = api_kind_by_name("", "v1", "Secret");
	CLEANUP_JSON json_t *secret = object_of(kind, "{" META ",\"stringData\":{\"a\":\"hello\"}}");

	(void)state;
	assert_string_equal(api_string(secret, "data.a"), "aGVsbG8=");
	assert_null(json_object_get(secret, "stringData"));
}

static void test_status(void **state)
{
	const struct api_kind *kind = api_kind_by_name("", "v1", "Pod");
	struct err err = {0};
	json_t *causes;

	(void)state;
	err_set(&err, ERR_INVALID, "spec.a: Required value; spec.b: Invalid value: \"x; y\": no");
	CLEANUP_JSON json_t *status = api_status(422, &err, kind, "p");
	assert_string_equal(api_string(status, "message"),
			    "Pod \"p\" is invalid: [spec.a: Required value, spec.b: Invalid value: \"x; y\": no]");
	assert_string_equal(api_string(status, "reason"), "Invalid");
	causes = api_value(status, "details.causes");
	assert_int_equal(json_array_size(causes), 2);
	assert_string_equal(api_string(json_array_get(causes, 1), "field"), "spec.b");
	assert_string_equal(api_string(json_array_get(causes, 1), "message"), "Invalid value: \"x; y\": no");
	assert_string_equal(api_string(json_array_get(causes, 1), "reason"), "FieldValueInvalid");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_string_data),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
