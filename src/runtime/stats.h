/* SPDX-License-Identifier: Apache-2.0 */
/* What a container uses, in the shape that callers of `events` know, and word of its kills for memory. */
#ifndef RUNTIME_STATS_H
#define RUNTIME_STATS_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "sandbox/cgroup.h"

/* Reads all counters of an open group. Controllers that are not there leave zeros. The caller owns it; NULL without memory. */
json_t *stats_read(struct cgroup *cgroup);

struct stats_oom {
	int fd;     /* readable when something happened; -1: nothing can be heard of */
	int legacy; /* the version 1 file that is watched, -1 on version 2 */
	uint64_t kills;
};

/* Begins to watch for kills for memory. Without a memory controller nothing will be heard of, which is no error. */
int stats_oom_open(struct stats_oom *oom, struct cgroup *cgroup, struct err *err) MUST_CHECK;
void stats_oom_close(struct stats_oom *oom);

/* After fd became readable: whether memory ran out since the last call. */
bool stats_oom_happened(struct stats_oom *oom, struct cgroup *cgroup);

#endif
