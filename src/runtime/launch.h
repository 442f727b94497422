/* SPDX-License-Identifier: Apache-2.0 */
/* The last steps of every process that enters a container, in an order that counts: confine, drop, filter, execute. */
#ifndef RUNTIME_LAUNCH_H
#define RUNTIME_LAUNCH_H

#include <sys/types.h>

#include "base/err.h"
#include "oci/spec.h"
#include "sandbox/seccomp.h"

/* Open files when config.json does not say: at most, and what a program has that does not ask for more. */
#define LAUNCH_FILES_HARD 65536
#define LAUNCH_FILES_SOFT 1024

struct launch {
	const struct spec_process *process;
	const char *path; /* executed instead of what the process's first argument names; NULL: that */
	const struct seccomp_program *filter;
	int preserve_fds; /* descriptors 3… that stay open */
	int channel;      /* to the command that starts the program */
	int apparmor;     /* as apparmor_open gives it, -1: no profile */
	/* Called last before the filter, with wait_for; NULL: nothing is to be waited for. */
	void (*wait)(int wait_for);
	int wait_for;
};

/*
 * Host side: refuses what could not be set later, raises hard limits, and sets schedule and OOM score of a process; 0:
 * this one. Of a process that somebody else waits for, pidfd stands for it (-1: its number is safe): it is looked at
 * before each thing that the kernel does by number alone. -ECONNRESET when it has ended.
 */
int launch_prepare(pid_t pid, int pidfd, const struct spec_process *process, struct err *err) MUST_CHECK;

/*
 * The filter of a spec within the floor under all profiles, or the built-in one, and within the ceiling (NULL: none): from the folder of kept filters, or
 * compiled (-1: there is no folder). The caller frees it.
 */
int launch_compile_filter(const struct spec *spec, const struct spec_process *process, int kept,
			  const struct spec_seccomp *ceiling, struct seccomp_program *ret_filter,
			  struct err *err) MUST_CHECK;

/* Enters the working folder (made when missing) and checks that it lies inside the root. */
int launch_enter_cwd(const struct spec_process *process, struct err *err) MUST_CHECK;

/* Inside the root, as its root: refuses a program that is not there or that nobody may execute. A look, no promise. */
int launch_check_program(const struct spec_process *process, struct err *err) MUST_CHECK;

/* Becomes the program. Returns only on error. Landlock, if any, is in force already. */
int launch_execute(const struct launch *launch, struct err *err) MUST_CHECK;

#endif
