/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/imageinfo.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "oci/sigbundle.h"

#define DEPTH_MAX 3

static const struct {
	const char *ending;
	enum imageinfo_kind kind;
} tags[] = {{".sig", IMAGEINFO_SIGNATURE}, {".att", IMAGEINFO_ATTESTATION}, {".sbom", IMAGEINFO_ARTIFACT}};

const char *imageinfo_kind_name(enum imageinfo_kind kind)
{
	switch (kind) {
	case IMAGEINFO_SIGNATURE:
		return "signature";
	case IMAGEINFO_ATTESTATION:
		return "attestation";
	case IMAGEINFO_ARTIFACT:
		return "artifact";
	}
	return "";
}

bool imageinfo_is_attached_tag(const char *tag)
{
	if (!str_starts(tag, "sha256-") && !str_starts(tag, "sha512-"))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(tags); i++)
		if (str_ends(tag, tags[i].ending))
			return true;
	return false;
}

static void count_image(const struct manifest *manifest, struct imageinfo *info)
{
	bool encrypted = manifest->entry_count > 0;

	info->bytes += manifest->config.size;
	for (size_t i = 0; i < manifest->entry_count; i++) {
		info->bytes += manifest->entries[i].size;
		encrypted &= media_of(manifest->entries[i].media_type).encrypted;
	}
	info->encrypted &= encrypted;
}

/* The image or, of an index, those that it lists and that are there. */
static int read_image(struct regclient *client, const char *repository, const char *reference, int depth,
		      struct imageinfo *info, struct err *err)
{
	struct buf bytes CLEANUP_BUF = {0};
	struct manifest manifest CLEANUP_MANIFEST = {0};
	struct digest digest;
	char type[256], text[DIGEST_TEXT_SIZE];
	int r = regclient_manifest(client, repository, reference, &bytes, &digest, type, err);

	if (r == 0)
		r = manifest_parse(bytes.data, bytes.len, type, &manifest, err);
	if (r < 0)
		return err_prefix(err, "image '%s%s%s'", repository, strchr(reference, ':') ? "@" : ":", reference);
	if (depth == 0) {
		info->digest = digest;
		(void)snprintf(info->type, sizeof(info->type), "%s", type);
	}
	info->bytes += bytes.len;
	if (manifest.kind == MANIFEST_IMAGE) {
		count_image(&manifest, info);
		return 0;
	}
	for (size_t i = 0; r == 0 && depth < DEPTH_MAX && i < manifest.entry_count; i++) {
		digest_format(&manifest.entries[i].digest, text);
		r = read_image(client, repository, text, depth + 1, info, err);
		r = r == ERR_NOT_FOUND ? 0 : r;
	}
	return r;
}

static struct imageinfo_attached *attach(struct imageinfo *info, const struct digest *digest)
{
	struct imageinfo_attached *to = &info->attached[info->attached_count];

	if (info->attached_count == IMAGEINFO_ATTACHED_MAX)
		return NULL;
	info->attached_count++;
	digest_format(digest, to->digest);
	return to;
}

static int read_tag(struct regclient *client, const char *repository, size_t row, struct imageinfo *info,
		    struct err *err)
{
	char tag[160], hex[DIGEST_TEXT_SIZE], type[256];
	struct buf bytes CLEANUP_BUF = {0};
	struct manifest manifest CLEANUP_MANIFEST = {0};
	struct imageinfo_attached *to;
	struct digest digest;
	int r;

	digest_hex(&info->digest, hex);
	(void)snprintf(tag, sizeof(tag), "%s-%s%s", digest_algorithm_name(info->digest.algorithm), hex,
		       tags[row].ending);
	r = regclient_manifest(client, repository, tag, &bytes, &digest, type, err);
	if (r == ERR_NOT_FOUND)
		return 0;
	if (r == 0)
		r = manifest_parse(bytes.data, bytes.len, type, &manifest, err);
	if (r < 0)
		return err_prefix(err, "tag '%s:%s'", repository, tag);
	to = attach(info, &digest);
	if (!to)
		return 0;
	to->kind = tags[row].kind;
	(void)snprintf(to->tag, sizeof(to->tag), "%s", tag);
	(void)snprintf(to->type, sizeof(to->type), "%s", manifest.entry_count ? manifest.entries[0].media_type : type);
	return 0;
}

static void add_referrer(const struct descriptor *entry, struct imageinfo *info)
{
	const char *type = entry->artifact_type ? entry->artifact_type : entry->media_type;
	const char *predicate = manifest_annotation(entry->annotations, "dev.sigstore.bundle.predicateType");
	bool bundle = str_eq(type, SIGBUNDLE_TYPE);
	struct imageinfo_attached *to = attach(info, &entry->digest);

	if (!to)
		return;
	/* A bundle that says nothing of itself is taken for what cosign makes by default. */
	to->kind = !bundle ? str_starts(type, "application/vnd.dev.cosign.artifact.sig") ? IMAGEINFO_SIGNATURE
											 : IMAGEINFO_ARTIFACT
		   : !predicate || str_ends(predicate, "/cosign/sign/v1") ? IMAGEINFO_SIGNATURE
									  : IMAGEINFO_ATTESTATION;
	(void)snprintf(to->type, sizeof(to->type), "%s", type);
	(void)snprintf(to->predicate, sizeof(to->predicate), "%s", predicate ? predicate : "");
}

int imageinfo_read(struct regclient *client, const char *repository, const char *reference, struct imageinfo *ret_info,
		   struct err *err)
{
	struct manifest index CLEANUP_MANIFEST = {0};
	struct imageinfo info = {.encrypted = true};
	int r;

	info.attached = calloc(IMAGEINFO_ATTACHED_MAX, sizeof(*info.attached));
	r = info.attached ? read_image(client, repository, reference, 0, &info, err)
			  : err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(tags); i++)
		r = read_tag(client, repository, i, &info, err);
	if (r == 0)
		r = regclient_referrers(client, repository, &info.digest, &index, err);
	for (size_t i = 0; r == 0 && i < index.entry_count; i++)
		add_referrer(&index.entries[i], &info);
	if (r < 0)
		imageinfo_done(&info);
	else
		*ret_info = info;
	return r;
}

void imageinfo_done(struct imageinfo *info)
{
	free(info->attached);
	*info = (struct imageinfo){0};
}

size_t imageinfo_count(const struct imageinfo *info, enum imageinfo_kind kind)
{
	size_t count = 0;

	for (size_t i = 0; i < info->attached_count; i++)
		count += info->attached[i].kind == kind;
	return count;
}
