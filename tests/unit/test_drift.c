/* SPDX-License-Identifier: Apache-2.0 */
/* PLC-1, PLC-6: the proof over the whole cluster says what asking about each pod by itself says. */
#include "policy/drift.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define HOLDERS 24

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

static int set_up(void **state)
{
	static struct policy_domains domains;

	put(&domains, "hlr",
	    "{\"separation\":[{\"from\":{\"domains\":[\"oam\"]},\"level\":\"Instance\"},"
	    "{\"from\":{\"domains\":[\"border\"]},\"level\":\"Server\"}]}");
	put(&domains, "border", "{}");
	put(&domains, "oam", "{}");
	put(&domains, "li", "{\"isolation\":\"Dedicated\"}");
	put(&domains, "nf",
	    "{\"subFunctions\":[{\"name\":\"user\",\"images\":[\"u\"]},{\"name\":\"mgmt\",\"images\":[\"m\"]}],"
	    "\"separation\":[{\"from\":{\"domains\":[\"nf\"],\"subFunction\":\"mgmt\"},\"subFunction\":\"user\","
	    "\"level\":\"Server\"}]}");
	put(&domains, "ran",
	    "{\"subFunctions\":[{\"name\":\"cu\",\"images\":[\"a\"],\"networkFunction\":\"cu\"},"
	    "{\"name\":\"du\",\"images\":[\"b\"],\"networkFunction\":\"du\"}],\"separation\":["
	    "{\"from\":{\"domains\":[\"ran\"]},\"networkFunctions\":\"Different\",\"level\":\"Instance\"}]}");
	*state = &domains;
	return 0;
}

static int tear_down(void **state)
{
	policy_domains_done(*state);
	return 0;
}

static struct policy_drift prove(const struct policy_holder *holders, size_t count,
				 const struct policy_domains *domains)
{
	struct policy_drift drift;
	struct err err = {0};

	if (policy_drift_prove(holders, count, domains, &drift, &err) < 0)
		fail_msg("%s", err.msg);
	return drift;
}

static void test_nothing_is_proven(void **state)
{
	struct policy_drift drift = prove(NULL, 0, *state);

	assert_true(policy_drift_is_proven(&drift));
	assert_int_equal(drift.holders + drift.servers + drift.kinds, 0);
}

static void test_planted_violation_is_named(void **state)
{
	const struct policy_holder holders[] = {
		{{"u1", "a", "p1", "hlr", ""}, "n1", "s1"},    {{"u2", "a", "p2", "hlr", ""}, "n2", "s2"},
		{{"u3", "b", "q1", "border", ""}, "n3", "s3"}, {{"u4", "b", "q2", "border", ""}, "n4", "s2"},
		{{"u5", "c", "o1", "oam", ""}, "n5", "s2"},
	};
	struct policy_drift drift = prove(holders, 3, *state);
	struct policy_decision decision;

	assert_true(policy_drift_is_proven(&drift));
	assert_int_equal(drift.servers, 3);
	drift = prove(holders, 5, *state);
	assert_false(policy_drift_is_proven(&drift));
	assert_int_equal(drift.violations, 1);
	assert_int_equal(drift.finding_count, 1);
	assert_int_equal(drift.findings[0].level, POLICY_LEVEL_SERVER);
	policy_drift_explain(&drift.findings[0], holders, *state, &decision);
	assert_string_equal(decision.sentence,
			    "pod 'a/p2' of trust domain 'hlr' may not share server 's2' with pod 'b/q2' of trust "
			    "domain 'border': separation[1] of TrustDomain 'hlr' keeps them apart at level Server; "
			    "change TrustDomain 'hlr' or where they run");
}

static void test_unknown_server_is_no_proof(void **state)
{
	const struct policy_holder holder = {{"u1", "a", "p1", "hlr", ""}, "n1", ""};
	struct policy_drift drift = prove(&holder, 1, *state);
	struct policy_decision decision;

	assert_false(policy_drift_is_proven(&drift));
	assert_int_equal(drift.unplaced, 1);
	policy_drift_explain(&drift.findings[0], &holder, *state, &decision);
	assert_string_equal(decision.sentence,
			    "pod 'a/p1' may not run on instance 'n1': the instance is on no known server; the topology "
			    "has to name its server");
}

