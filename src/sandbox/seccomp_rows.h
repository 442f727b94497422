/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the built-in profile and the floor: rules as rows of a table. */
#ifndef SANDBOX_SECCOMP_ROWS_H
#define SANDBOX_SECCOMP_ROWS_H

#include "sandbox/seccomp.h"

/* The kernel looks at the low word alone of what it takes as an int. */
#define SECCOMP_LOW(i, wanted)                                                                \
	{                                                                                     \
		.index = i, .value = UINT32_MAX, .value_two = wanted, .op = SPEC_OP_MASKED_EQ \
	}
#define SECCOMP_NONE_OF(i, flags)                                                   \
	{                                                                           \
		.index = i, .value = flags, .value_two = 0, .op = SPEC_OP_MASKED_EQ \
	}

struct seccomp_row {
	const char *name;
	int error;      /* what the call fails with; 0: it is allowed */
	int capability; /* the row counts only with this capability; -1: always */
	size_t count;   /* conditions that all must hold */
	struct spec_seccomp_arg conditions[2];
};

/* The families of sockets that may be made, for every profile. */
#define SECCOMP_SOCKET_ROWS 13
extern const struct seccomp_row seccomp_rows_sockets[SECCOMP_SOCKET_ROWS];

/* Whether a set has a capability; every set has -1. */
static inline bool seccomp_rows_holds(uint64_t capabilities, int capability)
{
	return capability < 0 || (capabilities >> capability & 1);
}

/* Writes a rule for each row that counts; returns how many. The rules point into the rows. */
size_t seccomp_rows_add(struct spec_seccomp_rule *rules, const struct seccomp_row *rows, size_t count,
			uint64_t capabilities);

/* Which architectures may call under a profile: bit n is enum syscalls_abi n. */
int seccomp_read_architectures(const struct spec_seccomp *profile, uint32_t *ret_abis, struct err *err) MUST_CHECK;

/*
 * Compiles up to SECCOMP_PROFILES_MAX profiles to one program that gives the strictest of their values. Flags and
 * architectures are those of the first, as far as they are granted (enum seccomp_grant). Errors are worded for the first,
 * the rest must be well-formed.
 */
#define SECCOMP_PROFILES_MAX 3
int seccomp_compile_all(const struct spec_seccomp *const *profiles, size_t count, uint32_t granted,
			struct seccomp_program *ret_program, struct err *err) MUST_CHECK;

#endif
