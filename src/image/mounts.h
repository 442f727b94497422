/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Images as mounts: one for each entry of the store, below a folder of the store's own that nobody but root gets to and that
 * propagates nowhere. Containers get clones of them, so they share one page cache.
 */
#ifndef IMAGE_MOUNTS_H
#define IMAGE_MOUNTS_H

#include <stdbool.h>

#include "base/err.h"

/* Makes the folder at an absolute path and an empty file system in memory on it, unless it is there from before. */
int mounts_open(const char *path, int *ret_dir, struct err *err) MUST_CHECK;

/* Whether that has happened, here or in an earlier process. */
bool mounts_exist(const char *path);

/* Takes all mounts in the folder away and the folder itself. */
int mounts_close(const char *path, int dir, struct err *err) MUST_CHECK;

/*
 * Mounts an EROFS image that file (open for reading) holds onto dir/name, read-only. Straight from the file where the
 * kernel can (6.12), else over a loop device that reads the file directly. Nothing happens when it is mounted already.
 * -EOPNOTSUPP with a hint when this kernel has no EROFS or no loop device; ERR_CORRUPT when the file is no image.
 */
int mounts_attach(int dir, const char *name, int file, struct err *err) MUST_CHECK;

/* Whether an image is mounted there. */
bool mounts_has(int dir, const char *name);

/* Takes a mount away. Containers that have a clone of it keep that. */
int mounts_detach(int dir, const char *name, struct err *err) MUST_CHECK;

/* The word for the way an image reached its mount, "file" or "loop"; NULL when it is not mounted. */
const char *mounts_mechanism(int dir, const char *name);

#endif
