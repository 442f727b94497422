/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers questions about separation, a line of JSON each, with a line each; what tests/separation asks the oracle too.
 *   {"domains":{NAME:SPEC,…}}: these are the trust domains from now on. "NAME …": the ones that are refused, and left out.
 *   {"pod":POD,"place":{instance,server,epoch,quarantined},"holders":[POD + {instance,server},…]}: "REASON LEVEL".
 * POD: {"uid","domain","images":[…],"account"}.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "policy/separation.h"
#include "policy/subfunction.h"

#define HOLDERS_MAX 64
#define IMAGES_MAX 8

static struct policy_domains domains;

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static int put_domain(const char *name, const json_t *spec)
{
	struct policy_domain *domain = NULL;
	int r = policy_domain_parse_spec(name, spec, &domain, NULL);

	if (r == 0)
		r = policy_domains_fit(&domains, domain, NULL);
	if (r == 0)
		return policy_domains_put(&domains, domain);
	policy_domain_free(domain);
	return r;
}

static void answer_domains(json_t *object)
{
	const char *name;
	json_t *spec;

	policy_domains_done(&domains);
	json_object_foreach(object, name, spec)
		if (put_domain(name, spec) < 0)
			printf("%s ", name);
	printf("\n");
}

static struct policy_pod pod_of(const json_t *object)
{
	const json_t *list = json_object_get(object, "images");
	const struct policy_domain *domain = policy_domains_find(&domains, text(object, "domain"));
	const char *images[IMAGES_MAX], *name = NULL;
	struct policy_marks marks = {.images = images, .namespace = "ns", .account = text(object, "account")};

	while (marks.image_count < IMAGES_MAX && marks.image_count < json_array_size(list)) {
		images[marks.image_count] = json_string_value(json_array_get(list, marks.image_count));
		marks.image_count++;
	}
	if (domain && policy_subfunction_of(domain, &marks, &name, NULL) < 0)
		name = NULL;
	return (struct policy_pod){.uid = text(object, "uid"),
				   .namespace = "ns",
				   .name = text(object, "uid"),
				   .domain = text(object, "domain"),
				   .subfunction = name};
}

static void answer_case(const json_t *object)
{
	const json_t *at = json_object_get(object, "place"), *list = json_object_get(object, "holders");
	struct policy_pod pod = pod_of(json_object_get(object, "pod"));
	struct policy_place place = {.instance = text(at, "instance"),
				     .server = text(at, "server"),
				     .epoch = (uint64_t)json_integer_value(json_object_get(at, "epoch")),
				     .quarantined = json_is_true(json_object_get(at, "quarantined"))};
	struct policy_holder holders[HOLDERS_MAX];
	struct policy_decision decision;
	size_t count = 0;

	for (; count < HOLDERS_MAX && count < json_array_size(list); count++) {
		const json_t *holder = json_array_get(list, count);

		holders[count] = (struct policy_holder){.pod = pod_of(holder),
							.instance = text(holder, "instance"),
							.server = text(holder, "server")};
	}
	policy_separation_decide(&pod, &place, holders, count, &domains, &decision);
	printf("%s %s\n", policy_reason_name(decision.reason), policy_level_name(decision.level));
}

int main(void)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, stdin) > 0) {
		json_t *question = json_loads(line, 0, NULL);

		if (!question)
			return EXIT_FAILURE;
		if (json_object_get(question, "domains"))
			answer_domains(json_object_get(question, "domains"));
		else
			answer_case(question);
		json_decref(question);
		fflush(stdout);
	}
	free(line);
	policy_domains_done(&domains);
	return EXIT_SUCCESS;
}
