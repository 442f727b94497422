/* SPDX-License-Identifier: Apache-2.0 */
/* A process that runs in a container and is waited for: a child of this process, or one of the container's spawner. */
#ifndef RUNTIME_CHILD_H
#define RUNTIME_CHILD_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/err.h"

struct child {
	pid_t pid;
	int pidfd;   /* -1 for a child of this process */
	int session; /* where the spawner tells of its end, -1 for a child of this process, or when the spawner is gone */
	int first;   /* the container's first process, -1 for a child of this process */
};

/* No child. */
#define CHILD_NONE ((struct child){.pid = 0, .pidfd = -1, .session = -1, .first = -1})

/*
 * Whether it has ended; ret_status is then as of wait(2). SIGCHLD, or readiness of child_event, is when to ask. What ends
 * with its container was killed. -EOWNERDEAD when the spawner alone died before the child, which has ended now; to find
 * that out takes a moment.
 */
int child_ended(struct child *child, bool *ret_ended, int *ret_status, struct err *err) MUST_CHECK;

/* A descriptor that becomes readable when child_ended has news; -1 for a child of this process. It may change each time. */
int child_event(const struct child *child);

/* Sends it a signal; one that has ended takes none. */
void child_signal(const struct child *child, int number);

/* The exit status a command reports for a status of wait(2). */
int child_exit_status(int status);

/*
 * Writes a process's number to a file that callers wait for; nothing when path is NULL. After a crash of the machine it is
 * nobody's number any more, so nothing waits for the disk.
 */
int child_write_pid(const char *path, pid_t pid, struct err *err) MUST_CHECK;

/* Takes it away again: the process did not come to its program. */
void child_forget_pid(const char *path);

/* Closes the descriptors. */
void child_done(struct child *child);
#define CLEANUP_CHILD __attribute__((cleanup(child_done)))

#endif
