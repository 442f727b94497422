/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a process on its way to its program, which a container may stop or end, and whoever called may give up. */
#ifndef RUNTIME_ATTEND_H
#define RUNTIME_ATTEND_H

#include <sys/types.h>

#include "base/err.h"

struct attend {
	pid_t pid;
	int pidfd;   /* of the process, which exists */
	int signals; /* where signals to this process arrive, as commands_hold_signals gives it; -1: they act */
};

/*
 * Waits until the channel (-1: none) has something, or its end, to tell, or the process has ended: 0. A signal that ends
 * programs, and a process that stays stopped by one, end the wait: -EINTR or -ETIMEDOUT, after SIGKILL to the process.
 * Other signals are passed on to it.
 */
int attend_channel(const struct attend *attend, int channel, struct err *err) MUST_CHECK;

#endif
