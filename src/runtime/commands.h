/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of the OCI runtimes: global options, a command, its options. */
#ifndef RUNTIME_COMMANDS_H
#define RUNTIME_COMMANDS_H

#include <stdbool.h>

#include "base/err.h"

#define COMMANDS_DEFAULT_ROOT "/run/bulkhead/runtime"

struct commands_global {
	const char *root;
	const char *log;        /* file for errors besides standard error, NULL: none */
	const char *log_format; /* "text" or "json" */
	const char *ceiling;    /* folder of the ceiling, NULL: the machine's */
	const char *cgroup_manager;
	const char *rootless;
	bool systemd_cgroup;
	bool debug;
	char *const *argv; /* the whole command line */
};

/* The whole program: parses, runs the command, reports an error. Returns the exit status. */
int commands_main(int argc, char **argv);

/* One command; argv[0] is its name. Returns 0 or an error; ret_exit is the exit status when it is 0. */
typedef int (*commands_fn)(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);

int commands_create(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_start(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_state(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_kill(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_delete(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_run(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_list(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_exec(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_events(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_spec(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_checkpoint(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_ps(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_pause(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_resume(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_update(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_supervise(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_check(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);
int commands_features(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err);

#endif
