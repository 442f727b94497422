/* SPDX-License-Identifier: Apache-2.0 */
#include "image/unpack.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "image/tar.h"

#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"
#define QUOTE_SIZE 200

struct unpack {
	struct erofs_write write;
	struct unpack_limits limits;
	struct unpack_totals totals;
	struct tree tree;
	uint16_t layer; /* the one at hand, from 1 */
};

int unpack_new(erofs_write_fn put, void *user, const struct unpack_limits *limits, struct unpack **ret_unpack)
{
	struct unpack *unpack = calloc(1, sizeof(*unpack));
	int r = unpack ? tree_init(&unpack->tree, UNPACK_TREE_MAX) : -ENOMEM;

	if (r < 0) {
		free(unpack);
		return r;
	}
	unpack->write = erofs_write_of(put, user);
	unpack->limits = *limits;
	*ret_unpack = unpack;
	return 0;
}

void unpack_free(struct unpack *unpack)
{
	if (!unpack)
		return;
	tree_done(&unpack->tree);
	free(unpack);
}

/* --- names --- */

static int account(struct unpack *unpack, uint64_t bytes, struct err *err)
{
	uint64_t rounded = bytes + (-bytes & (EROFS_BLOCK - 1));

	if (unpack->limits.bytes - unpack->totals.bytes < rounded)
		return err_set(err, ERR_TOO_LARGE, "the image has more than %llu bytes",
			       (unsigned long long)unpack->limits.bytes);
	unpack->totals.bytes += rounded;
	return 0;
}

/* The inode of a folder by path, through no link. -ENOENT; -ENOTDIR with *ret_name what is no folder. */
static int find_folder(const struct tree *tree, const char *path, uint32_t *ret_folder, uint32_t *ret_name)
{
	uint32_t folder = TREE_ROOT;

	while (*path) {
		size_t len = strcspn(path, "/");
		uint32_t name = tree_find(tree, folder, path, len);

		if (!name)
			return -ENOENT;
		if (!S_ISDIR(tree_inode_of(tree, name)->mode)) {
			*ret_name = name;
			return -ENOTDIR;
		}
		folder = tree->names[name].inode;
		path += len + (path[len] == '/');
	}
	*ret_folder = folder;
	return 0;
}

/*
 * The folder that the last component of name lies in, and that component. Folders that no entry announced are made, as the
 * specification allows, and all count as work of this layer.
 */
static int open_parent(struct unpack *unpack, const char *name, uint32_t *ret_folder, const char **ret_base,
		       struct err *err)
{
	struct tree *tree = &unpack->tree;
	uint32_t folder = TREE_ROOT;
	const char *slash;

	while ((slash = strchr(name, '/'))) {
		size_t len = (size_t)(slash - name);
		uint32_t at = tree_find(tree, folder, name, len);
		int r = at ? 0 : tree_add(tree, folder, name, len, 0, S_IFDIR | 0755, &at, err);

		if (r < 0)
			return r;
		if (!S_ISDIR(tree_inode_of(tree, at)->mode))
			return err_set(err, ERR_INVALID, "what is above it is a link or a file");
		tree->names[at].layer = unpack->layer;
		folder = tree->names[at].inode;
		name = slash + 1;
	}
	*ret_folder = folder;
	*ret_base = name;
	return 0;
}

/* --- whiteouts --- */

static void remove_older(struct unpack *unpack, uint32_t name);

static void remove_older_inside(struct unpack *unpack, uint32_t folder)
{
	for (uint32_t at = unpack->tree.inodes[folder].block, next; at; at = next) {
		next = unpack->tree.names[at].next;
		remove_older(unpack, at);
	}
}

/* Removes a name unless this layer made it; of a folder this layer went through, what is older inside. */
static void remove_older(struct unpack *unpack, uint32_t name)
{
	struct tree *tree = &unpack->tree;

	if (tree->names[name].layer != unpack->layer)
		tree_remove(tree, name);
	else if (S_ISDIR(tree_inode_of(tree, name)->mode))
		remove_older_inside(unpack, tree->names[name].inode);
}

/* A whiteout does not count as work of the layer on the folder it lies in: the layer may still put another thing there. */
static int apply_whiteout(struct unpack *unpack, const struct tar_entry *entry, struct err *err)
{
	const char *slash = strrchr(entry->name, '/'), *base = slash ? slash + 1 : entry->name;
	const char *hidden = base + strlen(WHITEOUT);
	size_t len = slash ? (size_t)(slash - entry->name) : 0;
	uint32_t folder, above = 0, name;
	char parent[TAR_NAME_SIZE];
	int r;

	if (entry->type != TAR_FILE || entry->size)
		return err_set(err, ERR_INVALID, "a whiteout is not an empty file");
	if (!str_eq(base, OPAQUE) &&
	    (!*hidden || str_eq(hidden, ".") || str_eq(hidden, "..") || str_starts(hidden, WHITEOUT)))
		return err_set(err, ERR_INVALID, "it is an unknown kind of whiteout");
	memcpy(parent, entry->name, len);
	parent[len] = '\0';
	r = find_folder(&unpack->tree, parent, &folder, &above);
	if (r == -ENOENT)
		return 0;
	/* Where the layer itself put what is no folder, nothing older is below. */
	if (r < 0)
		return unpack->tree.names[above].layer == unpack->layer
			       ? 0
			       : err_set(err, ERR_INVALID, "what is above it is a link or a file");
	if (str_eq(base, OPAQUE)) {
		remove_older_inside(unpack, folder);
		return 0;
	}
	name = tree_find(&unpack->tree, folder, hidden, strlen(hidden));
	if (name)
		remove_older(unpack, name);
	return 0;
}

