/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles a system call profile to a classic BPF filter shaped as a tree of number ranges, so that loading it and every
 * call cost the logarithm and not the length of the list.
 *
 * What decides for a call: its rules with argument conditions in their order (the first whose conditions all hold), else
 * its rule without conditions (the last of several), else the default action. Conditions of one rule that name the same
 * argument twice are alternatives. Rules for names this architecture does not have are passed over. Calls of a foreign
 * architecture kill the process; calls by x32 numbers fail with ENOSYS.
 */
#ifndef SANDBOX_SECCOMP_H
#define SANDBOX_SECCOMP_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "oci/spec.h"

#define SECCOMP_PROGRAM_MAX 4096 /* BPF_MAXINSNS */

struct seccomp_program {
	struct sock_filter *code;
	size_t len;
	unsigned int flags; /* SECCOMP_FILTER_FLAG_* asked for by the profile */
};

/* Compiles; errors name the field of the profile. The caller frees with seccomp_program_done. */
int seccomp_compile(const struct spec_seccomp *profile, struct seccomp_program *ret_program,
		    struct err *err) MUST_CHECK;
void seccomp_program_done(struct seccomp_program *program);

/*
 * Compiles the built-in profile for a process that holds these capabilities: what ordinary programs need. No io_uring,
 * keyrings, bpf, ptrace, mounts or module loading, no namespace may be made or joined, and sockets are unix, inet, inet6
 * and netlink route only (packet with CAP_NET_RAW). The caller frees with seccomp_program_done.
 */
int seccomp_default(uint64_t capabilities, struct seccomp_program *ret_program, struct err *err) MUST_CHECK;

/* Installs the filter for the calling thread, for good. */
int seccomp_install(const struct seccomp_program *program, struct err *err) MUST_CHECK;

#endif
