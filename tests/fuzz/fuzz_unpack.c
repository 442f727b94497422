/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layers on top of each other into an EROFS image: the input is one archive, applied whole, then again from its middle on.
 * Whatever was accepted must be an image whose every number stays inside of it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/str.h"
#include "image/unpack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
	const uint8_t *at;
	size_t left;
};

static int read_bytes(void *user, char *to, size_t size, size_t *ret_len, struct err *err)
{
	struct bytes *bytes = user;
	size_t len = bytes->left < size ? bytes->left : size;

	(void)err;
	if (len)
		memcpy(to, bytes->at, len);
	bytes->at += len;
	bytes->left -= len;
	*ret_len = len;
	return 0;
}

static int put(void *user, const void *bytes, size_t len, struct err *err)
{
	return buf_append(user, bytes, len) < 0 ? err_set(err, ERR_TOO_LARGE, "the image is too large") : 0;
}

/* --- a reader that trusts nothing --- */

struct reader {
	const uint8_t *image;
	size_t len;
	uint64_t meta;
	unsigned inodes;
};

static const void *at(const struct reader *reader, uint64_t offset, size_t len)
{
	if (offset > reader->len || reader->len - offset < len)
		abort();
	return reader->image + offset;
}

static struct erofs_inode inode_at(const struct reader *reader, uint64_t nid, uint64_t *ret_tail)
{
	struct erofs_inode inode;
	uint64_t offset = reader->meta + nid * EROFS_SLOT;

	memcpy(&inode, at(reader, offset, sizeof(inode)), sizeof(inode));
	if (!(inode.format & 1))
		abort();
	*ret_tail = offset + sizeof(inode) + (inode.xattr_count ? 12u + 4u * (inode.xattr_count - 1u) : 0);
	return inode;
}

/* Where the data of an inode lies; every byte of it is in the image. */
static const uint8_t *data_of(const struct reader *reader, const struct erofs_inode *inode, uint64_t tail)
{
	if (inode->format >> 1 == EROFS_FLAT_INLINE) {
		if (tail / EROFS_BLOCK != (tail + inode->size - 1) / EROFS_BLOCK)
			abort();
		return at(reader, tail, inode->size);
	}
	return inode->size ? at(reader, (uint64_t)inode->block * EROFS_BLOCK, inode->size) : reader->image;
}

static void check_inode(struct reader *reader, uint64_t nid, uint64_t parent, unsigned depth);

/* One block of a folder: names ascending, inside of the block. */
static void check_block(struct reader *reader, const uint8_t *block, size_t len, uint64_t self, uint64_t parent,
			char last[static 256], unsigned depth)
{
	struct erofs_dirent entry;
	size_t count;

	memcpy(&entry, block, sizeof(entry));
	count = entry.name / sizeof(entry);
	if (!count || entry.name % sizeof(entry))
		abort();
	for (size_t i = 0; i < count; i++) {
		struct erofs_dirent next = {.name = (uint16_t)len};
		char name[256] = "";

		memcpy(&entry, block + i * sizeof(entry), sizeof(entry));
		if (i + 1 < count)
			memcpy(&next, block + (i + 1) * sizeof(entry), sizeof(next));
		if (entry.name >= next.name || next.name > len || next.name - entry.name > 255)
			abort();
		memcpy(name, block + entry.name, next.name - entry.name);
		if (strcmp(last, name) >= 0 || strchr(name, '/'))
			abort();
		strcpy(last, name);
		if (str_eq(name, ".") ? entry.nid != self : str_eq(name, "..") && entry.nid != parent)
			abort();
		if (name[0] != '.' || (name[1] && !str_eq(name, "..")))
			check_inode(reader, entry.nid, self, depth + 1);
	}
}

static void check_folder(struct reader *reader, const struct erofs_inode *inode, const uint8_t *data, uint64_t self,
			 uint64_t parent, unsigned depth)
{
	char last[256] = "";

	for (uint64_t done = 0; done < inode->size; done += EROFS_BLOCK) {
		size_t len = inode->size - done < EROFS_BLOCK ? (size_t)(inode->size - done) : EROFS_BLOCK;

		/* The last name of a full block may end before it does. */
		if (done + EROFS_BLOCK < inode->size || len == EROFS_BLOCK)
			while (len && !data[done + len - 1])
				len--;
		check_block(reader, data + done, len, self, parent, last, depth);
	}
}

static void check_inode(struct reader *reader, uint64_t nid, uint64_t parent, unsigned depth)
{
	uint64_t tail;
	struct erofs_inode inode = inode_at(reader, nid, &tail);
	const uint8_t *data = data_of(reader, &inode, tail);

	reader->inodes++;
	if (depth > 130)
		abort();
	if (S_ISDIR(inode.mode))
		check_folder(reader, &inode, data, nid, parent, depth);
	else if (!S_ISREG(inode.mode) && !S_ISLNK(inode.mode))
		abort();
}

static void check_image(const uint8_t *image, size_t len)
{
	struct reader reader = {.image = image, .len = len};
	struct erofs_super super;

	memcpy(&super, at(&reader, EROFS_SUPER_OFFSET, sizeof(super)), sizeof(super));
	if (super.magic != EROFS_SUPER_MAGIC || (uint64_t)super.blocks * EROFS_BLOCK != len)
		abort();
	reader.meta = (uint64_t)super.meta_block * EROFS_BLOCK;
	check_inode(&reader, super.root_nid, super.root_nid, 0);
	if (reader.inodes < super.inodes)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct unpack_limits limits = {.bytes = 8 << 20, .entries = 5000};
	CLEANUP(cleanup_unpack) struct unpack *unpack = NULL;
	CLEANUP_BUF struct buf image = buf_of(32 << 20);
	size_t half = size / 1024 * 512;
	struct bytes whole = {data, size}, rest = {data + half, size - half};
	static uint8_t first[EROFS_BLOCK];
	struct unpack_totals totals;
	struct err err;

	if (buf_append(&image, first, sizeof(first)) < 0 || unpack_new(put, &image, &limits, &unpack) < 0)
		return 0;
	if (unpack_layer(unpack, read_bytes, &whole, &err) < 0 || unpack_layer(unpack, read_bytes, &rest, &err) < 0 ||
	    unpack_finish(unpack, &totals, first, &err) < 0)
		return 0;
	memcpy(image.data, first, sizeof(first));
	check_image((const uint8_t *)image.data, image.len);
	return 0;
}
