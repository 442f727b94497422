/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime's own program file, kept from being written by a container that has its owner inside: it could reach it
 * as /proc/PID/exe of a process on its way in, or by having itself executed through a script.
 */
#ifndef RUNTIME_EXECUTABLE_H
#define RUNTIME_EXECUTABLE_H

#include <stdbool.h>

#include "base/err.h"
#include "sandbox/idmap.h"

/*
 * Returns 0 when the process runs from a write-protected mount already; else executes the same command line again from a
 * detached, write-protected view of the program, without a copy of it. argv NULL: ERR_INVALID instead. An ordinary user,
 * whose rights do not outlast an execution, rests on Landlock instead, and is refused where the kernel has none.
 */
int executable_protect(char *const *argv, struct err *err) MUST_CHECK;

/*
 * Whether a container with these maps could write to the program if it got at it: its owner or its group has a number
 * inside, or anybody may write to it.
 */
bool executable_is_exposed(const struct idmap *uids, const struct idmap *gids);

#endif
