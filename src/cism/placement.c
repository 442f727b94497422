/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/placement.h"

#include <inttypes.h>
#include <stdio.h>

#include "api/api.h"
#include "base/str.h"

#define SCORE_SAME_DOMAIN 1000000 /* a pod of the domain on the server outweighs everything below */
#define SCORE_SAME_INSTANCE 100000
#define SCORE_USED 1000 /* a server in use before a fresh one */

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

static bool by_selector(const struct placement_facts *facts, const struct placement_node *node,
			struct placement_verdict *verdict)
{
	const char *key;
	json_t *wanted;

	json_object_foreach(api_value(facts->pod, "spec.nodeSelector"), key, wanted) {
		const char *has = api_label(node->object, key);

		if (has && json_is_string(wanted) && str_eq(has, json_string_value(wanted)))
			continue;
		char sentence[POLICY_SENTENCE_MAX];

		(void)snprintf(sentence, sizeof(sentence),
			       "spec.nodeSelector asks for label '%.200s=%.200s', which instance '%s' does not have",
			       key, json_is_string(wanted) ? json_string_value(wanted) : "", verdict->instance);
		refuse(verdict, "NodeSelector", "Pod", sentence);
		return false;
	}
	return true;
}

static bool tolerates(const json_t *pod, const json_t *taint)
{
	const char *key = api_string(taint, "key");
	const char *value = api_string(taint, "value");
	const char *effect = api_string(taint, "effect");
	const json_t *toleration;
	size_t i;

	json_array_foreach(api_value(pod, "spec.tolerations"), i, toleration) {
		const char *t_key = api_string(toleration, "key");
		const char *t_value = api_string(toleration, "value");
		const char *t_effect = api_string(toleration, "effect");
		const char *operator= api_string(toleration, "operator");
		bool exists = operator&& str_eq(operator, "Exists");

		if (t_effect && t_effect[0] && !str_eq(t_effect, effect))
			continue;
		if (!t_key || !t_key[0] ? !exists : !str_eq(t_key, key))
			continue;
		if (exists || str_eq(t_value ? t_value : "", value ? value : ""))
			return true;
	}
	return false;
}

static bool by_taints(const struct placement_facts *facts, const struct placement_node *node,
		      struct placement_verdict *verdict)
{
	char object[300], sentence[600];
	const json_t *taint;
	size_t i;

	json_array_foreach(api_value(node->object, "spec.taints"), i, taint) {
		const char *effect = api_string(taint, "effect");

		if (!effect || str_eq(effect, "PreferNoSchedule") || !api_string(taint, "key") ||
		    tolerates(facts->pod, taint))
			continue;
		(void)snprintf(object, sizeof(object), "Node/%s", verdict->instance);
		(void)snprintf(sentence, sizeof(sentence),
			       "instance '%s' has the taint '%.200s:%s', which the pod does not tolerate",
			       verdict->instance, api_string(taint, "key"), effect);
		refuse(verdict, "Taint", object, sentence);
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

static int64_t score_of(const struct placement_facts *facts, const struct placement_verdict *verdict)
{
	int64_t score = 0;

	for (size_t i = 0; i < facts->holder_count; i++) {
		const struct ledger_holder *holder = &facts->holders[i];

		if (!str_eq(holder->server, verdict->mapping->server))
			continue;
		score += SCORE_USED;
		if (!facts->who.domain || !str_eq(holder->domain, facts->who.domain))
			continue;
		score += SCORE_SAME_DOMAIN;
		if (str_eq(holder->instance, verdict->instance))
			score += SCORE_SAME_INSTANCE;
	}
	return score;
}

void placement_judge(const struct placement_facts *facts, const struct placement_node *node,
		     struct placement_verdict *ret_verdict)
{
	static bool (*const filters[])(const struct placement_facts *facts, const struct placement_node *node,
				       struct placement_verdict *verdict) = {
		by_separation, by_quota, by_power, by_readiness, by_selector, by_taints, by_resources,
	};
	const char *name = api_string(node->object, "metadata.name");

	*ret_verdict = (struct placement_verdict){.instance = name ? name : "", .mapping = node->mapping};
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++)
		if (!filters[i](facts, node, ret_verdict))
			return;
	ret_verdict->allowed = true;
	ret_verdict->score = score_of(facts, ret_verdict);
	(void)snprintf(ret_verdict->reason, sizeof(ret_verdict->reason), "Allowed");
	(void)snprintf(ret_verdict->sentence, sizeof(ret_verdict->sentence), "may run on instance '%s' of server '%s'",
		       ret_verdict->instance, node->mapping->server);
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

static void finish(char to[static POLICY_SENTENCE_MAX], const char *sentence, size_t others)
{
	if (others == 0)
		(void)snprintf(to, POLICY_SENTENCE_MAX, "%s", sentence);
	else
		(void)snprintf(to, POLICY_SENTENCE_MAX, "%.900s (and %zu further instances cannot take it)", sentence,
			       others);
}

void placement_explain(const struct placement_verdict *verdicts, size_t count, struct placement_reason *ret_reason)
{
	size_t best = 0, others = 0;

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
		others += i != best && !str_eq(verdicts[i].sentence, verdicts[best].sentence);
	finish(ret_reason->sentence, verdicts[best].sentence, others);
	finish(ret_reason->tenant, verdicts[best].tenant, others);
}
