/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/drift.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define LEVELS_KINDS_MAX 8192 /* with more kinds the levels are found anew each time: they would take too much memory */
#define UNKNOWN_LEVEL 0xff

/* --- words as numbers --- */

/* Pairs of words, numbered from 0 in the order they come. Open addressing, at most half full. */
struct numbers {
	const char *(*words)[2];
	uint32_t *slots; /* number + 1; 0: free */
	size_t mask;
	uint32_t count;
};

static int numbers_init(struct numbers *numbers, size_t most)
{
	size_t slots = 16;

	while (slots < 2 * most)
		slots *= 2;
	*numbers = (struct numbers){
		.words = calloc(most + 1, sizeof(*numbers->words)),
		.slots = calloc(slots, sizeof(*numbers->slots)),
		.mask = slots - 1,
	};
	return numbers->words && numbers->slots ? 0 : -ENOMEM;
}

static void numbers_done(struct numbers *numbers)
{
	free(numbers->words);
	free(numbers->slots);
}

static const char *or_empty(const char *word)
{
	return word ? word : "";
}

static uint64_t mix(uint64_t hash, const char *word)
{
	for (const unsigned char *at = (const unsigned char *)word; *at; at++)
		hash = (hash ^ *at) * UINT64_C(0x100000001b3);
	return (hash ^ 0xff) * UINT64_C(0x100000001b3); /* where the word ends counts too */
}

static uint32_t number_of(struct numbers *numbers, const char *first, const char *second)
{
	uint64_t hash = mix(mix(UINT64_C(0xcbf29ce484222325), first), second);
	size_t at = (hash ^ hash >> 32) & numbers->mask;

	for (; numbers->slots[at]; at = (at + 1) & numbers->mask) {
		const char **known = numbers->words[numbers->slots[at] - 1];

		if (str_eq(known[0], first) && str_eq(known[1], second))
			return numbers->slots[at] - 1;
	}
	numbers->words[numbers->count][0] = first;
	numbers->words[numbers->count][1] = second;
	numbers->slots[at] = numbers->count + 1;
	return numbers->count++;
}

/* --- what is looked at --- */

/* One holder in numbers. */
struct charge {
	uint32_t kind, server, instance;
};

/* Pods of one kind in one place: as many as there are, with the first two of them. */
struct gathering {
	uint32_t place, kind;
	uint32_t server; /* where places are instances: what they are charged to; otherwise 0 */
	uint32_t first, second;
	uint32_t count;
};

struct proof {
	const struct policy_holder *holders;
	const struct policy_domains *domains;
	struct numbers kinds, servers, instances;
	struct charge *charges;
	struct gathering *gatherings;
	uint8_t *levels; /* of each pair of kinds, a triangle; UNKNOWN_LEVEL until it is asked for. NULL: too many */
	struct policy_drift *drift;
};

static void proof_done(struct proof *proof)
{
	numbers_done(&proof->kinds);
	numbers_done(&proof->servers);
	numbers_done(&proof->instances);
	free(proof->charges);
	free(proof->gatherings);
	free(proof->levels);
}

static int make_levels(struct proof *proof)
{
	size_t kinds = proof->kinds.count, size = kinds * (kinds + 1) / 2;

	if (kinds > LEVELS_KINDS_MAX)
		return 0;
	proof->levels = malloc(size + 1);
	if (!proof->levels)
		return -ENOMEM;
	memset(proof->levels, UNKNOWN_LEVEL, size);
	return 0;
}

static int number_all(struct proof *proof, size_t count)
{
	if (numbers_init(&proof->kinds, count) < 0 || numbers_init(&proof->servers, count) < 0 ||
	    numbers_init(&proof->instances, count) < 0)
		return -ENOMEM;
	proof->charges = calloc(count + 1, sizeof(*proof->charges));
	proof->gatherings = calloc(count + 1, sizeof(*proof->gatherings));
	if (!proof->charges || !proof->gatherings)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		const struct policy_holder *holder = &proof->holders[i];

		proof->charges[i] = (struct charge){
			.kind = number_of(&proof->kinds, or_empty(holder->pod.domain),
					  or_empty(holder->pod.subfunction)),
			.server = number_of(&proof->servers, or_empty(holder->server), ""),
			.instance = number_of(&proof->instances, or_empty(holder->instance), ""),
		};
	}
	return make_levels(proof);
}

static enum policy_level ask_level(const struct proof *proof, uint32_t a, uint32_t b)
{
	const char *const *of_a = proof->kinds.words[a], *const *of_b = proof->kinds.words[b];
	struct policy_pod pod = {.domain = of_a[0], .subfunction = of_a[1]};
	struct policy_pod other = {.domain = of_b[0], .subfunction = of_b[1]};

	return policy_separation_level(&pod, &other, proof->domains);
}

static enum policy_level level_of(struct proof *proof, uint32_t a, uint32_t b)
{
	uint32_t low = a < b ? a : b, high = a < b ? b : a;
	uint8_t *known;

	if (!proof->levels)
		return ask_level(proof, a, b);
	known = &proof->levels[(size_t)high * (high + 1) / 2 + low];
	if (*known == UNKNOWN_LEVEL)
		*known = (uint8_t)ask_level(proof, a, b);
	return (enum policy_level) * known;
}

static void find(struct policy_drift *drift, const struct policy_drift_finding *finding)
{
	if (finding->kind == POLICY_DRIFT_APART)
		drift->violations++;
	else
		drift->unplaced++;
	if (drift->finding_count < POLICY_DRIFT_FINDINGS_MAX)
		drift->findings[drift->finding_count++] = *finding;
}

