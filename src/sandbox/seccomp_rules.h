/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the filter compiler: what the rules of one or several profiles mean for a call, as a node of the graph. */
#ifndef SANDBOX_SECCOMP_RULES_H
#define SANDBOX_SECCOMP_RULES_H

#include "oci/spec.h"
#include "sandbox/seccomp_graph.h"
#include "sandbox/syscalls.h"

/* A profile with its names looked up, and sorted by the calls of one architecture at a time. */
struct seccomp_rules;

/* NULL without memory. The profile must outlive it. */
struct seccomp_rules *seccomp_rules_new(const struct spec_seccomp *profile);
void seccomp_rules_free(struct seccomp_rules *rules);

/* Sorts for an architecture. -ENOMEM. */
int seccomp_rules_sort(struct seccomp_rules *rules, enum syscalls_abi abi) MUST_CHECK;

/* The stricter of two values of SECCOMP_RET_*, the first of two that are equally strict. */
uint32_t seccomp_rules_stricter(uint32_t a, uint32_t b);

/*
 * The node that gives for this code the strictest of what the profiles say, each sorted for the same architecture. A code
 * that no table knows is -1.
 */
seccomp_node seccomp_rules_node(struct seccomp_rules *const *profiles, size_t count, struct seccomp_graph *graph,
				enum syscalls_abi abi, int code);

/* The highest code that any rule of the profiles is about, -1 for none. */
int seccomp_rules_top(struct seccomp_rules *const *profiles, size_t count);

#endif
