/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/manifest.h"

#include <errno.h>

#include "base/str.h"
#include "oci/document.h"

static int read_annotations(const json_t *object, const char *where, const json_t **ret_annotations, struct err *err)
{
	const json_t *annotations = json_object_get(object, "annotations");
	const char *name;
	json_t *value;

	*ret_annotations = NULL;
	if (!annotations || json_is_null(annotations))
		return 0;
	if (!json_is_object(annotations))
		return err_set(err, ERR_INVALID, "%sannotations is not an object", where);
	json_object_foreach((json_t *)annotations, name, value)
		if (!json_is_string(value))
			return err_set(err, ERR_INVALID, "%sannotations['%.100s'] is not a string", where, name);
	*ret_annotations = annotations;
	return 0;
}

static int read_platform(const json_t *object, const char *where, struct descriptor *to, struct err *err)
{
	const json_t *platform = json_object_get(object, "platform");
	char here[DOCUMENT_WHERE_SIZE];
	int r;

	if (!platform || json_is_null(platform))
		return 0;
	if (!json_is_object(platform))
		return err_set(err, ERR_INVALID, "%splatform is not an object", where);
	document_where(here, "%splatform.", where);
	r = document_string(platform, here, "os", true, &to->os, err);
	if (r == 0)
		r = document_string(platform, here, "architecture", true, &to->architecture, err);
	if (r == 0)
		r = document_string(platform, here, "variant", false, &to->variant, err);
	return r;
}

/* where is the path of the descriptor with a '.' at its end: "layers[3]." */
static int read_descriptor(const json_t *object, const char *where, struct descriptor *to, struct err *err)
{
	const char *digest;
	const json_t *size;
	int r;

	*to = (struct descriptor){0};
	if (!json_is_object(object))
		return err_set(err, ERR_INVALID, "%.*s is not an object", (int)strlen(where) - 1, where);
	r = document_string(object, where, "mediaType", true, &to->media_type, err);
	if (r < 0)
		return r;
	if (!media_is_type(to->media_type))
		return err_set(err, ERR_INVALID, "%smediaType '%.100s' is not a media type", where, to->media_type);
	r = document_string(object, where, "digest", true, &digest, err);
	if (r < 0)
		return r;
	r = digest_parse(digest, &to->digest, err);
	if (r < 0)
		return err_prefix(err, "%.*s", (int)strlen(where) - 1, where);
	size = json_object_get(object, "size");
	if (!json_is_integer(size) || json_integer_value(size) < 0 ||
	    (uint64_t)json_integer_value(size) > MANIFEST_SIZE_MAX)
		return err_set(err, ERR_INVALID, "%ssize is not a number from 0 to %llu", where,
			       (unsigned long long)MANIFEST_SIZE_MAX);
	to->size = (uint64_t)json_integer_value(size);
	r = document_string(object, where, "artifactType", false, &to->artifact_type, err);
	if (r == 0)
		r = read_platform(object, where, to, err);
	if (r == 0)
		r = read_annotations(object, where, &to->annotations, err);
	return r;
}

static int read_entries(const json_t *root, const char *field, struct manifest *manifest, struct err *err)
{
	const json_t *list = json_object_get(root, field);
	size_t count = json_array_size(list);

	if (!json_is_array(list))
		return err_set(err, ERR_INVALID, "%s is not a list", field);
	if (count > MANIFEST_ENTRIES_MAX)
		return err_set(err, ERR_TOO_LARGE, "%s has %zu entries, more than %d", field, count,
			       MANIFEST_ENTRIES_MAX);
	manifest->entries = calloc(count ? count : 1, sizeof(*manifest->entries));
	if (!manifest->entries)
		return err_sys(err, -ENOMEM, "cannot read %s", field);
	for (size_t i = 0; i < count; i++) {
		char where[DOCUMENT_WHERE_SIZE];
		int r;

		document_where(where, "%s[%zu].", field, i);
		r = read_descriptor(json_array_get(list, i), where, &manifest->entries[i], err);
		if (r < 0)
			return r;
	}
	manifest->entry_count = count;
	return 0;
}

