/* SPDX-License-Identifier: Apache-2.0 */
/* Where a stream's bytes come from: the readers of this folder pull from each other. */
#ifndef IMAGE_SOURCE_H
#define IMAGE_SOURCE_H

#include <stddef.h>

#include "base/err.h"

/* Fills at most size bytes (size > 0); *ret_len is 0 at the end only. Negative errno with err filled. */
typedef int (*source_fn)(void *user, char *to, size_t size, size_t *ret_len, struct err *err);

#endif
