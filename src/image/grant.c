/* SPDX-License-Identifier: Apache-2.0 */
#include "image/grant.h"

#include <errno.h>

#include "base/fdio.h"
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

static int read_documents(int dir, const struct image_request *request, const struct digest *asked,
			  struct documents *to, struct err *err)
{
	struct manifest index CLEANUP_MANIFEST = {0};
	const struct buf *outer = &to->index;
	const char *type = NULL;
	int r = fdio_read_file(dir, "manifest.json", &to->manifest_bytes, err);

	if (r == 0) {
		r = fdio_read_file(dir, "index.json", &to->index, err);
		if (r == -ENOENT) {
			outer = &to->manifest_bytes;
			r = 0;
		}
	}
	if (r == 0)
		r = digest_verify(asked, outer->data ? outer->data : "", outer->len, err);
	if (r == 0 && outer == &to->index)
		r = check_platform(to, request, &type, &index, err);
	if (r == 0)
		r = manifest_parse(to->manifest_bytes.data, to->manifest_bytes.len, type, &to->manifest, err);
	return r;
}

int grant_cached(int dir, const struct image_request *request, const struct digest *asked, struct err *err)
{
	CLEANUP(documents_done)
	struct documents documents = {.index = buf_of(MANIFEST_BYTES_MAX),
				      .manifest_bytes = buf_of(MANIFEST_BYTES_MAX)};
	int r = read_documents(dir, request, asked, &documents, err);

	if (r == 0) {
		const struct image_documents shown = {.index = documents.index.len ? &documents.index : NULL,
						      .manifest_bytes = &documents.manifest_bytes,
						      .manifest = &documents.manifest};

		r = request->grant(request->grant_user, &shown, err);
	}
	return r;
}
