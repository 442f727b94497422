/* SPDX-License-Identifier: Apache-2.0 */
/* The rows that need no store; those that do are shown by tests/system/test_cism_identity.py. */
#include "cism/authorizer.h"

#include <setjmp.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"

static const struct authorizer_user master = {.name = "admin", .groups = {"system:masters"}, .group_count = 1};
static const struct authorizer_user instance = {.name = "system:node:node-1",
						.groups = {"system:nodes"},
						.group_count = 1};
/* The name alone makes no instance, nor the group. */
static const struct authorizer_user half = {.name = "system:node:node-1"};
static const struct authorizer_user nameless = {.name = "system:node:", .groups = {"system:nodes"}, .group_count = 1};
static const struct authorizer_user nobody = {.name = ""};
static const struct authorizer_user cism = {.name = "system:cism", .groups = {"system:bulkhead"}, .group_count = 1};

static const struct {
	const struct authorizer_user *user;
	const char *verb, *group, *resource, *subresource, *namespace, *name, *selector;
	int expected;
} rows[] = {
	{&master, "delete", "", "nodes", "", "", "node-1", NULL, 0},
	{&master, "anything", "any.group", "things", "", "", "", NULL, 0},
	{&nobody, "get", "", "pods", "", "b", "p", NULL, ERR_UNKNOWN_PEER},
	{&cism, "get", "", "pods", "", "b", "p", NULL, ERR_DENIED},
	{&half, "get", "", "nodes", "", "", "node-1", NULL, ERR_DENIED},
	{&nameless, "get", "", "nodes", "", "", "", NULL, ERR_DENIED},
	{&instance, "list", "", "pods", "", "", "", "spec.nodeName=node-1", 0},
	{&instance, "watch", "", "pods", "", "", "", "spec.nodeName=node-1", 0},
	{&instance, "list", "", "pods", "", "", "", "spec.nodeName=node-10", ERR_DENIED},
	{&instance, "list", "", "pods", "", "", "", "spec.nodeName!=node-1", ERR_DENIED},
	{&instance, "list", "", "pods", "", "", "", NULL, ERR_DENIED},
	{&instance, "deletecollection", "", "pods", "", "", "", "spec.nodeName=node-1", ERR_DENIED},
	{&instance, "get", "", "nodes", "", "", "node-1", NULL, 0},
	{&instance, "get", "", "nodes", "", "", "node-2", NULL, ERR_DENIED},
	{&instance, "list", "", "nodes", "", "", "", NULL, ERR_DENIED},
	{&instance, "patch", "", "nodes", "status", "", "node-1", NULL, 0},
	{&instance, "patch", "", "nodes", "", "", "node-1", NULL, ERR_DENIED},
	{&instance, "create", "", "nodes", "stopped", "", "node-1", NULL, 0},
	{&instance, "create", "", "nodes", "stopped", "", "node-2", NULL, ERR_DENIED},
	{&instance, "update", "coordination.k8s.io", "leases", "", "kube-node-lease", "node-1", NULL, 0},
	{&instance, "update", "coordination.k8s.io", "leases", "", "default", "node-1", NULL, ERR_DENIED},
	{&instance, "update", "coordination.k8s.io", "leases", "", "kube-node-lease", "node-2", NULL, ERR_DENIED},
	{&instance, "create", "", "events", "", "b", "", NULL, 0},
	{&instance, "list", "", "events", "", "b", "", NULL, ERR_DENIED},
	{&instance, "list", "", "secrets", "", "b", "", NULL, ERR_DENIED},
	{&instance, "get", "trust.bulkhead.dev", "trustdomains", "", "", "x", NULL, ERR_DENIED},
	{&instance, "create", "", "pods", "binding", "b", "p", NULL, ERR_DENIED},
	{&instance, "get", "", "pods", "log", "b", "p", NULL, ERR_DENIED},
	{&instance, "create", "authorization.k8s.io", "selfsubjectaccessreviews", "", "", "", NULL, 0},
	{&instance, "", "", "pods", "", "", "", NULL, ERR_DENIED},
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct authorizer_question question = {.verb = rows[i].verb,
						       .group = rows[i].group,
						       .resource = rows[i].resource,
						       .subresource = rows[i].subresource,
						       .namespace = rows[i].namespace,
						       .name = rows[i].name,
						       .field_selector = rows[i].selector};
		struct err err = {0};
		int r = authorizer_decide(rows[i].user, &question, NULL, &err);

		if (r != rows[i].expected)
			fail_msg("row %zu (%s %s): %d, not %d: %s", i, rows[i].verb, rows[i].resource, r,
				 rows[i].expected, err.msg);
	}
}

static void test_paths(void **state)
{
	struct authorizer_question question =
		{.verb = "get", .group = "", .resource = "", .subresource = "", .namespace = "", .name = ""};
	struct err err = {0};

	(void)state;
	question.path = "/apis/trust.bulkhead.dev/v1";
	assert_int_equal(authorizer_decide(&cism, &question, NULL, &err), 0);
	question.path = "/metrics";
	assert_int_equal(authorizer_decide(&cism, &question, NULL, &err), ERR_DENIED);
	assert_string_equal(err.msg, "forbidden: User \"system:cism\" cannot get path \"/metrics\"");
	question.path = "/apisx";
	assert_int_equal(authorizer_decide(&cism, &question, NULL, &err), ERR_DENIED);
	question.path = "/api";
	question.verb = "post";
	assert_int_equal(authorizer_decide(&cism, &question, NULL, &err), ERR_DENIED);
}

static void test_words(void **state)
{
	struct authorizer_question question =
		{.verb = "list", .group = "", .resource = "pods", .subresource = "", .namespace = "y", .name = ""};
	struct authorizer_user x = {.name = "x"};
	struct err err = {0};

	(void)state;
	assert_int_equal(authorizer_decide(&x, &question, NULL, &err), ERR_DENIED);
	assert_string_equal(
		err.msg,
		"pods is forbidden: User \"x\" cannot list resource \"pods\" in API group \"\" in the namespace \"y\"");
	question = (struct authorizer_question){.verb = "get",
						.group = "trust.bulkhead.dev",
						.resource = "trustdomains",
						.subresource = "status",
						.namespace = "",
						.name = "n"};
	assert_int_equal(authorizer_decide(&x, &question, NULL, &err), ERR_DENIED);
	assert_string_equal(err.msg,
			    "trustdomains.trust.bulkhead.dev \"n\" is forbidden: User \"x\" cannot get resource "
			    "\"trustdomains/status\" in API group \"trust.bulkhead.dev\" at the cluster scope");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
