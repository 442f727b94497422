/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/seccomp_graph.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define NODES_MAX 16384 /* a program of 4096 instructions needs fewer */
#define THREAD_MAX 64   /* how many tests one jump looks ahead */
#define REACH 253       /* how far a conditional jump leads, with two trampolines in between */
#define RETURN 0xff     /* as a word: the node returns k */
#define NO_WORD 0xfe    /* what the accumulator holds is no word */

struct seccomp_graph_node {
	struct seccomp_test test;
	seccomp_node yes;
	seccomp_node no;
	uint32_t next; /* in the bucket; counted from 1 */
};

void seccomp_graph_init(struct seccomp_graph *graph)
{
	*graph = (struct seccomp_graph){.cap = 512};
	graph->nodes = malloc(graph->cap * sizeof(*graph->nodes));
	if (!graph->nodes)
		graph->error = -ENOMEM;
}

void seccomp_graph_done(struct seccomp_graph *graph)
{
	free(graph->nodes);
	graph->nodes = NULL;
}

static bool same_test(const struct seccomp_test *a, const struct seccomp_test *b)
{
	return a->word == b->word && a->op == b->op && a->mask == b->mask && a->k == b->k;
}

static uint32_t bucket_of(const struct seccomp_graph_node *node)
{
	uint32_t hash = node->test.word;

	hash = hash * 0x9e3779b1u + node->test.op;
	hash = hash * 0x9e3779b1u + node->test.mask;
	hash = hash * 0x9e3779b1u + node->test.k;
	hash = hash * 0x9e3779b1u + node->yes;
	hash = hash * 0x9e3779b1u + node->no;
	return hash >> 22;
}

