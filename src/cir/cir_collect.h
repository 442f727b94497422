/* SPDX-License-Identifier: Apache-2.0 */
/* Collecting what nothing needs, while the registry serves. */
#ifndef CIR_CIR_COLLECT_H
#define CIR_CIR_COLLECT_H

#include <stdatomic.h>

#include "cir/cir_files.h"

struct cir_collected {
	uint64_t marks;    /* that repositories let go */
	uint64_t contents; /* removed */
	uint64_t bytes;    /* of them */
	uint64_t damaged;  /* repositories that keep everything because a manifest of theirs cannot be read */
};

/*
 * One run. A repository lets a blob go that none of its manifests names and that is older than the grace (cir_guard.h);
 * contents go when no repository holds them and no manifest anywhere names them. Manifests go by deletion alone. Killed at
 * any point it leaves a registry that is whole. Ends early, with 0, once *stop. An error of the disk ends it before anything
 * goes that might be needed.
 */
int cir_collect(const struct cir_files *files, const _Atomic bool *stop, struct cir_collected *ret_collected,
		struct err *err) MUST_CHECK;

#endif
