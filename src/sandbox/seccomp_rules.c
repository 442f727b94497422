/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/seccomp_rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define NO_NAME 0xffff
#define WORD_LOW(index) ((uint8_t)(SECCOMP_GRAPH_WORD(args) + 2 * (index)))
#define WORD_HIGH(index) ((uint8_t)(WORD_LOW(index) + 1))

/* Rules with conditions of one code, from the last to the first: what is jumped to must be in the graph already. */
struct link {
	uint32_t rule;
	uint32_t before; /* counted from 1; 0: this is the first */
};

/* What the rules without conditions say, and the chain of those with conditions; both 0: nothing. */
struct verdict {
	uint32_t last; /* counted from 1 */
	uint32_t otherwise;
	bool decided; /* otherwise comes from a rule */
};

/* x86 takes these calls through one number too, with the call as the first argument and the rest in memory. */
#define MULTIPLEXED_CALLS 32
struct multiplexer {
	const char *name;
	uint32_t mask; /* of the first argument */
	const char *calls[MULTIPLEXED_CALLS];
};

static const struct multiplexer multiplexers[] = {
	{"socketcall", UINT32_MAX, {NULL,          "socket",      "bind",       "connect",    "listen",  "accept",
				    "getsockname", "getpeername", "socketpair", "send",       "recv",    "sendto",
				    "recvfrom",    "shutdown",    "setsockopt", "getsockopt", "sendmsg", "recvmsg",
				    "accept4",     "recvmmsg",    "sendmmsg"}},
	{"ipc", 0xffff, {NULL, "semop", "semget", "semctl", "semtimedop", NULL,     NULL,    NULL, NULL,
			 NULL, NULL,    "msgsnd", "msgrcv", "msgget",     "msgctl", NULL,    NULL, NULL,
			 NULL, NULL,    NULL,     "shmat",  "shmdt",      "shmget", "shmctl"}},
};

struct seccomp_rules {
	const struct spec_seccomp *profile;
	uint16_t *names;      /* of all rules one after the other, as indexes of the table of calls */
	uint32_t *first_name; /* of each rule, in names */
	struct link *links;
	uint32_t link_count;
	uint32_t link_cap;
	uint32_t otherwise; /* what the default action says */
	int top;            /* the highest code that a rule is about */
	struct verdict verdicts[SYSCALLS_CODES];
	struct verdict inner[ARRAY_SIZE(multiplexers)][MULTIPLEXED_CALLS];
	int multiplexer_codes[ARRAY_SIZE(multiplexers)]; /* -1: this architecture has none */
};

static uint32_t action_value(uint32_t action, const struct spec_number *errno_ret)
{
	uint32_t data = 0;

	if (action == SECCOMP_RET_ERRNO)
		data = errno_ret->present ? (uint32_t)errno_ret->value : EPERM;
	else if (action == SECCOMP_RET_TRACE)
		data = errno_ret->present ? (uint32_t)errno_ret->value : 0;
	return action | (data & SECCOMP_RET_DATA);
}

static uint32_t rule_value(const struct spec_seccomp_rule *rule)
{
	return action_value(rule->action, &rule->errno_ret);
}

uint32_t seccomp_rules_stricter(uint32_t a, uint32_t b)
{
	/* The kernel's own order, where the actions are signed numbers. */
	return (int32_t)(b & SECCOMP_RET_ACTION_FULL) < (int32_t)(a & SECCOMP_RET_ACTION_FULL) ? b : a;
}

static void look_up(struct seccomp_rules *rules)
{
	uint32_t at = 0;

	for (size_t i = 0; i < rules->profile->rules.count; i++) {
		const struct spec_strings *names = &rules->profile->rules.items[i].names;

		rules->first_name[i] = at;
		for (size_t k = 0; k < names->count; k++) {
			int index = syscalls_find(names->items[k]);

			rules->names[at++] = index < 0 ? NO_NAME : (uint16_t)index;
		}
	}
}

struct seccomp_rules *seccomp_rules_new(const struct spec_seccomp *profile)
{
	struct seccomp_rules *rules = calloc(1, sizeof(*rules));
	size_t count = 1;

	if (!rules)
		return NULL;
	for (size_t i = 0; i < profile->rules.count; i++)
		count += profile->rules.items[i].names.count;
	rules->profile = profile;
	rules->otherwise = action_value(profile->default_action, &profile->default_errno_ret);
	rules->names = calloc(count, sizeof(*rules->names));
	rules->first_name = calloc(profile->rules.count + 1, sizeof(*rules->first_name));
	if (!rules->names || !rules->first_name) {
		seccomp_rules_free(rules);
		return NULL;
	}
	look_up(rules);
	return rules;
}

