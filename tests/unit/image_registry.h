/* SPDX-License-Identifier: Apache-2.0 */
/* A registry of a test's own over loopback, and images in it: real HTTP, right or wrong to the byte. */
#ifndef IMAGE_REGISTRY_H
#define IMAGE_REGISTRY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "base/str.h"
#include "http/server.h"
#include "oci/digest.h"
#include "oci/media.h"
#include "tar_builder.h"

#define LAYER_TYPE "application/vnd.oci.image.layer.v1.tar"
#define BLOBS_MAX 64

struct blob {
	char digest[DIGEST_TEXT_SIZE];
	const char *type;
	struct buf bytes;
	size_t cut;        /* the connection breaks behind so many bytes, unless 0 */
	atomic_uint asked; /* how often */
	bool no_ranges;
	int status; /* answered instead, unless 0 */
	unsigned delay_ms;
};

static struct registry {
	struct http_server *server;
	struct blob blobs[BLOBS_MAX];
	size_t count;
} registry;

static inline struct blob *find_blob(const char *path)
{
	const char *digest = strrchr(path, '/');

	for (size_t i = 0; digest && i < registry.count; i++)
		if (str_eq(registry.blobs[i].digest, digest + 1))
			return &registry.blobs[i];
	return NULL;
}

static inline void serve_part(struct http_request *request, const struct blob *blob, size_t from, bool partial)
{
	size_t len = blob->bytes.len - from, sent = blob->cut && !from ? blob->cut : len;
	struct http_stream *stream;
	char range[96];

	if (partial) {
		(void)snprintf(range, sizeof(range), "bytes %zu-%zu/%zu", from, blob->bytes.len - 1, blob->bytes.len);
		assert_int_equal(http_add_header(request, "Content-Range", range), 0);
	}
	if (sent == len) {
		http_answer(request, partial ? 206 : 200, blob->type, blob->bytes.data + from, len);
		return;
	}
	stream = http_stream_begin(request, 200, blob->type, 64 << 20, NULL, NULL);
	assert_non_null(stream);
	assert_int_equal(http_stream_write(stream, blob->bytes.data, sent), 0);
	http_stream_end(stream, false);
}

static inline void handle(struct http_request *request, void *user)
{
	struct blob *blob = find_blob(http_path(request));
	const char *range = http_header(request, "Range"), *token = http_header(request, "Authorization");
	uint64_t from = 0;

	(void)user;
	if (!token || !str_eq(token, "Bearer secret")) {
		http_answer(request, 401, NULL, "", 0);
		return;
	}
	if (!blob || blob->status) {
		http_answer(request, blob ? blob->status : 404, NULL, "", 0);
		return;
	}
	atomic_fetch_add(&blob->asked, 1);
	if (blob->delay_ms)
		(void)usleep(blob->delay_ms * 1000);
	if (range && !blob->no_ranges) {
		char number[32];

		(void)snprintf(number, sizeof(number), "%.*s", (int)strcspn(range + 6, "-"), range + 6);
		assert_int_equal(str_parse_u64(number, blob->bytes.len, &from), 0);
	}
	/* A registry without ranges is cut once only, or the test would never end. */
	if (blob->no_ranges && atomic_load(&blob->asked) > 1)
		blob->cut = 0;
	serve_part(request, blob, (size_t)from, range && !blob->no_ranges);
}

static inline void start_registry(void)
{
	const struct http_server_config config = {.address = "127.0.0.1", .handle = handle, .threads = 4};

	assert_int_equal(http_server_start(&config, &registry.server, NULL), 0);
}

static inline void stop_registry(void)
{
	http_server_stop(registry.server);
	for (size_t i = 0; i < registry.count; i++)
		buf_done(&registry.blobs[i].bytes);
	registry.count = 0;
	memset(registry.blobs, 0, sizeof(registry.blobs));
}

/* --- images --- */

static inline struct blob *put_blob(const void *bytes, size_t len, const char *type)
{
	struct blob *blob = &registry.blobs[registry.count++];
	struct digest digest;

	assert_true(registry.count <= BLOBS_MAX);
	blob->type = type;
	blob->bytes = buf_of(512 << 20);
	assert_int_equal(buf_append(&blob->bytes, bytes, len), 0);
	assert_int_equal(digest_of(DIGEST_SHA256, bytes, len, &digest), 0);
	digest_format(&digest, blob->digest);
	return blob;
}

struct layer {
	struct blob *blob;
	char diff_id[DIGEST_TEXT_SIZE];
	const char *type;
};

static inline struct layer put_layer(struct buf *tar, bool gzip)
{
	struct layer layer = {.type = gzip ? LAYER_TYPE "+gzip" : LAYER_TYPE};
	struct digest digest;

	tar_put_end(tar);
	assert_int_equal(digest_of(DIGEST_SHA256, tar->data, tar->len, &digest), 0);
	digest_format(&digest, layer.diff_id);
	if (gzip) {
		z_stream z = {0};
		CLEANUP_FREE char *packed = malloc(tar->len + 4096);

		assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
		z.next_in = (Bytef *)tar->data;
		z.avail_in = (uInt)tar->len;
		z.next_out = (Bytef *)packed;
		z.avail_out = (uInt)tar->len + 4096;
		assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
		layer.blob = put_blob(packed, z.total_out, layer.type);
		(void)deflateEnd(&z);
	} else {
		layer.blob = put_blob(tar->data, tar->len, layer.type);
	}
	buf_done(tar);
	return layer;
}

/* A manifest of these layers; size_off is added to the last layer's stated size. */
static inline struct blob *put_image(const struct layer *layers, size_t count, const char *config_type, long size_off)
{
	struct buf config = buf_of(65536), manifest = buf_of(65536);
	struct blob *config_blob, *blob;

	assert_int_equal(buf_puts(&config,
				  "{\"os\":\"linux\",\"architecture\":\"amd64\",\"config\":{\"Cmd\":[\"/bin/sh\"]},"
				  "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":["),
			 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(buf_printf(&config, "%s\"%s\"", i ? "," : "", layers[i].diff_id), 0);
	assert_int_equal(buf_puts(&config, "]}}"), 0);
	config_blob = put_blob(config.data, config.len, config_type);
	assert_int_equal(buf_printf(&manifest,
				    "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%"
				    "zu},\"layers\":[",
				    config_type, config_blob->digest, config.len),
			 0);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(buf_printf(&manifest, "%s{\"mediaType\":\"%s\",\"digest\":\"%s\",\"size\":%zu}",
					    i ? "," : "", layers[i].type, layers[i].blob->digest,
					    layers[i].blob->bytes.len + (i + 1 == count ? (size_t)size_off : 0)),
				 0);
	assert_int_equal(buf_puts(&manifest, "]}"), 0);
	blob = put_blob(manifest.data, manifest.len, MEDIA_OCI_MANIFEST);
	buf_done(&config);
	buf_done(&manifest);
	return blob;
}

static inline struct blob *put_simple_image(bool gzip, const char *text)
{
	struct buf tar = buf_of(1 << 20);
	struct layer layer;

	tar_put(&tar, "etc/", '5', NULL);
	tar_put_file(&tar, "etc/hello", text);
	tar_put_file(&tar, "usr/implied", "");
	layer = put_layer(&tar, gzip);
	return put_image(&layer, 1, MEDIA_OCI_CONFIG, 0);
}

static inline void reference_of(char to[static 256], const struct blob *blob)
{
	(void)snprintf(to, 256, "127.0.0.1:%u/test/image:tag@%s", http_server_port(registry.server), blob->digest);
}

#endif
