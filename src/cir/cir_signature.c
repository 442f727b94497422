/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_signature.h"

#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "crypto/cosign.h"
#include "oci/sigbundle.h"

/* How many referrers are looked through. */
#define REFERRERS_MAX 100
/* How many signatures of one manifest. */
#define LAYERS_MAX 64

/* "sha256-HEX.sig", ".att" */
static bool is_signature_tag(const char *tag)
{
	struct digest digest;
	char text[DIGEST_TEXT_SIZE + 8];
	char *dash, *dot;

	if (str_copy(text, sizeof(text), tag) < 0)
		return false;
	dash = strchr(text, '-');
	dot = strrchr(text, '.');
	if (!dash || !dot || (!str_eq(dot, ".sig") && !str_eq(dot, ".att")))
		return false;
	*dash = ':';
	*dot = '\0';
	return digest_parse(text, &digest, NULL) == 0;
}

static bool is_signature_layer(const char *type)
{
	return str_eq(type, COSIGN_PAYLOAD_TYPE) || str_eq(type, "application/vnd.dsse.envelope.v1+json") ||
	       str_starts(type, "application/vnd.dev.sigstore.bundle") || str_eq(type, "application/jose+json") ||
	       str_eq(type, "application/cose");
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

static int read_blob(const struct cir_files *files, const char *repository, const struct digest *digest, struct buf *to)
{
	CLEANUP_CLOSE int fd = -1;
	uint64_t size;
	int r = cir_files_blob_open(files, repository, digest, &fd, &size, NULL);

	if (r == 0)
		r = fdio_read_all(fd, to);
	return r < 0 ? r : digest_verify(digest, to->data ? to->data : "", to->len, NULL);
}

/* Whether a layer of a signature is one of the digest by one of the keys. */
static bool layer_signs(const struct cir_files *files, const char *repository, const struct descriptor *layer,
			const struct digest *digest, const struct cir_rule *rule)
{
	CLEANUP_BUF struct buf bytes = buf_of(SIGBUNDLE_BYTES_MAX);
	struct cosign_signature signature = {0};
	struct claim claim;
	size_t key;

	if (str_eq(layer->media_type, COSIGN_PAYLOAD_TYPE))
		signature.signature = manifest_annotation(layer->annotations, COSIGN_SIGNATURE_ANNOTATION);
	else if (!str_eq(layer->media_type, SIGBUNDLE_TYPE))
		return false;
	if ((!signature.signature && !str_eq(layer->media_type, SIGBUNDLE_TYPE)) ||
	    read_blob(files, repository, &layer->digest, &bytes) < 0 || !bytes.len)
		return false;
	signature.bytes = bytes.data;
	signature.len = bytes.len;
	return cosign_verify(&signature, rule->keys, rule->key_count, &key, &claim, NULL) == 0 &&
	       digest_equal(&claim.digest, digest);
}

/* Whether the manifest is a signature of the digest by one of the keys. */
static bool signs(const struct cir_files *files, const char *repository, const struct digest *signature,
		  const struct digest *digest, const struct cir_rule *rule)
{
	CLEANUP_BUF struct buf bytes = buf_of(MANIFEST_BYTES_MAX);
	CLEANUP_MANIFEST struct manifest manifest = {0};
	char type[CIR_MEDIA_TYPE_SIZE];
	bool found = false;

	if (cir_files_manifest_read(files, repository, signature, &bytes, type, NULL) < 0 ||
	    manifest_parse(bytes.data, bytes.len, type, &manifest, NULL) < 0 || manifest.kind != MANIFEST_IMAGE)
		return false;
	for (size_t i = 0; !found && i < manifest.entry_count && i < LAYERS_MAX; i++)
		found = layer_signs(files, repository, &manifest.entries[i], digest, rule);
	return found;
}

static bool is_signed_by_tag(const struct cir_files *files, const char *repository, const struct digest *digest,
			     const struct cir_rule *rule)
{
	char tag[DIGEST_TEXT_SIZE + 8], hex[DIGEST_TEXT_SIZE];
	struct digest signature;

	digest_hex(digest, hex);
	(void)snprintf(tag, sizeof(tag), "%s-%s.sig", digest_algorithm_name(digest->algorithm), hex);
	return cir_files_tag_read(files, repository, tag, &signature, NULL) == 0 &&
	       signs(files, repository, &signature, digest, rule);
}

static bool is_signed_by_referrer(const struct cir_files *files, const char *repository, const struct digest *digest,
				  const struct cir_rule *rule)
{
	CLEANUP_CIR_LIST struct cir_list list = {0};
	struct digest signature;

	if (cir_files_list_referrers(files, repository, digest, &list, NULL) < 0)
		return false;
	for (size_t i = 0; i < list.count && i < REFERRERS_MAX; i++)
		if (digest_parse(list.names[i], &signature, NULL) == 0 &&
		    signs(files, repository, &signature, digest, rule))
			return true;
	return false;
}

int cir_signature_check(const struct cir_files *files, const char *repository, const struct digest *digest,
			const struct cir_rule *rule, struct err *err)
{
	char text[DIGEST_TEXT_SIZE];

	if (is_signed_by_tag(files, repository, digest, rule) || is_signed_by_referrer(files, repository, digest, rule))
		return 0;
	digest_format(digest, text);
	return err_set(err, ERR_DENIED,
		       "repository '%s' tags signed images alone: push '%s' by its digest, sign it, then tag it",
		       repository, text);
}
