/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/placement.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/api.h"

static const struct topology_instance first = {.name = "node-1",
					       .server = "server-1",
					       .deployment = "BareMetal",
					       .epoch = 1};
static const struct topology_instance second = {.name = "node-2",
						.server = "server-2",
						.deployment = "BareMetal",
						.epoch = 1};

static json_t *node(const char *name, const char *ready)
{
	return json_pack("{s:{s:s, s:{s:s}}, s:{}, s:{s:[{s:s, s:s}], s:{s:s, s:s, s:s}}}", "metadata", "name", name,
			 "labels", "zone", name, "spec", "status", "conditions", "type", "Ready", "status", ready,
			 "allocatable", "cpu", "2", "memory", "1Gi", "pods", "3");
}

static void add_domain(struct policy_domains *domains, const char *name)
{
	CLEANUP_JSON json_t *object = json_pack("{s:{s:s}, s:{s:s}}", "metadata", "name", name, "spec", "isolation",
						"Container");
	struct policy_domain *domain = NULL;
	struct err err = {0};

	if (policy_domain_parse(object, &domain, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(policy_domains_put(domains, domain), 0);
}

struct world {
	struct policy_domains domains;
	json_t *pod, *one, *two;
	struct placement_node nodes[2];
	struct ledger_holder holder;
	struct policy_holder charge;
	struct placement_facts facts;
};

static void world_init(struct world *world)
{
	*world = (struct world){0};
	add_domain(&world->domains, "blue");
	world->pod = json_pack("{s:{}}", "spec");
	world->one = node("node-1", "True");
	world->two = node("node-2", "True");
	world->nodes[0] = (struct placement_node){world->one, &first};
	world->nodes[1] = (struct placement_node){world->two, &second};
	world->facts = (struct placement_facts){
		.pod = world->pod,
		.who = {.uid = "u", .namespace = "b", .name = "p", .domain = "blue"},
		.cpu_milli = 500,
		.memory_bytes = 1 << 20,
		.domains = &world->domains,
		.domain = policy_domains_find(&world->domains, "blue"),
		.nodes = world->nodes,
		.node_count = 2,
	};
}

static void world_done(struct world *world)
{
	json_decref(world->pod);
	json_decref(world->one);
	json_decref(world->two);
	policy_domains_done(&world->domains);
}

static struct placement_verdict judge(struct world *world, size_t index)
{
	struct placement_verdict verdict;

	placement_judge(&world->facts, &world->nodes[index], &verdict);
	return verdict;
}

static void hold(struct world *world, const char *domain, int64_t cpu)
{
	world->holder = (struct ledger_holder){.uid = "h",
					       .namespace = "b",
					       .name = "h",
					       .domain = domain,
					       .subfunction = "",
					       .instance = "node-2",
					       .server = "server-2",
					       .cpu_milli = cpu};
	world->charge = (struct policy_holder){.pod = {.uid = "h", .namespace = "b", .name = "h", .domain = domain},
					       .instance = "node-2",
					       .server = "server-2"};
	world->facts.holders = &world->holder;
	world->facts.charges = &world->charge;
	world->facts.holder_count = world->facts.charge_count = 1;
}

static void test_same_domain_is_stacked(void **state)
{
	struct placement_verdict verdicts[2];
	struct world world;

	(void)state;
	world_init(&world);
	verdicts[0] = judge(&world, 0);
	verdicts[1] = judge(&world, 1);
	assert_int_equal(placement_choose(verdicts, 2), 0); /* a tie goes to the lesser name */
	hold(&world, "blue", 500);
	verdicts[0] = judge(&world, 0);
	verdicts[1] = judge(&world, 1);
	assert_true(verdicts[0].allowed && verdicts[1].allowed);
	assert_int_equal(placement_choose(verdicts, 2), 1);
	assert_string_equal(verdicts[1].sentence, "may run on instance 'node-2' of server 'server-2'");
	world_done(&world);
}

static void test_refusals(void **state)
{
	struct placement_verdict verdict;
	struct world world;

	(void)state;
	world_init(&world);
	hold(&world, "blue", 1600);
	verdict = judge(&world, 1);
	assert_false(verdict.allowed);
	assert_string_equal(verdict.reason, "Resources");
	assert_string_equal(verdict.sentence,
			    "instance 'node-2' has too little processor left for the 500m that are asked");
	world.facts.cpu_milli = 400;
	assert_true(judge(&world, 1).allowed);
	world.facts.memory_bytes = INT64_C(2) << 30;
	verdict = judge(&world, 1);
	assert_string_equal(verdict.sentence,
			    "instance 'node-2' has too little memory left for the 2147483648 bytes that are asked");
	json_object_set_new(api_value(world.one, "spec"), "unschedulable", json_true());
	verdict = judge(&world, 0);
	assert_string_equal(verdict.sentence, "instance 'node-1' is cordoned (spec.unschedulable)");
	json_decref(world.one);
	world.one = node("node-1", "Unknown");
	world.nodes[0].object = world.one;
	verdict = judge(&world, 0);
	assert_string_equal(verdict.reason, "NotReady");
	world.nodes[0].mapping = NULL;
	verdict = judge(&world, 0);
	assert_string_equal(verdict.reason, "UnknownServer");
	assert_false(verdict.allowed);
	world_done(&world);
}

static void test_selector_and_taints(void **state)
{
	struct placement_verdict verdict;
	struct world world;

	(void)state;
	world_init(&world);
	assert_int_equal(api_set(world.pod, "spec.nodeSelector", json_pack("{s:s}", "zone", "node-2")), 0);
	verdict = judge(&world, 0);
	assert_string_equal(verdict.sentence,
			    "spec.nodeSelector asks for label 'zone=node-2', which instance 'node-1' does not have");
	assert_true(judge(&world, 1).allowed);
	assert_int_equal(api_set(world.two, "spec.taints",
				 json_pack("[{s:s, s:s, s:s}]", "key", "k", "value", "v", "effect", "NoSchedule")),
			 0);
	verdict = judge(&world, 1);
	assert_string_equal(verdict.sentence,
			    "instance 'node-2' has the taint 'k:NoSchedule', which the pod does not tolerate");
	assert_int_equal(api_set(world.pod, "spec.tolerations", json_pack("[{s:s, s:s}]", "key", "k", "value", "w")),
			 0);
	assert_false(judge(&world, 1).allowed);
	assert_int_equal(api_set(world.pod, "spec.tolerations",
				 json_pack("[{s:s, s:s}]", "key", "k", "operator", "Exists")),
			 0);
	assert_true(judge(&world, 1).allowed);
	world_done(&world);
}

static void test_explanation(void **state)
{
	struct placement_verdict verdicts[3] = {{.sentence = "a", .tenant = "A"},
						{.sentence = "b", .tenant = "B", .rule = "rule"},
						{.sentence = "c", .tenant = "C"}};
	struct placement_reason reason;

	(void)state;
	placement_explain(verdicts, 0, &reason);
	assert_string_equal(reason.sentence, "no CIS instance is known: the topology lists none");
	placement_explain(verdicts, 1, &reason);
	assert_string_equal(reason.sentence, "a");
	placement_explain(verdicts, 3, &reason);
	assert_string_equal(reason.tenant, "B (and 2 further instances cannot take it)");
	assert_string_equal(reason.sentence, "b (and 2 further instances cannot take it)");
	assert_int_equal(placement_choose(verdicts, 3), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_domain_is_stacked),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_selector_and_taints),
		cmocka_unit_test(test_explanation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
