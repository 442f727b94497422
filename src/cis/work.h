/* SPDX-License-Identifier: Apache-2.0 */
/* Threads for what blocks: a job runs in one of them, its end is told in the loop's thread. */
#ifndef CIS_WORK_H
#define CIS_WORK_H

#include "base/loop.h"

struct work;

typedef void (*work_fn)(void *user);

/* Starts a pool. */
int work_new(struct loop *loop, unsigned threads, struct work **ret_work, struct err *err) MUST_CHECK;

/* Queues run(user) for a thread; then done(user) is called in the loop's thread, always, unless the pool is freed first. -ENOMEM. */
int work_submit(struct work *work, work_fn run, work_fn done, void *user) MUST_CHECK;

/* Waits for the jobs that run and drops those that wait. NULL is accepted. */
void work_free(struct work *work);

#endif
