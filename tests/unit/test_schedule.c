/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/schedule.h"

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "policy/schedule_bits.h"

/* What sets and counts are compared with is in tests/separation/placing.py; here is what it does not reach. */

static void put_domains(struct schedule *schedule, const char *text)
{
	json_t *specs = json_loads(text, 0, NULL), *spec;
	struct policy_domains domains = {0};
	const char *name;

	assert_non_null(specs);
	json_object_foreach(specs, name, spec) {
		struct policy_domain *domain = NULL;
		struct err err = {0};

		if (policy_domain_parse_spec(name, spec, &domain, &err) < 0)
			fail_msg("%s", err.msg);
		assert_int_equal(policy_domains_put(&domains, domain), 0);
	}
	json_decref(specs);
	assert_int_equal(schedule_rules(schedule, &domains), 0);
}

static uint32_t put_instance(struct schedule *schedule, unsigned number, const char *server)
{
	CLEANUP(cleanup_schedule_facts) struct schedule_facts *facts = schedule_facts_new();
	struct schedule_amount *room = schedule_facts_take(facts, 3, sizeof(*room));
	char name[32];

	(void)snprintf(name, sizeof(name), "n-%u", number);
	room[0] = (struct schedule_amount){"cpu", 1000};
	room[1] = (struct schedule_amount){"memory", INT64_C(1) << 30};
	room[2] = (struct schedule_amount){"pods", 10};
	facts->instance = (struct schedule_instance){.name = schedule_facts_text(facts, name),
						     .server = schedule_facts_text(facts, server),
						     .epoch = 1,
						     .ready = true,
						     .allocatable = {room, 3}};
	assert_int_equal(schedule_put(schedule, facts), 0);
	return schedule_find(schedule, name);
}

static uint32_t shape(struct schedule *schedule, const char *domain, int64_t cpu)
{
	CLEANUP(cleanup_schedule_facts) struct schedule_facts *facts = schedule_facts_new();
	struct schedule_amount *asked = schedule_facts_take(facts, 1, sizeof(*asked));
	uint32_t number;

	asked[0] = (struct schedule_amount){"cpu", cpu};
	facts->pod = (struct schedule_pod){.namespace = "ns",
					   .domain = schedule_facts_text(facts, domain),
					   .subfunction = "",
					   .requests = {asked, 1}};
	assert_int_equal(schedule_shape(schedule, facts, &number), 0);
	return number;
}

static uint32_t decide(struct schedule *schedule, uint32_t number)
{
	struct schedule_choice choice;

	assert_int_equal(schedule_decide(schedule, number, &choice), 0);
	return choice.instance;
}

static const char apart[] = "{\"red\":{\"isolation\":\"Container\",\"separation\":[{\"from\":{\"all\":true},"
			    "\"level\":\"Server\"}]},\"blue\":{\"isolation\":\"Container\"}}";
static const char together[] = "{\"red\":{\"isolation\":\"Container\"},\"blue\":{\"isolation\":\"Container\"}}";

static void test_many_instances(void **state)
{
	CLEANUP(cleanup_schedule) struct schedule *schedule = schedule_new(1);
	uint32_t pod, last = SCHEDULE_NONE;

	(void)state;
	put_domains(schedule, apart);
	assert_int_equal(decide(schedule, shape(schedule, "red", 100)), SCHEDULE_NONE);
	/* More than a word of the upper level holds, each but the last full of blue. */
	for (unsigned i = 0; i < 5000; i++) {
		char server[32];

		(void)snprintf(server, sizeof(server), "s-%u", i);
		last = put_instance(schedule, i, server);
		if (i < 4999)
			assert_int_equal(schedule_charge(schedule, shape(schedule, "blue", 10), last, NULL, &pod), 0);
	}
	assert_int_equal(decide(schedule, shape(schedule, "red", 100)), last);
	assert_int_equal(decide(schedule, shape(schedule, "blue", 100)), 0);
	put_domains(schedule, together);
	assert_int_equal(decide(schedule, shape(schedule, "red", 100)), 0);
	put_domains(schedule, apart);
	assert_int_equal(schedule_charge(schedule, shape(schedule, "red", 1000), last, NULL, &pod), 0);
	assert_int_equal(decide(schedule, shape(schedule, "red", 100)), SCHEDULE_NONE);
	schedule_release(schedule, pod);
	assert_int_equal(decide(schedule, shape(schedule, "red", 100)), last);
}

