/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listener of a filter that asks an agent (SCMP_ACT_NOTIFY): made by the process that the filter is for, handed to
 * the command that starts it, and by that to the agent behind linux.seccomp.listenerPath, as the runtime specification
 * says under "Container process state".
 */
#ifndef RUNTIME_NOTIFY_H
#define RUNTIME_NOTIFY_H

#include "runtime/attend.h"
#include "runtime/state.h"
#include "sandbox/seccomp.h"

/*
 * Installs the filter for the calling process and returns when the agent has the listener. From the filter on, this
 * process makes no system call until then: any of them may be one that waits for the agent. A second thread, which the
 * filter does not bind, does the talking over the channel; when that fails it ends the process, and the other side of the
 * channel knows why. Without an answer to ask for it is seccomp_install.
 */
int notify_install(const struct seccomp_program *filter, int channel, struct err *err) MUST_CHECK;

/*
 * The other side: waits for the channel's end, which is the program's execution (0), or an error, and passes a listener
 * that comes on to the agent. The process is the one that the filter binds; it is attended to unless its pidfd is -1.
 * Errors of the agent name config.json's field.
 */
int notify_wait(const struct state *state, const struct attend *process, enum state_status status, int channel,
		struct err *err) MUST_CHECK;

#endif
