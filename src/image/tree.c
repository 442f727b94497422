/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define STEP 65536 /* bytes an array grows by; realloc moves pages, it copies nothing */

static int too_large(const struct tree *tree, struct err *err)
{
	return err_set(err, ERR_TOO_LARGE, "the image has more names than %zu bytes can hold", tree->bytes_max);
}

/* Makes room for count items more. */
static int grow(struct tree *tree, void *array, uint32_t *room, uint32_t used, uint32_t count, size_t item,
		struct err *err)
{
	uint32_t wanted = used + count + (uint32_t)(STEP / item);
	void *grown;

	if (used + count <= *room)
		return 0;
	if (tree->bytes + (wanted - *room) * item > tree->bytes_max)
		return too_large(tree, err);
	memcpy(&grown, array, sizeof(grown));
	grown = realloc(grown, wanted * item);
	if (!grown)
		return err_sys(err, -ENOMEM, "cannot unpack");
	memcpy(array, &grown, sizeof(grown));
	tree->bytes += (wanted - *room) * item;
	*room = wanted;
	return 0;
}

/* A polynomial of folder and name at a secret place. */
static uint32_t *bucket_of(const struct tree *tree, uint32_t folder, const char *name, size_t len)
{
	uint64_t value = (folder + tree->secret) * tree->secret;

	for (size_t i = 0; i < len; i++)
		value = (value ^ (uint8_t)name[i]) * tree->secret;
	return &tree->buckets[(value >> 32) & (tree->bucket_count - 1)];
}

static int grow_buckets(struct tree *tree, struct err *err)
{
	uint32_t count = tree->bucket_count ? tree->bucket_count * 2 : 1024;
	uint32_t *old = tree->buckets;

	if (tree->bytes + count * sizeof(*old) > tree->bytes_max)
		return too_large(tree, err);
	tree->buckets = calloc(count, sizeof(*tree->buckets));
	if (!tree->buckets) {
		tree->buckets = old;
		return err_sys(err, -ENOMEM, "cannot unpack");
	}
	tree->bytes += (count - tree->bucket_count) * sizeof(*old);
	tree->bucket_count = count;
	for (uint32_t i = 1; i < tree->name_count; i++) {
		struct tree_name *name = &tree->names[i];
		uint32_t *bucket;

		if (!name->inode)
			continue;
		bucket = bucket_of(tree, name->folder, tree->texts + name->text, name->len);
		name->chain = *bucket;
		*bucket = i;
	}
	free(old);
	return 0;
}

int tree_init(struct tree *tree, size_t bytes_max)
{
	struct err err;

	*tree = (struct tree){.bytes_max = bytes_max};
	if (getrandom(&tree->secret, sizeof(tree->secret), 0) != sizeof(tree->secret))
		return -EIO;
	tree->secret |= 1;
	if (grow(tree, &tree->inodes, &tree->inode_room, 0, 2, sizeof(*tree->inodes), &err) < 0 ||
	    grow(tree, &tree->names, &tree->name_room, 0, 1, sizeof(*tree->names), &err) < 0 ||
	    grow(tree, &tree->texts, &tree->text_room, 0, 1, 1, &err) < 0 || grow_buckets(tree, &err) < 0) {
		tree_done(tree);
		return -ENOMEM;
	}
	memset(tree->inodes, 0, 2 * sizeof(*tree->inodes));
	memset(tree->names, 0, sizeof(*tree->names));
	tree->inodes[TREE_ROOT].mode = S_IFDIR | 0755;
	tree->inodes[TREE_ROOT].parent = TREE_ROOT;
	tree->inode_count = 2;
	tree->name_count = 1;
	tree->text_len = 1;
	return 0;
}

void tree_done(struct tree *tree)
{
	free(tree->inodes);
	free(tree->names);
	free(tree->buckets);
	free(tree->texts);
	*tree = (struct tree){0};
}

uint32_t tree_find(const struct tree *tree, uint32_t folder, const char *text, size_t len)
{
	uint32_t at = *bucket_of(tree, folder, text, len);

	while (at) {
		const struct tree_name *name = &tree->names[at];

		if (name->folder == folder && name->len == len && memcmp(tree->texts + name->text, text, len) == 0)
			return at;
		at = name->chain;
	}
	return 0;
}

