/* SPDX-License-Identifier: Apache-2.0 */
#include "image/erofs_write.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char zeros[EROFS_BLOCK];

int erofs_write_data(struct erofs_write *write, const void *bytes, size_t len, struct err *err)
{
	int r = len ? write->put(write->user, bytes, len, err) : 0;

	if (r == 0)
		write->at += len;
	return r;
}

int erofs_write_pad(struct erofs_write *write, struct err *err)
{
	return erofs_write_data(write, zeros, -write->at & (EROFS_BLOCK - 1), err);
}

int erofs_write_block(const struct erofs_write *write, uint32_t *ret_block, struct err *err)
{
	uint64_t block = write->at >> EROFS_BLOCK_BITS;

	if (block >= EROFS_NULL_ADDR)
		return err_set(err, ERR_TOO_LARGE, "the image has more than 2^32 blocks");
	*ret_block = (uint32_t)block;
	return 0;
}

/* --- folders --- */

struct listed {
	const char *name;
	size_t len;
	uint32_t nid;
	uint8_t type;
};

static uint8_t type_of(mode_t mode)
{
	return S_ISDIR(mode) ? EROFS_FT_DIR : S_ISLNK(mode) ? EROFS_FT_SYMLINK : EROFS_FT_REG;
}

static int by_name(const void *a, const void *b)
{
	const struct listed *one = a, *other = b;
	size_t len = one->len < other->len ? one->len : other->len;
	int order = memcmp(one->name, other->name, len);

	return order ? order : (one->len > other->len) - (one->len < other->len);
}

/* The sorted names of a folder with "." and "..", which the caller frees. */
static int list_folder(const struct tree *tree, uint32_t folder, struct listed **ret_list, size_t *ret_count,
		       struct err *err)
{
	const struct tree_inode *inode = &tree->inodes[folder];
	struct listed *list;
	size_t count = 2;

	for (uint32_t at = inode->block; at; at = tree->names[at].next)
		count++;
	list = malloc(count * sizeof(*list));
	if (!list)
		return err_sys(err, -ENOMEM, "cannot write a folder");
	list[0] = (struct listed){".", 1, inode->nid, EROFS_FT_DIR};
	list[1] = (struct listed){"..", 2, tree->inodes[inode->parent].nid, EROFS_FT_DIR};
	count = 2;
	for (uint32_t at = inode->block; at; at = tree->names[at].next) {
		const struct tree_name *name = &tree->names[at];
		const struct tree_inode *child = tree_inode_of(tree, at);

		list[count++] = (struct listed){tree->texts + name->text, name->len, child->nid, type_of(child->mode)};
	}
	qsort(list, count, sizeof(*list), by_name);
	*ret_list = list;
	*ret_count = count;
	return 0;
}

/* How many names from list on fit into one block, and the bytes they take. */
static size_t fill_of(const struct listed *list, size_t count, size_t *ret_bytes)
{
	size_t bytes = 0, n = 0;

	while (n < count && bytes + sizeof(struct erofs_dirent) + list[n].len <= EROFS_BLOCK)
		bytes += sizeof(struct erofs_dirent) + list[n++].len;
	*ret_bytes = bytes;
	return n;
}

static uint64_t folder_size(const struct listed *list, size_t count)
{
	uint64_t size = 0;

	while (count) {
		size_t bytes, n = fill_of(list, count, &bytes);

		list += n;
		count -= n;
		size += count ? EROFS_BLOCK : bytes;
	}
	return size;
}

/* One block of a folder: entries, then their names. */
static void format_block(const struct listed *list, size_t count, uint8_t to[static EROFS_BLOCK])
{
	size_t name = count * sizeof(struct erofs_dirent);

	memset(to, 0, EROFS_BLOCK);
	for (size_t i = 0; i < count; i++) {
		const struct erofs_dirent entry = {
			.nid = htole64(list[i].nid),
			.name = htole16((uint16_t)name),
			.type = list[i].type,
		};

		memcpy(to + i * sizeof(entry), &entry, sizeof(entry));
		memcpy(to + name, list[i].name, list[i].len);
		name += list[i].len;
	}
}

/* --- placing --- */

/* What stands behind an inode at once: a small folder, a link's target. */
struct shape {
	uint64_t size;
	uint32_t tail; /* bytes behind the inode */
};

static uint32_t head_of(const struct tree_inode *inode)
{
	return (uint32_t)sizeof(struct erofs_inode) + inode->xattr_len;
}

