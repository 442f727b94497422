/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The node's image store: images pulled by digest, verified, flattened to one EROFS image each, published complete or not
 * at all. Below the store's folder, which is root's alone (0700):
 *
 *	sha256-HEX/image           the files as an EROFS image; owners are ids 0 to 65535 as the image says
 *	sha256-HEX/config.json     the image configuration, byte for byte
 *	sha256-HEX/manifest.json   the manifest, byte for byte
 *	sha256-HEX/index.json      the index, when the digest is of one
 *	sha256-HEX/info.json       what the store notes itself: size, entries, class, domain
 *	.new-*                     what is being unpacked; removed when the store opens
 *
 * HEX is the digest the image was asked for: of a manifest, or of an index whose entry for the platform was taken. Images of
 * another class than Shared are sealed (image/seal.h), have a folder for each domain (sha256-HEX.DOMAIN), and lie below the
 * folder of mounts, in memory, when the class is Memory or Never. Each image is mounted once, below a second folder (image/mounts.h), and stays so until it is removed or the store is trimmed.
 * All functions may be called from any thread. A handle holds its image: what is held is never evicted or removed.
 */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "http/client.h"
#include "image/protection.h"
#include "image/seal.h"
#include "oci/digest.h"
#include "oci/image_config.h"

struct image_store;

struct image_store_config {
	uint64_t budget_bytes;  /* over it, images nobody holds go, longest unused first; 0: 32 GiB */
	uint64_t image_bytes;   /* the most one image may unpack to; 0: 8 GiB */
	uint64_t memory_bytes;  /* the most that images of class Memory and Never take; 0: a quarter of the machine's */
	uint64_t image_entries; /* the most files, folders and links of one image; 0: 500,000 */
	/*
	 * The executable that unpacks, as a confined process of its own: one whose main() begins with
	 *	if (argc > 1 && str_eq(argv[1], IMAGE_INGEST_WORD)) return image_ingest_main();
	 * NULL: the running executable.
	 */
	const char *ingest;
	/* Absolute path of the folder that images are mounted in. Mounts of an earlier process are taken over. */
	const char *mounts;
};

/* "sha256-HEX", for one domain followed by "." and 16 hexadecimal digits. */
#define IMAGE_NAME_SIZE (DIGEST_TEXT_SIZE + 17)

#define IMAGE_INGEST_WORD "image-ingest"
#define IMAGE_VIEW_WORD "image-view" /* and image_view_main() likewise */

/* The whole main program of the unpacking process: descriptor 0 is its channel, 3 the file it may write. */
int image_ingest_main(void);

/* That of the process that serves sealed images: descriptor 0 is its socket, 3 a FUSE device. */
int image_view_main(void);

/*
 * Opens the store in a folder, which the caller keeps open as long as the store; makes what is missing, removes what a
 * crash left unfinished. ERR_BUSY when another process has the store open.
 */
int image_store_open(int dir, const struct image_store_config *config, struct image_store **ret_store,
		     struct err *err) MUST_CHECK;

/* Closes it; no pull may be under way. Mounts stay: containers may run on them. NULL is accepted. */
void image_store_close(struct image_store *store);

/* Takes the mounts of images away that nobody holds, and the folder of mounts when it is empty then. */
int image_store_trim(struct image_store *store, struct err *err) MUST_CHECK;

/* A held image. Read it freely; it does not change. */
struct image {
	struct digest digest;       /* what was asked for */
	char name[IMAGE_NAME_SIZE]; /* in the store */
	enum policy_cache class;
	char *root;                 /* absolute path of its mount, read-only */
	struct image_config config; /* entrypoint, environment, user */
	uint64_t bytes;             /* of the files, as unpacked */
	uint64_t entries;
	struct image_store *store;
};

/* Lets go of a handle. NULL is accepted. */
void image_release(struct image *image);
CLEANUP_DEFINE(image, struct image *, image_release)

/* The descriptor of an image's mount, O_PATH and close-on-exec, which the caller closes. */
int image_open_root(const struct image *image, int *ret_fd, struct err *err) MUST_CHECK;

struct image_request {
	const char *image; /* "host[:port]/repository[:tag]@digest"; the digest is required, a tag ignored */
	const char *token; /* sent as "Authorization: Bearer", or NULL */
	const struct http_client_config
		*client;               /* what to trust and show; https, or http for a host that is configured so */
	bool plain_http;               /* the registry speaks http: tests, loopback */
	const char *os, *architecture; /* NULL: linux, amd64 */
	const atomic_bool *cancelled;  /* looked at between pieces: -ECANCELED; or NULL */
	const struct image_protection *protection; /* NULL: class Shared, for every domain */
	image_grant_fn grant;                      /* asked at each pull and start; NULL: everybody may */
	void *grant_user;
	image_unwrap_fn unwrap; /* opens encrypted layers; NULL: they are refused */
	void *unwrap_user;
};

/*
 * Yields the image, downloading it when it is not there. Blocks. Pulls of one digest at the same time are one download,
 * whose outcome they share. Memory stays under 64 MB whatever the image. The message names the image and, where they are
 * at fault, layer digest and entry. Nothing is left behind on failure. ERR_CORRUPT: digest or size; ERR_INVALID: a layer or
 * document that is refused; -EMEDIUMTYPE; ERR_TOO_LARGE; ERR_UNAVAILABLE; ERR_DENIED, ERR_UNKNOWN_PEER, ERR_NOT_FOUND:
 * the registry's answer; -ENOSPC.
 */
int image_pull(struct image_store *store, const struct image_request *request, struct image **ret_image,
	       struct err *err) MUST_CHECK;

/* Whether an image lies in the store, for whomever; whether somebody may have it is asked with image_pull. */
bool image_has(struct image_store *store, const struct digest *digest);

/*
 * Yields an image that is mounted, without asking for keys: for containers that run already. ERR_NOT_FOUND. domain as in
 * struct image_protection.
 */
int image_hold(struct image_store *store, const struct digest *digest, const char *domain, struct image **ret_image,
	       struct err *err) MUST_CHECK;

struct image_row {
	struct digest digest;
	enum policy_cache class;
	char domain[SEAL_DOMAIN_SIZE]; /* empty: for all */
	uint64_t bytes, entries;
	int64_t used_ms; /* when it was last got or pulled, wall clock */
	unsigned holds;
	bool encrypted;        /* its layers arrived encrypted */
	const char *mechanism; /* how it is mounted: mounts_mechanism */
};

/* All images, longest unused first. The caller frees *ret_rows with free(). */
int image_list(struct image_store *store, struct image_row **ret_rows, size_t *ret_count, struct err *err) MUST_CHECK;

/* Removes an image of class Shared. ERR_BUSY while it is held, ERR_NOT_FOUND. */
int image_remove(struct image_store *store, const struct digest *digest, struct err *err) MUST_CHECK;

/*
 * Makes protected images unreadable and removes them: those of a digest (NULL: any) and a domain (NULL: any). Their keys are
 * wiped and their mounts taken away first. ERR_BUSY while one of them is held, then none is touched. Yields how many went.
 */
int image_revoke(struct image_store *store, const struct digest *digest, const char *domain, size_t *ret_count,
		 struct err *err) MUST_CHECK;

#endif
