/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the image store: reading from a registry (OCI distribution specification 1.1, "Pull"), all by digest. */
#ifndef IMAGE_FETCH_H
#define IMAGE_FETCH_H

#include "image/image.h"
#include "image/ingest.h"
#include "oci/manifest.h"
#include "oci/reference.h"

struct fetch {
	const struct image_request *request;
	const struct reference *reference;
	struct http_client *client;
};

/* Readies calls to the registry of a reference. The caller ends with fetch_done. */
int fetch_init(struct fetch *fetch, const struct image_request *request, const struct reference *reference,
	       struct err *err) MUST_CHECK;
void fetch_done(struct fetch *fetch);
#define CLEANUP_FETCH __attribute__((cleanup(fetch_done)))

/*
 * Reads the manifest for the request's platform, through an index when the reference names one. The bytes of both (of the index
 * none without one), which the caller ends with buf_done, and what they say, which he ends with manifest_done.
 */
int fetch_manifest(struct fetch *fetch, struct buf *ret_index, struct buf *ret_bytes, struct manifest *ret_manifest,
		   struct err *err) MUST_CHECK;

/* Reads a small blob whole and verifies size and digest. */
int fetch_blob(struct fetch *fetch, const struct descriptor *blob, struct buf *ret_bytes, struct err *err) MUST_CHECK;

/*
 * Streams a layer to the unpacking process, resuming where a connection broke, and verifies size and digest; then the
 * process's verdict counts.
 */
int fetch_layer(struct fetch *fetch, const struct descriptor *layer, struct ingest *ingest, struct err *err) MUST_CHECK;

#endif
