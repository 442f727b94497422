/* SPDX-License-Identifier: Apache-2.0 */
#include "image/grant.h"

#include <errno.h>
#include <stdio.h>

#include "base/fdio.h"
#include "image/catalog.h"
#include "oci/manifest.h"

struct documents {
	struct buf index, manifest_bytes;
	struct manifest manifest;
};

static void documents_done(struct documents *documents)
{
	manifest_done(&documents->manifest);
	buf_done(&documents->index);
	buf_done(&documents->manifest_bytes);
}

static int read_document(struct image_store *store, const struct reference *reference, const char *name, struct buf *to,
			 struct err *err)
{
	char hex[DIGEST_TEXT_SIZE], path[DIGEST_TEXT_SIZE + 32];

	digest_hex(&reference->digest, hex);
	(void)snprintf(path, sizeof(path), "%s-%s/%s", digest_algorithm_name(reference->digest.algorithm), hex, name);
	return fdio_read_file(store->dir, path, to, err);
}

/* The manifest must be the one that the index has for this platform: what runs is what is asked about. */
static int check_platform(const struct documents *documents, const struct image_request *request, const char **ret_type,
			  struct manifest *index, struct err *err)
{
	const struct descriptor *entry = NULL;
	int r = manifest_parse(documents->index.data, documents->index.len, NULL, index, err);

	if (r == 0)
		r = manifest_select(index, request->os ? request->os : "linux",
				    request->architecture ? request->architecture : "amd64", &entry, err);
	if (r == 0)
		r = digest_verify(&entry->digest, documents->manifest_bytes.data, documents->manifest_bytes.len, err);
	if (r == 0)
		*ret_type = entry->media_type;
	return r;
}

static int read_documents(struct image_store *store, const struct image_request *request,
			  const struct reference *reference, struct documents *to, struct err *err)
{
	struct manifest index CLEANUP_MANIFEST = {0};
	const struct buf *outer = &to->index;
	const char *type = NULL;
	int r = read_document(store, reference, "manifest.json", &to->manifest_bytes, err);

	if (r == 0) {
		r = read_document(store, reference, "index.json", &to->index, err);
		if (r == -ENOENT) {
			outer = &to->manifest_bytes;
			r = 0;
		}
	}
	if (r == 0)
		r = digest_verify(&reference->digest, outer->data ? outer->data : "", outer->len, err);
	if (r == 0 && outer == &to->index)
		r = check_platform(to, request, &type, &index, err);
	if (r == 0)
		r = manifest_parse(to->manifest_bytes.data, to->manifest_bytes.len, type, &to->manifest, err);
	return r;
}

int grant_cached(struct image_store *store, const struct image_request *request, const struct reference *reference,
		 struct err *err)
{
	CLEANUP(documents_done)
	struct documents documents = {.index = buf_of(MANIFEST_BYTES_MAX),
				      .manifest_bytes = buf_of(MANIFEST_BYTES_MAX)};
	int r = read_documents(store, request, reference, &documents, err);

	if (r == 0) {
		const struct image_documents shown = {.index = documents.index.len ? &documents.index : NULL,
						      .manifest_bytes = &documents.manifest_bytes,
						      .manifest = &documents.manifest};

		r = request->grant(request->grant_user, &shown, err);
	}
	return r;
}
