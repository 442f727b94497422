/* SPDX-License-Identifier: Apache-2.0 */
/* topology.json: which CIS instance lies on which physical server. The platform's word, never the instance's. */
#ifndef CISM_TOPOLOGY_H
#define CISM_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TOPOLOGY_INSTANCES_MAX 65536

struct topology_instance {
	char name[254];
	char server[254];
	char vm[254];        /* empty: none */
	char deployment[16]; /* BareMetal, Nested, Hybrid */
	uint64_t epoch;      /* of this mapping, at least 1 */
	bool off; /* the platform has powered it off: what was bound in earlier epochs has ended, nothing new comes */
};

struct topology {
	uint64_t generation; /* of the whole, from 1; 0: not given */
	struct topology_instance *instances;
	size_t count;
	bool sorted;                        /* by name: what was parsed is */
	struct topology_instance *departed; /* as they were last, of those that are in it no longer */
	size_t departed_count;
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

const struct topology_instance *topology_find(const struct topology *topology, const char *instance);

#endif
