/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls of the machine's own architecture by name. */
#ifndef SANDBOX_SYSCALLS_H
#define SANDBOX_SYSCALLS_H

/* One more than the highest number in the table. */
#define SYSCALLS_COUNT 470

/* The number of a system call, -1 when this architecture has none of that name. */
int syscalls_number(const char *name);

#endif
