/* SPDX-License-Identifier: Apache-2.0 */
/* Archives made by hand, block by block, so that tests can make wrong ones. */
#ifndef TAR_BUILDER_H
#define TAR_BUILDER_H

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "image/source.h"

struct tar_header_spec {
	const char *name;
	char type;
	const char *target;
	unsigned long size;                               /* stated */
	const char *mode, *uid, *gid, *mtime, *size_text; /* octal; NULL: 644, 0, 0, 1, from size */
	const char *magic;                                /* 8 bytes; NULL: POSIX */
	const char *prefix;
	bool bad_checksum;
};

static inline void tar_put_header(struct buf *tar, const struct tar_header_spec *spec)
{
	unsigned char block[512] = {0};
	unsigned sum = 0;

	(void)strncpy((char *)block, spec->name ? spec->name : "", 100);
	(void)snprintf((char *)block + 100, 8, "%s", spec->mode ? spec->mode : "644");
	(void)snprintf((char *)block + 108, 8, "%s", spec->uid ? spec->uid : "0");
	(void)snprintf((char *)block + 116, 8, "%s", spec->gid ? spec->gid : "0");
	if (spec->size_text)
		(void)snprintf((char *)block + 124, 12, "%s", spec->size_text);
	else
		assert_in_range(snprintf((char *)block + 124, 12, "%lo", spec->size), 1, 11);
	(void)snprintf((char *)block + 136, 12, "%s", spec->mtime ? spec->mtime : "1");
	block[156] = (unsigned char)spec->type;
	(void)strncpy((char *)block + 157, spec->target ? spec->target : "", 100);
	memcpy(block + 257,
	       spec->magic ? spec->magic
			   : "ustar\0"
			     "00",
	       8);
	(void)strncpy((char *)block + 345, spec->prefix ? spec->prefix : "", 155);
	memset(block + 148, ' ', 8);
	for (size_t i = 0; i < sizeof(block); i++)
		sum += block[i];
	(void)snprintf((char *)block + 148, 8, "%06o", (sum + spec->bad_checksum) & 0777777);
	assert_int_equal(buf_append(tar, block, sizeof(block)), 0);
}

/* Data and its padding to a whole block. */
static inline void tar_put_data(struct buf *tar, const char *bytes, size_t len)
{
	static const char zeros[512];

	assert_int_equal(buf_append(tar, bytes, len), 0);
	assert_int_equal(buf_append(tar, zeros, -len & 511), 0);
}

static inline void tar_put_file(struct buf *tar, const char *name, const char *text)
{
	tar_put_header(tar, &(struct tar_header_spec){.name = name, .type = '0', .size = strlen(text)});
	tar_put_data(tar, text, strlen(text));
}

static inline void tar_put(struct buf *tar, const char *name, char type, const char *target)
{
	tar_put_header(tar, &(struct tar_header_spec){.name = name,
						      .type = type,
						      .target = target,
						      .mode = type == '5' ? "755" : NULL});
}

/* An extension header of a type with its data. */
static inline void tar_put_extension(struct buf *tar, char type, const char *bytes, size_t len)
{
	tar_put_header(tar, &(struct tar_header_spec){.name = "extension", .type = type, .size = len});
	tar_put_data(tar, bytes, len);
}

/* A pax header with one record. */
static inline void tar_put_pax(struct buf *tar, const char *key, const char *value)
{
	char record[8192];
	size_t bare = strlen(key) + strlen(value) + 3, len = bare + 1;

	/* The length counts its own digits. */
	while ((size_t)snprintf(NULL, 0, "%zu", len) + bare != len)
		len++;
	(void)snprintf(record, sizeof(record), "%zu %s=%s\n", len, key, value);
	tar_put_extension(tar, 'x', record, len);
}

static inline void tar_put_end(struct buf *tar)
{
	static const char zeros[1024];

	assert_int_equal(buf_append(tar, zeros, sizeof(zeros)), 0);
}

/* A source over a buffer that gives a few bytes at a time. */
struct tar_buffer_source {
	const struct buf *buf;
	size_t at, piece;
};

static inline int tar_buffer_read(void *user, char *to, size_t size, size_t *ret_len, struct err *err)
{
	struct tar_buffer_source *source = user;
	size_t left = source->buf->len - source->at;

	(void)err;
	if (left > size)
		left = size;
	if (source->piece && left > source->piece)
		left = source->piece;
	if (left)
		memcpy(to, source->buf->data + source->at, left);
	source->at += left;
	*ret_len = left;
	return 0;
}

#endif
