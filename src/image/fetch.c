/* SPDX-License-Identifier: Apache-2.0 */
#include "image/fetch.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/str.h"

/* A layer is asked for again that often when the connection breaks, after 0.2 s, 0.4 s, … */
#define TRIES 5

int fetch_init(struct fetch *fetch, const struct image_request *request, const struct reference *reference,
	       struct err *err)
{
	*fetch = (struct fetch){.request = request, .reference = reference};
	return http_client_new(request->client, &fetch->client, err);
}

void fetch_done(struct fetch *fetch)
{
	http_client_free(fetch->client);
	fetch->client = NULL;
}

static bool is_cancelled(const struct fetch *fetch)
{
	return fetch->request->cancelled && atomic_load(fetch->request->cancelled);
}

/* One GET of "manifests" or "blobs" by digest. from: first byte wanted. An answer that is no success is an error. */
static int get(struct fetch *fetch, const char *kind, const struct digest *digest, uint64_t from,
	       struct http_call *call, struct http_reply *reply, struct err *err)
{
	const char *token = fetch->request->token, *headers[4] = {0};
	CLEANUP_FREE char *url = NULL, *authorization = NULL, *range = NULL;
	char text[DIGEST_TEXT_SIZE];
	size_t count = 0;
	int r;

	digest_format(digest, text);
	url = str_format("%s://%s/v2/%s/%s/%s", fetch->request->plain_http ? "http" : "https", fetch->reference->host,
			 fetch->reference->repository, kind, text);
	authorization = str_format("Authorization: Bearer %s", token ? token : "");
	range = str_format("Range: bytes=%llu-", (unsigned long long)from);
	if (!url || !authorization || !range)
		return err_sys(err, -ENOMEM, "cannot call the registry");
	if (token)
		headers[count++] = authorization;
	if (from)
		headers[count++] = range;
	if (str_eq(kind, "manifests"))
		headers[count++] = "Accept: " MEDIA_ACCEPT;
	call->method = "GET";
	call->url = url;
	call->headers = headers;
	r = http_client_call(fetch->client, call, reply, err);
	if (r == 0 && reply->status != 200 && reply->status != 206) {
		r = err_from_http_status(reply->status);
		r = err_set(err, r ? r : ERR_UNAVAILABLE, "the registry answered %d for %s %s", reply->status, kind,
			    text);
	}
	/* The caller's call outlives what it pointed to here. */
	call->url = NULL;
	call->headers = NULL;
	return r;
}

/* Reads a whole document and verifies it. type (may be NULL) takes its Content-Type without parameters. */
static int get_document(struct fetch *fetch, const char *kind, const struct digest *digest, size_t max,
			char type[static 256], struct buf *ret_bytes, struct err *err)
{
	struct http_reply reply CLEANUP_HTTP_REPLY = {.body = buf_of(max)};
	struct http_call call = {.timeout_ms = 60000};
	char text[DIGEST_TEXT_SIZE];
	int r = get(fetch, kind, digest, 0, &call, &reply, err);

	if (r < 0)
		return r;
	if (http_reply_header(&reply, "Content-Type", type, 256) < 0)
		type[0] = '\0';
	type[strcspn(type, "; \t")] = '\0';
	r = digest_verify(digest, reply.body.len ? reply.body.data : "", reply.body.len, err);
	if (r < 0) {
		digest_format(digest, text);
		return err_prefix(err, "%.*s %s", (int)strlen(kind) - 1, kind, text);
	}
	*ret_bytes = reply.body;
	reply.body = buf_of(max);
	return 0;
}

static int get_manifest(struct fetch *fetch, const struct digest *digest, const char *expected_type, struct buf *bytes,
			struct manifest *manifest, struct err *err)
{
	char type[256];
	int r = get_document(fetch, "manifests", digest, MANIFEST_BYTES_MAX, type, bytes, err);

	if (r < 0)
		return r;
	r = manifest_parse(bytes->data ? bytes->data : "", bytes->len,
			   expected_type ? expected_type
			   : type[0]     ? type
					 : NULL,
			   manifest, err);
	if (r < 0)
		buf_done(bytes);
	return r;
}

int fetch_manifest(struct fetch *fetch, struct buf *ret_index, struct buf *ret_bytes, struct manifest *ret_manifest,
		   struct err *err)
{
	const struct image_request *request = fetch->request;
	struct manifest index CLEANUP_MANIFEST = {0};
	struct buf index_bytes CLEANUP_BUF = buf_of(MANIFEST_BYTES_MAX);
	const struct descriptor *entry;
	int r = get_manifest(fetch, &fetch->reference->digest, NULL, &index_bytes, &index, err);

	if (r < 0)
		return r;
	if (index.kind == MANIFEST_IMAGE) {
		*ret_bytes = index_bytes;
		*ret_manifest = index;
		index_bytes = buf_of(0);
		index = (struct manifest){0};
		return 0;
	}
	r = manifest_select(&index, request->os ? request->os : "linux",
			    request->architecture ? request->architecture : "amd64", &entry, err);
	if (r < 0)
		return r;
	r = get_manifest(fetch, &entry->digest, entry->media_type, ret_bytes, ret_manifest, err);
	if (r == 0 && ret_bytes->len != entry->size) {
		r = err_set(err, ERR_CORRUPT, "manifest has %zu bytes, not %llu as the index says", ret_bytes->len,
			    (unsigned long long)entry->size);
		manifest_done(ret_manifest);
		buf_done(ret_bytes);
	}
	if (r == 0) {
		*ret_index = index_bytes;
		index_bytes = buf_of(0);
	}
	return r;
}

