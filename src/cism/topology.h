/* SPDX-License-Identifier: Apache-2.0 */
/* topology.json: which CIS instance lies on which physical server. The platform's word, never the instance's. */
#ifndef CISM_TOPOLOGY_H
#define CISM_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TOPOLOGY_INSTANCES_MAX 65536
#define TOPOLOGY_LEFT_MAX 65536

struct topology_instance {
	char name[254];
	char server[254];
	char vm[254];        /* empty: none */
	char deployment[16]; /* BareMetal, Nested, Hybrid */
	uint64_t epoch;      /* of this mapping, at least 1 */
	bool off; /* the platform has powered it off: what was bound in earlier epochs has ended, nothing new comes */
};

/*
 * A server that an instance was moved away from. That the platform says so proves nothing about when its machine goes: what
 * was bound to it in this epoch or an earlier one may still run there.
 */
struct topology_left {
	char name[254]; /* of the instance */
	char server[254];
	uint64_t epoch; /* the last one in which the instance was there */
};

struct topology {
	uint64_t generation; /* of the whole, from 1; 0: not given */
	struct topology_instance *instances;
	size_t count;
	bool sorted;                        /* by name: what was parsed is */
	struct topology_instance *departed; /* as they were last, of those that are in it no longer */
	size_t departed_count;
	struct topology_left *left; /* sorted by name, then server; each once */
	size_t left_count;
};

/* Parses the text strictly. ERR_SYNTAX, ERR_INVALID with the field; two rows of one name are refused. */
int topology_parse(const char *text, size_t len, struct topology *ret_topology, struct err *err) MUST_CHECK;
void topology_done(struct topology *topology);

/* The same as text that topology_parse reads; freed by the caller, NULL without memory. */
char *topology_format(const struct topology *topology);

/*
 * Whether next may take the place of now: 1; 0 when it says the same; ERR_DENIED with why not. It must be of a higher
 * generation, or both have none and `alone` says that there is one source only. No instance goes back an epoch or is
 * elsewhere in the same one, also one that left and comes back; and one is powered off in a new epoch only.
 */
int topology_follows(const struct topology *now, const struct topology *next, bool alone, struct err *err) MUST_CHECK;

/* Has next remember what left: what departed before and is not back, and what `now` has and next has not. -ENOMEM. */
int topology_remember(struct topology *next, const struct topology *now, struct err *err) MUST_CHECK;

/*
 * Has next remember the servers that instances leave by it, with those of `now` for which `needed` says that somebody is
 * charged to the instance since that epoch or earlier. -ENOMEM; ERR_INVALID for more than TOPOLOGY_LEFT_MAX.
 */
int topology_leave(struct topology *next, const struct topology *now,
		   bool (*needed)(void *user, const struct topology_left *left), void *user,
		   struct err *err) MUST_CHECK;

/*
 * The servers that one bound to the instance in `epoch` may still run on, beside the one it was bound on and the one that the
 * instance is on now: call with *at 0 until it gives NULL.
 */
const char *topology_next_left(const struct topology *topology, const char *instance, uint64_t epoch, size_t *at);

const struct topology_instance *topology_find(const struct topology *topology, const char *instance);

#endif
