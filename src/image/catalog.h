/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the image store: what lies in its folders, who holds it, what goes when the budget is spent. */
#ifndef IMAGE_CATALOG_H
#define IMAGE_CATALOG_H

#include <pthread.h>

#include "base/buf.h"
#include "image/image.h"
#include "image/unpack.h"
#include "image/view.h"

#define CATALOG_IMAGE "image"
#define CATALOG_MEMORY ".memory" /* in the folder of mounts: where images of class Memory and Never lie */

struct catalog_entry {
	char name[IMAGE_NAME_SIZE];
	struct digest digest;
	enum policy_cache class;
	char domain[SEAL_DOMAIN_SIZE]; /* empty: for all */
	uint8_t seal[SEAL_ID_SIZE];    /* of its sealed file */
	bool encrypted;                /* its layers arrived encrypted */
	uint64_t bytes, entries;
	int64_t used_ms;
	unsigned holds;
};

/* A pull under way: whoever asks for the same waits for it. */
struct catalog_pull {
	char name[IMAGE_NAME_SIZE];
	bool ended;
	unsigned waiting;
	int code;
	struct err err;
	struct catalog_pull *next;
};

struct image_store {
	int dir, lock;
	int mounts, memory; /* -1 until something is mounted, or kept in memory */
	struct image_store_config config;
	char ingest[512];
	char *mounts_path;
	pthread_mutex_t mounting; /* of mounts, memory, views; taken before mutex */
	struct view *views;
	size_t view_count;
	pthread_mutex_t mutex; /* of all below */
	pthread_cond_t pull_ended;
	struct catalog_entry *entries;
	size_t count, capacity;
	struct catalog_pull *pulls;
	uint64_t next_temporary;
};

static inline bool catalog_in_memory(enum policy_cache class)
{
	return class >= POLICY_CACHE_MEMORY;
}

/* Adds the images of one of the store's folders, and removes what a crash left there. */
int catalog_scan(struct image_store *store, int dir, bool memory, struct err *err) MUST_CHECK;

/* The name of an image's folder and mount; domain NULL or empty: the one for all. */
int catalog_name(char to[static IMAGE_NAME_SIZE], const struct digest *digest, const char *domain) MUST_CHECK;

/* The folder that images of a class lie in; that in memory is made when it is missing. */
int catalog_folder(struct image_store *store, enum policy_cache class, int *ret_dir, struct err *err) MUST_CHECK;

/* A folder of its own for what is being unpacked; name is ".new-N". */
int catalog_begin(struct image_store *store, enum policy_cache class, char name[static IMAGE_NAME_SIZE], int *ret_dir,
		  struct err *err) MUST_CHECK;

/* Removes such a folder and all in it. */
void catalog_abandon(struct image_store *store, enum policy_cache class, const char *name);

/*
 * Makes what lies in such a folder an image: everything on disk first, then one rename. The image is held once for the
 * caller. Images nobody holds go if the budget is spent then, and a copy for all of what is sealed now. -EEXIST: another pull was
 * faster.
 */
int catalog_publish(struct image_store *store, const char *temporary, int dir, const struct catalog_entry *entry,
		    struct err *err) MUST_CHECK;

/* Removes images on disk that nobody holds, longest unused first, until no more than bytes are left. Yields whether any went. */
bool catalog_evict(struct image_store *store, uint64_t bytes);

/*
 * Holds the image that fits a request: the one for all when the policy allows that, else the domain's own. ERR_NOT_FOUND;
 * one that is kept less strictly than the policy wants by now goes first, or ERR_BUSY while it is held.
 */
int catalog_hold(struct image_store *store, const struct digest *digest, const struct image_protection *protection,
		 struct catalog_entry *ret_entry, struct err *err) MUST_CHECK;
void catalog_let_go(struct image_store *store, const char *name);

/* Removes an entry: its mount, its key, its folder. mounting and mutex are locked and the entry is not held. */
int catalog_remove(struct image_store *store, struct catalog_entry *entry, struct err *err) MUST_CHECK;

struct catalog_entry *catalog_find(struct image_store *store, const char *name);

/* --- handle.c --- */

/* Fills a handle for an image that the caller has held, keys asked for and mounted. On failure the hold is let go. */
int handle_new(struct image_store *store, const struct catalog_entry *entry, const struct image_request *request,
	       struct image **ret_image, struct err *err) MUST_CHECK;

/* Takes an image's mount and key away. mounting is locked. Nothing happens when it is not mounted. */
int handle_unmount(struct image_store *store, const struct catalog_entry *entry, struct err *err) MUST_CHECK;

#endif
