/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The threads that wait for the store, so that the server's own never do: however slow the store is, probes are answered
 * and connections served.
 */
#ifndef CISM_WORKERS_H
#define CISM_WORKERS_H

#include "cism/call.h"

int workers_start(struct workers **ret_workers, struct err *err) MUST_CHECK;
/* Ends what waits and what runs; nothing begins any more. Before the server stops. NULL is accepted. */
void workers_stop(struct workers *workers);
/* After the server has stopped. NULL is accepted. */
void workers_free(struct workers *workers);

/*
 * Parks the call's request and has one of the threads run work, which answers, or sets call->finish: that is called in a
 * thread of the server then, for what only it can begin (streams, further parking). Answers the call with ERR_BUSY when too
 * many wait already.
 */
void workers_run(struct workers *workers, struct call *call, void (*work)(struct call *call));

#endif
