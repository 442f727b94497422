/* SPDX-License-Identifier: Apache-2.0 */
/* All memory of libcrypto, and with it keys and what is computed from them, in one piece of memory for secrets. */
#ifndef IMAGE_SECRETARENA_H
#define IMAGE_SECRETARENA_H

#include <stddef.h>

#include "base/err.h"

/* Before libcrypto is first used in this process; -EBUSY otherwise. What was given back is wiped. */
int secretarena_open(size_t bytes, struct err *err) MUST_CHECK;

#endif
