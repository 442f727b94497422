/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OCI image layout in a folder (image specification 1.1, "Image Layout"): blobs by digest, and index.json with what they are.
 * Every blob is verified when it is written and again when it is read.
 */
#ifndef CLI_LAYOUT_H
#define CLI_LAYOUT_H

#include <jansson.h>

#include "oci/manifest.h"

#define LAYOUT_REF_NAME "org.opencontainers.image.ref.name"

struct layout {
	int dir;
	json_t *manifests; /* of index.json */
};
#define LAYOUT_NONE ((struct layout){-1, NULL})

/* Opens a layout, or makes one where the folder is missing or empty (create). ERR_INVALID for what is none. */
int layout_open(const char *path, bool create, struct layout *ret_layout, struct err *err) MUST_CHECK;
void layout_close(struct layout *layout);
#define CLEANUP_LAYOUT __attribute__((cleanup(layout_close)))

bool layout_has(const struct layout *layout, const struct digest *digest);

/* A file for a new blob, and its place once it was written and verified. */
int layout_begin(const struct layout *layout, int *ret_fd, struct err *err) MUST_CHECK;
int layout_commit(const struct layout *layout, int fd, const struct digest *digest, struct err *err) MUST_CHECK;

/* Opens a blob and verifies size and digest of the whole file. ERR_CORRUPT, ERR_NOT_FOUND. The file stands at its beginning. */
int layout_open_blob(const struct layout *layout, const struct digest *digest, uint64_t size, int *ret_fd,
		     struct err *err) MUST_CHECK;

/* Names a manifest in index.json; of two with one tag the later counts. tag may be NULL. Written by layout_save. */
int layout_add(struct layout *layout, const struct digest *digest, const char *type, uint64_t size, const char *tag,
	       struct err *err) MUST_CHECK;
int layout_save(const struct layout *layout, struct err *err) MUST_CHECK;

#endif
