/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/tags.h"

#include <stdio.h>

#include "base/str.h"
#include "cism/registries.h"
#include "oci/media.h"
#include "oci/reference.h"

static const char *const headers[] = {"Accept: " MEDIA_ACCEPT, NULL};

static int write_image(const struct reference *reference, const struct digest *digest, char to[static TAGS_IMAGE_SIZE],
		       struct err *err)
{
	char text[DIGEST_TEXT_SIZE];
	int len;

	digest_format(digest, text);
	len = snprintf(to, TAGS_IMAGE_SIZE, "%s/%s@%s", reference->host, reference->repository, text);
	if (len < 0 || len >= TAGS_IMAGE_SIZE)
		return err_set(err, ERR_INVALID, "name is too long");
	return 0;
}

static int ask(struct http_client *client, const struct reference *reference, struct digest *ret_digest,
	       struct err *err)
{
	CLEANUP_HTTP_REPLY struct http_reply reply = {0};
	struct http_call call = {.method = "HEAD", .headers = headers, .timeout_ms = REGISTRIES_ASK_MS};
	char url[TAGS_IMAGE_SIZE + 64];
	char text[DIGEST_TEXT_SIZE];
	int r;

	if (reference->has_digest)
		digest_format(&reference->digest, text);
	(void)snprintf(url, sizeof(url), "https://%s/v2/%s/manifests/%s", reference->host, reference->repository,
		       reference->has_digest ? text
		       : reference->tag[0]   ? reference->tag
					     : "latest");
	call.url = url;
	r = http_client_call(client, &call, &reply, err);
	if (r < 0)
		return r;
	if (reply.status == 404)
		return err_set(err, ERR_NOT_FOUND, "registry '%s' does not have it", reference->host);
	if (reply.status != 200)
		return err_set(err, err_from_http_status(reply.status), "registry '%s' answered with status %d",
			       reference->host, reply.status);
	if (http_reply_header(&reply, "Docker-Content-Digest", text, sizeof(text)) < 0)
		return err_set(err, ERR_UNAVAILABLE, "registry '%s' did not say its digest", reference->host);
	return digest_parse(text, ret_digest, err);
}

static int resolve(struct cism *cism, const char *image, bool proven, char to[static TAGS_IMAGE_SIZE], struct err *err)
{
	CLEANUP(cleanup_http_client) struct http_client *client = NULL;
	struct reference reference;
	struct digest digest;
	int r;

	r = reference_parse(image, &reference, err);
	if (r == 0)
		r = registries_client(cism, reference.host, &client, err);
	if (r < 0)
		return r;
	if (reference.has_digest && !proven)
		return write_image(&reference, &reference.digest, to, err);
	r = ask(client, &reference, &digest, err);
	if (r == 0 && reference.has_digest && !digest_equal(&digest, &reference.digest))
		r = err_set(err, ERR_CORRUPT, "registry '%s' answered with another digest", reference.host);
	return r < 0 ? r : write_image(&reference, &digest, to, err);
}

int tags_resolve(struct cism *cism, const char *image, bool proven, char to[static TAGS_IMAGE_SIZE], struct err *err)
{
	int r = resolve(cism, image, proven, to, err);

	if (r < 0)
		return err_prefix(err, "image '%.200s'", image), r;
	return 0;
}
