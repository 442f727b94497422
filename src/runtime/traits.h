/* SPDX-License-Identifier: Apache-2.0 */
/* How the machine schedules a process: policy, priority at the disks, processors; and what it takes the machine for. */
#ifndef RUNTIME_TRAITS_H
#define RUNTIME_TRAITS_H

#include <sys/types.h>

#include "base/err.h"
#include "oci/spec.h"

/* Host side: process.scheduler and process.ioPriority of a process; 0: this one. Its children have them too. */
int traits_schedule(pid_t pid, const struct spec_process *process, struct err *err) MUST_CHECK;

/* Moves a process to a list of processors ("0-3,7"); nothing when the list is NULL. field begins the error. */
int traits_move(pid_t pid, const char *processors, const char *field, struct err *err) MUST_CHECK;

/* Takes on linux.personality. */
int traits_personate(const struct spec_linux *spec, struct err *err) MUST_CHECK;

/* Leaves the session keyring of the caller behind for a new, empty one. */
int traits_new_keyring(struct err *err) MUST_CHECK;

#endif