/* Whether a component before the last one is a whiteout: nothing lies below such. */
static bool below_whiteout(const char *name)
{
	for (const char *at = name; (at = strstr(at, WHITEOUT)); at++)
		if ((at == name || at[-1] == '/') && strchr(at, '/'))
			return true;
	return false;
}

/* --- entries --- */

/* Appends the user's attributes as EROFS keeps them. */
static int format_xattrs(const struct tar_entry *entry, uint8_t to[static EROFS_WRITE_XATTRS_MAX], size_t *ret_len,
			 struct err *err)
{
	size_t len = sizeof(struct erofs_xattr_header);

	*ret_len = 0;
	memset(to, 0, EROFS_WRITE_XATTRS_MAX);
	for (size_t i = 0; i < entry->xattr_count; i++) {
		const struct tar_xattr *xattr = &entry->xattrs[i];
		const char *name = xattr->name + strlen("user.");
		struct erofs_xattr_entry head = {.index = EROFS_XATTR_USER};
		size_t name_len;

		if (!str_starts(xattr->name, "user."))
			continue;
		name_len = strlen(name);
		if (str_starts(name, "overlay."))
			return err_set(err, ERR_INVALID, "the extended attribute '%.64s' is overlayfs' own",
				       xattr->name);
		if (!name_len || name_len > UINT8_MAX)
			return err_set(err, ERR_INVALID, "the extended attribute '%.64s' has no valid name",
				       xattr->name);
		if (len + sizeof(head) + name_len + xattr->len + 3 > EROFS_WRITE_XATTRS_MAX)
			return err_set(err, ERR_TOO_LARGE, "its extended attributes take more than %u bytes",
				       EROFS_WRITE_XATTRS_MAX);
		head.name_len = (uint8_t)name_len;
		head.value_len = htole16((uint16_t)xattr->len);
		memcpy(to + len, &head, sizeof(head));
		memcpy(to + len + sizeof(head), name, name_len);
		if (xattr->len)
			memcpy(to + len + sizeof(head) + name_len, xattr->value, xattr->len);
		len = (len + sizeof(head) + name_len + xattr->len + 3) & ~(size_t)3;
		*ret_len = len;
	}
	return 0;
}

static int set_metadata(struct unpack *unpack, uint32_t number, const struct tar_entry *entry, struct err *err)
{
	uint8_t xattrs[EROFS_WRITE_XATTRS_MAX];
	struct tree_inode *inode;
	uint32_t text = 0;
	size_t len;
	int r = format_xattrs(entry, xattrs, &len, err);

	if (r == 0 && len)
		r = tree_keep(&unpack->tree, xattrs, len, &text, err);
	if (r < 0)
		return r;
	inode = &unpack->tree.inodes[number];
	inode->uid = (uint16_t)entry->uid;
	inode->gid = (uint16_t)entry->gid;
	inode->mtime = (uint64_t)entry->mtime.tv_sec << 30 | (uint64_t)entry->mtime.tv_nsec;
	inode->xattrs = text;
	inode->xattr_len = (uint16_t)len;
	if (!S_ISLNK(inode->mode))
		inode->mode = (uint16_t)((inode->mode & S_IFMT) |
					 (entry->mode & (S_ISDIR(inode->mode) ? 07777u : 01777u)));
	return 0;
}

static int fill_file(struct unpack *unpack, struct tar *tar, const struct tar_entry *entry, uint32_t number,
		     struct err *err)
{
	const char *bytes;
	uint32_t block;
	size_t len;
	int r = account(unpack, entry->size, err);

	if (r == 0)
		r = erofs_write_block(&unpack->write, &block, err);
	if (r < 0)
		return r;
	while ((r = tar_data(tar, &bytes, &len, err)) > 0) {
		r = erofs_write_data(&unpack->write, bytes, len, err);
		if (r < 0)
			return r;
	}
	if (r == 0)
		r = erofs_write_pad(&unpack->write, err);
	unpack->tree.inodes[number].block = block;
	unpack->tree.inodes[number].size = entry->size;
	return r;
}

