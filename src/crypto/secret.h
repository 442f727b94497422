/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for keys: taken out of the kernel's own map of memory (memfd_secret) where the kernel has that, otherwise locked;
 * in either case never in swap, in a core file, or in a child process. Whole pages: for keys, not for bytes.
 */
#ifndef CRYPTO_SECRET_H
#define CRYPTO_SECRET_H

#include <stddef.h>

#include "base/err.h"

enum secret_kind { SECRET_MEMFD, SECRET_LOCKED };

/*
 * Yields zeroed memory of at least size bytes. -ENOMEM with a hint when the process may lock no more; it never falls back to
 * ordinary memory.
 */
int secret_new(size_t size, void **ret_memory, struct err *err) MUST_CHECK;

/* Wipes and gives it back; size is that of secret_new. NULL is accepted. */
void secret_free(void *memory, size_t size);

/* What this machine gives; found out once. */
enum secret_kind secret_kind(void);
/* "memfd_secret" or "mlock". */
const char *secret_kind_name(enum secret_kind kind);

/* Nobody but root may look into the process from now on, and it leaves no core file. */
int secret_guard_process(struct err *err) MUST_CHECK;

#endif