int fetch_blob(struct fetch *fetch, const struct descriptor *blob, struct buf *ret_bytes, struct err *err)
{
	char type[256];
	int r = get_document(fetch, "blobs", &blob->digest, IMAGE_CONFIG_BYTES_MAX, type, ret_bytes, err);

	if (r == 0 && ret_bytes->len != blob->size) {
		r = err_set(err, ERR_CORRUPT, "blob has %zu bytes, not %llu as the manifest says", ret_bytes->len,
			    (unsigned long long)blob->size);
		buf_done(ret_bytes);
	}
	return r;
}

/* --- layers --- */

struct layer_stream {
	const struct fetch *fetch;
	const struct http_reply *reply; /* of the call under way */
	const struct descriptor *layer;
	struct ingest *ingest;
	struct digest_stream *digest;
	uint64_t received; /* bytes digested and passed on */
	uint64_t skip;     /* bytes of this answer that were had before */
	bool begun;        /* this answer's first piece came */
	bool refused;      /* unpacking gave up; the download goes on, for a wrong digest is the better reason */
	bool too_long;
};

/* What an answer begins with: the byte asked for, or the first when the registry knows no ranges. */
static int begin_answer(struct layer_stream *stream)
{
	char range[64], expected[64];

	stream->begun = true;
	stream->skip = 0;
	if (!stream->received)
		return 0;
	if (http_reply_header(stream->reply, "Content-Range", range, sizeof(range)) < 0) {
		stream->skip = stream->received;
		return 0;
	}
	(void)snprintf(expected, sizeof(expected), "bytes %llu-", (unsigned long long)stream->received);
	return str_starts(range, expected) ? 0 : ERR_CORRUPT;
}

static int receive(void *user, const char *bytes, size_t len)
{
	struct layer_stream *stream = user;
	int r = stream->begun ? 0 : begin_answer(stream);

	if (is_cancelled(stream->fetch))
		return -ECANCELED;
	if (r < 0)
		return r;
	if (stream->skip) {
		size_t skipped = stream->skip < len ? (size_t)stream->skip : len;

		stream->skip -= skipped;
		bytes += skipped;
		len -= skipped;
	}
	if (len > stream->layer->size - stream->received) {
		stream->too_long = true;
		return ERR_CORRUPT;
	}
	stream->received += len;
	r = digest_stream_update(stream->digest, bytes, len);
	if (r == 0 && !stream->refused)
		r = ingest_layer_data(stream->ingest, bytes, len);
	if (r == -EPIPE) {
		stream->refused = true;
		r = 0;
	}
	return r;
}

static void pause_before(unsigned try)
{
	const struct timespec pause = {.tv_sec = 0, .tv_nsec = 100000000L << try};

	if (try && nanosleep(&pause, NULL) < 0)
		return;
}

static int download(struct fetch *fetch, struct layer_stream *stream, struct err *err)
{
	int r = ERR_UNAVAILABLE;

	for (unsigned try = 0; try < TRIES && (r == ERR_UNAVAILABLE || r == -ETIMEDOUT); try++) {
		struct http_reply reply CLEANUP_HTTP_REPLY = {0};
		struct http_call call = {.receive = receive, .user = stream};

		pause_before(try < 3 ? try : 3);
		if (is_cancelled(fetch))
			return err_set(err, -ECANCELED, "the pull was cancelled");
		stream->reply = &reply;
		stream->begun = false;
		r = get(fetch, "blobs", &stream->layer->digest, stream->received, &call, &reply, err);
		/* All there, though the connection broke behind the last byte. */
		if (r < 0 && stream->received == stream->layer->size && !stream->too_long)
			r = 0;
	}
	if (r == -ECANCELED)
		return err_set(err, r, "the pull was cancelled");
	if (stream->too_long)
		return err_set(err, ERR_CORRUPT, "it has more than the %llu bytes the manifest says",
			       (unsigned long long)stream->layer->size);
	if (r == 0 && stream->received != stream->layer->size)
		return err_set(err, ERR_CORRUPT, "it has %llu bytes, not %llu as the manifest says",
			       (unsigned long long)stream->received, (unsigned long long)stream->layer->size);
	return r;
}

int fetch_layer(struct fetch *fetch, const struct descriptor *layer, struct ingest *ingest, struct err *err)
{
	CLEANUP(cleanup_digest_stream) struct digest_stream *digest = NULL;
	struct layer_stream stream = {.fetch = fetch, .layer = layer, .ingest = ingest};
	int r = digest_stream_new(layer->digest.algorithm, &digest);

	if (r < 0)
		return err_sys(err, r, "cannot compute a digest");
	stream.digest = digest;
	r = download(fetch, &stream, err);
	if (r == 0)
		r = digest_stream_verify(digest, &layer->digest, err);
	if (r < 0)
		return r;
	r = ingest_layer_end(ingest);
	if (r < 0 && r != -EPIPE)
		return err_sys(err, r, "cannot unpack");
	return ingest_verdict(ingest, err);
}
