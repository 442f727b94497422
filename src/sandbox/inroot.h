/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening below a root that the container may have shaped: every lookup starts at the root's descriptor, links resolve
 * inside of it, and links of the kernel's own making (/proc/PID/fd/N) are never followed. There is no fall-back to a path.
 */
#ifndef SANDBOX_INROOT_H
#define SANDBOX_INROOT_H

#include <stdbool.h>

#include "base/err.h"

/* Opens a path below the root with these open(2) flags (close-on-exec is added). Negative errno. */
int inroot_open(int root, const char *path, int flags, int *ret_fd) MUST_CHECK;

/* As inroot_open, but no component may be a link at all, and no mount point is crossed when same_mount is set. */
int inroot_open_plain(int root, const char *path, int flags, bool same_mount, int *ret_fd) MUST_CHECK;

/*
 * Opens what a mount goes onto, O_PATH: a folder or (file set) anything but a folder. What is missing is made, folders
 * with mode 0755 and the file empty. The error names the path.
 */
int inroot_open_target(int root, const char *path, bool file, int *ret_fd, struct err *err) MUST_CHECK;

#endif
