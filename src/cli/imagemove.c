/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/imagemove.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "cli/imageinfo.h"
#include "oci/reference.h"

#define DEPTH_MAX 3

struct move {
	struct regclient *client;
	const char *repository;
	struct layout *layout;
	struct imagemove_total *total;
};

/* --- out --- */

static int save_bytes(const struct move *move, const struct digest *digest, const struct buf *bytes, struct err *err)
{
	int fd CLEANUP_CLOSE = -1;
	int r = layout_begin(move->layout, &fd, err);

	if (r == 0 && fdio_write_all(fd, bytes->data, bytes->len) < 0)
		r = err_sys(err, -errno, "cannot write the image layout");
	return r < 0 ? r : layout_commit(move->layout, fd, digest, err);
}

static int save_blob(const struct move *move, const struct descriptor *blob, struct err *err)
{
	int fd CLEANUP_CLOSE = -1;
	int r;

	if (layout_has(move->layout, &blob->digest))
		return 0;
	r = layout_begin(move->layout, &fd, err);
	if (r == 0)
		r = regclient_read_blob(move->client, move->repository, blob, fd, err);
	if (r == 0)
		r = layout_commit(move->layout, fd, &blob->digest, err);
	move->total->blobs += r == 0;
	move->total->bytes += r == 0 ? blob->size : 0;
	return r;
}

static int save_manifest(const struct move *move, const char *reference, int depth, struct descriptor *ret_top,
			 char type[static 256], struct err *err);

static int save_parts(const struct move *move, const struct manifest *manifest, int depth, struct err *err)
{
	int r = manifest->kind == MANIFEST_IMAGE ? save_blob(move, &manifest->config, err) : 0;

	for (size_t i = 0; r == 0 && i < manifest->entry_count; i++) {
		char text[DIGEST_TEXT_SIZE], type[256];
		struct descriptor below;

		digest_format(&manifest->entries[i].digest, text);
		if (manifest->kind == MANIFEST_IMAGE)
			r = save_blob(move, &manifest->entries[i], err);
		else if (depth < DEPTH_MAX)
			r = save_manifest(move, text, depth + 1, &below, type, err);
	}
	return r;
}

static int save_manifest(const struct move *move, const char *reference, int depth, struct descriptor *ret_top,
			 char type[static 256], struct err *err)
{
	struct buf bytes CLEANUP_BUF = {0};
	struct manifest manifest CLEANUP_MANIFEST = {0};
	struct digest digest;
	int r = regclient_manifest(move->client, move->repository, reference, &bytes, &digest, type, err);

	if (r == 0)
		r = manifest_parse(bytes.data, bytes.len, type, &manifest, err);
	if (r == 0)
		r = save_parts(move, &manifest, depth, err);
	if (r == 0)
		r = save_bytes(move, &digest, &bytes, err);
	if (r < 0)
		return err_prefix(err, "manifest '%s'", reference);
	*ret_top = (struct descriptor){.digest = digest, .size = bytes.len};
	move->total->manifests++;
	move->total->bytes += bytes.len;
	return 0;
}

static int save_named(const struct move *move, const char *reference, const char *tag, struct err *err)
{
	struct descriptor top;
	char type[256];
	int r = save_manifest(move, reference, 0, &top, type, err);

	return r < 0 ? r : layout_add(move->layout, &top.digest, type, top.size, tag, err);
}

int imagemove_export(struct regclient *client, const char *repository, const char *reference, struct layout *layout,
		     struct imagemove_total *total, struct err *err)
{
	const struct move move = {client, repository, layout, total};
	struct imageinfo info CLEANUP_IMAGEINFO = {0};
	int r = imageinfo_read(client, repository, reference, &info, err);

	if (r == 0)
		r = save_named(&move, reference, strchr(reference, ':') ? NULL : reference, err);
	for (size_t i = 0; r == 0 && i < info.attached_count; i++) {
		const struct imageinfo_attached *one = &info.attached[i];

		r = save_named(&move, one->tag[0] ? one->tag : one->digest, one->tag[0] ? one->tag : NULL, err);
	}
	return r < 0 ? r : layout_save(layout, err);
}

/* --- in --- */

static int load_blob(const struct move *move, const struct descriptor *blob, struct err *err)
{
	int fd CLEANUP_CLOSE = -1;
	bool has;
	int r = regclient_has_blob(move->client, move->repository, &blob->digest, &has, err);

	if (r < 0 || has)
		return r;
	r = layout_open_blob(move->layout, &blob->digest, blob->size, &fd, err);
	if (r == 0)
		r = regclient_write_blob(move->client, move->repository, &blob->digest, fd, blob->size, err);
	move->total->blobs += r == 0;
	move->total->bytes += r == 0 ? blob->size : 0;
	return r;
}

/* One entry of index.json, or of an index below it. */
struct entry {
	struct digest digest;
	uint64_t size;
	const char *type;
	const char *tag; /* or NULL */
};

