/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A container's output as CRI log lines, "TIME STREAM TAG TEXT": tag F ends a line, P is a part of a longer one. The file
 * is set aside as FILE.1 when it reaches SUPERVISE_LOG_MAX, and the one set aside before is gone then. Of a container's
 * attempts the last two have their files: all its logs never take more than four times SUPERVISE_LOG_MAX.
 */
#ifndef RUNTIME_SUPERVISE_LOG_H
#define RUNTIME_SUPERVISE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define SUPERVISE_LOG_MAX (10u << 20)
#define SUPERVISE_LOG_PART 4096

struct supervise_log {
	char *path;
	int fd;
	uint64_t size;
};

struct supervise_stream {
	struct supervise_log *log;
	const char *name; /* "stdout" */
	int fd;           /* read end, not blocking; -1 when it has ended */
	size_t len;
	char line[SUPERVISE_LOG_PART]; /* what has no line end yet */
};

/* Opens FOLDER/NAME/ATTEMPT.log for appending, and removes attempts older than the one before. The folder is made. */
int supervise_log_open(struct supervise_log *log, const char *folder, const char *name, uint64_t attempt,
		       struct err *err) MUST_CHECK;
void supervise_log_close(struct supervise_log *log);

/*
 * Moves what is there from the stream to the log, at most 64 KiB at a time. False at the stream's end, when its last
 * unfinished line has been written and the descriptor is closed.
 */
bool supervise_log_pump(struct supervise_stream *stream);

#endif
