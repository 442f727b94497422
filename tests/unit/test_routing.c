/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/routing.h"

#include <errno.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"

static const struct {
	const char *method, *path;
	bool watch;
	enum routing_class class;
	enum routing_verb verb;
	const char *resource, *namespace, *name, *subresource, *tail;
} good[] = {
	{"GET", "/livez", false, ROUTING_PROBE, ROUTING_GET, NULL, "", "", "", ""},
	{"GET", "/readyz/ping", false, ROUTING_PROBE, ROUTING_GET, NULL, "", "", "", ""},
	{"HEAD", "/version", false, ROUTING_VERSION, ROUTING_GET, NULL, "", "", "", ""},
	{"GET", "/api", false, ROUTING_DISCOVERY, ROUTING_GET, NULL, "", "", "", ""},
	{"GET", "/api/v1", false, ROUTING_DISCOVERY, ROUTING_GET, NULL, "", "", "", ""},
	{"GET", "/apis/", false, ROUTING_DISCOVERY, ROUTING_GET, NULL, "", "", "", ""},
	{"GET", "/apis/trust.bulkhead.dev/v1", false, ROUTING_DISCOVERY, ROUTING_GET, NULL, "", "", "", ""},
	{"GET", "/openapi/v3/api/v1", false, ROUTING_OPENAPI_V3, ROUTING_GET, NULL, "", "", "", ""},
	{"GET", "/api/v1/pods", false, ROUTING_RESOURCE, ROUTING_LIST, "pods", "", "", "", ""},
	{"GET", "/api/v1/pods", true, ROUTING_RESOURCE, ROUTING_WATCH, "pods", "", "", "", ""},
	{"GET", "/api/v1/namespaces", false, ROUTING_RESOURCE, ROUTING_LIST, "namespaces", "", "", "", ""},
	{"GET", "/api/v1/namespaces/b", false, ROUTING_RESOURCE, ROUTING_GET, "namespaces", "", "b", "", ""},
	{"PUT", "/api/v1/namespaces/b/status", false, ROUTING_RESOURCE, ROUTING_UPDATE, "namespaces", "", "b", "status",
	 ""},
	{"POST", "/api/v1/namespaces/b/pods", false, ROUTING_RESOURCE, ROUTING_CREATE, "pods", "b", "", "", ""},
	{"DELETE", "/api/v1/namespaces/b/pods", false, ROUTING_RESOURCE, ROUTING_DELETE_COLLECTION, "pods", "b", "", "",
	 ""},
	{"DELETE", "/api/v1/namespaces/b/pods/p", false, ROUTING_RESOURCE, ROUTING_DELETE, "pods", "b", "p", "", ""},
	{"PATCH", "/api/v1/namespaces/b/pods/p/status", false, ROUTING_RESOURCE, ROUTING_PATCH, "pods", "b", "p",
	 "status", ""},
	{"GET", "/api/v1/namespaces/b/pods/p/log", false, ROUTING_RESOURCE, ROUTING_GET, "pods", "b", "p", "log", ""},
	{"POST", "/api/v1/nodes/n/stopped", false, ROUTING_RESOURCE, ROUTING_CREATE, "nodes", "", "n", "stopped", ""},
	{"POST", "/api/v1/nodes/n/streams/1-2", false, ROUTING_RESOURCE, ROUTING_CREATE, "nodes", "", "n", "streams",
	 "1-2"},
	{"GET", "/apis/coordination.k8s.io/v1/namespaces/x/leases/l", false, ROUTING_RESOURCE, ROUTING_GET, "leases",
	 "x", "l", "", ""},
	{"GET", "/apis/trust.bulkhead.dev/v1/namespaces/x/decisions/p", false, ROUTING_DECISION, ROUTING_GET, NULL, "x",
	 "p", "", ""},
};

static void test_good_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		struct routing routing;
		struct err err = {0};

		if (routing_parse(good[i].method, good[i].path, good[i].watch, &routing, &err) < 0)
			fail_msg("%s %s: %s", good[i].method, good[i].path, err.msg);
		assert_int_equal(routing.class, good[i].class);
		assert_int_equal(routing.verb, good[i].verb);
		assert_int_equal(routing.kind != NULL, good[i].resource != NULL);
		if (good[i].resource)
			assert_string_equal(routing.kind->resource, good[i].resource);
		assert_string_equal(routing.namespace, good[i].namespace);
		assert_string_equal(routing.name, good[i].name);
		assert_string_equal(routing.subresource, good[i].subresource);
		assert_string_equal(routing.tail, good[i].tail);
	}
}

static const struct {
	const char *method, *path;
	int code;
} bad[] = {
	{"GET", "/", ERR_NOT_FOUND},
	{"GET", "/livezz", ERR_NOT_FOUND},
	{"GET", "/version/x", ERR_NOT_FOUND},
	{"POST", "/version", -EOPNOTSUPP},
	{"POST", "/api/v1", -EOPNOTSUPP},
	{"GET", "/api/v1/nothings", ERR_NOT_FOUND},
	{"GET", "/api/v2/pods", ERR_NOT_FOUND},
	{"GET", "/apis/coordination.k8s.io/v1/pods", ERR_NOT_FOUND},
	{"GET", "/api/v1/pods/p", ERR_NOT_FOUND}, /* a pod is in a namespace */
	{"GET", "/api/v1/namespaces/b/nodes/n", ERR_NOT_FOUND},
	{"GET", "/api/v1/namespaces/b/pods/p/nothing", ERR_NOT_FOUND},
	{"GET", "/api/v1/namespaces/b/pods/p/log/x", ERR_NOT_FOUND},
	{"GET", "/api/v1/namespaces/b/pods/p/stopped", ERR_NOT_FOUND},
	{"GET", "/api/v1/namespaces/b//pods", ERR_NOT_FOUND},
	{"GET", "/api/v1/namespaces/B_/pods", ERR_INVALID},
	{"GET", "/api/v1/a/b/c/d/e/f/g/h/i/j", ERR_NOT_FOUND},
	{"POST", "/api/v1/namespaces/b/pods/p", -EOPNOTSUPP},
	{"PUT", "/api/v1/namespaces/b/pods", -EOPNOTSUPP},
	{"DELETE", "/api/v1/namespaces/b/pods/p/status", -EOPNOTSUPP},
	{"BREW", "/api/v1/pods", -EOPNOTSUPP},
	{"GET", "/apis/trust.bulkhead.dev/v1/decisions/p", ERR_NOT_FOUND},
};

static void test_bad_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct routing routing = {.class = ROUTING_METRICS};
		struct err err = {0};
		int r = routing_parse(bad[i].method, bad[i].path, false, &routing, &err);

		if (r != bad[i].code)
			fail_msg("%s %s: %d, not %d", bad[i].method, bad[i].path, r, bad[i].code);
		assert_int_equal(routing.class, ROUTING_METRICS); /* untouched */
		assert_true(err.msg[0]);
	}
}

static void test_long_segments(void **state)
{
	struct routing routing;
	char path[600] = "/api/v1/namespaces/";

	(void)state;
	memset(path + strlen(path), 'a', 500);
	assert_int_equal(routing_parse("GET", path, false, &routing, NULL), ERR_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_paths),
		cmocka_unit_test(test_bad_paths),
		cmocka_unit_test(test_long_segments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
