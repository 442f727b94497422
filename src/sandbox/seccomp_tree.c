/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/seccomp_tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define PEELED_MAX 8 /* single numbers tested for one after the other */
#define WEIGHED 512u /* numbers from here on, which no kernel has, do not count for the balance */
#define COMMON 424u  /* from here on calls have the same number on every architecture */
#define FOREIGN 0x40000000u
#define NEVER 0x3fffffffu
#define NO_CLASS 0xffff

enum step { STEP_ON, STEP_NEW, STEP_PEEL };

/*
 * The cheapest cover of the ranges by stretches: a stretch has one node, the base, for all of its numbers but single ones
 * that are tested for by themselves. Found from left to right: for each range and each base, what it costs to get there.
 */
struct cover {
	const struct seccomp_range *items;
	size_t count;
	uint16_t *class_of;  /* of each range: its node as a small number */
	seccomp_node *nodes; /* of each class */
	size_t classes;
	uint32_t *cost;  /* of each class as the base behind the present range */
	uint8_t *steps;  /* [range][class]: enum step */
	uint16_t *bests; /* of each range: the cheapest base behind it */
	uint16_t *bases; /* of each range: the base of the stretch it lies in */
};

struct stretch {
	uint32_t first;
	seccomp_node base;
	size_t peeled; /* where its numbers begin in the list of all */
	size_t peeled_count;
};

struct forest {
	struct seccomp_graph *graph;
	struct stretch *stretches;
	struct seccomp_range *peeled;
	size_t count;
	uint32_t end; /* the first number behind them, as far as it is weighed */
};

void seccomp_tree_add(struct seccomp_ranges *ranges, uint32_t first, seccomp_node node)
{
	if (ranges->count && ranges->items[ranges->count - 1].node == node)
		return;
	ranges->items[ranges->count++] = (struct seccomp_range){first, node};
}

static bool is_single(const struct cover *cover, size_t i)
{
	return i + 1 < cover->count && cover->items[i + 1].first == cover->items[i].first + 1;
}

/* A table from nodes to classes; there are few nodes, and their numbers lie close together. */
static int classify(struct cover *cover, uint32_t node_count)
{
	CLEANUP_FREE uint16_t *known = malloc(node_count * sizeof(*known));

	if (!known)
		return -ENOMEM;
	for (size_t i = 0; i < cover->count; i++)
		known[cover->items[i].node] = NO_CLASS;
	for (size_t i = 0; i < cover->count; i++) {
		uint16_t *class = &known[cover->items[i].node];

		if (*class == NO_CLASS) {
			cover->nodes[cover->classes] = cover->items[i].node;
			*class = (uint16_t)cover->classes++;
		}
		cover->class_of[i] = *class;
	}
	return 0;
}

/* One range further: what each base costs behind it. */
static void step(struct cover *cover, size_t i)
{
	uint8_t *steps = cover->steps + i * cover->classes;
	uint32_t start = i ? cover->cost[cover->bests[i - 1]] + 1 : 0;
	uint16_t best = cover->class_of[i];

	for (uint16_t class = 0; class < cover->classes; class ++) {
		uint32_t *cost = &cover->cost[class];

		if (class == cover->class_of[i]) {
			steps[class] = i == 0 || start < *cost ? STEP_NEW : STEP_ON;
			*cost = steps[class] == STEP_NEW ? start : *cost;
		} else if (is_single(cover, i) && *cost < NEVER) {
			steps[class] = STEP_PEEL;
			(*cost)++;
		} else {
			*cost = NEVER;
		}
	}
	for (uint16_t class = 0; class < cover->classes; class ++)
		if (cover->cost[class] < cover->cost[best])
			best = class;
	cover->bests[i] = best;
}

static void find_bases(struct cover *cover)
{
	uint16_t base;

	for (size_t class = 0; class < cover->classes; class ++)
		cover->cost[class] = NEVER;
	for (size_t i = 0; i < cover->count; i++)
		step(cover, i);
	base = cover->bests[cover->count - 1];
	for (size_t i = cover->count; i-- > 0;) {
		cover->bases[i] = base;
		if (i && cover->steps[i * cover->classes + base] == STEP_NEW)
			base = cover->bests[i - 1];
	}
}

/* A stretch ends where the base changes, or where so many numbers were peeled that one boundary more pays. */
static void cut(const struct cover *cover, struct forest *forest)
{
	struct stretch *stretch = NULL;
	size_t peeled = 0;

	for (size_t i = 0; i < cover->count; i++) {
		bool is_base = cover->bases[i] == cover->class_of[i];
		bool is_new = !stretch || cover->bases[i] != cover->bases[i - 1] ||
			      (is_base && cover->steps[i * cover->classes + cover->bases[i]] == STEP_NEW) ||
			      (!is_base && stretch->peeled_count == PEELED_MAX);

		if (is_new) {
			stretch = &forest->stretches[forest->count++];
			*stretch = (struct stretch){cover->items[i].first, cover->nodes[cover->bases[i]], peeled, 0};
		}
		if (!is_base) {
			forest->peeled[peeled++] = cover->items[i];
			stretch->peeled_count++;
		}
	}
}

