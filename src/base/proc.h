/* SPDX-License-Identifier: Apache-2.0 */
/* Child processes by pidfd, with nothing inherited that was not named. */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

struct proc_spec {
	const char *path;        /* absolute path of the program; no search */
	const char *const *argv; /* NULL-terminated */
	const char *const *envp; /* NULL-terminated; NULL for an empty environment */
	int in, out, error;      /* descriptors for 0, 1, 2; -1 for /dev/null */
	const int *keep;         /* further descriptors, handed over as 3, 4, … in this order */
	size_t keep_count;
	bool new_session;     /* setsid() */
	bool die_with_parent; /* SIGKILL when the calling thread ends */
};

struct proc {
	pid_t pid;
	int pidfd; /* close-on-exec; -1 when nothing runs */
};

/* Starts it. A failing exec is reported here, not by an exit status. The caller owns ret_proc->pidfd. */
int proc_spawn(const struct proc_spec *spec, struct proc *ret_proc, struct err *err) MUST_CHECK;

/* Waits at most timeout_ms (-1: for ever) and reaps; closes the pidfd. -ETIMEDOUT leaves it running. ret_status as of wait(2). */
int proc_wait(struct proc *proc, int timeout_ms, int *ret_status) MUST_CHECK;

/* Sends a signal through the pidfd. */
int proc_kill(const struct proc *proc, int signal) MUST_CHECK;

/*
 * Runs a program to its end: input (may be NULL) goes to its standard input, out and error (may be NULL: dropped) take
 * what it prints, bounded by their maxima (more is an error and ends it). Killed and -ETIMEDOUT after timeout_ms.
 * 0 when it exited with 0; otherwise -EREMOTEIO with its last line of standard error in the message.
 */
int proc_run(const char *path, const char *const *argv, const char *input, struct buf *out, struct buf *error,
	     int timeout_ms, struct err *err) MUST_CHECK;

/* Describes a status of wait(2) in words: "exit status 3", "signal 9 (Killed)". */
void proc_describe(char *to, size_t size, int status);

#endif