/* --- places --- */

static bool is_nowhere(const struct proof *proof, const struct gathering *one)
{
	return !proof->servers.words[one->server][0][0];
}

static int by_place(const void *a, const void *b)
{
	const struct gathering *x = a, *y = b;

	if (x->place != y->place)
		return x->place < y->place ? -1 : 1;
	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if (x->server != y->server)
		return x->server < y->server ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

static bool is_one(const struct gathering *a, const struct gathering *b)
{
	return a->place == b->place && a->kind == b->kind && a->server == b->server;
}

static void join(struct gathering *one, const struct gathering *other)
{
	if (one->count == 1)
		one->second = other->first;
	one->count += other->count;
}

/* Sorts them, and makes one of those that say the same; how many are left. */
static size_t gather(struct gathering *gatherings, size_t count)
{
	size_t kept = 0;

	if (count > 1)
		qsort(gatherings, count, sizeof(*gatherings), by_place);
	for (size_t i = 0; i < count; i++)
		if (kept > 0 && is_one(&gatherings[kept - 1], &gatherings[i]))
			join(&gatherings[kept - 1], &gatherings[i]);
		else
			gatherings[kept++] = gatherings[i];
	return kept;
}

/* A pod of each that are not one and the same: one whose instance moved is given twice. False: there are no two. */
static bool pick_two(const struct proof *proof, const struct gathering *a, const struct gathering *b,
		     struct policy_drift_finding *finding)
{
	uint32_t of_a[] = {a->first, a->second}, of_b[] = {b->first, b->second};

	for (size_t i = 0; i < 2 && i < a->count; i++)
		for (size_t j = 0; j < 2 && j < b->count; j++)
			if (!str_eq(proof->holders[of_a[i]].pod.uid, proof->holders[of_b[j]].pod.uid)) {
				finding->pod = of_a[i];
				finding->other = of_b[j];
				return true;
			}
	return false;
}

/* Two gatherings in one place, or one with itself. Servers are asked about what may not share one, instances about the rest. */
static void meet(struct proof *proof, const struct gathering *a, const struct gathering *b, bool instances)
{
	enum policy_level level = level_of(proof, a->kind, b->kind);
	struct policy_drift_finding finding = {.kind = POLICY_DRIFT_APART, .level = level};

	if (level == POLICY_LEVEL_NONE || (!instances && level != POLICY_LEVEL_SERVER) ||
	    (instances && level == POLICY_LEVEL_SERVER && a->server == b->server && !is_nowhere(proof, a)))
		return;
	if (pick_two(proof, a, b, &finding))
		find(proof->drift, &finding);
}

static void look(struct proof *proof, size_t gathered, bool instances)
{
	const struct gathering *all = proof->gatherings;

	for (size_t i = 0; i < gathered; i++)
		for (size_t j = i; j < gathered && all[j].place == all[i].place; j++)
			meet(proof, &all[i], &all[j], instances);
}

static void look_at_servers(struct proof *proof, size_t count)
{
	size_t used = 0;

	for (size_t i = 0; i < count; i++) {
		const struct charge *charge = &proof->charges[i];

		if (!proof->servers.words[charge->server][0][0])
			find(proof->drift,
			     &(struct policy_drift_finding){POLICY_DRIFT_UNPLACED, POLICY_LEVEL_SERVER, i, i});
		else
			proof->gatherings[used++] =
				(struct gathering){charge->server, charge->kind, 0, (uint32_t)i, 0, 1};
	}
	look(proof, gather(proof->gatherings, used), false);
}

static void look_at_instances(struct proof *proof, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct charge *charge = &proof->charges[i];

		proof->gatherings[i] =
			(struct gathering){charge->instance, charge->kind, charge->server, (uint32_t)i, 0, 1};
	}
	look(proof, gather(proof->gatherings, count), true);
}

int policy_drift_prove(const struct policy_holder *holders, size_t count, const struct policy_domains *domains,
		       struct policy_drift *ret_drift, struct err *err)
{
	struct policy_drift drift = {.holders = count};
	struct proof proof = {.holders = holders, .domains = domains, .drift = &drift};
	int r = count > INT32_MAX ? -E2BIG : number_all(&proof, count);

	if (r < 0) {
		proof_done(&proof);
		return err_sys(err, r, "cannot look at %zu holders", count);
	}
	look_at_servers(&proof, count);
	look_at_instances(&proof, count);
	drift.kinds = proof.kinds.count;
	drift.servers = proof.servers.count;
	drift.instances = proof.instances.count;
	proof_done(&proof);
	*ret_drift = drift;
	return 0;
}

bool policy_drift_is_proven(const struct policy_drift *drift)
{
	return drift->violations == 0 && drift->unplaced == 0;
}

void policy_drift_explain(const struct policy_drift_finding *finding, const struct policy_holder *holders,
			  const struct policy_domains *domains, struct policy_decision *ret_decision)
{
	const struct policy_holder *holder = &holders[finding->pod];
	struct policy_place place = {.instance = holder->instance, .server = holder->server, .epoch = 1};

	/* Of a pod on no known server there is no place to ask about: the answer says so itself. */
	policy_separation_decide(&holder->pod, &place, &holders[finding->other], finding->kind == POLICY_DRIFT_APART,
				 domains, ret_decision);
}
