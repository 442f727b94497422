/* SPDX-License-Identifier: Apache-2.0 */
/* The one place where a daemon gives up being root. */
#ifndef BASE_PRIVILEGE_H
#define BASE_PRIVILEGE_H

#include <sys/types.h>

#include "base/err.h"

/* The unprivileged parts. Each runs as the system user of its name, or as a fixed id when no such user exists. */
enum privilege_part { PRIVILEGE_CISM, PRIVILEGE_CIR, PRIVILEGE_INGEST, PRIVILEGE_KEYS, PRIVILEGE_VIEW };

/* The uid (and gid of the same number or the user's primary group) a part runs as. */
void privilege_ids(enum privilege_part part, uid_t *ret_uid, gid_t *ret_gid);

/*
 * Becomes that user for good: groups dropped, gid and uid set, every capability cleared from all sets, no_new_privs,
 * not dumpable. Does only the last two when the process is not root. Verifies that root cannot be regained.
 */
int privilege_drop(enum privilege_part part, struct err *err) MUST_CHECK;

#endif
