/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channel between the store and the process that unpacks (docs/adr/0007-image-ingest.md). The store's side never
 * looks into what it passes on; the other side is believed only as to whether it is content and how much it wrote.
 */
#ifndef IMAGE_INGEST_H
#define IMAGE_INGEST_H

#include "image/protection.h"
#include "image/seal.h"
#include "image/unpack.h"
#include "oci/media.h"

/* --- what goes over the channel; both ends are one executable --- */

enum ingest_frame { INGEST_ORDERS, INGEST_LAYER, INGEST_DATA, INGEST_LAYER_END, INGEST_FINISH };

#define INGEST_DATA_MAX 65536

struct ingest_head {
	uint32_t frame;
	uint32_t len; /* of what follows: struct ingest_orders, struct ingest_layer, data, nothing */
};

/* What is made of the layers. */
struct ingest_orders {
	struct unpack_limits limits;
	bool sealed;
	struct seal_binding binding;
	uint8_t key[SEAL_KEY_SIZE]; /* of the trust domain */
};

struct ingest_layer {
	enum media_compression compression;
	struct digest diff_id;
	bool encrypted; /* secret opens it, before it is decompressed */
	struct layersecret secret;
};

/* The answer to INGEST_LAYER_END and INGEST_FINISH, or to anything when unpacking failed. */
struct ingest_verdict {
	int32_t code; /* 0 or negative errno */
	struct unpack_totals totals;
	char message[512];
};

/* --- the store's side --- */

struct ingest;

/* Starts the unpacking process for an empty file open for writing. executable NULL: the running one. */
int ingest_start(const char *executable, int file, const struct ingest_orders *orders, struct ingest **ret_ingest,
		 struct err *err) MUST_CHECK;

/* Kills the process unless it ended. NULL is accepted. */
void ingest_free(struct ingest *ingest);
CLEANUP_DEFINE(ingest, struct ingest *, ingest_free)

/* Announces a layer, passes its compressed bytes on, asks for the verdict. -EPIPE: ingest_verdict tells why. */
int ingest_layer_begin(struct ingest *ingest, const struct ingest_layer *layer) MUST_CHECK;
int ingest_layer_data(struct ingest *ingest, const char *bytes, size_t len) MUST_CHECK;
int ingest_layer_end(struct ingest *ingest) MUST_CHECK;

/* Waits for the verdict and hands its code and message on. */
int ingest_verdict(struct ingest *ingest, struct err *err) MUST_CHECK;

/* After the last layer: the totals, once the process has ended well. */
int ingest_finish(struct ingest *ingest, struct unpack_totals *ret_totals, struct err *err) MUST_CHECK;

#endif
