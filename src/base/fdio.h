/* SPDX-License-Identifier: Apache-2.0 */
/* Whole reads and writes on descriptors, and files that appear complete or not at all. */
#ifndef BASE_FDIO_H
#define BASE_FDIO_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/err.h"

/* Writes all of it, whatever the kernel takes at a time. Negative errno. */
int fdio_write_all(int fd, const void *bytes, size_t len) MUST_CHECK;

/* Reads up to the end into buf, bounded by its maximum (-EFBIG). Negative errno. */
int fdio_read_all(int fd, struct buf *buf) MUST_CHECK;

/* Reads exactly len bytes; -ENODATA when the end comes first. */
int fdio_read_exact(int fd, void *bytes, size_t len) MUST_CHECK;

/* Reads a regular file below dir (AT_FDCWD allowed) into buf, bounded by its maximum. The error names the path. */
int fdio_read_file(int dir, const char *path, struct buf *buf, struct err *err) MUST_CHECK;

/*
 * Replaces a file below dir so that readers and a crash see the old or the new contents: temporary file in the same
 * folder, fsync, rename, fsync of the folder. mode is the new file's mode.
 */
int fdio_replace_file(int dir, const char *path, const void *bytes, size_t len, mode_t mode,
		      struct err *err) MUST_CHECK;

/* The same for what no crash of the machine need spare: readers see the old or the new contents, nothing is synced. */
int fdio_publish_file(int dir, const char *path, const void *bytes, size_t len, mode_t mode,
		      struct err *err) MUST_CHECK;

/* Makes a folder and those above it that are missing, each with mode. Existing ones are left alone. */
int fdio_mkdir_all(int dir, const char *path, mode_t mode, struct err *err) MUST_CHECK;

/* Opens a folder below dir, O_DIRECTORY | O_CLOEXEC, following no link in the last part. */
int fdio_open_dir(int dir, const char *path, int *ret_fd, struct err *err) MUST_CHECK;

/* Removes a file or a whole tree below dir without following links or crossing mounts; no error when it is not there. */
int fdio_remove_tree(int dir, const char *path, struct err *err) MUST_CHECK;

#endif
