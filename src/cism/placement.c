/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/placement.h"

#include <inttypes.h>
#include <stdio.h>

#include "api/api.h"
#include "base/str.h"

static void refuse(struct placement_verdict *verdict, const char *reason, const char *object, const char *sentence)
{
	(void)snprintf(verdict->reason, sizeof(verdict->reason), "%s", reason);
	(void)snprintf(verdict->object, sizeof(verdict->object), "%s", object);
	(void)snprintf(verdict->sentence, sizeof(verdict->sentence), "%s", sentence);
	(void)snprintf(verdict->tenant, sizeof(verdict->tenant), "%s", sentence);
}

static void refuse_by_rule(struct placement_verdict *verdict, const struct policy_decision *decision)
{
	refuse(verdict, policy_reason_name(decision->reason), decision->object, decision->sentence);
	(void)snprintf(verdict->tenant, sizeof(verdict->tenant), "%s", decision->tenant_sentence);
	(void)snprintf(verdict->rule, sizeof(verdict->rule), "%s", decision->rule);
	(void)snprintf(verdict->other_domain, sizeof(verdict->other_domain), "%s", decision->other_domain);
}

/* The word of a condition of the node's status; "" when it has none. */
static const char *condition_of(const json_t *node, const char *type)
{
	const json_t *condition;
	size_t i;

	json_array_foreach(api_value(node, "status.conditions"), i, condition) {
		const char *name = api_string(condition, "type");
		const char *status = api_string(condition, "status");

		if (name && status && str_eq(name, type))
			return status;
	}
	return "";
}

/* --- the filters: each says nothing, or why not --- */

static bool by_separation(const struct placement_facts *facts, const struct placement_node *node,
			  struct placement_verdict *verdict)
{
	struct policy_place place = {.instance = verdict->instance, .quarantined = node->quarantined};
	struct policy_decision decision;

	if (node->mapping) {
		place.server = node->mapping->server;
		place.epoch = node->mapping->epoch;
	}
	policy_separation_decide(&facts->who, &place, facts->charges, facts->charge_count, facts->domains, &decision);
	if (decision.allowed)
		return true;
	refuse_by_rule(verdict, &decision);
	return false;
}

/* Behind the rules on who may be where: the place is known, and so is the domain. */
static bool by_quota(const struct placement_facts *facts, const struct placement_node *node,
		     struct placement_verdict *verdict)
{
	struct policy_place place = {.instance = verdict->instance, .server = node->mapping->server};
	struct policy_quota_facts quota = {.servers = facts->domain_servers};
	struct policy_decision decision;

	for (size_t i = 0; i < facts->holder_count && !quota.there; i++)
		quota.there = str_eq(facts->holders[i].server, place.server) &&
			      str_eq(facts->holders[i].domain, facts->domain->name);
	if (policy_quota_allows(&facts->who, facts->domain, &place, &quota, &decision))
		return true;
	refuse_by_rule(verdict, &decision);
	return false;
}

static bool by_power(const struct placement_facts *facts, const struct placement_node *node,
		     struct placement_verdict *verdict)
{
	char object[300], sentence[400];

	(void)facts;
	if (!node->mapping->off)
		return true;
	(void)snprintf(object, sizeof(object), "Node/%s", verdict->instance);
	(void)snprintf(sentence, sizeof(sentence), "instance '%s' is powered off", verdict->instance);
	refuse(verdict, "PoweredOff", object, sentence);
	return false;
}

static bool by_readiness(const struct placement_facts *facts, const struct placement_node *node,
			 struct placement_verdict *verdict)
{
	char object[300], sentence[400];

	(void)facts;
	(void)snprintf(object, sizeof(object), "Node/%s", verdict->instance);
	(void)snprintf(sentence, sizeof(sentence), "instance '%s' is not ready", verdict->instance);
	if (!str_eq(condition_of(node->object, "Ready"), "True")) {
		refuse(verdict, "NotReady", object, sentence);
		return false;
	}
	if (json_is_true(api_value(node->object, "spec.unschedulable"))) {
		(void)snprintf(sentence, sizeof(sentence), "instance '%s' is cordoned (spec.unschedulable)",
			       verdict->instance);
		refuse(verdict, "Unschedulable", object, sentence);
		return false;
	}
	return true;
}

/* A resource of the node in thousandths of its unit; 0 when it does not say. */
static int64_t allocatable(const json_t *node, const char *path)
{
	const char *text = api_string(node, path);
	int64_t milli = 0;

	if (!text || api_quantity(text, &milli, NULL) < 0)
		return 0;
	return milli;
}

