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
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "oci/spec.h"

#define SECCOMP_PROGRAM_MAX 4096 /* BPF_MAXINSNS */

struct seccomp_program {
	struct sock_filter *code;
	size_t len;
	unsigned int flags; /* SECCOMP_FILTER_FLAG_* asked for by the profile */
	bool notifies;      /* some calls ask a listener */
};

/* Compiles; errors name the field of the profile. The caller frees with seccomp_program_done. */
int seccomp_compile(const struct spec_seccomp *profile, struct seccomp_program *ret_program,
		    struct err *err) MUST_CHECK;
void seccomp_program_done(struct seccomp_program *program);

/*
 * The floor under every profile that is not the runtime's own: what a container does not get whatever its config.json
 * says, unless a capability or a grant opens it. Sockets are unix, inet, inet6 and netlink route only, none of them raw
 * (CAP_NET_RAW opens raw ones and packet). No io_uring, no keyrings, no bpf (CAP_BPF opens it), no ptrace and no memory or descriptors of other
 * processes (CAP_SYS_PTRACE), no user namespace may be made; clone3, whose flags no filter sees, fails with ENOSYS, and
 * the C library falls back to clone.
 */
enum seccomp_grant {
	SECCOMP_GRANT_SOCKETS = 1 << 0,         /* every family and protocol */
	SECCOMP_GRANT_IO_URING = 1 << 1,        /* io_uring_* */
	SECCOMP_GRANT_KEYRINGS = 1 << 2,        /* add_key, keyctl, request_key */
	SECCOMP_GRANT_BPF = 1 << 3,             /* bpf */
	SECCOMP_GRANT_PTRACE = 1 << 4,          /* ptrace, process_vm_readv, process_vm_writev, pidfd_getfd */
	SECCOMP_GRANT_USER_NAMESPACES = 1 << 5, /* clone and unshare with CLONE_NEWUSER, clone3 */
	SECCOMP_GRANT_FOREIGN = 1 << 6,         /* the architectures that the profile names beside the machine's own */
	SECCOMP_GRANT_X32 = 1 << 7, /* x32, when the profile names it: engines do, and kernels are without it */
};

struct seccomp_floor {
	uint64_t capabilities;              /* the bounding set of the process */
	uint32_t granted;                   /* enum seccomp_grant */
	const struct spec_seccomp *ceiling; /* no value is looser than this profile's; NULL: no ceiling */
};

/*
 * Compiles a profile within the floor: one program, in which each call gets the strictest of what the profile, the floor
 * and the ceiling say about it. The caller frees with seccomp_program_done.
 */
int seccomp_compile_within(const struct spec_seccomp *profile, const struct seccomp_floor *floor,
			   struct seccomp_program *ret_program, struct err *err) MUST_CHECK;

/*
 * Whether a profile stays within the ceiling by itself: ERR_DENIED "linux.seccomp: the profile allows more of 'NAME' than
 * the ceiling" for the first call, by number, that seccomp_compile_within would have to narrow. A call with conditions on
 * both sides that are not the same counts as more. The floor is not looked at.
 */
int seccomp_check_ceiling(const struct spec_seccomp *profile, const struct spec_seccomp *ceiling,
			  struct err *err) MUST_CHECK;

/*
 * Compiles the built-in profile, within the ceiling of the floor: what ordinary programs need. No io_uring, keyrings, bpf,
 * ptrace, mounts or module loading unless a capability opens them, no namespace may be made or joined, and sockets are
 * unix, inet, inet6 and netlink route only, none of them raw (CAP_NET_RAW opens raw ones and packet). The machine's own architecture alone, and of the
 * grants none counts. The caller frees with seccomp_program_done.
 */
int seccomp_default(const struct seccomp_floor *floor, struct seccomp_program *ret_program, struct err *err) MUST_CHECK;

/*
 * Installs the filter for the calling thread, for good. A program that notifies leaves the listener's descriptor in
 * *ret_listener, close-on-exec; NULL for a program that does not.
 */
int seccomp_install(const struct seccomp_program *program, int *ret_listener, struct err *err) MUST_CHECK;

#endif
