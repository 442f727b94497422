/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/signatures.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "cism/registries.h"
#include "crypto/cosign.h"
#include "oci/manifest.h"
#include "oci/reference.h"
#include "oci/sigbundle.h"

#define URL_SIZE 1024
/* A registry is asked for at most so many manifests of signatures of one image. */
#define MANIFESTS_MAX 32

struct fetching {
	struct http_client *client;
	struct reference image;
	struct policy_pull *pull;
};

/* GET of a path below the repository. 0 and an empty body when there is no such thing, or it is over the maximum. */
static int get(const struct fetching *fetching, size_t max, struct buf *ret_body, char type[static 256],
	       struct err *err, const char *format, ...) PRINTF_LIKE(6, 7);
static int get(const struct fetching *fetching, size_t max, struct buf *ret_body, char type[static 256],
	       struct err *err, const char *format, ...)
{
	static const char *const headers[] = {"Accept: " MEDIA_ACCEPT, NULL};
	CLEANUP_HTTP_REPLY struct http_reply reply = {.body = buf_of(max)};
	struct http_call call = {.method = "GET", .headers = headers, .timeout_ms = REGISTRIES_ASK_MS};
	char url[URL_SIZE], path[URL_SIZE / 2];
	va_list args;
	int r;

	va_start(args, format);
	(void)vsnprintf(path, sizeof(path), format, args);
	va_end(args);
	(void)snprintf(url, sizeof(url), "https://%s/v2/%s/%s", fetching->image.host, fetching->image.repository, path);
	call.url = url;
	r = http_client_call(fetching->client, &call, &reply, err);
	if (r < 0)
		return r == -EFBIG ? 0 : r;
	if (reply.status != 404 && reply.status != 200)
		return err_set(err,
			       err_from_http_status(reply.status) ? err_from_http_status(reply.status)
								  : ERR_UNAVAILABLE,
			       "registry '%s' answered with status %d", fetching->image.host, reply.status);
	if (http_reply_header(&reply, "Content-Type", type, 256) < 0)
		type[0] = '\0';
	type[strcspn(type, "; \t")] = '\0';
	if (reply.status == 200) {
		*ret_body = reply.body;
		reply.body = buf_of(0);
	}
	return 0;
}

static char *base64_of(const struct buf *bytes)
{
	struct buf text = buf_of(POLICY_IMAGE_SIGNATURE_MAX);

	if (crypto_base64(&text, bytes->data, bytes->len) < 0) {
		buf_done(&text);
		return NULL;
	}
	return buf_steal(&text);
}

static int add(struct policy_pull *pull, const struct buf *bytes, const char *signature, struct err *err)
{
	struct policy_image_signature *to = &pull->signatures[pull->signature_count];

	to->bytes = base64_of(bytes);
	to->signature = signature ? strdup(signature) : NULL;
	if (!to->bytes || (signature && !to->signature)) {
		free(to->bytes);
		free(to->signature);
		*to = (struct policy_image_signature){0};
		return err_sys(err, -ENOMEM, "cannot read the signatures");
	}
	pull->signature_count++;
	return 0;
}

/* One layer of a signature's manifest: a payload whose signature is beside it, or a bundle. */
static int take_layer(const struct fetching *fetching, const struct descriptor *layer, struct err *err)
{
	bool bundle = str_eq(layer->media_type, SIGBUNDLE_TYPE);
	const char *signature = manifest_annotation(layer->annotations, COSIGN_SIGNATURE_ANNOTATION);
	CLEANUP_BUF struct buf bytes = {0};
	char text[DIGEST_TEXT_SIZE], type[256];
	int r;

	if (!bundle && (!str_eq(layer->media_type, COSIGN_PAYLOAD_TYPE) || !signature || strlen(signature) > 2048))
		return 0;
	if (layer->size > SIGBUNDLE_BYTES_MAX || fetching->pull->signature_count == POLICY_IMAGE_SIGNATURES_MAX)
		return 0;
	digest_format(&layer->digest, text);
	r = get(fetching, SIGBUNDLE_BYTES_MAX, &bytes, type, err, "blobs/%s", text);
	if (r < 0 || !bytes.len || digest_verify(&layer->digest, bytes.data, bytes.len, NULL) < 0)
		return r;
	return add(fetching->pull, &bytes, bundle ? NULL : signature, err);
}

/* The signatures of one manifest, by tag or (digest not NULL) by digest, which its bytes must have. */
static int take_manifest(const struct fetching *fetching, const char *reference, const struct digest *digest,
			 struct err *err)
{
	CLEANUP_MANIFEST struct manifest manifest = {0};
	CLEANUP_BUF struct buf bytes = {0};
	char type[256];
	int r = get(fetching, MANIFEST_BYTES_MAX, &bytes, type, err, "manifests/%s", reference);

	if (r < 0 || !bytes.len)
		return r;
	if ((digest && digest_verify(digest, bytes.data, bytes.len, NULL) < 0) ||
	    manifest_parse(bytes.data, bytes.len, type[0] ? type : NULL, &manifest, NULL) < 0 ||
	    manifest.kind != MANIFEST_IMAGE)
		return 0;
	for (size_t i = 0; r == 0 && i < manifest.entry_count && i < POLICY_IMAGE_SIGNATURES_MAX; i++)
		r = take_layer(fetching, &manifest.entries[i], err);
	return r;
}

/* Those that refer to the image. What they are counts by their layers, not by what the listing says. */
static int take_referrers(const struct fetching *fetching, const char *digest, struct err *err)
{
	CLEANUP_MANIFEST struct manifest index = {0};
	CLEANUP_BUF struct buf bytes = {0};
	char text[DIGEST_TEXT_SIZE], type[256];
	size_t taken = 0;
	int r = get(fetching, MANIFEST_BYTES_MAX, &bytes, type, err, "referrers/%s", digest);

	if (r < 0 || !bytes.len || manifest_parse(bytes.data, bytes.len, MEDIA_OCI_INDEX, &index, NULL) < 0)
		return r;
	for (size_t i = 0; r == 0 && i < index.entry_count && taken < MANIFESTS_MAX; i++) {
		const char *what = index.entries[i].artifact_type;

		if (what && !str_eq(what, SIGBUNDLE_TYPE) && !str_starts(what, "application/vnd.dev.cosign."))
			continue;
		digest_format(&index.entries[i].digest, text);
		r = take_manifest(fetching, text, &index.entries[i].digest, err);
		taken++;
	}
	return r;
}

static int take_all(const struct fetching *fetching, struct err *err)
{
	char tag[DIGEST_TEXT_SIZE + 8], hex[DIGEST_TEXT_SIZE], text[DIGEST_TEXT_SIZE];
	const struct digest *digest = &fetching->image.digest;
	int r;

	digest_hex(digest, hex);
	digest_format(digest, text);
	(void)snprintf(tag, sizeof(tag), "%s-%s.sig", digest_algorithm_name(digest->algorithm), hex);
	r = take_manifest(fetching, tag, NULL, err);
	return r < 0 ? r : take_referrers(fetching, text, err);
}

int signatures_fetch(struct cism *cism, struct policy_pull *pull, struct err *err)
{
	CLEANUP(cleanup_http_client) struct http_client *client = NULL;
	struct fetching fetching = {.pull = pull};
	int r = reference_parse(pull->image, &fetching.image, err);

	if (r == 0)
		r = registries_client(cism, fetching.image.host, &client, err);
	if (r < 0)
		return r;
	fetching.client = client;
	r = take_all(&fetching, err);
	return r < 0 ? err_prefix(err, "cannot read the signatures of image '%s'", pull->image) : 0;
}
