/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

void buf_done(struct buf *buf)
{
	free(buf->data);
	*buf = (struct buf){.max = buf->max};
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

int buf_reserve(struct buf *buf, size_t len, char **ret_at)
{
	size_t need, cap;
	char *data;

	if (len > buf->max || buf->len > buf->max - len)
		return -EFBIG;
	need = buf->len + len + 1;
	if (need > buf->cap) {
		cap = buf->cap ? buf->cap : 64;
		while (cap < need)
			cap = cap > SIZE_MAX / 2 ? need : cap * 2;
		data = realloc(buf->data, cap);
		if (!data)
			return -ENOMEM;
		buf->data = data;
		buf->cap = cap;
	}
	*ret_at = buf->data + buf->len;
	return 0;
}

int buf_append(struct buf *buf, const void *bytes, size_t len)
{
	char *at;
	int r = buf_reserve(buf, len, &at);

	if (r < 0)
		return r;
	if (len)
		memcpy(at, bytes, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
	return 0;
}

int buf_puts(struct buf *buf, const char *string)
{
	return buf_append(buf, string, strlen(string));
}

int buf_putc(struct buf *buf, char byte)
{
	return buf_append(buf, &byte, 1);
}

int buf_printf(struct buf *buf, const char *format, ...)
{
	va_list args;
	char *at;
	int len, r;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	if (len < 0)
		return -EINVAL;
	r = buf_reserve(buf, (size_t)len, &at);
	if (r < 0)
		return r;
	va_start(args, format);
	(void)vsnprintf(at, (size_t)len + 1, format, args);
	va_end(args);
	buf->len += (size_t)len;
	return 0;
}

void buf_consume(struct buf *buf, size_t len)
{
	/* Not assert(): it links the C library's message catalogues into static programs, 33 KB. */
	if (len > buf->len)
		abort();
	if (!len)
		return;
	memmove(buf->data, buf->data + len, buf->len - len);
	buf->len -= len;
	buf->data[buf->len] = '\0';
}

char *buf_steal(struct buf *buf)
{
	char *data = buf->data ? buf->data : calloc(1, 1);

	*buf = (struct buf){.max = buf->max};
	return data;
}