static int shape_of(const struct tree *tree, uint32_t number, struct shape *ret_shape, struct err *err)
{
	const struct tree_inode *inode = &tree->inodes[number];
	struct shape shape = {.size = inode->size};

	if (S_ISDIR(inode->mode)) {
		struct listed *list;
		size_t count;
		int r = list_folder(tree, number, &list, &count, err);

		if (r < 0)
			return r;
		shape.size = folder_size(list, count);
		free(list);
	}
	if (!S_ISREG(inode->mode) && head_of(inode) + shape.size <= EROFS_BLOCK)
		shape.tail = (uint32_t)shape.size;
	*ret_shape = shape;
	return 0;
}

/* Where an inode of this length begins at or behind at: none goes over a block's border. */
static uint64_t place_at(uint64_t at, uint32_t len)
{
	at = (at + EROFS_SLOT - 1) & ~(uint64_t)(EROFS_SLOT - 1);
	if ((at & (EROFS_BLOCK - 1)) + len > EROFS_BLOCK)
		at = (at + EROFS_BLOCK - 1) & ~(uint64_t)(EROFS_BLOCK - 1);
	return at;
}

/* Numbers all inodes by where they will lie. The first slot stays free: a file number 0 is none. */
static int place_all(struct tree *tree, struct err *err)
{
	uint64_t at = EROFS_SLOT;

	for (uint32_t i = TREE_ROOT; i < tree->inode_count; i++) {
		struct tree_inode *inode = &tree->inodes[i];
		struct shape shape;
		int r;

		if (!inode->mode)
			continue;
		r = shape_of(tree, i, &shape, err);
		if (r < 0)
			return r;
		at = place_at(at, head_of(inode) + shape.tail);
		inode->nid = (uint32_t)(at / EROFS_SLOT);
		at += head_of(inode) + shape.tail;
	}
	return 0;
}

/* --- writing --- */

static int write_folder(struct erofs_write *write, const struct listed *list, size_t count, struct err *err)
{
	uint8_t block[EROFS_BLOCK];
	int r = 0;

	while (r == 0 && count) {
		size_t bytes, n = fill_of(list, count, &bytes);

		format_block(list, n, block);
		r = erofs_write_data(write, block, sizeof(block), err);
		list += n;
		count -= n;
	}
	return r;
}

/* Large folders and long targets have blocks of their own, in the order of their inodes. Yields the first one. */
static int write_large(struct erofs_write *write, struct tree *tree, uint32_t *ret_first, struct err *err)
{
	int r = erofs_write_block(write, ret_first, err);

	for (uint32_t i = TREE_ROOT; r == 0 && i < tree->inode_count; i++) {
		const struct tree_inode *inode = &tree->inodes[i];
		struct listed *list = NULL;
		struct shape shape;
		size_t count;

		if (!inode->mode || S_ISREG(inode->mode))
			continue;
		r = shape_of(tree, i, &shape, err);
		if (r < 0 || shape.tail == shape.size)
			continue;
		if (S_ISDIR(inode->mode)) {
			r = list_folder(tree, i, &list, &count, err);
			if (r == 0)
				r = write_folder(write, list, count, err);
			free(list);
		} else {
			r = erofs_write_data(write, tree->texts + inode->block, inode->size, err);
			if (r == 0)
				r = erofs_write_pad(write, err);
		}
	}
	return r;
}

static uint32_t links_of(const struct tree *tree, const struct tree_inode *inode)
{
	uint32_t links = 2;

	if (!S_ISDIR(inode->mode))
		return inode->links;
	for (uint32_t at = inode->block; at; at = tree->names[at].next)
		links += S_ISDIR(tree_inode_of(tree, at)->mode);
	return links;
}

static struct erofs_inode format_inode(const struct tree *tree, uint32_t number, const struct shape *shape,
				       uint32_t block)
{
	const struct tree_inode *inode = &tree->inodes[number];
	uint16_t layout = shape->tail ? EROFS_FLAT_INLINE : EROFS_FLAT_PLAIN;

	return (struct erofs_inode){
		.format = htole16((uint16_t)(1 | layout << 1)),
		.xattr_count = htole16(inode->xattr_len ? (uint16_t)((inode->xattr_len - 12) / 4 + 1) : 0),
		.mode = htole16(inode->mode),
		.size = htole64(shape->size),
		.block = htole32(block),
		.number = htole32(number),
		.uid = htole32(inode->uid),
		.gid = htole32(inode->gid),
		.mtime = htole64(inode->mtime >> 30),
		.mtime_nsec = htole32((uint32_t)(inode->mtime & ((1u << 30) - 1))),
		.links = htole32(links_of(tree, inode)),
	};
}

