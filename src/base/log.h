/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured log: one JSON object a line on standard error, {"time","level","part","msg",…}. Only daemons and commands
 * log, libraries return errors. A line is written by one write() and is at most LOG_LINE_MAX bytes; longer values are cut.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"

#define LOG_LINE_MAX 4096

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

/* Names the part that logs ("cism") and the least level written. The name is kept by reference. */
void log_init(const char *part, enum log_level least);

/* Writes a line: msg, then pairs of key and string value, ended by NULL. A NULL value is written as null. */
void log_event(enum log_level level, const char *msg, ...) __attribute__((sentinel));

#define log_debug(...) log_event(LOG_LEVEL_DEBUG, __VA_ARGS__, NULL)
#define log_info(...) log_event(LOG_LEVEL_INFO, __VA_ARGS__, NULL)
#define log_warn(...) log_event(LOG_LEVEL_WARN, __VA_ARGS__, NULL)
#define log_error(...) log_event(LOG_LEVEL_ERROR, __VA_ARGS__, NULL)

/* Writes msg with the error's message and hint under "error" and "hint". */
void log_failure(const char *msg, const struct err *err);

#endif
