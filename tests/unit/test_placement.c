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

static void test_what_the_scheduler_adds(void **state)
{
	static const struct {
		struct schedule_verdict said;
		const char *reason, *object, *sentence;
	} rows[] = {
		{{.reason = SCHEDULE_SELECTOR, .key = "zone", .value = "a"},
		 "NodeSelector",
		 "Pod",
		 "spec.nodeSelector asks for label 'zone=a', which instance 'node-1' does not have"},
		{{.reason = SCHEDULE_NODE_AFFINITY},
		 "NodeAffinity",
		 "Pod",
		 "no term of spec.affinity.nodeAffinity matches instance 'node-1'"},
		{{.reason = SCHEDULE_TAINT, .key = "k", .value = "v"},
		 "Taint",
		 "Node/node-1",
		 "instance 'node-1' has the taint 'k=v', which the pod does not tolerate"},
		{{.reason = SCHEDULE_RESOURCES, .key = "vendor.example/card", .amount = 2},
		 "Resources",
		 "Node/node-1",
		 "instance 'node-1' has too little of 'vendor.example/card' left for the 2 that are asked"},
		{{.reason = SCHEDULE_NEAR, .index = 0},
		 "PodAffinity",
		 "Pod",
		 "spec.affinity.podAffinity.required[0]: no such pod of the trust domain shares 'zone' with instance "
		 "'node-1'"},
		{{.reason = SCHEDULE_SHUNNED},
		 "PodAntiAffinity",
		 "Pod",
		 "the anti-affinity of a pod of the trust domain keeps such pods away from instance 'node-1'"},
		{{.reason = SCHEDULE_SPREAD, .index = 1},
		 "TopologySpread",
		 "Pod",
		 "spec.topologySpreadConstraints[1]: a pod more on instance 'node-1' would exceed maxSkew, or the "
		 "instance has no label of the topology"},
	};
	CLEANUP_JSON json_t *pod = json_loads(
		"{\"spec\":{\"affinity\":{\"podAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":"
		"[{\"topologyKey\":\"zone\"}]}}}}",
		0, NULL);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct placement_verdict verdict = {.instance = "node-1", .allowed = true};

		placement_refine(pod, &rows[i].said, &verdict);
		assert_false(verdict.allowed);
		assert_string_equal(verdict.reason, rows[i].reason);
		assert_string_equal(verdict.object, rows[i].object);
		assert_string_equal(verdict.sentence, rows[i].sentence);
		assert_string_equal(verdict.tenant, rows[i].sentence);
	}
}

static void test_explanation(void **state)
{
	struct placement_verdict verdicts[3] =
		{{.sentence = "a", .tenant = "A", .reason = "Resources"},
		 {.sentence = "b", .tenant = "B", .rule = "rule", .reason = "Separation"},
		 {.sentence = "c", .tenant = "C", .reason = "Resources"}};
	struct placement_reason reason;

	(void)state;
	placement_explain(verdicts, 0, &reason);
	assert_string_equal(reason.sentence, "no CIS instance is known: the topology lists none");
	placement_explain(verdicts, 1, &reason);
	assert_string_equal(reason.sentence, "a");
	placement_explain(verdicts, 3, &reason);
	assert_string_equal(reason.tenant, "B (0/3 instances can take it: 2 Resources, 1 Separation)");
	assert_string_equal(reason.sentence, "b (0/3 instances can take it: 2 Resources, 1 Separation)");
	assert_int_equal(placement_choose(verdicts, 3), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_what_the_scheduler_adds),
		cmocka_unit_test(test_explanation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
