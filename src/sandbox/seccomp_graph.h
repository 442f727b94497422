/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the filter compiler: a graph of tests that share what is equal, and its program.
 *
 * A node tests one 32-bit word of struct seccomp_data and leads to one of two nodes made before it, or returns a value.
 * Equal nodes are one. Whoever makes a node says which words are known wherever control comes to it; tests that these,
 * or the test itself, decide are passed by.
 */
#ifndef SANDBOX_SECCOMP_GRAPH_H
#define SANDBOX_SECCOMP_GRAPH_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SECCOMP_GRAPH_WORDS (sizeof(struct seccomp_data) / 4)
#define SECCOMP_GRAPH_WORD(member) (offsetof(struct seccomp_data, member) / 4)

/* A node. Those of one graph are numbered from 0. */
typedef uint32_t seccomp_node;

/* Bit n of known: word n has the value. */
struct seccomp_facts {
	uint32_t known;
	uint32_t value[SECCOMP_GRAPH_WORDS];
};

struct seccomp_graph {
	struct seccomp_graph_node *nodes;
	uint32_t count;
	uint32_t cap;
	int error; /* negative errno once a node could not be made; what is made after that means nothing */
	uint32_t buckets[1024];
};

/* Empty; error is set without memory. Ends with seccomp_graph_done. */
void seccomp_graph_init(struct seccomp_graph *graph);
void seccomp_graph_done(struct seccomp_graph *graph);

seccomp_node seccomp_graph_return(struct seccomp_graph *graph, uint32_t value);

/* The test BPF_JEQ, BPF_JGE, BPF_JGT or BPF_JSET of (word & mask) against k. facts may be NULL. */
struct seccomp_test {
	uint8_t word;
	uint8_t op;
	uint32_t mask;
	uint32_t k;
};
seccomp_node seccomp_graph_test(struct seccomp_graph *graph, const struct seccomp_facts *facts,
				const struct seccomp_test *test, seccomp_node yes, seccomp_node no);

/*
 * The program that begins at a node, at most `most` instructions; the caller frees the code. -E2BIG when it is longer,
 * -ENOMEM, or the graph's error.
 */
int seccomp_graph_program(const struct seccomp_graph *graph, seccomp_node root, size_t most,
			  struct sock_filter **ret_code, size_t *ret_len) MUST_CHECK;

#endif
