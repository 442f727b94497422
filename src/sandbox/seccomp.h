/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles system call profiles to a classic BPF filter shaped as a tree of number ranges, so that loading it and every
 * call cost the logarithm and not the length of the list.
 *
 * What decides for a call: its rules with argument conditions in their order (the first whose conditions all hold), else
 * the strictest of its rules without conditions (the first of two that are equally strict), else the default action.
 * Strictness is the kernel's own order of actions. Conditions of one rule that name the same argument twice are
 * alternatives. Rules for names an architecture does not have are passed over. Numbers that no table knows get the
 * default action: what a later kernel makes of them is not allowed today.
 *
 * Architectures: the machine's own always, others when the profile's list names them; x86-64, x32, x86, aarch64 and arm
 * have tables, further names of libseccomp are taken and stand for calls that no kernel below this program takes. Calls
 * of an architecture that is not granted kill the process; x32 numbers then fail with ENOSYS. On x86 rules for socket or
 * System V calls also decide about socketcall and ipc with that call, behind rules for these two with conditions: there
 * the arguments are out of sight, and a rule with conditions counts as if they held if that is stricter than the default
 * action, else not at all.
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
