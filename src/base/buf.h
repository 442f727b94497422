/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer that is born with a maximum. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

#include "base/cleanup.h"

struct buf {
	char *data; /* always followed by a NUL that is not counted, once anything was appended */
	size_t len; /* bytes used */
	size_t cap; /* bytes allocated */
	size_t max; /* bytes it may ever hold */
};

/* An empty buffer that never holds more than max bytes; allocates nothing. */
static inline struct buf buf_of(size_t max)
{
	return (struct buf){.max = max};
}

/* Frees the contents; the buffer is empty afterwards and may be used again. */
void buf_done(struct buf *buf);
#define CLEANUP_BUF __attribute__((cleanup(buf_done)))

/* Forgets the contents and keeps the memory. */
void buf_clear(struct buf *buf);

/* Appends len bytes. -EFBIG over the maximum, -ENOMEM; nothing is appended then. */
int buf_append(struct buf *buf, const void *bytes, size_t len) MUST_CHECK;

/* Appends a string without its NUL. Errors as buf_append. */
int buf_puts(struct buf *buf, const char *string) MUST_CHECK;

/* Appends one byte. Errors as buf_append. */
int buf_putc(struct buf *buf, char byte) MUST_CHECK;

/* Appends formatted text. Errors as buf_append. */
int buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3) MUST_CHECK;

/* Makes room for len more bytes and yields where to write them; the caller adds to buf->len what it wrote. */
int buf_reserve(struct buf *buf, size_t len, char **ret_at) MUST_CHECK;

/* Removes the first len bytes. len may not exceed buf->len. */
void buf_consume(struct buf *buf, size_t len);

/* Gives the NUL-terminated contents to the caller, who frees them; NULL without memory. The buffer is empty then. */
char *buf_steal(struct buf *buf);

#endif
