/* SPDX-License-Identifier: Apache-2.0 */
/* Whose word the ceiling's files and the paths in them are. */
#ifndef RUNTIME_BOUNDS_PATH_H
#define RUNTIME_BOUNDS_PATH_H

#include <stdbool.h>
#include <sys/stat.h>

/*
 * Whether a file is the superuser's. Inside of a user namespace the machine's superuser has no number; a ceiling is then
 * no stronger than the caller, who could run any other program.
 */
bool bounds_path_is_trusted(const struct stat *st);

/*
 * What a path really is as far as the superuser alone says so: links are followed in folders that others cannot write to.
 * From where others can, and from what is not there, it stays as it is written. The caller frees it; NULL: no memory.
 */
char *bounds_path_resolve(const char *path);

#endif
