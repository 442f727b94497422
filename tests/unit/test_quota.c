/* SPDX-License-Identifier: Apache-2.0 */
/* PLC-5: a domain is on as many servers as it may be, and not on one more. */
#include "policy/quota.h"

#include <setjmp.h>

#include <cmocka.h>

static void test_quota(void **state)
{
	static const struct {
		uint32_t quota;
		struct policy_quota_facts facts;
		bool allowed;
	} rows[] = {
		{0, {1000, false}, true}, {2, {0, false}, true},  {2, {1, false}, true},
		{2, {2, true}, true},     {2, {3, true}, true}, /* the quota was more once: what runs stays */
		{2, {2, false}, false},   {1, {7, false}, false},
	};
	struct policy_pod pod = {"u", "ns", "p", "li", NULL};
	struct policy_place place = {"n1", "s1", 1, false};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct policy_domain domain = {.name = (char *)(uintptr_t) "li", .server_quota = rows[i].quota};
		struct policy_decision decision = {.allowed = true};

		assert_int_equal(policy_quota_allows(&pod, &domain, &place, &rows[i].facts, &decision),
				 rows[i].allowed);
		assert_int_equal(decision.allowed, rows[i].allowed);
	}
}

static void test_sentences(void **state)
{
	struct policy_domain domain = {.name = (char *)(uintptr_t) "li", .server_quota = 2};
	struct policy_quota_facts facts = {.servers = 2};
	struct policy_pod pod = {"u", "ns", "p", "li", NULL};
	struct policy_place place = {"n1", "s1", 1, false};
	struct policy_decision decision;

	(void)state;
	assert_false(policy_quota_allows(&pod, &domain, &place, &facts, &decision));
	assert_string_equal(policy_reason_name(decision.reason), "ServerQuota");
	assert_string_equal(decision.rule, "serverQuota of TrustDomain 'li'");
	assert_string_equal(decision.object, "TrustDomain/li");
	assert_string_equal(
		decision.sentence,
		"pod 'ns/p' may not come to server 's1': trust domain 'li' is on 2 servers already, and its "
		"serverQuota is 2; change TrustDomain 'li' or end what it runs");
	assert_string_equal(
		decision.tenant_sentence,
		"pod 'ns/p' may not run on instance 'n1': trust domain 'li' is on as many servers as it may "
		"be (2)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
