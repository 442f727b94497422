/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many bindings in one transaction, decided on the board. It compares what every decision in it rests on, so that it holds as a
 * whole or not at all; then its pods are decided about one by one (binder.h). Only what needs no registry and no explanation is
 * bound so.
 */
#ifndef CISM_BINDMANY_H
#define CISM_BINDMANY_H

#include "cism/board.h"

struct bindmany;

enum bindmany_outcome {
	BINDMANY_TAKEN,
	BINDMANY_FULL,    /* what was taken has to be bound first */
	BINDMANY_SINGLY,  /* it is for binder_decide() to bind it */
	BINDMANY_NOWHERE, /* it is for binder_decide() to say why not, unless something changes first */
};

/* For who holds the board's lock, until the end. */
int bindmany_new(struct cism *cism, struct board *board, struct bindmany **ret_many, struct err *err) MUST_CHECK;
void bindmany_free(struct bindmany *many); /* NULL is accepted; what is not bound is taken back */

/* Decides about a pod; errors are faults of this service. */
int bindmany_take(struct bindmany *many, const struct board_pod *pod, enum bindmany_outcome *ret_outcome,
		  struct err *err) MUST_CHECK;
size_t bindmany_count(const struct bindmany *many);
/* Binds what was taken. ERR_CONFLICT: nothing was bound, and all of it is to be bound singly. */
int bindmany_bind(struct bindmany *many, struct err *err) MUST_CHECK;

#endif
