/* SPDX-License-Identifier: Apache-2.0 */
/* PLC-1: what a change of rules displaces, by the function that places. */
#include "policy/plan.h"

#include <setjmp.h>

#include <cmocka.h>

static void put(struct policy_domains *domains, const char *name, const char *spec)
{
	struct policy_domain *domain = NULL;
	struct err err = {0};
	json_t *json = json_loads(spec, 0, NULL);

	if (!json || policy_domain_parse_spec(name, json, &domain, &err) < 0)
		fail_msg("%s: %s", name, err.msg);
	json_decref(json);
	assert_int_equal(policy_domains_put(domains, domain), 0);
}

static void test_displaced(void **state)
{
	static const struct policy_holder holders[] = {
		{{"u1", "a", "p1", "blue", ""}, "n1", "s1"},  {{"u2", "b", "q1", "red", ""}, "n2", "s1"},
		{{"u3", "a", "p2", "blue", ""}, "n3", "s2"},  {{"u4", "c", "g", "green", ""}, "n3", "s2"},
		{{"u5", "b", "q2", "red", ""}, "n4", "s3"},   {{"u6", "d", "x", "gone", ""}, "n5", "s4"},
		{{"u7", "c", "g2", "green", ""}, "n9", "s9"},
	};
	static const bool expected[] = {true, true, false, false, false, true, false};
	CLEANUP_POLICY_DOMAINS struct policy_domains domains = {0};
	struct policy_decision reasons[ARRAY_SIZE(holders)];
	bool displaced[ARRAY_SIZE(holders)];

	(void)state;
	put(&domains, "blue", "{}");
	put(&domains, "green", "{}");
	put(&domains, "red", "{\"separation\":[{\"from\":{\"domains\":[\"blue\"]},\"level\":\"Server\"}]}");
	assert_int_equal(policy_plan_displaced(holders, ARRAY_SIZE(holders), &domains, displaced, reasons, NULL), 0);
	assert_memory_equal(displaced, expected, sizeof(expected));
	assert_string_equal(
		reasons[0].sentence,
		"pod 'a/p1' of trust domain 'blue' may not share server 's1' with pod 'b/q1' of trust domain "
		"'red': separation[0] of TrustDomain 'red' keeps them apart at level Server; change "
		"TrustDomain 'red' or where they run");
	assert_int_equal(reasons[5].reason, POLICY_REASON_UNKNOWN_DOMAIN);
	put(&domains, "red", "{}");
	assert_int_equal(policy_plan_displaced(holders, 5, &domains, displaced, NULL, NULL), 0);
	for (size_t i = 0; i < 5; i++)
		assert_false(displaced[i]);
	assert_int_equal(policy_plan_displaced(NULL, 0, &domains, NULL, NULL, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_displaced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
