/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The drift check: the leader proves again and again, from ledger, topology and rules as they are, that what must be apart
 * is apart. What is not (a VM that moved, a rule that changed) is told in the log, as events of the pods and a condition of
 * the nodes, and evicted where the domain says so. PROVER_KEY has the last outcome for `bulkhead status`.
 */
#ifndef CISM_PROVER_H
#define CISM_PROVER_H

#include <jansson.h>

#include "cism/cism.h"

#define PROVER_KEY "/proof"
#define PROVER_CONDITION "Separated" /* of a Node: False with the sentence of what is wrong there */

int prover_start(struct cism *cism, struct prover **ret_prover, struct err *err) MUST_CHECK;
/* Waits for a proof under way. NULL is accepted. */
void prover_stop(struct prover *prover);

/* The last proof (PROVER_KEY) with its age in "ageSeconds"; ERR_NOT_FOUND before the first. A new reference. */
int prover_last(struct cism *cism, json_t **ret_proof, struct err *err) MUST_CHECK;

#endif
