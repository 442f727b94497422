/* SPDX-License-Identifier: Apache-2.0 */
/* What the instance must not forget: the newest mapping epoch it was told, and the pods that have finished here. */
#ifndef CIS_NODESTATE_H
#define CIS_NODESTATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define NODESTATE_FINISHED_MAX 100000

struct nodestate_finished {
	char *uid;
	int64_t until_ms; /* as long as a ticket of it could still be valid */
	bool confirmed;   /* the CISM knows that it stopped */
};

struct nodestate {
	char *path;
	uint64_t epoch; /* of the newest ticket accepted; 0: none */
	char *server;   /* of that epoch; NULL */
	struct nodestate_finished *finished;
	size_t count;
};

/* Reads the file at path; a missing one is empty. The caller calls nodestate_done. A malformed one is an error: it is never forgotten. */
int nodestate_load(const char *path, struct nodestate *state, struct err *err) MUST_CHECK;
void nodestate_done(struct nodestate *state);

/* Notes the mapping of an accepted ticket, on disk when it returns. */
int nodestate_accept(struct nodestate *state, uint64_t epoch, const char *server, struct err *err) MUST_CHECK;

/* Notes that a pod has finished for good, on disk when it returns. Forgets those confirmed and past their time. */
int nodestate_finish(struct nodestate *state, const char *uid, int64_t until_ms, int64_t now_ms,
		     struct err *err) MUST_CHECK;

/* Notes that the CISM knows. */
int nodestate_confirm(struct nodestate *state, const char *uid, struct err *err) MUST_CHECK;

bool nodestate_has_finished(const struct nodestate *state, const char *uid);

/* The uids, borrowed, in an array the caller frees; NULL without memory. */
const char **nodestate_uids(const struct nodestate *state);

#endif