static bool by_resources(const struct placement_facts *facts, const struct placement_node *node,
			 struct placement_verdict *verdict)
{
	int64_t cpu = allocatable(node->object, "status.allocatable.cpu");
	int64_t memory = allocatable(node->object, "status.allocatable.memory") / 1000;
	int64_t pods = allocatable(node->object, "status.allocatable.pods") / 1000;
	char object[300], sentence[500];

	for (size_t i = 0; i < facts->holder_count; i++) {
		if (!str_eq(facts->holders[i].instance, verdict->instance))
			continue;
		cpu -= facts->holders[i].cpu_milli;
		memory -= facts->holders[i].memory_bytes;
		pods--;
	}
	/* The sentence says what is asked and not what is left, so that it stays the same while others come and go. */
	if (facts->cpu_milli > cpu)
		(void)snprintf(sentence, sizeof(sentence),
			       "instance '%s' has too little processor left for the %" PRId64 "m that are asked",
			       verdict->instance, facts->cpu_milli);
	else if (facts->memory_bytes > memory)
		(void)snprintf(sentence, sizeof(sentence),
			       "instance '%s' has too little memory left for the %" PRId64 " bytes that are asked",
			       verdict->instance, facts->memory_bytes);
	else if (pods < 1)
		(void)snprintf(sentence, sizeof(sentence), "instance '%s' has no room for another pod",
			       verdict->instance);
	else
		return true;
	(void)snprintf(object, sizeof(object), "Node/%s", verdict->instance);
	refuse(verdict, "Resources", object, sentence);
	return false;
}

void placement_judge(const struct placement_facts *facts, const struct placement_node *node,
		     struct placement_verdict *ret_verdict)
{
	static bool (*const filters[])(const struct placement_facts *facts, const struct placement_node *node,
				       struct placement_verdict *verdict) = {
		by_separation, by_quota, by_power, by_readiness, by_resources,
	};
	const char *name = api_string(node->object, "metadata.name");

	*ret_verdict = (struct placement_verdict){.instance = name ? name : "", .mapping = node->mapping};
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
		if (!filters[i](facts, node, ret_verdict))
			return;
	ret_verdict->allowed = true;
	(void)snprintf(ret_verdict->reason, sizeof(ret_verdict->reason), "Allowed");
	(void)snprintf(ret_verdict->sentence, sizeof(ret_verdict->sentence), "may run on instance '%s' of server '%s'",
		       ret_verdict->instance, node->mapping->server);
}

/* --- what the scheduler adds --- */

static const char *topology_of(const json_t *pod, const char *kind, size_t index)
{
	const json_t *terms = api_value(api_value(pod, kind), "requiredDuringSchedulingIgnoredDuringExecution");
	const char *key = api_string(json_array_get(terms, index), "topologyKey");

	return key ? key : "";
}

#define NEAR "spec.affinity.podAffinity"
#define APART "spec.affinity.podAntiAffinity"

/* The word, the object to change (NULL: the instance), the sentence. */
static const char *explain(const json_t *pod, const struct schedule_verdict *said, const char *instance,
			   const char **ret_object, char sentence[static POLICY_SENTENCE_MAX])
{
	const char *key = said->key ? said->key : "", *value = said->value ? said->value : "";
	size_t size = POLICY_SENTENCE_MAX;

	*ret_object = "Pod";
	switch (said->reason) {
	case SCHEDULE_SELECTOR:
		(void)snprintf(sentence, size,
			       "spec.nodeSelector asks for label '%.200s=%.200s', which instance '%s' does not have",
			       key, value, instance);
		return "NodeSelector";
	case SCHEDULE_NODE_AFFINITY:
		(void)snprintf(sentence, size, "no term of spec.affinity.nodeAffinity matches instance '%s'", instance);
		return "NodeAffinity";
	case SCHEDULE_TAINT:
		*ret_object = NULL;
		(void)snprintf(sentence, size,
			       "instance '%s' has the taint '%.200s%s%.200s', which the pod does not tolerate",
			       instance, key, value[0] ? "=" : "", value);
		return "Taint";
	case SCHEDULE_RESOURCES:
		*ret_object = NULL;
		(void)snprintf(sentence, size,
			       "instance '%s' has too little of '%.200s' left for the %" PRId64 " that are asked",
			       instance, key, said->amount);
		return "Resources";
	case SCHEDULE_NEAR:
		(void)snprintf(sentence, size,
			       NEAR ".required[%zu]: no such pod of the trust domain shares '%.200s' with instance "
				    "'%s'",
			       said->index, topology_of(pod, NEAR, said->index), instance);
		return "PodAffinity";
	case SCHEDULE_APART:
		(void)snprintf(sentence, size,
			       APART ".required[%zu]: such a pod of the trust domain shares '%.200s' with instance "
				     "'%s'",
			       said->index, topology_of(pod, APART, said->index), instance);
		return "PodAntiAffinity";
	case SCHEDULE_SHUNNED:
		(void)snprintf(sentence, size,
			       "the anti-affinity of a pod of the trust domain keeps such pods away from instance '%s'",
			       instance);
		return "PodAntiAffinity";
	case SCHEDULE_SPREAD:
		(void)snprintf(sentence, size,
			       "spec.topologySpreadConstraints[%zu]: a pod more on instance '%s' would exceed maxSkew, "
			       "or the instance has no label of the topology",
			       said->index, instance);
		return "TopologySpread";
	case SCHEDULE_ALLOWED:
	case SCHEDULE_POD:
	case SCHEDULE_QUARANTINED:
	case SCHEDULE_UNKNOWN_SERVER:
	case SCHEDULE_SEPARATED:
	case SCHEDULE_NOT_READY:
	case SCHEDULE_UNSCHEDULABLE:
		break;
	}
	/* The ledger allowed it, so that this is about to change. */
	*ret_object = NULL;
	(void)snprintf(sentence, size, "what is known of instance '%s' changes at the moment", instance);
	return "NotReady";
}