static int write_tail(struct erofs_write *write, const struct tree *tree, uint32_t number, const struct shape *shape,
		      struct err *err)
{
	const struct tree_inode *inode = &tree->inodes[number];
	uint8_t block[EROFS_BLOCK];
	struct listed *list;
	size_t count;
	int r;

	if (S_ISLNK(inode->mode))
		return erofs_write_data(write, tree->texts + inode->block, shape->tail, err);
	r = list_folder(tree, number, &list, &count, err);
	if (r < 0)
		return r;
	format_block(list, count, block);
	free(list);
	return erofs_write_data(write, block, shape->tail, err);
}

static int pad_to(struct erofs_write *write, uint64_t to, struct err *err)
{
	return erofs_write_data(write, zeros, (size_t)(to - write->at), err);
}

/* large: the next block of what write_large has written */
static int write_inodes(struct erofs_write *write, const struct tree *tree, uint32_t large, uint64_t *ret_count,
			struct err *err)
{
	const uint64_t base = write->at;
	int r = 0;

	*ret_count = 0;
	for (uint32_t i = TREE_ROOT; r == 0 && i < tree->inode_count; i++) {
		const struct tree_inode *inode = &tree->inodes[i];
		uint32_t block = S_ISREG(inode->mode) && inode->size ? inode->block : EROFS_NULL_ADDR;
		struct erofs_inode disk;
		struct shape shape;

		if (!inode->mode)
			continue;
		r = shape_of(tree, i, &shape, err);
		if (r < 0)
			break;
		if (!S_ISREG(inode->mode) && shape.tail != shape.size) {
			block = large;
			large += (uint32_t)((shape.size + EROFS_BLOCK - 1) >> EROFS_BLOCK_BITS);
		}
		disk = format_inode(tree, i, &shape, block);
		r = pad_to(write, base + (uint64_t)inode->nid * EROFS_SLOT, err);
		if (r == 0)
			r = erofs_write_data(write, &disk, sizeof(disk), err);
		if (r == 0 && inode->xattr_len)
			r = erofs_write_data(write, tree->texts + inode->xattrs, inode->xattr_len, err);
		if (r == 0 && shape.tail)
			r = write_tail(write, tree, i, &shape, err);
		(*ret_count)++;
	}
	return r < 0 ? r : erofs_write_pad(write, err);
}

/* CRC-32C as the kernel computes it, without the last inversion. */
static uint32_t checksum_of(const uint8_t *bytes, size_t len)
{
	uint32_t crc = ~0u;

	for (size_t i = 0; i < len; i++) {
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
	}
	return crc;
}

int erofs_write_finish(struct erofs_write *write, struct tree *tree, uint8_t first[static EROFS_BLOCK], struct err *err)
{
	struct erofs_super super = {.magic = htole32(EROFS_SUPER_MAGIC),
				    .feature_compat = htole32(EROFS_COMPAT_SB_CHKSUM | EROFS_COMPAT_MTIME),
				    .block_bits = EROFS_BLOCK_BITS};
	uint32_t large = 0, meta = 0, end = 0;
	uint64_t inodes = 0;
	int r = erofs_write_pad(write, err);

	if (r == 0)
		r = place_all(tree, err);
	if (r == 0)
		r = write_large(write, tree, &large, err);
	if (r == 0)
		r = erofs_write_block(write, &meta, err);
	if (r == 0)
		r = write_inodes(write, tree, large, &inodes, err);
	if (r == 0)
		r = erofs_write_block(write, &end, err);
	if (r < 0)
		return r;
	super.root_nid = htole16((uint16_t)tree->inodes[TREE_ROOT].nid);
	super.inodes = htole64(inodes);
	super.blocks = htole32(end);
	super.meta_block = htole32(meta);
	memset(first, 0, EROFS_BLOCK);
	memcpy(first + EROFS_SUPER_OFFSET, &super, sizeof(super));
	super.checksum = htole32(checksum_of(first + EROFS_SUPER_OFFSET, EROFS_BLOCK - EROFS_SUPER_OFFSET));
	memcpy(first + EROFS_SUPER_OFFSET, &super, sizeof(super));
	return 0;
}
