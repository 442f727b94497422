/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler of src/policy/, asked with objects of the API: a line of JSON each, answered with a line each; what
 * tests/separation asks the oracle too.
 *   {"domains":{NAME:SPEC,…}}: a new, empty cluster under these trust domains. "NAME …": the ones that are refused.
 *   {"rules":{NAME:SPEC,…}}: the same without emptying it.
 *   {"namespace":OBJECT} {"node":OBJECT,"server","epoch","quarantined"} {"gone":NAME}: "ok"
 *   {"charge":POD,"domain","subfunction","instance","server"}: the number of the charge. {"release":NUMBER}: "ok"
 *   {"decide":POD,"domain","subfunction"}: "INSTANCE SCORE NAME=REASON:SCORE …", INSTANCE '-' when none can take it.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "cism/placefacts.h"
#include "policy/schedule.h"

static const char *const reasons[] = {
	[SCHEDULE_ALLOWED] = "Allowed",
	[SCHEDULE_POD] = "Pod",
	[SCHEDULE_QUARANTINED] = "Quarantined",
	[SCHEDULE_UNKNOWN_SERVER] = "UnknownServer",
	[SCHEDULE_SEPARATED] = "Separated",
	[SCHEDULE_NOT_READY] = "NotReady",
	[SCHEDULE_UNSCHEDULABLE] = "Unschedulable",
	[SCHEDULE_SELECTOR] = "Selector",
	[SCHEDULE_NODE_AFFINITY] = "NodeAffinity",
	[SCHEDULE_TAINT] = "Taint",
	[SCHEDULE_RESOURCES] = "Resources",
	[SCHEDULE_NEAR] = "Near",
	[SCHEDULE_APART] = "Apart",
	[SCHEDULE_SHUNNED] = "Shunned",
	[SCHEDULE_SPREAD] = "Spread",
};

static struct schedule *schedule;

static void must(int r, const struct err *err)
{
	if (r < 0) {
		(void)fprintf(stderr, "place: %s\n", err && err->msg[0] ? err->msg : "failed");
		exit(EXIT_FAILURE);
	}
}

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static int put_domain(struct policy_domains *domains, const char *name, const json_t *spec)
{
	struct policy_domain *domain = NULL;
	int r = policy_domain_parse_spec(name, spec, &domain, NULL);

	if (r == 0)
		r = policy_domains_fit(domains, domain, NULL);
	if (r == 0)
		return policy_domains_put(domains, domain);
	policy_domain_free(domain);
	return r;
}

static void answer_rules(json_t *object)
{
	struct policy_domains domains = {0};
	const char *name;
	json_t *spec;

	json_object_foreach(object, name, spec)
		if (put_domain(&domains, name, spec) < 0)
			printf("%s ", name);
	must(schedule_rules(schedule, &domains), NULL);
	printf("\n");
}

static void answer_node(const json_t *question)
{
	CLEANUP(cleanup_schedule_facts) struct schedule_facts *facts = NULL;
	struct topology_instance mapping = {.epoch = (uint64_t)json_integer_value(json_object_get(question, "epoch"))};
	const char *server = text(question, "server");
	struct err err = {0};

	if (server)
		must(str_copy(mapping.server, sizeof(mapping.server), server), NULL);
	must(placefacts_node(json_object_get(question, "node"), server ? &mapping : NULL,
			     json_is_true(json_object_get(question, "quarantined")), &facts, &err),
	     &err);
	must(schedule_put(schedule, facts), NULL);
	printf("ok\n");
}

static void answer_namespace(const json_t *object)
{
	CLEANUP(cleanup_schedule_facts) struct schedule_facts *facts = NULL;
	struct err err = {0};

	must(placefacts_namespace(object, &facts, &err), &err);
	must(schedule_namespace(schedule, text(json_object_get(object, "metadata"), "name"), facts), NULL);
	printf("ok\n");
}

static uint32_t shape_of(const json_t *question, const char *what)
{
	CLEANUP(cleanup_schedule_facts) struct schedule_facts *facts = NULL;
	struct err err = {0};
	uint32_t shape;

	must(placefacts_pod(json_object_get(question, what), text(question, "domain"), text(question, "subfunction"),
			    &facts, &err),
	     &err);
	if (schedule_spare(schedule) > 40)
		schedule_trim(schedule);
	must(schedule_shape(schedule, facts, &shape), NULL);
	return shape;
}

static void answer_charge(const json_t *question)
{
	uint32_t shape = shape_of(question, "charge"), pod;

	must(schedule_charge(schedule, shape, schedule_find(schedule, text(question, "instance")),
			     text(question, "server"), &pod),
	     NULL);
	printf("%" PRIu32 "\n", pod);
}

static void answer_decide(const json_t *question)
{
	uint32_t shape = shape_of(question, "decide");
	struct schedule_choice choice;

	must(schedule_decide(schedule, shape, &choice), NULL);
	printf("%s %d", choice.instance == SCHEDULE_NONE ? "-" : schedule_instance(schedule, choice.instance)->name,
	       choice.score);
	for (uint32_t i = 0; i < schedule_count(schedule); i++) {
		struct schedule_verdict verdict;

		if (!schedule_instance(schedule, i))
			continue;
		must(schedule_judge(schedule, shape, i, &verdict), NULL);
		printf(" %s=%s:%d", schedule_instance(schedule, i)->name, reasons[verdict.reason], verdict.score);
	}
	printf("\n");
}

static void answer(json_t *question)
{
	if (json_object_get(question, "domains")) {
		schedule_free(schedule);
		schedule = schedule_new(42);
		must(schedule ? 0 : -1, NULL);
		answer_rules(json_object_get(question, "domains"));
	} else if (json_object_get(question, "rules")) {
		answer_rules(json_object_get(question, "rules"));
	} else if (json_object_get(question, "namespace")) {
		answer_namespace(json_object_get(question, "namespace"));
	} else if (json_object_get(question, "node")) {
		answer_node(question);
	} else if (json_object_get(question, "gone")) {
		must(schedule_remove(schedule, text(question, "gone")), NULL);
		printf("ok\n");
	} else if (json_object_get(question, "charge")) {
		answer_charge(question);
	} else if (json_object_get(question, "release")) {
		schedule_release(schedule, (uint32_t)json_integer_value(json_object_get(question, "release")));
		printf("ok\n");
	} else {
		answer_decide(question);
	}
}

int main(void)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, stdin) > 0) {
		json_t *question = json_loads(line, 0, NULL);

		if (!question)
			return EXIT_FAILURE;
		answer(question);
		json_decref(question);
		(void)fflush(stdout);
	}
	free(line);
	schedule_free(schedule);
	return EXIT_SUCCESS;
}