void placement_refine(const json_t *pod, const struct schedule_verdict *said, struct placement_verdict *verdict)
{
	char sentence[POLICY_SENTENCE_MAX], node[300];
	const char *object, *word;

	if (said->reason == SCHEDULE_ALLOWED) {
		verdict->score = said->score;
		return;
	}
	word = explain(pod, said, verdict->instance, &object, sentence);
	(void)snprintf(node, sizeof(node), "Node/%s", verdict->instance);
	verdict->allowed = false;
	refuse(verdict, word, object ? object : node, sentence);
}

size_t placement_choose(const struct placement_verdict *verdicts, size_t count)
{
	size_t best = count;

	for (size_t i = 0; i < count; i++) {
		if (!verdicts[i].allowed)
			continue;
		if (best == count || verdicts[i].score > verdicts[best].score ||
		    (verdicts[i].score == verdicts[best].score &&
		     strcmp(verdicts[i].instance, verdicts[best].instance) < 0))
			best = i;
	}
	return best;
}

/* A refusal by a rule tells more than one by the state of an instance. */
static bool tells_more(const struct placement_verdict *a, const struct placement_verdict *b)
{
	return a->rule[0] && !b->rule[0];
}

/* "0/5 instances can take it: 3 Separation, 2 Resources" behind the sentence, where there are several reasons. */
static void finish(char to[static POLICY_SENTENCE_MAX], const char *sentence, const struct placement_verdict *verdicts,
		   size_t count, bool several)
{
	int len = snprintf(to, POLICY_SENTENCE_MAX, "%.800s", sentence);

	if (!several)
		return;
	len += snprintf(to + len, POLICY_SENTENCE_MAX - (size_t)len, " (0/%zu instances can take it:", count);
	for (size_t i = 0; i < count; i++) {
		size_t alike = 0, before = 0;

		for (size_t j = 0; j < count; j++) {
			alike += str_eq(verdicts[j].reason, verdicts[i].reason);
			before += j < i && str_eq(verdicts[j].reason, verdicts[i].reason);
		}
		if (before > 0 || len > POLICY_SENTENCE_MAX - 60)
			continue;
		len += snprintf(to + len, POLICY_SENTENCE_MAX - (size_t)len, "%s %zu %s", i ? "," : "", alike,
				verdicts[i].reason);
	}
	(void)snprintf(to + len, POLICY_SENTENCE_MAX - (size_t)len, ")");
}

void placement_explain(const struct placement_verdict *verdicts, size_t count, struct placement_reason *ret_reason)
{
	bool several = false;
	size_t best = 0;

	if (count == 0) {
		(void)snprintf(ret_reason->sentence, POLICY_SENTENCE_MAX,
			       "no CIS instance is known: the topology lists none");
		(void)snprintf(ret_reason->tenant, POLICY_SENTENCE_MAX, "%s", ret_reason->sentence);
		return;
	}
	for (size_t i = 1; i < count; i++)
		if (tells_more(&verdicts[i], &verdicts[best]))
			best = i;
	for (size_t i = 0; i < count; i++)
		several |= !str_eq(verdicts[i].sentence, verdicts[best].sentence);
	finish(ret_reason->sentence, verdicts[best].sentence, verdicts, count, several);
	finish(ret_reason->tenant, verdicts[best].tenant, verdicts, count, several);
}
