/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_signature.h"

#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "crypto/key.h"

#define PAYLOAD_TYPE "application/vnd.dev.cosign.simplesigning.v1+json"
#define SIGNATURE_ANNOTATION "dev.cosignproject.cosign/signature"
#define PAYLOAD_MAX ((size_t)64 << 10)
/* How many referrers are looked through. */
#define REFERRERS_MAX 100

/* "sha256-HEX.sig" */
static bool is_signature_tag(const char *tag)
{
	struct digest digest;
	char text[DIGEST_TEXT_SIZE + 8];
	char *dash, *dot;

	if (str_copy(text, sizeof(text), tag) < 0)
		return false;
	dash = strchr(text, '-');
	dot = strrchr(text, '.');
	if (!dash || !dot || !str_eq(dot, ".sig"))
		return false;
	*dash = ':';
	*dot = '\0';
	return digest_parse(text, &digest, NULL) == 0;
}

static bool is_signature_layer(const char *type)
{
	return str_eq(type, PAYLOAD_TYPE) || str_starts(type, "application/vnd.dev.sigstore.bundle") ||
	       str_eq(type, "application/jose+json") || str_eq(type, "application/cose");
}

bool cir_signature_is(const struct manifest *manifest, const char *tag)
{
	if (manifest->kind != MANIFEST_IMAGE || !manifest->entry_count || (*tag && !is_signature_tag(tag)))
		return false;
	for (size_t i = 0; i < manifest->entry_count; i++)
		if (!is_signature_layer(manifest->entries[i].media_type))
			return false;
	return true;
}

/* Whether the payload, whose signature holds, speaks of the digest. */
static bool says(const struct buf *payload, const struct digest *digest)
{
	json_t *root = json_loadb(payload->data, payload->len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *critical = json_object_get(root, "critical");
	const char *type = json_string_value(json_object_get(critical, "type"));
	const char *named =
		json_string_value(json_object_get(json_object_get(critical, "image"), "docker-manifest-digest"));
	char text[DIGEST_TEXT_SIZE];
	bool same;

	digest_format(digest, text);
	same = type && named && str_eq(named, text) &&
	       (str_eq(type, "cosign container image signature") ||
		str_eq(type, "https://sigstore.dev/cosign/sign/v1"));
	json_decref(root);
	return same;
}

static int read_blob(const struct cir_files *files, const char *repository, const struct digest *digest, struct buf *to)
{
	CLEANUP_CLOSE int fd = -1;
	uint64_t size;
	int r = cir_files_blob_open(files, repository, digest, &fd, &size, NULL);

	if (r == 0)
		r = fdio_read_all(fd, to);
	return r < 0 ? r : digest_verify(digest, to->data ? to->data : "", to->len, NULL);
}

static bool is_signed_by(const struct descriptor *layer, const struct buf *payload, char *const *keys)
{
	const char *annotation = manifest_annotation(layer->annotations, SIGNATURE_ANNOTATION);
	CLEANUP_BUF struct buf signature = buf_of(CRYPTO_SIGNATURE_MAX);

	if (!annotation || !payload->len || crypto_unbase64(&signature, annotation, strlen(annotation)) < 0 ||
	    !signature.len)
		return false;
	for (; *keys; keys++)
		if (crypto_verify_by(*keys, payload->data, payload->len, (const uint8_t *)signature.data, signature.len,
				     NULL) == 0)
			return true;
	return false;
}

/* Whether the manifest is a signature of the digest by one of the keys. */
static bool signs(const struct cir_files *files, const char *repository, const struct digest *signature,
		  const struct digest *digest, char *const *keys)
{
	CLEANUP_BUF struct buf bytes = buf_of(MANIFEST_BYTES_MAX);
	CLEANUP_MANIFEST struct manifest manifest = {0};
	char type[CIR_MEDIA_TYPE_SIZE];
	bool found = false;

	if (cir_files_manifest_read(files, repository, signature, &bytes, type, NULL) < 0 ||
	    manifest_parse(bytes.data, bytes.len, type, &manifest, NULL) < 0 || manifest.kind != MANIFEST_IMAGE)
		return false;
	for (size_t i = 0; !found && i < manifest.entry_count; i++) {
		const struct descriptor *layer = &manifest.entries[i];
		CLEANUP_BUF struct buf payload = buf_of(PAYLOAD_MAX);

		found = str_eq(layer->media_type, PAYLOAD_TYPE) &&
			read_blob(files, repository, &layer->digest, &payload) == 0 &&
			is_signed_by(layer, &payload, keys) && says(&payload, digest);
	}
	return found;
}

static bool is_signed_by_tag(const struct cir_files *files, const char *repository, const struct digest *digest,
			     char *const *keys)
{
	char tag[DIGEST_TEXT_SIZE + 8], hex[DIGEST_TEXT_SIZE];
	struct digest signature;

	digest_hex(digest, hex);
	(void)snprintf(tag, sizeof(tag), "%s-%s.sig", digest_algorithm_name(digest->algorithm), hex);
	return cir_files_tag_read(files, repository, tag, &signature, NULL) == 0 &&
	       signs(files, repository, &signature, digest, keys);
}

static bool is_signed_by_referrer(const struct cir_files *files, const char *repository, const struct digest *digest,
				  char *const *keys)
{
	CLEANUP_CIR_LIST struct cir_list list = {0};
	struct digest signature;

	if (cir_files_list_referrers(files, repository, digest, &list, NULL) < 0)
		return false;
	for (size_t i = 0; i < list.count && i < REFERRERS_MAX; i++)
		if (digest_parse(list.names[i], &signature, NULL) == 0 &&
		    signs(files, repository, &signature, digest, keys))
			return true;
	return false;
}

int cir_signature_check(const struct cir_files *files, const char *repository, const struct digest *digest,
			char *const *keys, struct err *err)
{
	char text[DIGEST_TEXT_SIZE];

	if (is_signed_by_tag(files, repository, digest, keys) || is_signed_by_referrer(files, repository, digest, keys))
		return 0;
	digest_format(digest, text);
	return err_set(err, ERR_DENIED,
		       "repository '%s' tags signed images alone: push '%s' by its digest, sign it, then tag it",
		       repository, text);
}
