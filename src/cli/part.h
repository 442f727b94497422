/* SPDX-License-Identifier: Apache-2.0 */
/* The daemons of this machine: which program, is it ours, start, stop. */
#ifndef CLI_PART_H
#define CLI_PART_H

#include <stdbool.h>
#include <stdint.h>

#include "base/paths.h"

struct part {
	const char *name;    /* "cism" */
	const char *program; /* "bulkhead-cism" */
	const char *what;    /* for people */
	unsigned start_ms;   /* how long it may take to be ready */
	unsigned stop_ms;    /* how long it may take to end before it is killed */
};

/* In the order they start. */
#define PART_COUNT 3
extern const struct part part_rows[PART_COUNT];

/* A running daemon, proven to be the one `up` started. */
struct part_process {
	int pid;
	int pidfd;            /* -1: it does not run */
	uint64_t start_ticks; /* since boot, of /proc/PID/stat */
};

/*
 * Finds the daemon by its pid file. What stands there is believed only if that process started at the noted time and runs
 * the program: ids are used again. pidfd is -1 when none runs.
 */
int part_find(const struct paths *paths, const struct part *part, struct part_process *ret_process,
	      struct err *err) MUST_CHECK;

/* The absolute path of one of our programs: BULKHEAD_LIBEXEC, beside this one, in the build tree, /usr/bin. ERR_NOT_FOUND. */
int part_program(const char *program, char to[static PATHS_MAX], struct err *err) MUST_CHECK;

/*
 * Starts it detached, its log appended to var/lib/bulkhead/log, and waits until it says that it serves. When it does not,
 * the error holds what it logged last. ret_ms is how long it took.
 */
int part_start(const struct paths *paths, const char *root, const struct part *part, uint64_t *ret_ms,
	       struct err *err) MUST_CHECK;

/* As part_start, unless it runs already; says on standard output what is done. */
int part_up(const struct paths *paths, const char *root, const struct part *part, struct err *err) MUST_CHECK;

/* Ends it: SIGTERM, and SIGKILL after its time (ret_killed). Takes the process' pidfd. */
int part_stop(const struct paths *paths, const struct part *part, struct part_process *process, bool *ret_killed,
	      struct err *err) MUST_CHECK;

/* Removes the pid file of a daemon that does not run. */
int part_forget(const struct paths *paths, const struct part *part, struct err *err) MUST_CHECK;

/* Keeps other `up` and `down` of the same root away while the descriptor is open. ERR_BUSY. */
int part_lock(const struct paths *paths, int *ret_fd, struct err *err) MUST_CHECK;

#endif
