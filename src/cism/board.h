/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the placement knows of the cluster, kept up to date from the store's watches: the scheduler of policy/, the pods that
 * wait, and of everything a bind compares the value and the revision. It may be behind the store, never ahead of it: what it
 * says is right when the transaction that compares the revisions holds.
 */
#ifndef CISM_BOARD_H
#define CISM_BOARD_H

#include "cism/bindfacts.h"
#include "cism/ledger.h"
#include "policy/schedule.h"

struct board;

int board_new(struct cism *cism, struct board **ret_board, struct err *err) MUST_CHECK;
void board_free(struct board *board); /* NULL is accepted */

/* Everything below is for who holds the lock. */
void board_lock(struct board *board);
void board_unlock(struct board *board);

/* ready(user) is called from the store's thread when there may be something new; NULL: nobody is. */
void board_wakes(struct board *board, void (*ready)(void *user), void *user);

/* Takes in what happened; where that cannot be known any more, everything is read anew. */
int board_follow(struct board *board, struct err *err) MUST_CHECK;
/* Goes up with everything that is taken in and may matter to pods that wait. */
uint64_t board_changes(const struct board *board);

struct schedule *board_schedule(struct board *board);
/* Whether there are ImagePolicies: binding then asks registries. */
bool board_has_image_policies(const struct board *board);
/* A waiting pod by its namespace and name; NULL: it does not wait (any more). */
struct board_pod *board_find(struct board *board, const char *namespace, const char *name);
/* Whether a pod is charged to another server than its instance is on: such binds compare more than the board knows. */
bool board_has_moved(const struct board *board);

/* A value and its revision, as last heard of; json NULL and revision 0: there is none. Borrowed. */
struct board_value {
	json_t *json;
	uint64_t revision;
};
struct board_value board_value(const struct board *board, const char *key);
/* What a transaction of this process has just written; json NULL: it is gone. A new reference is taken. */
int board_wrote(struct board *board, const char *key, json_t *json, uint64_t revision) MUST_CHECK;

/* A pod that waits to be placed. */
struct board_pod {
	json_t *json; /* with metadata.resourceVersion */
	uint64_t revision;
	int64_t priority;
	uint64_t seen_ns; /* when this process heard of it first */
	bool own;         /* it was created through this replica */
	/* The placer's: */
	uint64_t tried;    /* board_changes() when it was last tried */
	uint64_t tried_ns; /* and when */
	bool later;        /* something outside did not answer */
	bool busy;         /* a thread is about it, */
	bool telling;      /* to say why it is nowhere to be put */
	uint64_t asked_ns; /* since when it waits to be told why it is nowhere; 0: it does not */
	bool singly;       /* it could not be bound with others */
	unsigned taken;    /* how often that was tried */
};
/* Those that wait, the most urgent first, then the oldest; the caller frees the list. NULL without memory. */
struct board_pod **board_waiting(struct board *board, size_t *ret_count);
/* A pod was created through this replica: it is the first to place it. Takes no lock of the board. */
void board_own(struct board *board, const char *uid);

/*
 * What a bind of the pod rests on, from the board: everything but nodes and ledger. ERR_NOT_FOUND without its namespace. The
 * domain is borrowed from the scheduler.
 */
int board_facts(struct board *board, const struct board_pod *pod, struct bindfacts *ret_facts,
		struct err *err) MUST_CHECK;
/*
 * What the scheduler says of an instance for the pod of the facts.
 * SCHEDULE_NOT_READY for an instance that the board does not know yet.
 */
int board_judge(struct board *board, const struct bindfacts *facts, const char *instance,
		struct schedule_verdict *ret_verdict, struct err *err) MUST_CHECK;
/* Sets whether the decision is tied, and to what. */
void board_tie(struct board *board, struct bindfacts *facts);
/* What the pod of the facts is like to the scheduler. */
int board_shape(struct board *board, const struct bindfacts *facts, uint32_t *ret_shape, struct err *err) MUST_CHECK;
/* Charges a pod that this process has bound, or takes that back. */
int board_charge(struct board *board, const struct ledger_holder *holder, uint32_t shape) MUST_CHECK;
void board_discharge(struct board *board, const char *uid);

#endif