static int read_manifest(const struct move *move, const struct entry *entry, struct buf *bytes,
			 struct manifest *manifest, struct err *err)
{
	int fd CLEANUP_CLOSE = -1;
	int r = entry->size > MANIFEST_BYTES_MAX ? err_set(err, ERR_TOO_LARGE, "the manifest is too large") : 0;

	if (r == 0)
		r = layout_open_blob(move->layout, &entry->digest, entry->size, &fd, err);
	if (r == 0 && fdio_read_all(fd, bytes) < 0)
		r = err_set(err, -EIO, "cannot read a manifest");
	/* Between the check and this somebody may have written. */
	if (r == 0)
		r = digest_verify(&entry->digest, bytes->data ? bytes->data : "", bytes->len, err);
	return r < 0 ? r : manifest_parse(bytes->data, bytes->len, entry->type, manifest, err);
}

static int load_manifest(const struct move *move, const struct entry *entry, const char *reference, int depth,
			 struct err *err)
{
	struct buf bytes CLEANUP_BUF = buf_of(MANIFEST_BYTES_MAX);
	struct manifest manifest CLEANUP_MANIFEST = {0};
	int r = read_manifest(move, entry, &bytes, &manifest, err);

	if (r == 0 && manifest.kind == MANIFEST_IMAGE)
		r = load_blob(move, &manifest.config, err);
	for (size_t i = 0; r == 0 && i < manifest.entry_count; i++) {
		const struct descriptor *part = &manifest.entries[i];
		const struct entry below = {part->digest, part->size, part->media_type, NULL};
		char text[DIGEST_TEXT_SIZE];

		digest_format(&part->digest, text);
		if (manifest.kind == MANIFEST_IMAGE)
			r = load_blob(move, part, err);
		else if (depth < DEPTH_MAX && layout_has(move->layout, &part->digest))
			r = load_manifest(move, &below, text, depth + 1, err);
	}
	if (r == 0)
		r = regclient_write_manifest(move->client, move->repository, reference, manifest.media_type, &bytes,
					     err);
	move->total->manifests += r == 0;
	return r;
}

static int read_entry(const json_t *object, struct entry *entry, struct err *err)
{
	const char *digest = json_string_value(json_object_get(object, "digest"));
	json_int_t size = json_integer_value(json_object_get(object, "size"));

	entry->type = json_string_value(json_object_get(object, "mediaType"));
	entry->tag = json_string_value(json_object_get(json_object_get(object, "annotations"), LAYOUT_REF_NAME));
	entry->size = size > 0 ? (uint64_t)size : 0;
	if (!digest || !entry->type || size <= 0)
		return err_set(err, ERR_INVALID, "index.json has an entry without mediaType, digest or size");
	return digest_parse(digest, &entry->digest, err);
}

/* What is pushed when: images, what is attached, tags. */
enum turn { TURN_IMAGES, TURN_ATTACHED, TURN_TAGS, TURN_COUNT };

/* Without a tag it is attached: only what is exported with an image has none. */
static bool is_attached(const struct entry *entry)
{
	return entry->tag && imageinfo_is_attached_tag(entry->tag);
}

static int load_entry(const struct move *move, const struct entry *entry, enum turn turn, struct err *err)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(&entry->digest, text);
	switch (turn) {
	case TURN_IMAGES:
		return entry->tag && !is_attached(entry) ? load_manifest(move, entry, text, 0, err) : 0;
	case TURN_ATTACHED:
		if (entry->tag && !is_attached(entry))
			return 0;
		return load_manifest(move, entry, entry->tag ? entry->tag : text, 0, err);
	case TURN_TAGS:
		return entry->tag && !is_attached(entry) ? load_manifest(move, entry, entry->tag, 0, err) : 0;
	case TURN_COUNT:
		break;
	}
	return 0;
}

static int check_tag(const struct entry *entry, struct err *err)
{
	const char *tag = entry->tag;

	return !tag || reference_is_tag(tag)
		       ? 0
		       : err_set(err, ERR_INVALID, "index.json names '%.128s', which is no tag", tag);
}

int imagemove_import(struct regclient *client, const struct layout *layout, const char *repository, const char *tag,
		     struct imagemove_total *total, struct err *err)
{
	const struct move move = {client, repository, (struct layout *)(uintptr_t)layout, total};
	const json_t *object;
	bool found = !tag;
	size_t i;
	int r = 0;

	for (enum turn turn = TURN_IMAGES; r == 0 && turn < TURN_COUNT; turn++)
		json_array_foreach(layout->manifests, i, object) {
			struct entry entry;

			r = read_entry(object, &entry, err);
			if (r == 0)
				r = check_tag(&entry, err);
			found |= r == 0 && tag && entry.tag && str_eq(entry.tag, tag);
			if (r == 0 && (!tag || !entry.tag || is_attached(&entry) || str_eq(entry.tag, tag)))
				r = load_entry(&move, &entry, turn, err);
			if (r < 0)
				break;
		}
	if (r == 0 && !found)
		r = err_set(err, ERR_NOT_FOUND, "the image layout has no tag '%s'", tag);
	/* The last turn pushed once more what the first did. */
	return r;
}