int tree_keep(struct tree *tree, const void *bytes, size_t len, uint32_t *ret_text, struct err *err)
{
	int r = grow(tree, &tree->texts, &tree->text_room, tree->text_len, (uint32_t)len, 1, err);

	if (r < 0)
		return r;
	if (len)
		memcpy(tree->texts + tree->text_len, bytes, len);
	*ret_text = tree->text_len;
	tree->text_len += (uint32_t)len;
	return 0;
}

static int new_inode(struct tree *tree, uint32_t folder, mode_t mode, uint32_t *ret_inode, struct err *err)
{
	int r = grow(tree, &tree->inodes, &tree->inode_room, tree->inode_count, 1, sizeof(*tree->inodes), err);

	if (r < 0)
		return r;
	tree->inodes[tree->inode_count] = (struct tree_inode){.mode = (uint16_t)mode};
	if (S_ISDIR(mode))
		tree->inodes[tree->inode_count].parent = folder;
	*ret_inode = tree->inode_count++;
	return 0;
}

int tree_add(struct tree *tree, uint32_t folder, const char *name, size_t len, uint32_t inode, mode_t mode,
	     uint32_t *ret_name, struct err *err)
{
	uint32_t text, *bucket;
	int r = grow(tree, &tree->names, &tree->name_room, tree->name_count, 1, sizeof(*tree->names), err);

	if (len > TREE_NAME_MAX)
		return err_set(err, -ENAMETOOLONG, "a name is longer than %d bytes", TREE_NAME_MAX);
	if (inode && tree->inodes[inode].links >= UINT16_MAX)
		return err_set(err, -EMLINK, "a file has more than %u names", UINT16_MAX);
	if (r == 0 && tree->name_count >= tree->bucket_count)
		r = grow_buckets(tree, err);
	if (r == 0)
		r = tree_keep(tree, name, len, &text, err);
	if (r == 0 && !inode)
		r = new_inode(tree, folder, mode, &inode, err);
	if (r < 0)
		return r;
	if (!S_ISDIR(tree->inodes[inode].mode))
		tree->inodes[inode].links++;
	bucket = bucket_of(tree, folder, name, len);
	tree->names[tree->name_count] = (struct tree_name){.inode = inode,
							   .folder = folder,
							   .next = tree->inodes[folder].block,
							   .chain = *bucket,
							   .text = text,
							   .len = (uint8_t)len};
	tree->names[tree->inodes[folder].block].before = tree->name_count;
	*bucket = tree->inodes[folder].block = tree->name_count;
	*ret_name = tree->name_count++;
	return 0;
}

/* Removes all below a folder; names go as deep as the archive's reader lets them. */
static void remove_below(struct tree *tree, uint32_t folder)
{
	while (tree->inodes[folder].block)
		tree_remove(tree, tree->inodes[folder].block);
}

static void leave_bucket(struct tree *tree, uint32_t at)
{
	const struct tree_name *name = &tree->names[at];
	uint32_t *link = bucket_of(tree, name->folder, tree->texts + name->text, name->len);

	while (*link != at)
		link = &tree->names[*link].chain;
	*link = name->chain;
}

static void leave_folder(struct tree *tree, uint32_t at)
{
	const struct tree_name *name = &tree->names[at];

	/* Name 0 is none's, and may be written to. */
	tree->names[name->next].before = name->before;
	if (tree->inodes[name->folder].block == at)
		tree->inodes[name->folder].block = name->next;
	else
		tree->names[name->before].next = name->next;
}

void tree_remove(struct tree *tree, uint32_t at)
{
	struct tree_name *name = &tree->names[at];
	struct tree_inode *inode = &tree->inodes[name->inode];

	if (S_ISDIR(inode->mode)) {
		remove_below(tree, name->inode);
		inode->mode = 0;
	} else if (--inode->links == 0) {
		inode->mode = 0;
	}
	leave_bucket(tree, at);
	leave_folder(tree, at);
	name->inode = 0;
}
