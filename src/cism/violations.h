/* SPDX-License-Identifier: Apache-2.0 */
/* What is done about pods that must be apart and are not. */
#ifndef CISM_VIOLATIONS_H
#define CISM_VIOLATIONS_H

#include "cism/charges.h"
#include "policy/drift.h"

/* Whether an array of findings (as the proof has them) has this one. */
bool violations_has(const json_t *findings, const json_t *finding);

/*
 * Tells what is new since `before` (NULL: everything) as events of the pods, in words that name nothing of others, and
 * sets the condition of the nodes. By the leader; best effort: a failure is logged and tried again with the next proof.
 */
void violations_tell(struct cism *cism, const json_t *before, const json_t *findings);

/*
 * Asks the pods to end that a domain says are to be evicted: of the two sides the one whose instance moved, or else the one
 * found first. They are charged until their stop is confirmed.
 */
void violations_evict(struct cism *cism, const struct policy_drift *drift, const struct charges *charges,
		      const struct policy_domains *domains);

#endif
