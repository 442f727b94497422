/* SPDX-License-Identifier: Apache-2.0 */
/* The system calls of each architecture by name. The table is made by tools/make-syscalls. */
#ifndef SANDBOX_SYSCALLS_H
#define SANDBOX_SYSCALLS_H

#include <stdint.h>

/* What a kernel can take calls of. x32 has the audit architecture of x86-64 and numbers with a bit of their own. */
enum syscalls_abi { SYSCALLS_X86_64, SYSCALLS_X32, SYSCALLS_X86, SYSCALLS_AARCH64, SYSCALLS_ARM, SYSCALLS_ABIS };

#if defined(__x86_64__)
#define SYSCALLS_NATIVE SYSCALLS_X86_64
#elif defined(__aarch64__)
#define SYSCALLS_NATIVE SYSCALLS_AARCH64
#else
#error "there is no table of system calls for this architecture"
#endif

#define SYSCALLS_X32_BIT 0x40000000u

/*
 * A number as the table keeps it, less than SYSCALLS_CODES: ordinary numbers are themselves, those of arm's private range
 * follow. Codes are in the order of their numbers.
 */
#define SYSCALLS_CODES (0x400 + 0x10)

/* Names are known by their place in the table: less than syscalls_count(); -1 when there is no such name anywhere. */
int syscalls_find(const char *name);
int syscalls_count(void);
const char *syscalls_name(int index);

/* The code of a name in an architecture, -1 when it has none of that name. */
int syscalls_code(int index, enum syscalls_abi abi);

/* The number the kernel sees for a code. */
uint32_t syscalls_code_number(int code, enum syscalls_abi abi);

/* The number of a system call of the machine's own architecture, -1 when it has none of that name. */
int syscalls_number(const char *name);

#endif