/* Decides between manifest and index: what the type says and what the members say must agree. */
static int read_kind(const json_t *root, const char *told, struct manifest *manifest, struct err *err)
{
	bool index_like = json_object_get(root, "manifests"),
	     image_like = json_object_get(root, "layers") || json_object_get(root, "config");
	const char *stated = NULL;
	struct media media;
	int r = document_string(root, "", "mediaType", false, &stated, err);

	if (r < 0)
		return r;
	if (stated && told && !str_eq(stated, told))
		return err_set(err, ERR_INVALID, "mediaType is '%.100s' but the document came as '%.100s'", stated,
			       told);
	if (index_like && image_like)
		return err_set(err, ERR_INVALID, "the document has the fields of a manifest and of an index");
	if (!stated)
		stated = told;
	if (!stated)
		stated = index_like ? MEDIA_OCI_INDEX : MEDIA_OCI_MANIFEST;
	media = media_of(stated);
	if (media.kind != MEDIA_MANIFEST && media.kind != MEDIA_INDEX)
		return err_set(err, -EMEDIUMTYPE, "mediaType '%.100s' is neither a manifest nor an index", stated);
	manifest->kind = media.kind == MEDIA_INDEX ? MANIFEST_INDEX : MANIFEST_IMAGE;
	manifest->media_type = stated;
	return 0;
}

static int read_members(const json_t *root, const char *told, struct manifest *manifest, struct err *err)
{
	const json_t *version = json_object_get(root, "schemaVersion"), *subject = json_object_get(root, "subject");
	int r;

	if (!json_is_integer(version) || json_integer_value(version) != 2)
		return err_set(err, ERR_INVALID, "schemaVersion is not 2");
	r = read_kind(root, told, manifest, err);
	if (r < 0)
		return r;
	r = document_string(root, "", "artifactType", false, &manifest->artifact_type, err);
	if (r == 0 && manifest->kind == MANIFEST_IMAGE)
		r = read_descriptor(json_object_get(root, "config"), "config.", &manifest->config, err);
	if (r == 0)
		r = read_entries(root, manifest->kind == MANIFEST_IMAGE ? "layers" : "manifests", manifest, err);
	if (r == 0 && subject && !json_is_null(subject)) {
		r = read_descriptor(subject, "subject.", &manifest->subject, err);
		manifest->has_subject = true;
	}
	if (r == 0)
		r = read_annotations(root, "", &manifest->annotations, err);
	return r;
}

int manifest_parse(const char *bytes, size_t len, const char *media_type, struct manifest *ret_manifest,
		   struct err *err)
{
	struct manifest manifest = {0};
	int r = document_parse(bytes, len, MANIFEST_BYTES_MAX, &manifest.document, err);

	if (r == 0)
		r = read_members(manifest.document, media_type, &manifest, err);
	if (r < 0) {
		manifest_done(&manifest);
		return err_prefix(err, "manifest");
	}
	/* A type that only the transport told lives on inside the document, so that it lives as long. */
	if (manifest.media_type == media_type) {
		json_t *kept = json_string(media_type);

		if (!kept || json_object_set_new(manifest.document, "mediaType", kept) < 0) {
			manifest_done(&manifest);
			return err_sys(err, -ENOMEM, "manifest");
		}
		manifest.media_type = json_string_value(kept);
	}
	*ret_manifest = manifest;
	return 0;
}

void manifest_done(struct manifest *manifest)
{
	free(manifest->entries);
	json_decref(manifest->document);
	*manifest = (struct manifest){0};
}

int manifest_select(const struct manifest *index, const char *os, const char *architecture,
		    const struct descriptor **ret_entry, struct err *err)
{
	for (size_t i = 0; i < index->entry_count; i++) {
		const struct descriptor *entry = &index->entries[i];

		if (!entry->os || !str_eq(entry->os, os) || !str_eq(entry->architecture, architecture))
			continue;
		if (media_of(entry->media_type).kind != MEDIA_MANIFEST)
			continue;
		*ret_entry = entry;
		return 0;
	}
	return err_set(err, ERR_NOT_FOUND, "index has no manifest for %s/%s", os, architecture);
}

const char *manifest_annotation(const json_t *annotations, const char *name)
{
	return json_string_value(json_object_get(annotations, name));
}
