/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/podspec.h"

#include <errno.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define IMAGE "host:5000/a/b@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* A pod with these members in its spec and its one container. */
static json_t *make(const char *spec, const char *container)
{
	char text[4096];
	json_t *pod;

	(void)snprintf(text, sizeof(text),
		       "{\"metadata\":{\"uid\":\"u-1\",\"namespace\":\"n\",\"name\":\"p\"},\"spec\":{\"containers\":[{"
		       "\"name\":\"main\","
		       "\"image\":\"" IMAGE "\"%s}]%s}}",
		       container, spec);
	pod = json_loads(text, 0, NULL);
	assert_non_null(pod);
	return pod;
}

static void test_defaults(void **state)
{
	json_t *pod = make("", "");
	struct podspec *spec = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(podspec_parse(pod, &spec, &err), 0);
	assert_string_equal(spec->hostname, "p");
	assert_int_equal(spec->restart, PODSPEC_RESTART_ALWAYS);
	assert_int_equal(spec->grace_s, 30);
	assert_int_equal(spec->pids, 256);
	assert_int_equal(spec->count, 1);
	assert_int_equal(spec->init_count, 0);
	assert_int_equal(spec->containers[0].cpu_milli, 500);
	assert_int_equal(spec->containers[0].memory, 128 << 20);
	assert_false(spec->containers[0].has_user);
	podspec_free(spec);
	json_decref(pod);
}

static void test_values(void **state)
{
	json_t *pod = make(
		",\"restartPolicy\":\"Never\",\"hostname\":\"h\",\"securityContext\":{\"runAsUser\":7,\"fsGroup\":8,"
		"\"supplementalGroups\":[9]},\"terminationGracePeriodSeconds\":0",
		",\"resources\":{\"limits\":{\"cpu\":\"1500m\",\"memory\":\"64Mi\"},\"requests\":{\"cpu\":1}},"
		"\"securityContext\":{\"runAsGroup\":5,\"runAsNonRoot\":true}");
	struct podspec *spec = NULL;
	struct err err = {0};
	uint32_t groups[4];

	(void)state;
	assert_int_equal(podspec_parse(pod, &spec, &err), 0);
	assert_string_equal(spec->hostname, "h");
	assert_int_equal(spec->restart, PODSPEC_RESTART_NEVER);
	assert_int_equal(spec->grace_s, 0);
	assert_int_equal(spec->containers[0].cpu_milli, 1500);
	assert_int_equal(spec->containers[0].cpu_request_milli, 1000);
	assert_int_equal(spec->containers[0].memory, 64 << 20);
	assert_int_equal(spec->containers[0].user, 7);
	assert_int_equal(spec->containers[0].group, 5);
	assert_true(spec->containers[0].must_not_be_root);
	assert_int_equal(podspec_groups(spec, groups, 4), 2);
	assert_int_equal(groups[0], 8);
	assert_int_equal(groups[1], 9);
	podspec_free(spec);
	json_decref(pod);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *spec, *container, *message;
	} rows[] = {
		{",\"hostIPC\":true", "", "field 'spec.hostIPC' is not supported by this instance"},
		{",\"ephemeralContainers\":[{}]", "",
		 "field 'spec.ephemeralContainers' is not supported by this instance"},
		{",\"unheardOf\":1", "", "field 'spec.unheardOf' is not supported by this instance"},
		{"", ",\"tty\":true", "field 'spec.containers[0].tty' is not supported by this instance"},
		{"", ",\"lifecycle\":{\"preStop\":{}}",
		 "field 'spec.containers[0].lifecycle' is not supported by this instance"},
		{"", ",\"ports\":[{\"containerPort\":1,\"hostPort\":1}]",
		 "field 'spec.containers[0].ports[0].hostPort' is not supported by this instance"},
		{"", ",\"volumeMounts\":[{\"name\":\"a\",\"mountPath\":\"/a\",\"subPath\":\"x\"}]",
		 "field 'spec.containers[0].volumeMounts[0].subPath' is not supported by this instance"},
		{"", ",\"volumeMounts\":[{\"mountPropagation\":\"Bidirectional\"}]",
		 "field 'spec.containers[0].volumeMounts[0].mountPropagation' can only be 'None' on this instance"},
		{"", ",\"volumeMounts\":{}", "field 'spec.containers[0].volumeMounts' is not a list"},
		{",\"volumes\":[{\"name\":\"a\",\"nfs\":{\"server\":\"x\"}}]", "",
		 "field 'spec.volumes[0].nfs' is not supported by this instance"},
		{"", ",\"securityContext\":{\"runAsUser\":65536}",
		 "container 'main': field 'securityContext.runAsUser' is not 0 to 65535"},
		{"", ",\"resources\":{\"limits\":{\"hugepages-2Mi\":\"2Mi\"}}",
		 "container 'main': field 'resources.limits.hugepages-2Mi' is not supported by this instance"},
		{"", ",\"resources\":{\"limits\":{\"memory\":\"1Mi\"}}",
		 "container 'main': memory limit of 1048576 bytes is below the least of 4194304"},
		{",\"restartPolicy\":\"Sometimes\"", "", "field 'spec.restartPolicy' is 'Sometimes'"},
		{",\"initContainers\":[{\"name\":\"main\",\"image\":\"" IMAGE "\"}]", "",
		 "container 'main' is named twice"},
		{",\"initContainers\":[{\"name\":\"a\",\"image\":\"host:5000/a:latest\"}]", "",
		 "container 'a': image 'host:5000/a:latest' is not named by its sha256 digest"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		json_t *pod = make(rows[i].spec, rows[i].container);
		struct podspec *spec = NULL;
		struct err err = {0};

		assert_true(podspec_parse(pod, &spec, &err) < 0);
		assert_string_equal(err.msg, rows[i].message);
		json_decref(pod);
	}
}

/* What is there but says nothing is as good as absent. */
static void test_empty_values(void **state)
{
	json_t *pod = make(",\"hostNetwork\":false,\"readinessGates\":[],\"overhead\":{}",
			   ",\"tty\":false,\"lifecycle\":null");
	struct podspec *spec = NULL;
	struct err err = {0};

	(void)state;
	assert_int_equal(podspec_parse(pod, &spec, &err), 0);
	podspec_free(spec);
	json_decref(pod);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_empty_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
