/* SPDX-License-Identifier: Apache-2.0 */
/* The placement loop: whenever pods, nodes, namespaces, domains or the ledger change, every unbound pod is decided about. */
#ifndef CISM_PLACER_H
#define CISM_PLACER_H

#include "cism/cism.h"

int placer_start(struct cism *cism, struct placer **ret_placer, struct err *err) MUST_CHECK;
/* Waits for a decision under way. NULL is accepted. */
void placer_stop(struct placer *placer);

#endif