static void test_nowhere_is_everywhere(void **state)
{
	CLEANUP(cleanup_schedule) struct schedule *schedule = schedule_new(1);
	uint32_t pod, one, two;

	(void)state;
	put_domains(schedule, apart);
	one = put_instance(schedule, 1, "a");
	two = put_instance(schedule, 2, "b");
	assert_int_equal(schedule_charge(schedule, shape(schedule, "blue", 10), one, "a", &pod), 0);
	assert_int_equal(decide(schedule, shape(schedule, "red", 10)), two);
	/* The instance moves to b: its pod counts on both servers. */
	(void)put_instance(schedule, 1, "b");
	assert_int_equal(decide(schedule, shape(schedule, "red", 10)), SCHEDULE_NONE);
	(void)put_instance(schedule, 3, "a");
	assert_int_equal(decide(schedule, shape(schedule, "red", 10)), SCHEDULE_NONE);
	/* It is lost: its pod may be on any. */
	(void)put_instance(schedule, 4, "c");
	assert_int_not_equal(decide(schedule, shape(schedule, "red", 10)), SCHEDULE_NONE);
	assert_int_equal(schedule_remove(schedule, "n-1"), 0);
	assert_int_equal(decide(schedule, shape(schedule, "red", 10)), SCHEDULE_NONE);
	schedule_release(schedule, pod);
	assert_int_not_equal(decide(schedule, shape(schedule, "red", 10)), SCHEDULE_NONE);
}

static void test_full_to_the_last(void **state)
{
	CLEANUP(cleanup_schedule) struct schedule *schedule = schedule_new(1);
	uint32_t pods[10], one;

	(void)state;
	put_domains(schedule, together);
	one = put_instance(schedule, 1, "a");
	for (unsigned i = 0; i < 10; i++) {
		assert_int_equal(decide(schedule, shape(schedule, "red", 100)), one);
		assert_int_equal(schedule_charge(schedule, shape(schedule, "red", 100), one, NULL, &pods[i]), 0);
	}
	assert_int_equal(decide(schedule, shape(schedule, "red", 0)), SCHEDULE_NONE); /* ten pods are all it takes */
	schedule_release(schedule, pods[3]);
	assert_int_equal(decide(schedule, shape(schedule, "red", 101)), SCHEDULE_NONE);
	assert_int_equal(decide(schedule, shape(schedule, "red", 100)), one);
	assert_int_equal(schedule_spare(schedule), 2);
	schedule_trim(schedule);
	assert_int_equal(schedule_spare(schedule), 0);
	assert_int_equal(decide(schedule, shape(schedule, "red", 100)), one);
}

static void test_map(void **state)
{
	struct schedule_map map = {.seed = 9};

	(void)state;
	for (uint32_t i = 0; i < 3000; i++)
		assert_int_equal(schedule_map_put(&map, &i, sizeof(i), i), 0);
	for (uint32_t i = 0; i < 3000; i += 3)
		schedule_map_remove(&map, &i, sizeof(i));
	for (uint32_t i = 0; i < 3000; i++)
		assert_int_equal(schedule_map_find(&map, &i, sizeof(i)), i % 3 ? i : SCHEDULE_NONE);
	schedule_map_done(&map);
	assert_int_equal(schedule_map_find(&map, "a", 1), SCHEDULE_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many_instances),
		cmocka_unit_test(test_nowhere_is_everywhere),
		cmocka_unit_test(test_full_to_the_last),
		cmocka_unit_test(test_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