/* What a hard link leads to: a file or symbolic link of this image, through no link. */
static int find_target(const struct unpack *unpack, const char *path, uint32_t *ret_inode, struct err *err)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	char parent[TAR_NAME_SIZE];
	uint32_t folder, above, name = 0;

	memcpy(parent, path, slash ? (size_t)(slash - path) : 0);
	parent[slash ? slash - path : 0] = '\0';
	if (find_folder(&unpack->tree, parent, &folder, &above) == 0)
		name = tree_find(&unpack->tree, folder, base, strlen(base));
	if (!name)
		return err_set(err, ERR_INVALID, "the hard link's target is not there");
	if (S_ISDIR(tree_inode_of(&unpack->tree, name)->mode))
		return err_set(err, ERR_INVALID, "the hard link's target is a folder");
	*ret_inode = unpack->tree.names[name].inode;
	return 0;
}

/* Makes way for the entry: what older layers have there goes, unless both are folders; what this layer has there stays. */
static int clear_place(struct unpack *unpack, const struct tar_entry *entry, uint32_t *name, struct err *err)
{
	struct tree *tree = &unpack->tree;

	if (!*name || (S_ISDIR(tree_inode_of(tree, *name)->mode) && entry->type == TAR_FOLDER))
		return 0;
	if (tree->names[*name].layer == unpack->layer)
		return err_set(err, ERR_INVALID, "the layer has the name twice");
	tree_remove(tree, *name);
	*name = 0;
	return 0;
}

static int make_entry(struct unpack *unpack, struct tar *tar, const struct tar_entry *entry, uint32_t folder,
		      const char *base, struct err *err)
{
	static const mode_t modes[] = {[TAR_FILE] = S_IFREG, [TAR_SYMLINK] = S_IFLNK, [TAR_FOLDER] = S_IFDIR};
	struct tree *tree = &unpack->tree;
	uint32_t name = tree_find(tree, folder, base, strlen(base)), inode = 0, text;
	int r = clear_place(unpack, entry, &name, err);

	if (r == 0 && entry->type == TAR_LINK)
		r = find_target(unpack, entry->target, &inode, err);
	if (r == 0 && !name && entry->type == TAR_FOLDER)
		r = account(unpack, EROFS_BLOCK, err);
	if (r == 0 && !name)
		r = tree_add(tree, folder, base, strlen(base), inode, inode ? 0 : modes[entry->type], &name, err);
	if (r < 0)
		return r;
	tree->names[name].layer = unpack->layer;
	if (entry->type == TAR_LINK)
		return 0;
	inode = tree->names[name].inode;
	r = set_metadata(unpack, inode, entry, err);
	if (r == 0 && entry->type == TAR_FILE)
		return fill_file(unpack, tar, entry, inode, err);
	if (r == 0 && entry->type == TAR_SYMLINK) {
		r = tree_keep(tree, entry->target, strlen(entry->target), &text, err);
		if (r == 0) {
			tree->inodes[inode].mode |= 0777;
			tree->inodes[inode].block = text;
			tree->inodes[inode].size = strlen(entry->target);
		}
	}
	return r;
}

static int apply_entry(struct unpack *unpack, struct tar *tar, const struct tar_entry *entry, struct err *err)
{
	const char *base;
	uint32_t folder;
	int r;

	if (++unpack->totals.entries > unpack->limits.entries)
		return err_set(err, ERR_TOO_LARGE, "the image has more than %llu entries",
			       (unsigned long long)unpack->limits.entries);
	if (!entry->name[0])
		return set_metadata(unpack, TREE_ROOT, entry, err);
	if (below_whiteout(entry->name))
		return err_set(err, ERR_INVALID, "it lies below a whiteout");
	base = strrchr(entry->name, '/');
	if (str_starts(base ? base + 1 : entry->name, WHITEOUT))
		return apply_whiteout(unpack, entry, err);
	r = open_parent(unpack, entry->name, &folder, &base, err);
	return r < 0 ? r : make_entry(unpack, tar, entry, folder, base, err);
}

int unpack_layer(struct unpack *unpack, source_fn source, void *user, struct err *err)
{
	CLEANUP(cleanup_tar) struct tar *tar = NULL;
	const struct tar_entry *entry;
	char quoted[QUOTE_SIZE];
	int r = tar_new(source, user, &tar);

	if (r < 0)
		return err_sys(err, r, "cannot unpack");
	unpack->layer++;
	while ((r = tar_next(tar, &entry, err)) > 0) {
		struct err inner = {0};

		r = apply_entry(unpack, tar, entry, &inner);
		if (r < 0) {
			*err = inner;
			/* What the reader says names the entry already. */
			return str_starts(inner.msg, "entry ")
				       ? r
				       : err_prefix(err, "entry '%s'", tar_quote(quoted, sizeof(quoted), entry->name));
		}
	}
	return r;
}

int unpack_finish(struct unpack *unpack, struct unpack_totals *ret_totals, uint8_t first[static EROFS_BLOCK],
		  struct err *err)
{
	int r = erofs_write_finish(&unpack->write, &unpack->tree, first, err);

	if (r == 0)
		*ret_totals = unpack->totals;
	return r;
}
