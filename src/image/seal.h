/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed files: chunks of 128 KiB under AES-256-GCM. A file has a random key of its own, which its header holds wrapped by
 * the key of a trust domain together with a hash over all tags. The nonce of a chunk is its index, and a key seals each
 * index once: every file, and every retry of one, has a new key. A chunk is bound to the image, the file's id, the version
 * and its index; how many there are is bound by the header and by the hash. So no chunk can be changed, moved, left out,
 * taken from another file, and no file from another domain or from a time before.
 *
 *	0      header, 4096 bytes
 *	4096   chunks, the last one shorter
 *	       tags, 16 bytes each
 */
#ifndef IMAGE_SEAL_H
#define IMAGE_SEAL_H

#include "image/imagefile.h"
#include "oci/digest.h"

#define SEAL_KEY_SIZE 32
#define SEAL_ID_SIZE 16
#define SEAL_DOMAIN_SIZE 254
#define SEAL_CHUNKS_MAX (1u << 20) /* files of 128 GiB */

/* What a sealed file belongs to. */
struct seal_binding {
	struct digest image;
	char domain[SEAL_DOMAIN_SIZE];
	uint8_t id
		[SEAL_ID_SIZE]; /* drawn for this file, and noted by whoever will open it: an older file has another */
};

/* --- sealing --- */

struct seal;

/* Begins a file, which the caller keeps open. The domain's key is needed until seal_finish and copied. -ENOMEM, -EIO. */
int seal_new(int fd, const struct seal_binding *binding, const uint8_t key[static SEAL_KEY_SIZE],
	     struct seal **ret_seal) MUST_CHECK;
void seal_free(struct seal *seal);
CLEANUP_DEFINE(seal, struct seal *, seal_free)

/* Seals one chunk: IMAGEFILE_CHUNK bytes, of the last one fewer. Each index once, in any order. ERR_TOO_LARGE, -EEXIST. */
int seal_chunk(struct seal *seal, uint64_t index, const uint8_t *bytes, size_t len, struct err *err) MUST_CHECK;

/* After the last chunk; size is of the plain file. */
int seal_finish(struct seal *seal, uint64_t size, struct err *err) MUST_CHECK;

/* --- opening --- */

struct unseal;

/*
 * Opens a sealed file: takes fd over on success. ERR_DENIED: another image's, another domain's, an older file, or the key is
 * not the one it was sealed with. ERR_CORRUPT: no sealed file, or one that was changed or cut.
 */
int unseal_new(int fd, const struct seal_binding *binding, const uint8_t key[static SEAL_KEY_SIZE],
	       struct unseal **ret_unseal, struct err *err) MUST_CHECK;
void unseal_free(struct unseal *unseal);
CLEANUP_DEFINE(unseal, struct unseal *, unseal_free)

/*
 * Has chunks read past the page cache from now on, where the file system can: they are read once, and their pages are not
 * held twice. What they are read to is to be aligned to 4096 bytes.
 */
void unseal_directly(struct unseal *unseal);

uint64_t unseal_size(const struct unseal *unseal);

/* Reads one chunk whole; to has room for IMAGEFILE_CHUNK. Any number of threads. ERR_CORRUPT when it was changed. */
int unseal_chunk(const struct unseal *unseal, uint64_t index, uint8_t *to, size_t *ret_len, struct err *err) MUST_CHECK;

/* Only whether unseal_new would find the right file and the right key: reads the header alone. */
int unseal_check(int fd, const struct seal_binding *binding, const uint8_t key[static SEAL_KEY_SIZE],
		 struct err *err) MUST_CHECK;

#endif
