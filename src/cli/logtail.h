/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon logged last, in words for people. */
#ifndef CLI_LOGTAIL_H
#define CLI_LOGTAIL_H

#include <sys/types.h>

#include "base/err.h"

/*
 * Appends to the error's message what the log says from offset on: of structured lines the last failure ("msg: error"), of
 * others the last line. Nothing when there is nothing. The failure's own hint becomes part of it.
 */
void logtail_append(const char *path, off_t from, struct err *err);

#endif
