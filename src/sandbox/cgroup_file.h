/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of cgroup.c and cgroup_limit.c: the kernel's files of a control group. */
#ifndef SANDBOX_CGROUP_FILE_H
#define SANDBOX_CGROUP_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/err.h"

struct cgroup;

/* Reads a file whole without its last newline. Negative errno; -EFBIG when it does not fit. */
int cgroup_file_read(int group, const char *file, char *to, size_t size) MUST_CHECK;

/* Writes a value in one write. Negative errno; may be ignored where the kernel is only asked for a favour. */
int cgroup_file_write(int group, const char *file, const char *value);

/* Whether a comma-separated list has the word. */
bool cgroup_file_has_word(const char *list, const char *word);

/* The number behind "name " at the start of a line; 0 when there is none. */
uint64_t cgroup_file_counter(const char *text, const char *name);

/* Finds the hierarchies: where everyone mounts them, else in the table of mounts. */
int cgroup_find(struct cgroup *cgroup, struct err *err) MUST_CHECK;

/* As cgroup_controller_fd, and makes the group when the controller has a hierarchy and no group in it yet. */
int cgroup_controller_make(struct cgroup *cgroup, const char *controller, int *ret_group, struct err *err) MUST_CHECK;

/* Lists the processes of a group and of those below it. The caller frees *ret_pids. */
int cgroup_pids_below(int group, pid_t **ret_pids, size_t *ret_count, struct err *err) MUST_CHECK;

/* The group in the version 1 hierarchy of a controller, -1 when it has none. */
int cgroup_controller_fd(const struct cgroup *cgroup, const char *controller);

#endif
