/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files of an image as names and metadata, in bounded memory: some 100 bytes for each file and its name. Contents lie
 * elsewhere; the tree knows the block they begin at. Inodes and names are numbers from 1; 0 is none.
 */
#ifndef IMAGE_TREE_H
#define IMAGE_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/err.h"

#define TREE_ROOT 1
#define TREE_NAME_MAX 255

struct tree_inode {
	uint64_t size;   /* of a file's data, of a symbolic link's target */
	uint64_t mtime;  /* seconds since 1970, times 2^30, plus nanoseconds */
	uint32_t block;  /* file: where its data begins; folder: its first name; link: its target in the texts */
	uint32_t xattrs; /* in the texts: as EROFS stores them; xattr_len bytes */
	union {
		uint32_t links;  /* how many names it has */
		uint32_t parent; /* of a folder */
	};
	uint32_t nid;  /* for whoever writes the tree out */
	uint16_t mode; /* type and permissions; 0: removed */
	uint16_t uid, gid;
	uint16_t xattr_len;
};

struct tree_name {
	uint32_t inode;
	uint32_t folder; /* inode of the folder it is in */
	uint32_t next;   /* further name of that folder */
	uint32_t before; /* the one that has this as its next */
	uint32_t chain;  /* further name of the same hash */
	uint32_t text;
	uint16_t layer; /* which layer put it here, or went through it last */
	uint8_t len;
};

struct tree {
	struct tree_inode *inodes;
	struct tree_name *names;
	uint32_t *buckets;
	char *texts;
	uint32_t inode_count, inode_room, name_count, name_room, bucket_count, text_len, text_room;
	size_t bytes, bytes_max;
	uint64_t secret; /* of the hash: an image cannot choose names that meet in one bucket */
};

/* A tree of a root folder (0755, of user 0) that takes at most so many bytes of memory. -ENOMEM. */
int tree_init(struct tree *tree, size_t bytes_max) MUST_CHECK;
void tree_done(struct tree *tree);

static inline struct tree_inode *tree_inode_of(const struct tree *tree, uint32_t name)
{
	return &tree->inodes[tree->names[name].inode];
}

/* The name in a folder, by its first len bytes; 0: none. */
uint32_t tree_find(const struct tree *tree, uint32_t folder, const char *name, size_t len);

/*
 * Adds a name for an inode, a new one of this mode when inode is 0. The name is not there yet. ERR_TOO_LARGE when the tree's
 * memory is used up, -EMLINK over 65535 names of one inode, -ENAMETOOLONG, -ENOMEM.
 */
int tree_add(struct tree *tree, uint32_t folder, const char *name, size_t len, uint32_t inode, mode_t mode,
	     uint32_t *ret_name, struct err *err) MUST_CHECK;

/* Takes a name away, and all below it when it is a folder. */
void tree_remove(struct tree *tree, uint32_t name);

/* Keeps bytes among the texts. As tree_add. */
int tree_keep(struct tree *tree, const void *bytes, size_t len, uint32_t *ret_text, struct err *err) MUST_CHECK;

#endif