static seccomp_node plant_stretch(const struct forest *forest, const struct stretch *stretch)
{
	seccomp_node at = stretch->base;

	for (size_t i = stretch->peeled_count; i-- > 0;) {
		const struct seccomp_range *peeled = &forest->peeled[stretch->peeled + i];
		const struct seccomp_test test = {SECCOMP_GRAPH_WORD(nr), BPF_JEQ, UINT32_MAX, peeled->first};

		at = seccomp_graph_test(forest->graph, NULL, &test, peeled->node, at);
	}
	return at;
}

static uint32_t weighed(uint32_t number)
{
	number &= ~0x40000000u;
	return number < WEIGHED ? number : WEIGHED;
}

/* Where to halve stretches low to high: the kernel walks the tree once for each number when the filter is loaded. */
static size_t middle_of(const struct forest *forest, size_t low, size_t high)
{
	uint32_t begin = weighed(forest->stretches[low].first);
	uint32_t end = high < forest->count ? weighed(forest->stretches[high].first) : forest->end;
	size_t middle = low + 1;

	if (end <= begin)
		return low + (high - low) / 2;
	while (middle + 1 < high && weighed(forest->stretches[middle].first) < begin + (end - begin) / 2)
		middle++;
	/* The nearer one of the two boundaries around the half. */
	if (middle > low + 1 &&
	    weighed(forest->stretches[middle].first) - begin > end - weighed(forest->stretches[middle - 1].first))
		middle--;
	return middle;
}

static seccomp_node plant(const struct forest *forest, size_t low, size_t high)
{
	size_t middle = middle_of(forest, low, high);
	seccomp_node lower, upper;

	if (high - low == 1)
		return plant_stretch(forest, &forest->stretches[low]);
	upper = plant(forest, middle, high);
	lower = plant(forest, low, middle);
	return seccomp_graph_test(forest->graph, NULL,
				  &(struct seccomp_test){SECCOMP_GRAPH_WORD(nr), BPF_JGE, UINT32_MAX,
							 forest->stretches[middle].first},
				  upper, lower);
}

static int build(const struct seccomp_range *items, size_t n, uint32_t end, struct seccomp_graph *graph,
		 seccomp_node *ret_root)
{
	CLEANUP_FREE uint16_t *shorts = malloc(3 * n * sizeof(*shorts));
	CLEANUP_FREE uint32_t *longs = malloc(2 * n * sizeof(*longs));
	CLEANUP_FREE struct stretch *stretches = malloc(n * sizeof(*stretches));
	CLEANUP_FREE struct seccomp_range *peeled = malloc(n * sizeof(*peeled));
	CLEANUP_FREE uint8_t *steps = NULL;
	struct cover cover = {.items = items, .count = n};
	struct forest forest = {.graph = graph, .stretches = stretches, .peeled = peeled, .end = end};

	if (graph->error)
		return graph->error;
	if (!shorts || !longs || !stretches || !peeled)
		return -ENOMEM;
	cover.class_of = shorts;
	cover.bests = shorts + n;
	cover.bases = shorts + 2 * n;
	cover.nodes = longs;
	cover.cost = longs + n;
	if (classify(&cover, graph->count) < 0)
		return -ENOMEM;
	steps = malloc(n * cover.classes);
	if (!steps)
		return -ENOMEM;
	cover.steps = steps;
	find_bases(&cover);
	cut(&cover, &forest);
	*ret_root = plant(&forest, 0, forest.count);
	return graph->error;
}

/* The ranges from a number on, of which the first begins with it. */
static size_t tail_of(const struct seccomp_ranges *ranges, uint32_t first, struct seccomp_range *tail)
{
	size_t begin = 0, count;

	while (begin + 1 < ranges->count && ranges->items[begin + 1].first <= first)
		begin++;
	count = ranges->count - begin;
	memcpy(tail, ranges->items + begin, count * sizeof(*tail));
	tail[0].first = first;
	return count;
}

static size_t count_below(const struct seccomp_range *items, size_t count, uint32_t end)
{
	size_t below = 0;

	while (below < count && items[below].first < end)
		below++;
	return below;
}

/* What is common to the architectures has a tree of its own: where they say the same about it, they share it. */
int seccomp_tree_build(const struct seccomp_ranges *ranges, struct seccomp_graph *graph, seccomp_node *ret_root)
{
	const struct seccomp_test is_common = {SECCOMP_GRAPH_WORD(nr), BPF_JGE, UINT32_MAX, COMMON};
	CLEANUP_FREE struct seccomp_range *tail = malloc(ranges->count * sizeof(*tail));
	size_t count, common;
	seccomp_node upper, foreign, lower;
	int r;

	if (graph->error)
		return graph->error;
	if (!tail)
		return -ENOMEM;
	count = tail_of(ranges, COMMON, tail);
	common = count_below(tail, count, FOREIGN);
	r = build(tail, common, WEIGHED, graph, &upper);
	if (r == 0 && common < count) {
		const struct seccomp_test is_foreign = {SECCOMP_GRAPH_WORD(nr), BPF_JGE, UINT32_MAX,
							tail[common].first};

		r = build(tail + common, count - common, WEIGHED, graph, &foreign);
		upper = seccomp_graph_test(graph, NULL, &is_foreign, foreign, upper);
	}
	if (r == 0)
		r = build(ranges->items, count_below(ranges->items, ranges->count, COMMON), COMMON, graph, &lower);
	if (r < 0)
		return r;
	*ret_root = seccomp_graph_test(graph, NULL, &is_common, upper, lower);
	return graph->error;
}