static int grow(struct seccomp_graph *graph)
{
	struct seccomp_graph_node *grown;

	if (graph->cap == NODES_MAX)
		return -E2BIG;
	grown = realloc(graph->nodes, 2 * graph->cap * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	graph->nodes = grown;
	graph->cap *= 2;
	return 0;
}

/* The node that is equal to this one, made when there is none. */
static seccomp_node intern(struct seccomp_graph *graph, const struct seccomp_graph_node *node)
{
	uint32_t bucket = bucket_of(node);

	if (graph->error)
		return 0;
	for (uint32_t at = graph->buckets[bucket]; at; at = graph->nodes[at - 1].next) {
		const struct seccomp_graph_node *known = &graph->nodes[at - 1];

		if (same_test(&known->test, &node->test) && known->yes == node->yes && known->no == node->no)
			return at - 1;
	}
	if (graph->count == graph->cap)
		graph->error = grow(graph);
	if (graph->error)
		return 0;
	graph->nodes[graph->count] = *node;
	graph->nodes[graph->count].next = graph->buckets[bucket];
	graph->buckets[bucket] = graph->count + 1;
	return graph->count++;
}

seccomp_node seccomp_graph_return(struct seccomp_graph *graph, uint32_t value)
{
	const struct seccomp_graph_node node = {.test = {.word = RETURN, .k = value}};

	return intern(graph, &node);
}

static bool holds(const struct seccomp_test *test, uint32_t word)
{
	uint32_t value = word & test->mask;

	switch (test->op) {
	case BPF_JEQ:
		return value == test->k;
	case BPF_JGE:
		return value >= test->k;
	case BPF_JGT:
		return value > test->k;
	default:
		return value & test->k;
	}
}

/* Where control ends up that comes to `at` from one side of a test while the facts hold. */
static seccomp_node thread(const struct seccomp_graph *graph, const struct seccomp_facts *facts,
			   const struct seccomp_test *from, bool side, seccomp_node at)
{
	bool equal = from->op == BPF_JEQ && side && from->mask == UINT32_MAX;

	for (size_t i = 0; i < THREAD_MAX; i++) {
		const struct seccomp_graph_node *node = &graph->nodes[at];

		if (node->test.word == RETURN)
			return at;
		if (equal && node->test.word == from->word)
			at = holds(&node->test, from->k) ? node->yes : node->no;
		else if (same_test(from, &node->test))
			at = side ? node->yes : node->no;
		else if (facts && facts->known >> node->test.word & 1)
			at = holds(&node->test, facts->value[node->test.word]) ? node->yes : node->no;
		else
			return at;
	}
	return at;
}

seccomp_node seccomp_graph_test(struct seccomp_graph *graph, const struct seccomp_facts *facts,
				const struct seccomp_test *test, seccomp_node yes, seccomp_node no)
{
	struct seccomp_graph_node node = {.test = *test};

	if (graph->error)
		return 0;
	if (facts && facts->known >> test->word & 1)
		return holds(test, facts->value[test->word]) ? yes : no;
	node.yes = thread(graph, facts, test, true, yes);
	node.no = thread(graph, facts, test, false, no);
	return node.yes == node.no ? node.yes : intern(graph, &node);
}

/* The program is written back to front: what is jumped to exists already, and its distance is known. */
struct writer {
	const struct seccomp_graph_node *nodes;
	struct sock_filter *code;
	size_t len;
	size_t most;
	/* Of each node: where it is entered, with its word still to be loaded and with it loaded; counted from the end. */
	struct place {
		uint32_t entry;
		uint32_t loaded;
		bool wanted;
		bool needs_load;
	} * places;
};

static int emit(struct writer *writer, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	if (writer->len == writer->most)
		return -E2BIG;
	writer->len++;
	writer->code[writer->most - writer->len] = (struct sock_filter){code, jt, jf, k};
	return 0;
}

/* The word that the accumulator holds behind a test. */
static uint8_t held_after(const struct seccomp_test *test)
{
	return test->mask == UINT32_MAX ? test->word : NO_WORD;
}

/* The entry of a node for one who comes with a word held. */
static uint32_t *entry_of(struct writer *writer, seccomp_node at, uint8_t held)
{
	struct place *place = &writer->places[at];

	return writer->nodes[at].test.word == held ? &place->loaded : &place->entry;
}

/* Brings a far target near: a return is written again, anything else gets a trampoline that stands for it from then on. */
static int bring_near(struct writer *writer, seccomp_node at, uint32_t *entry)
{
	const struct seccomp_test *test = &writer->nodes[at].test;
	int r;

	if (writer->len - *entry <= REACH)
		return 0;
	if (test->word == RETURN)
		r = emit(writer, BPF_RET | BPF_K, 0, 0, test->k);
	else
		r = emit(writer, BPF_JMP | BPF_JA, 0, 0, (uint32_t)(writer->len - *entry));
	*entry = (uint32_t)writer->len;
	return r;
}

static int emit_test(struct writer *writer, const struct seccomp_graph_node *node, struct place *place)
{
	const struct seccomp_test *test = &node->test;
	uint32_t *yes = entry_of(writer, node->yes, held_after(test));
	uint32_t *no = entry_of(writer, node->no, held_after(test));
	int r = bring_near(writer, node->yes, yes);

	if (r == 0)
		r = bring_near(writer, node->no, no);
	if (r == 0)
		r = emit(writer, (uint16_t)(BPF_JMP | test->op | BPF_K), (uint8_t)(writer->len - *yes),
			 (uint8_t)(writer->len - *no), test->k);
	if (r == 0 && test->mask != UINT32_MAX)
		r = emit(writer, BPF_ALU | BPF_AND | BPF_K, 0, 0, test->mask);
	place->loaded = (uint32_t)writer->len;
	if (r == 0 && place->needs_load)
		r = emit(writer, BPF_LD | BPF_W | BPF_ABS, 0, 0, 4u * test->word);
	place->entry = (uint32_t)writer->len;
	return r;
}

static int emit_node(struct writer *writer, seccomp_node at)
{
	const struct seccomp_graph_node *node = &writer->nodes[at];
	struct place *place = &writer->places[at];
	int r;

	if (node->test.word != RETURN)
		return emit_test(writer, node, place);
	r = emit(writer, BPF_RET | BPF_K, 0, 0, node->test.k);
	place->entry = (uint32_t)writer->len;
	return r;
}

static void want(struct writer *writer, seccomp_node at, uint8_t held)
{
	struct place *place = &writer->places[at];

	place->wanted = true;
	if (writer->nodes[at].test.word != held)
		place->needs_load = true;
}

/* A node's targets are older than itself: from the youngest on, all that come to a node are known before it. */
static int write_program(struct writer *writer, seccomp_node root)
{
	int r = 0;

	want(writer, root, NO_WORD);
	for (seccomp_node at = root + 1; at-- > 0;) {
		const struct seccomp_graph_node *node = &writer->nodes[at];

		if (!writer->places[at].wanted || node->test.word == RETURN)
			continue;
		want(writer, node->yes, held_after(&node->test));
		want(writer, node->no, held_after(&node->test));
	}
	for (seccomp_node at = 0; r == 0 && at <= root; at++)
		if (writer->places[at].wanted)
			r = emit_node(writer, at);
	return r;
}

int seccomp_graph_program(const struct seccomp_graph *graph, seccomp_node root, size_t most,
			  struct sock_filter **ret_code, size_t *ret_len)
{
	CLEANUP_FREE struct sock_filter *code = NULL;
	CLEANUP_FREE struct place *places = NULL;
	struct writer writer = {.nodes = graph->nodes, .most = most};
	int r;

	if (graph->error)
		return graph->error;
	code = malloc(most * sizeof(*code));
	places = calloc(root + 1, sizeof(*places));
	if (!code || !places)
		return -ENOMEM;
	writer.code = code;
	writer.places = places;
	r = write_program(&writer, root);
	if (r < 0)
		return r;
	memmove(code, code + (most - writer.len), writer.len * sizeof(*code));
	*ret_len = writer.len;
	*ret_code = take_ptr(code);
	return 0;
}
