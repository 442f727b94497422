/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands share. */
#ifndef RUNTIME_COMMANDS_COMMON_H
#define RUNTIME_COMMANDS_COMMON_H

#include "base/buf.h"
#include "base/options.h"
#include "runtime/bounds.h"
#include "runtime/child.h"
#include "runtime/commands.h"
#include "runtime/state.h"

/* Parses a command's own options; arguments as those of options_parse. Returns 1 after --help. */
int commands_parse(const char *program, const char *summary, const char *operands, int least, int most,
		   const struct option_row *rows, size_t count, int argc, char **argv, int *ret_first,
		   struct err *err) MUST_CHECK;

/* Opens and locks a container by its id; ret_broken as in state_load. */
int commands_open(const struct commands_global *global, const char *id, bool *ret_broken, struct state *ret_state,
		  struct err *err) MUST_CHECK;

/* Opens it for looking only: whatever another command does with it is not waited for. */
int commands_look(const struct commands_global *global, const char *id, struct state *ret_state,
		  struct err *err) MUST_CHECK;

/* Its status, paused included. */
enum state_status commands_status(const struct state *state);

/* Blocks all signals and takes them over a descriptor; processes started later unblock them for themselves. */
int commands_hold_signals(int *ret_fd, struct err *err) MUST_CHECK;

/*
 * Passes the signals of that descriptor on to a child until it ends; its exit status becomes ret_exit. console is the
 * caller's end of console_prepare: the child's terminal is then passed on to this process's own; -1 for none.
 */
int commands_wait(struct child *child, int signals, int console, int *ret_exit, struct err *err) MUST_CHECK;

/* Appends a message to the log file, as the global options say; nothing without one. Callers read errors from there. */
void commands_log(const struct commands_global *global, const char *level, const char *message);

/* Reads the ceiling; and writes to the log what it changed, as warnings. */
int commands_load_bounds(const struct commands_global *global, struct bounds *bounds, struct err *err) MUST_CHECK;
void commands_log_bounds(const struct commands_global *global, const struct bounds *bounds);
/* A file's text, "-" being standard input. The error names the file. */
int commands_read_text(const char *path, struct buf *text, struct err *err) MUST_CHECK;

/*
 * Reads --preserve-fds; descriptors that systemd's LISTEN_FDS hands to this process are kept before those. To be called
 * before anything is opened: one that is not open is refused.
 */
int commands_preserved(const char *word, int *ret_count, struct err *err) MUST_CHECK;

/* state_done for CLEANUP. */
void commands_state_done(struct state *state);

#endif
