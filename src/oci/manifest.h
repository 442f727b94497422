/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Image manifests and indexes: OCI image specification 1.1 ("Image Manifest", "Image Index") and Docker's schema 2. Known
 * fields are checked strictly and unknown ones pass, as the specification demands; a member given twice, or a document that
 * could be read as manifest and as index, is refused.
 */
#ifndef OCI_MANIFEST_H
#define OCI_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "oci/digest.h"
#include "oci/media.h"

/* The largest document read, the most layers or entries, and the largest size a descriptor may state (1 TiB). */
#define MANIFEST_BYTES_MAX (4u << 20)
#define MANIFEST_ENTRIES_MAX 1024
#define MANIFEST_SIZE_MAX (UINT64_C(1) << 40)

/* A descriptor; its strings belong to the manifest. */
struct descriptor {
	const char *media_type;
	struct digest digest;
	uint64_t size;
	const char *artifact_type; /* or NULL */
	const char *os;            /* of platform; NULL when the descriptor has none */
	const char *architecture;  /* likewise */
	const char *variant;       /* likewise, or NULL */
	const json_t *annotations; /* object of strings, or NULL */
};

enum manifest_kind { MANIFEST_IMAGE, MANIFEST_INDEX };

struct manifest {
	enum manifest_kind kind;
	const char *media_type;     /* as stated, or as told by the caller when the document leaves it out */
	const char *artifact_type;  /* or NULL */
	struct descriptor config;   /* of an image */
	struct descriptor *entries; /* layers of an image, manifests of an index */
	size_t entry_count;
	bool has_subject;
	struct descriptor subject;
	const json_t *annotations; /* object of strings, or NULL */
	json_t *document;          /* owns all strings */
};

/*
 * Reads a manifest or an index. media_type is what the transport said it is (Content-Type, descriptor), or NULL; a document
 * that states another is refused. ERR_TOO_LARGE, ERR_SYNTAX for what is no JSON, ERR_INVALID with the field's path.
 * The caller frees with manifest_done.
 */
int manifest_parse(const char *bytes, size_t len, const char *media_type, struct manifest *ret_manifest,
		   struct err *err) MUST_CHECK;
void manifest_done(struct manifest *manifest);
#define CLEANUP_MANIFEST __attribute__((cleanup(manifest_done)))

/* The one entry of an index for a platform; ERR_NOT_FOUND without any. The first one counts, as the specification says. */
int manifest_select(const struct manifest *index, const char *os, const char *architecture,
		    const struct descriptor **ret_entry, struct err *err) MUST_CHECK;

/* An annotation's value, NULL when absent. annotations may be NULL. */
const char *manifest_annotation(const json_t *annotations, const char *name);

#endif
