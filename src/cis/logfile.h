/* SPDX-License-Identifier: Apache-2.0 */
/* A container's log as its readers want it: the lines of one run, out of the file and the one that was rotated away. */
#ifndef CIS_LOGFILE_H
#define CIS_LOGFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

struct logfile_options {
	bool follow;
	bool timestamps;
	bool previous;    /* the run before the newest */
	int64_t tail;     /* lines from the end; -1: all */
	int64_t since_ms; /* wall clock; 0: all */
	int64_t limit;    /* bytes; -1: all */
};

struct logfile;

/*
 * Opens the log of a container in its folder (…/logs/NAME with ATTEMPT.log and ATTEMPT.log.1). ERR_NOT_FOUND when there is
 * no such run.
 */
int logfile_open(const char *folder, const struct logfile_options *options, struct logfile **ret_log,
		 struct err *err) MUST_CHECK;
void logfile_close(struct logfile *log);
CLEANUP_DEFINE(logfile, struct logfile *, logfile_close)

/* Which run it is. */
uint64_t logfile_attempt(const struct logfile *log);

/*
 * Fills `to` with what comes next and returns how many bytes; 0 at the end, or, when it follows and the run goes on, -EAGAIN.
 * ended says that the run is over: what is there is read, then comes the end.
 */
ssize_t logfile_read(struct logfile *log, char *to, size_t size, bool ended) MUST_CHECK;

#endif
