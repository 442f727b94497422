/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the image store: what lies in its folder, who holds it, what goes when the budget is spent. */
#ifndef IMAGE_CATALOG_H
#define IMAGE_CATALOG_H

#include <pthread.h>

#include "base/buf.h"
#include "image/image.h"
#include "image/unpack.h"

#define CATALOG_IMAGE "image"

/* "sha256-HEX" and NUL. */
#define CATALOG_NAME_SIZE DIGEST_TEXT_SIZE

struct catalog_entry {
	struct digest digest;
	uint64_t bytes, entries;
	int64_t used_ms;
	unsigned holds;
};

/* A pull under way: whoever asks for the same digest waits for it. */
struct catalog_pull {
	struct digest digest;
	bool ended;
	unsigned waiting;
	int code;
	struct err err;
	struct catalog_pull *next;
};

struct image_store {
	int dir, lock, mounts; /* mounts: -1 until something is mounted */
	struct image_store_config config;
	char ingest[512];
	char *mounts_path;
	pthread_mutex_t mounting; /* one mount at a time; taken before mutex */
	pthread_mutex_t mutex;    /* of all below */
	pthread_cond_t pull_ended;
	struct catalog_entry *entries;
	size_t count, capacity;
	struct catalog_pull *pulls;
	uint64_t next_temporary;
};

/* A folder of its own for what is being unpacked; name is ".new-N". */
int catalog_begin(struct image_store *store, char name[static CATALOG_NAME_SIZE], int *ret_dir,
		  struct err *err) MUST_CHECK;

/* Removes such a folder and all in it. */
void catalog_abandon(struct image_store *store, const char *name);

/*
 * Makes what lies in such a folder the image of a digest: everything on disk first, then one rename. The image is held
 * once for the caller. Images nobody holds go if the budget is spent then.
 */
int catalog_publish(struct image_store *store, const char *name, int dir, const struct digest *digest,
		    const struct unpack_totals *totals, struct err *err) MUST_CHECK;

/* Removes images nobody holds, longest unused first, until no more than bytes are left. Yields whether any went. */
bool catalog_evict(struct image_store *store, uint64_t bytes);

/* Fills a handle for an image that the caller has held. On failure the hold is let go. */
int catalog_handle(struct image_store *store, const struct digest *digest, struct image **ret_image,
		   struct err *err) MUST_CHECK;

/* Holds an image; ERR_NOT_FOUND. */
int catalog_hold(struct image_store *store, const struct digest *digest, struct err *err) MUST_CHECK;
void catalog_let_go(struct image_store *store, const struct digest *digest);

#endif
