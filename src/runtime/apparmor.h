/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AppArmor: the profile a process changes to when it executes its program. The kernel's file for that is opened through
 * the machine's own /proc, while that is still in sight, and written to last of all.
 */
#ifndef RUNTIME_APPARMOR_H
#define RUNTIME_APPARMOR_H

#include "base/err.h"

/*
 * Opens the file for the calling thread. proc is a descriptor of the machine's /proc. *ret_fd stays as it is when there is
 * no profile to change to. The error names config.json's field when the kernel has no AppArmor.
 */
int apparmor_open(int proc, const char *profile, int *ret_fd, struct err *err) MUST_CHECK;

/*
 * The same in the container's root, for a process that sees no other: through the procfs of its /proc, to which no link
 * and no mount may lead.
 */
int apparmor_open_inside(int root, const char *profile, int *ret_fd, struct err *err) MUST_CHECK;

/* Asks for the profile; nothing when fd is negative. */
int apparmor_set(int fd, const char *profile, struct err *err) MUST_CHECK;

#endif