void seccomp_rules_free(struct seccomp_rules *rules)
{
	if (!rules)
		return;
	free(rules->names);
	free(rules->first_name);
	free(rules->links);
	free(rules);
}

static void decide(struct verdict *verdict, uint32_t value)
{
	verdict->otherwise = verdict->decided ? seccomp_rules_stricter(verdict->otherwise, value) : value;
	verdict->decided = true;
}

static int append(struct seccomp_rules *rules, struct verdict *verdict, uint32_t rule)
{
	/* A rule may name a call twice. */
	if (verdict->last && rules->links[verdict->last - 1].rule == rule)
		return 0;
	if (rules->link_count == rules->link_cap) {
		uint32_t cap = rules->link_cap ? 2 * rules->link_cap : 64;
		struct link *grown = realloc(rules->links, cap * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		rules->links = grown;
		rules->link_cap = cap;
	}
	rules->links[rules->link_count++] = (struct link){rule, verdict->last};
	verdict->last = rules->link_count;
	return 0;
}

static int sort_rule(struct seccomp_rules *rules, enum syscalls_abi abi, size_t index)
{
	const struct spec_seccomp_rule *rule = &rules->profile->rules.items[index];
	const uint16_t *names = rules->names + rules->first_name[index];
	uint32_t value = rule_value(rule);

	for (size_t i = 0; i < rule->names.count; i++) {
		int code = names[i] == NO_NAME ? -1 : syscalls_code(names[i], abi), r;

		if (code < 0)
			continue;
		rules->top = code > rules->top ? code : rules->top;
		if (rule->args.count == 0) {
			decide(&rules->verdicts[code], value);
			continue;
		}
		r = append(rules, &rules->verdicts[code], (uint32_t)index);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * What rules of a multiplexed call's own name say when it comes through the multiplexer. Its arguments are out of sight:
 * a rule with conditions counts as if they held where that is stricter than the default action, and else not at all.
 */
static void sort_multiplexed(struct seccomp_rules *rules, struct verdict *inner, int name)
{
	for (size_t i = 0; i < rules->profile->rules.count; i++) {
		const struct spec_seccomp_rule *rule = &rules->profile->rules.items[i];
		const uint16_t *names = rules->names + rules->first_name[i];
		uint32_t value = rule_value(rule);

		if (rule->args.count && seccomp_rules_stricter(rules->otherwise, value) == rules->otherwise)
			continue;
		for (size_t k = 0; k < rule->names.count; k++)
			if (names[k] == name)
				decide(inner, value);
	}
}

static void sort_multiplexers(struct seccomp_rules *rules, enum syscalls_abi abi)
{
	for (size_t i = 0; i < ARRAY_SIZE(multiplexers); i++) {
		rules->multiplexer_codes[i] = -1;
		if (abi != SYSCALLS_X86)
			continue;
		rules->multiplexer_codes[i] = syscalls_code(syscalls_find(multiplexers[i].name), abi);
		if (rules->top < rules->multiplexer_codes[i])
			rules->top = rules->multiplexer_codes[i];
		for (size_t k = 0; k < MULTIPLEXED_CALLS; k++) {
			const char *call = multiplexers[i].calls[k];
			int name = call ? syscalls_find(call) : -1;

			if (name >= 0)
				sort_multiplexed(rules, &rules->inner[i][k], name);
		}
	}
}

int seccomp_rules_sort(struct seccomp_rules *rules, enum syscalls_abi abi)
{
	int r = 0;

	memset(rules->verdicts, 0, sizeof(rules->verdicts));
	memset(rules->inner, 0, sizeof(rules->inner));
	rules->link_count = 0;
	rules->top = -1;
	for (size_t i = 0; r == 0 && i < rules->profile->rules.count; i++)
		r = sort_rule(rules, abi, i);
	sort_multiplexers(rules, abi);
	return r;
}

/* The state of one walk from a call's rules to its node. */
struct walk {
	struct seccomp_rules *const *profiles;
	struct seccomp_graph *graph;
	const struct seccomp_facts *facts; /* what holds for every call of the architecture */
	int code;
};

static seccomp_node test_part(struct walk *walk, const struct seccomp_facts *facts, uint8_t word, uint32_t mask,
			      uint32_t value, seccomp_node yes, seccomp_node no)
{
	if (mask == 0)
		return value == 0 ? yes : no;
	if (mask != UINT32_MAX && value == 0)
		return seccomp_graph_test(walk->graph, facts, &(struct seccomp_test){word, BPF_JSET, UINT32_MAX, mask},
					  no, yes);
	if (value == mask && (mask & (mask - 1)) == 0)
		return seccomp_graph_test(walk->graph, facts, &(struct seccomp_test){word, BPF_JSET, UINT32_MAX, mask},
					  yes, no);
	return seccomp_graph_test(walk->graph, facts, &(struct seccomp_test){word, BPF_JEQ, mask, value}, yes, no);
}

static void learn(struct seccomp_facts *facts, uint8_t word, uint32_t value)
{
	facts->known |= 1u << word;
	facts->value[word] = value;
}

static seccomp_node test_equal(struct walk *walk, const struct seccomp_facts *facts, uint32_t index, uint64_t mask,
			       uint64_t value, seccomp_node yes, seccomp_node no)
{
	struct seccomp_facts inner = *facts;
	seccomp_node low;

	if (mask >> 32 == UINT32_MAX)
		learn(&inner, WORD_HIGH(index), (uint32_t)(value >> 32));
	low = test_part(walk, &inner, WORD_LOW(index), (uint32_t)mask, (uint32_t)value, yes, no);
	return test_part(walk, facts, WORD_HIGH(index), (uint32_t)(mask >> 32), (uint32_t)(value >> 32), low, no);
}

/* Both words compared with 64-bit greater-than or greater-or-equal. */
static seccomp_node test_order(struct walk *walk, const struct seccomp_facts *facts, uint32_t index, uint8_t op,
			       uint64_t value, seccomp_node yes, seccomp_node no)
{
	const uint32_t high_value = (uint32_t)(value >> 32), low_value = (uint32_t)value;
	const struct seccomp_test equal = {WORD_HIGH(index), BPF_JEQ, UINT32_MAX, high_value};
	const struct seccomp_test greater = {WORD_HIGH(index), BPF_JGT, UINT32_MAX, high_value};
	struct seccomp_facts inner = *facts;
	seccomp_node low;

	learn(&inner, WORD_HIGH(index), high_value);
	low = op == BPF_JGE && low_value == 0
		      ? yes
		      : seccomp_graph_test(walk->graph, &inner,
					   &(struct seccomp_test){WORD_LOW(index), op, UINT32_MAX, low_value}, yes, no);
	if (high_value == 0)
		return seccomp_graph_test(walk->graph, facts, &equal, low, yes);
	low = seccomp_graph_test(walk->graph, facts, &equal, low, no);
	return high_value == UINT32_MAX ? low : seccomp_graph_test(walk->graph, facts, &greater, yes, low);
}

static seccomp_node test_condition(struct walk *walk, const struct seccomp_facts *facts,
				   const struct spec_seccomp_arg *arg, seccomp_node yes, seccomp_node no)
{
	switch (arg->op) {
	case SPEC_OP_NE:
		return test_equal(walk, facts, arg->index, UINT64_MAX, arg->value, no, yes);
	case SPEC_OP_EQ:
		return test_equal(walk, facts, arg->index, UINT64_MAX, arg->value, yes, no);
	case SPEC_OP_MASKED_EQ:
		return test_equal(walk, facts, arg->index, arg->value, arg->value_two & arg->value, yes, no);
	case SPEC_OP_GT:
		return test_order(walk, facts, arg->index, BPF_JGT, arg->value, yes, no);
	case SPEC_OP_GE:
		return test_order(walk, facts, arg->index, BPF_JGE, arg->value, yes, no);
	case SPEC_OP_LT:
		return test_order(walk, facts, arg->index, BPF_JGE, arg->value, no, yes);
	case SPEC_OP_LE:
		return test_order(walk, facts, arg->index, BPF_JGT, arg->value, no, yes);
	}
	return no;
}

static bool args_are_alternatives(const struct spec_seccomp_args *args)
{
	uint32_t seen = 0;

	for (size_t i = 0; i < args->count; i++) {
		if (seen >> args->items[i].index & 1)
			return true;
		seen |= 1u << args->items[i].index;
	}
	return false;
}

/* What is known of the arguments where a condition holds. */
static void learn_condition(struct seccomp_facts *facts, const struct spec_seccomp_arg *arg)
{
	uint64_t mask = arg->op == SPEC_OP_MASKED_EQ ? arg->value : UINT64_MAX;
	uint64_t value = arg->op == SPEC_OP_MASKED_EQ ? arg->value_two : arg->value;

	if (arg->op != SPEC_OP_MASKED_EQ && arg->op != SPEC_OP_EQ)
		return;
	if ((uint32_t)mask == UINT32_MAX)
		learn(facts, WORD_LOW(arg->index), (uint32_t)value);
	if (mask >> 32 == UINT32_MAX)
		learn(facts, WORD_HIGH(arg->index), (uint32_t)(value >> 32));
}

/* One rule with conditions: to hit when they hold, else to miss. */
static seccomp_node test_rule(struct walk *walk, const struct spec_seccomp_args *args, seccomp_node hit,
			      seccomp_node miss)
{
	bool alternatives = args_are_alternatives(args);
	seccomp_node at = alternatives ? miss : hit;

	for (size_t i = args->count; i-- > 0;) {
		struct seccomp_facts facts = *walk->facts;

		for (size_t k = 0; !alternatives && k < i; k++)
			learn_condition(&facts, &args->items[k]);
		at = test_condition(walk, &facts, &args->items[i], alternatives ? hit : at, alternatives ? at : miss);
	}
	return at;
}

static seccomp_node walk_profile(struct walk *walk, size_t index, uint32_t bound);

/* Where a profile's value leads: to the next profile with a bound that is as strict as it, or to its return. */
static seccomp_node walk_on(struct walk *walk, size_t index, uint32_t value, uint32_t bound)
{
	value = seccomp_rules_stricter(value, bound);
	return index == 0 ? seccomp_graph_return(walk->graph, value) : walk_profile(walk, index - 1, value);
}

static seccomp_node walk_multiplexed(struct walk *walk, size_t index, uint32_t bound, size_t which, seccomp_node at)
{
	const struct seccomp_rules *rules = walk->profiles[index];

	for (size_t i = MULTIPLEXED_CALLS; i-- > 0;) {
		const struct verdict *inner = &rules->inner[which][i];
		const struct spec_seccomp_arg arg = {0, multiplexers[which].mask, i, SPEC_OP_MASKED_EQ};
		const struct spec_seccomp_args args = {(struct spec_seccomp_arg *)&arg, 1};

		if (inner->decided)
			at = test_rule(walk, &args, walk_on(walk, index, inner->otherwise, bound), at);
	}
	return at;
}

static const struct verdict *verdict_of(const struct seccomp_rules *rules, int code)
{
	static const struct verdict none;

	return code < 0 ? &none : &rules->verdicts[code];
}

static seccomp_node walk_chain(struct walk *walk, size_t index, uint32_t bound, seccomp_node at)
{
	const struct seccomp_rules *rules = walk->profiles[index];
	uint32_t link = verdict_of(rules, walk->code)->last;

	for (; link && !walk->graph->error; link = rules->links[link - 1].before) {
		const struct spec_seccomp_rule *rule = &rules->profile->rules.items[rules->links[link - 1].rule];

		at = test_rule(walk, &rule->args, walk_on(walk, index, rule_value(rule), bound), at);
	}
	return at;
}

/* Profile `index` and those before it, whose values may be no looser than bound. */
static seccomp_node walk_profile(struct walk *walk, size_t index, uint32_t bound)
{
	const struct seccomp_rules *rules = walk->profiles[index];
	const struct verdict *verdict = verdict_of(rules, walk->code);
	seccomp_node at = walk_on(walk, index, verdict->decided ? verdict->otherwise : rules->otherwise, bound);

	for (size_t i = 0; i < ARRAY_SIZE(multiplexers); i++)
		if (walk->code >= 0 && rules->multiplexer_codes[i] == walk->code)
			at = walk_multiplexed(walk, index, bound, i, at);
	return walk_chain(walk, index, bound, at);
}

/* What a profile says to a code without looking at arguments; false when it has to look. */
static bool plain_value(const struct seccomp_rules *rules, int code, uint32_t *ret_value)
{
	const struct verdict *verdict = verdict_of(rules, code);

	if (verdict->last)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(multiplexers); i++)
		if (code >= 0 && rules->multiplexer_codes[i] == code)
			return false;
	*ret_value = verdict->decided ? verdict->otherwise : rules->otherwise;
	return true;
}

static seccomp_node walk_all(struct seccomp_rules *const *profiles, size_t count, struct seccomp_graph *graph,
			     enum syscalls_abi abi, int code)
{
	struct seccomp_facts facts = {0};
	struct walk walk = {.profiles = profiles, .graph = graph, .facts = &facts, .code = code};

	/* The kernel widens the arguments of 32-bit architectures with zeros. */
	for (uint32_t i = 0; (abi == SYSCALLS_X86 || abi == SYSCALLS_ARM) && i < 6; i++)
		learn(&facts, WORD_HIGH(i), 0);
	return walk_profile(&walk, count - 1, SECCOMP_RET_ALLOW);
}

seccomp_node seccomp_rules_node(struct seccomp_rules *const *profiles, size_t count, struct seccomp_graph *graph,
				enum syscalls_abi abi, int code)
{
	uint32_t bound = SECCOMP_RET_ALLOW, value;

	for (size_t i = count; i-- > 0;) {
		if (!plain_value(profiles[i], code, &value))
			return walk_all(profiles, count, graph, abi, code);
		bound = seccomp_rules_stricter(value, bound);
	}
	return seccomp_graph_return(graph, bound);
}

int seccomp_rules_top(struct seccomp_rules *const *profiles, size_t count)
{
	int top = -1;

	for (size_t i = 0; i < count; i++)
		top = profiles[i]->top > top ? profiles[i]->top : top;
	return top;
}
