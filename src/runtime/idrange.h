/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ranges of user and group ids for the user namespaces this runtime adds: each container's own, machine-wide, whatever
 * its state folder is. A range is noted below /run/bulkhead under a lock, and taken as long as the state folder of the
 * container it was given to is there or its process lives.
 */
#ifndef RUNTIME_IDRANGE_H
#define RUNTIME_IDRANGE_H

#include <stdint.h>

#include "runtime/state.h"

#define IDRANGE_FOLDER "/run/bulkhead/runtime-ids"
#define IDRANGE_IDS 65536

struct idrange_pool {
	uint32_t first_uid;
	uint32_t first_gid;
	uint32_t count; /* of ranges of IDRANGE_IDS ids */
};

/* What /etc/subuid and /etc/subgid give to a name. -ENOENT when one of them gives nothing or less than a range. */
int idrange_subordinate(const char *name, struct idrange_pool *ret_pool) MUST_CHECK;

/* Takes a range of the pool for a container whose state folder is there. -EUSERS when all are in use. */
int idrange_take(const struct idrange_pool *pool, const struct state *state, uint32_t *ret_uid, uint32_t *ret_gid,
		 struct err *err) MUST_CHECK;

/*
 * Notes the container's process with its range, which is then in use as long as that lives, also where the state folder is
 * not in sight.
 */
int idrange_note_process(const struct state *state, struct err *err) MUST_CHECK;

/* Forgets the container's range, if it has one: its processes are gone. */
void idrange_release(const struct state *state);

#endif
