/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the filter compiler: the search tree over the numbers of calls. */
#ifndef SANDBOX_SECCOMP_TREE_H
#define SANDBOX_SECCOMP_TREE_H

#include "sandbox/seccomp_graph.h"

#define SECCOMP_TREE_RANGES (2 * 0x410 + 2)

/* Ranges of numbers in their order, each up to the next one's first; neighbours differ in their node. */
struct seccomp_ranges {
	size_t count;
	struct seccomp_range {
		uint32_t first;
		seccomp_node node;
	} items[SECCOMP_TREE_RANGES];
};

/* Adds a range that begins at `first`; nothing when it goes on with the node of the last one. */
void seccomp_tree_add(struct seccomp_ranges *ranges, uint32_t first, seccomp_node node);

/*
 * The root of a tree that leads from the number of a call to its range's node with few tests: a number between others of
 * one range is tested for by itself, which saves one of two boundaries. -ENOMEM, or the graph's error.
 */
int seccomp_tree_build(const struct seccomp_ranges *ranges, struct seccomp_graph *graph,
		       seccomp_node *ret_root) MUST_CHECK;

#endif