/* Its instance moved: it counts where it is charged and where the instance is, and not as its own neighbour. */
static void test_moved_pod_is_no_neighbour_of_itself(void **state)
{
	const struct policy_holder holders[] = {
		{{"u1", "a", "p1", "nf", ""}, "n1", "s1"},
		{{"u1", "a", "p1", "nf", ""}, "n1", "s2"},
		{{"u2", "a", "p2", "nf", "mgmt"}, "n2", "s2"},
	};
	struct policy_drift drift = prove(holders, 2, *state);

	assert_true(policy_drift_is_proven(&drift));
	drift = prove(holders, 3, *state);
	assert_int_equal(drift.violations, 1);
}

static void test_findings_are_bounded(void **state)
{
	enum { SERVERS = POLICY_DRIFT_FINDINGS_MAX + 10 };
	struct policy_holder holders[2 * SERVERS];
	char uids[2 * SERVERS][16], servers[SERVERS][16];
	struct policy_drift drift;

	for (size_t i = 0; i < 2 * SERVERS; i++) {
		(void)snprintf(uids[i], sizeof(uids[i]), "u%zu", i);
		(void)snprintf(servers[i / 2], sizeof(servers[i / 2]), "s%zu", i / 2);
		holders[i] = (struct policy_holder){{uids[i], "a", "p", i % 2 ? "hlr" : "border", ""},
						    uids[i],
						    servers[i / 2]};
	}
	drift = prove(holders, 2 * SERVERS, *state);
	assert_int_equal(drift.violations, SERVERS);
	assert_int_equal(drift.finding_count, POLICY_DRIFT_FINDINGS_MAX);
}

static uint64_t seed = 88172645463325252u;

static unsigned draw(unsigned below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (unsigned)(seed % below);
}

static const char *const domain_names[] = {"hlr", "border", "oam", "li", "nf", "nf", "ran", "gone"};
static const char *const subfunctions[] = {"", "user", "mgmt", "cu", "du"};
static const char *const places[][2] = {{"n1", "s1"}, {"n2", "s1"}, {"n3", "s2"}, {"n4", "s3"},
					{"n5", "s4"}, {"n6", "s5"}, {"n7", ""}};

/* Each two pods by themselves. */
static bool is_broken_somewhere(const struct policy_holder *holders, size_t count, const struct policy_domains *domains)
{
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < i; j++) {
			const struct policy_holder *a = &holders[i], *b = &holders[j];
			enum policy_level level = policy_separation_level(&a->pod, &b->pod, domains);

			if (level != POLICY_LEVEL_NONE && strcmp(a->instance, b->instance) == 0)
				return true;
			if (level == POLICY_LEVEL_SERVER && a->server[0] && strcmp(a->server, b->server) == 0)
				return true;
		}
	return false;
}

static void test_random_clusters(void **state)
{
	size_t found = 0, proven = 0;

	for (unsigned round = 0; round < 20000; round++) {
		struct policy_holder holders[HOLDERS];
		char uids[HOLDERS][8];
		size_t count = draw(6), unplaced = 0;
		struct policy_drift drift;
		bool expected;

		for (size_t i = 0; i < count; i++) {
			const char *const *place = places[draw(ARRAY_SIZE(places))];

			(void)snprintf(uids[i], sizeof(uids[i]), "u%zu", i);
			holders[i] =
				(struct policy_holder){{uids[i], "ns", uids[i],
							domain_names[draw(ARRAY_SIZE(domain_names) - (round % 4 != 0))],
							subfunctions[draw(ARRAY_SIZE(subfunctions))]},
						       place[0],
						       place[1]};
			unplaced += !place[1][0];
		}
		drift = prove(holders, count, *state);
		expected = is_broken_somewhere(holders, count, *state);
		assert_int_equal(drift.unplaced, unplaced);
		if (expected != (drift.violations > 0)) {
			for (size_t i = 0; i < count; i++)
				print_message("%s/%s on %s of %s\n", holders[i].pod.domain, holders[i].pod.subfunction,
					      holders[i].instance, holders[i].server);
			fail_msg("round %u: one by one says %d", round, expected);
		}
		found += expected;
		proven += !expected;
	}
	assert_true(found > 2000 && proven > 2000); /* or it shows nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_proven),
		cmocka_unit_test(test_planted_violation_is_named),
		cmocka_unit_test(test_unknown_server_is_no_proof),
		cmocka_unit_test(test_moved_pod_is_no_neighbour_of_itself),
		cmocka_unit_test(test_findings_are_bounded),
		cmocka_unit_test(test_random_clusters),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
