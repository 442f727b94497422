/* SPDX-License-Identifier: Apache-2.0 */
#include "image/cryptlayout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/str.h"
#include "crypto/key.h"
#include "image/decompress.h"
#include "image/decrypt.h"
#include "oci/manifest.h"

#define PIECE 65536
#define DEPTH_MAX 3
#define PATH_SIZE (DIGEST_TEXT_SIZE + 16)
#define SUFFIX "+encrypted"
#define NEW "blobs/.new"

CLEANUP_DEFINE(json, json_t *, json_decref)

struct work {
	int from, to;
	const struct jwe_recipient *recipients; /* NULL: decryption */
	struct unwrap_key *const *keys;
	size_t count; /* of either */
	struct cryptlayout_totals totals;
};

static void path_of(const struct digest *digest, char to[static PATH_SIZE])
{
	char hex[DIGEST_TEXT_SIZE];

	digest_hex(digest, hex);
	(void)snprintf(to, PATH_SIZE, "blobs/%s/%s", digest_algorithm_name(digest->algorithm), hex);
}

/* --- blobs --- */

/* A blob on its way: read by pieces and digested. */
struct input {
	int fd;
	uint64_t left;
	struct digest_stream *digest;
};

static int input_read(void *user, char *to, size_t size, size_t *ret_len, struct err *err)
{
	struct input *input = user;
	ssize_t n = read(input->fd, to, size < input->left ? size : (size_t)input->left);
	int r;

	*ret_len = 0;
	if (n < 0 || (n == 0 && input->left))
		return err_sys(err, n < 0 ? -errno : -ENODATA, "cannot read it");
	r = digest_stream_update(input->digest, to, (size_t)n);
	if (r < 0)
		return err_sys(err, r, "cannot compute a digest");
	input->left -= (uint64_t)n;
	*ret_len = (size_t)n;
	return 0;
}

static void input_done(struct input *input)
{
	if (input->fd >= 0)
		(void)close(input->fd);
	digest_stream_free(input->digest);
}
#define CLEANUP_INPUT CLEANUP(input_done)

static int input_open(const struct work *work, const struct descriptor *blob, struct input *input, struct err *err)
{
	char path[PATH_SIZE];
	int r = digest_stream_new(blob->digest.algorithm, &input->digest);

	if (r < 0)
		return err_sys(err, r, "cannot compute a digest");
	path_of(&blob->digest, path);
	input->left = blob->size;
	input->fd = openat(work->from, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	return input->fd < 0 ? err_sys(err, -errno, "cannot open '%s'", path) : 0;
}

/*
 * Copies from a source into NEW; encrypt (may be NULL) changes each piece first. Yields the size, and the digest unless
 * ret_digest is NULL: digests are what this takes its time for.
 */
static int write_new(const struct work *work, source_fn source, void *user, struct encrypt *encrypt,
		     struct digest *ret_digest, uint64_t *ret_size, struct err *err)
{
	CLEANUP(cleanup_digest_stream) struct digest_stream *digest = NULL;
	CLEANUP_FREE char *piece = malloc(PIECE);
	CLEANUP_CLOSE int fd = openat(work->to, NEW, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	size_t len = 1;
	int r = digest_stream_new(DIGEST_SHA256, &digest);

	if (fd < 0 || !piece || r < 0)
		return err_sys(err, fd < 0 ? -errno : -ENOMEM, "cannot write a blob");
	*ret_size = 0;
	while (r == 0 && len) {
		r = source(user, piece, PIECE, &len, err);
		if (r < 0)
			return r;
		if (encrypt)
			r = encrypt_update(encrypt, piece, len);
		if (r == 0 && ret_digest)
			r = digest_stream_update(digest, piece, len);
		if (r == 0)
			r = fdio_write_all(fd, piece, len);
		*ret_size += len;
	}
	if (r == 0 && ret_digest)
		r = digest_stream_finish(digest, ret_digest);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r < 0 ? err_sys(err, r, "cannot write a blob") : 0;
}

/* What was written counts, or goes: r is what its checks said. */
static int settle_new(const struct work *work, int r, const struct digest *digest, struct err *err)
{
	char path[PATH_SIZE];

	if (r < 0) {
		(void)unlinkat(work->to, NEW, 0);
		return r;
	}
	path_of(digest, path);
	return renameat(work->to, NEW, work->to, path) < 0 ? err_sys(err, -errno, "cannot write a blob") : 0;
}

static int copy_blob(const struct work *work, const struct descriptor *blob, struct err *err)
{
	struct input input CLEANUP_INPUT = {.fd = -1};
	struct digest digest;
	uint64_t size;
	int r = input_open(work, blob, &input, err);

	if (r == 0)
		r = write_new(work, input_read, &input, NULL, &digest, &size, err);
	if (r == 0)
		r = digest_stream_verify(input.digest, &blob->digest, err);
	return settle_new(work, r, &digest, err);
}

/* --- layers --- */

/* What a descriptor says from now on. */
static int set_blob(json_t *layer, const char *type, const struct digest *digest, uint64_t size, struct err *err)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(digest, text);
	if (json_object_set_new(layer, "mediaType", json_string(type)) < 0 ||
	    json_object_set_new(layer, "digest", json_string(text)) < 0 ||
	    json_object_set_new(layer, "size", json_integer((json_int_t)size)) < 0)
		return err_sys(err, -ENOMEM, "cannot write a manifest");
	return 0;
}

static int put_base64(json_t *annotations, const char *name, const struct buf *bytes, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(2 * JWE_BYTES_MAX);

	if (crypto_base64(&text, bytes->data, bytes->len) < 0 ||
	    json_object_set_new(annotations, name, json_string(text.data)) < 0)
		return err_sys(err, -ENOMEM, "cannot write an annotation");
	return 0;
}

static int annotate(const struct work *work, const struct layersecret *secret, json_t *layer, struct err *err)
{
	CLEANUP_BUF struct buf options = buf_of(LAYERSECRET_OPTIONS_MAX), jwe = buf_of(JWE_BYTES_MAX);
	json_t *annotations = json_object_get(layer, "annotations");
	int r = layersecret_format_private(secret, &options);

	if (!json_is_object(annotations)) {
		annotations = json_object();
		if (json_object_set_new(layer, "annotations", annotations) < 0)
			return err_sys(err, -ENOMEM, "cannot write an annotation");
	}
	r = r < 0 ? err_sys(err, r, "cannot write an annotation")
		  : jwe_seal(work->recipients, work->count, options.data, options.len, &jwe, err);
	if (options.data)
		explicit_bzero(options.data, options.cap);
	buf_clear(&options);
	if (r == 0)
		r = put_base64(annotations, ENCRYPTION_KEYS_JWE, &jwe, err);
	if (r == 0 && layersecret_format_public(secret, &options) < 0)
		r = err_sys(err, -ENOMEM, "cannot write an annotation");
	return r < 0 ? r : put_base64(annotations, ENCRYPTION_PUBLIC, &options, err);
}

static int encrypt_layer(struct work *work, const struct descriptor *blob, json_t *layer, struct err *err)
{
	CLEANUP(cleanup_encrypt) struct encrypt *encrypt = NULL;
	CLEANUP_FREE char *type = str_format("%s" SUFFIX, blob->media_type);
	struct input input CLEANUP_INPUT = {.fd = -1};
	struct layersecret secret = {0};
	struct digest digest;
	uint64_t size;
	int r = input_open(work, blob, &input, err);

	if (r == 0 && (!type || encrypt_new(&encrypt) < 0))
		r = err_sys(err, -ENOMEM, "cannot encrypt");
	if (r == 0)
		r = write_new(work, input_read, &input, encrypt, &digest, &size, err);
	if (r == 0)
		r = digest_stream_verify(input.digest, &blob->digest, err);
	if (r == 0 && encrypt_finish(encrypt, &secret) < 0)
		r = err_sys(err, -EIO, "cannot encrypt");
	if (r == 0)
		r = annotate(work, &secret, layer, err);
	explicit_bzero(&secret, sizeof(secret));
	r = settle_new(work, r, &digest, err);
	if (r < 0)
		return r;
	work->totals.layers++;
	work->totals.bytes += size;
	return set_blob(layer, type, &digest, size, err);
}

static void forget_annotations(json_t *layer)
{
	json_t *annotations = json_object_get(layer, "annotations"), *value;
	const char *name;
	void *next;

	json_object_foreach_safe(annotations, next, name, value)
		if (str_eq(name, ENCRYPTION_PUBLIC) || str_starts(name, ENCRYPTION_KEYS))
			(void)json_object_del(annotations, name);
	if (!json_object_size(annotations))
		(void)json_object_del(layer, "annotations");
}

/* The digest of what lies in NEW, uncompressed. */
static int content_digest(const struct work *work, enum media_compression compression, struct digest *ret_digest,
			  struct err *err)
{
	CLEANUP(cleanup_decompress) struct decompress *decompress = NULL;
	CLEANUP(cleanup_digest_stream) struct digest_stream *digest = NULL;
	CLEANUP_FREE char *piece = malloc(PIECE);
	struct input input CLEANUP_INPUT = {.fd = openat(work->to, NEW, O_RDONLY | O_CLOEXEC)};
	struct stat status;
	size_t len = 1;
	int r = digest_stream_new(DIGEST_SHA256, &input.digest);

	if (r == 0)
		r = digest_stream_new(DIGEST_SHA256, &digest);
	if (r == 0)
		r = decompress_new(compression, input_read, &input, &decompress);
	if (r < 0 || !piece || input.fd < 0 || fstat(input.fd, &status) < 0)
		return err_sys(err, -ENOMEM, "cannot read it again");
	input.left = (uint64_t)status.st_size;
	while (r == 0 && len) {
		r = decompress_read(decompress, piece, PIECE, &len, err);
		if (r == 0)
			r = digest_stream_update(digest, piece, len);
	}
	return r < 0 ? r : digest_stream_finish(digest, ret_digest);
}

/* Uncompressing is needed only where the digest is not the compressed layer's. */
static int check_plain(const struct work *work, enum media_compression compression, struct decrypt *decrypt,
		       struct err *err)
{
	struct digest content;
	struct err ignored;

	if (decrypt_check(decrypt, NULL, err) == 0)
		return 0;
	if (content_digest(work, compression, &content, &ignored) < 0)
		return ERR_CORRUPT;
	return decrypt_check(decrypt, &content, err);
}

static int decrypt_layer(struct work *work, const struct descriptor *blob, json_t *layer, struct err *err)
{
	CLEANUP(cleanup_decrypt) struct decrypt *decrypt = NULL;
	CLEANUP_FREE char *type = strndup(blob->media_type, strlen(blob->media_type) - strlen(SUFFIX));
	struct input input CLEANUP_INPUT = {.fd = -1};
	struct encryption encryption;
	struct layersecret secret = {0};
	struct digest digest;
	uint64_t size;
	int r = encryption_read(blob->annotations, &encryption, err);

	if (r == 0)
		r = layersecret_open(&encryption, work->keys, work->count, &secret, err);
	if (r == 0)
		r = input_open(work, blob, &input, err);
	if (r == 0 && (!type || decrypt_new(&secret, input_read, &input, &decrypt) < 0))
		r = err_sys(err, -ENOMEM, "cannot decrypt");
	explicit_bzero(&secret, sizeof(secret));
	if (r == 0)
		r = write_new(work, decrypt_read, decrypt, NULL, NULL, &size, err);
	if (r == 0)
		r = decrypt_finish(decrypt, err);
	if (r == 0)
		decrypt_digest(decrypt, &digest);
	if (r == 0)
		r = check_plain(work, media_of(blob->media_type).compression, decrypt, err);
	if (r == 0)
		r = digest_stream_verify(input.digest, &blob->digest, err);
	/* Plain text appears under its name when HMAC and digests agreed. */
	r = settle_new(work, r, &digest, err);
	if (r < 0)
		return r;
	work->totals.layers++;
	work->totals.bytes += size;
	forget_annotations(layer);
	return set_blob(layer, type, &digest, size, err);
}

static int take_layer(struct work *work, const struct descriptor *blob, json_t *layer, struct err *err)
{
	struct media media = media_of(blob->media_type);
	char digest[DIGEST_TEXT_SIZE];
	int r;

	if (media.kind != MEDIA_LAYER || media.encrypted == !!work->recipients)
		r = copy_blob(work, blob, err);
	else
		r = work->recipients ? encrypt_layer(work, blob, layer, err) : decrypt_layer(work, blob, layer, err);
	digest_format(&blob->digest, digest);
	return r < 0 ? err_prefix(err, "layer %s", digest) : 0;
}

/* --- documents --- */

static int write_document(const struct work *work, const json_t *document, json_t *descriptor, const char *type,
			  struct err *err)
{
	CLEANUP_FREE char *text = json_dumps(document, JSON_COMPACT);
	struct digest digest;
	char path[PATH_SIZE];
	int r = text ? digest_of(DIGEST_SHA256, text, strlen(text), &digest) : -ENOMEM;

	if (r < 0)
		return err_sys(err, r, "cannot write a manifest");
	path_of(&digest, path);
	r = fdio_replace_file(work->to, path, text, strlen(text), 0644, err);
	return r < 0 ? r : set_blob(descriptor, type, &digest, strlen(text), err);
}

static int take_entries(struct work *work, const struct manifest *manifest, json_t *document, unsigned depth,
			struct err *err);

/* One manifest or index below an index; its descriptor says afterwards what was made of it. */
static int take_document(struct work *work, const struct descriptor *entry, json_t *descriptor, unsigned depth,
			 struct err *err)
{
	struct manifest manifest CLEANUP_MANIFEST = {0};
	CLEANUP_BUF struct buf bytes = buf_of(MANIFEST_BYTES_MAX);
	CLEANUP(cleanup_json) json_t *document = NULL;
	char path[PATH_SIZE];
	int r;

	if (depth > DEPTH_MAX)
		return err_set(err, ERR_INVALID, "indexes lie in each other more than %d deep", DEPTH_MAX);
	path_of(&entry->digest, path);
	r = fdio_read_file(work->from, path, &bytes, err);
	if (r == 0)
		r = digest_verify(&entry->digest, bytes.data ? bytes.data : "", bytes.len, err);
	if (r == 0)
		r = manifest_parse(bytes.data, bytes.len, entry->media_type, &manifest, err);
	if (r < 0)
		return err_prefix(err, "'%s'", path);
	document = json_deep_copy(manifest.document);
	if (!document)
		return err_sys(err, -ENOMEM, "cannot read a manifest");
	r = manifest.kind == MANIFEST_IMAGE ? copy_blob(work, &manifest.config, err) : 0;
	if (r == 0)
		r = take_entries(work, &manifest, document, depth, err);
	return r < 0 ? r : write_document(work, document, descriptor, entry->media_type, err);
}

static int take_entries(struct work *work, const struct manifest *manifest, json_t *document, unsigned depth,
			struct err *err)
{
	json_t *list = json_object_get(document, manifest->kind == MANIFEST_IMAGE ? "layers" : "manifests");
	int r = 0;

	for (size_t i = 0; i < manifest->entry_count && r == 0; i++)
		r = manifest->kind == MANIFEST_IMAGE
			    ? take_layer(work, &manifest->entries[i], json_array_get(list, i), err)
			    : take_document(work, &manifest->entries[i], json_array_get(list, i), depth + 1, err);
	return r;
}

static int take_layout(struct work *work, struct err *err)
{
	static const char version[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	CLEANUP_BUF struct buf bytes = buf_of(MANIFEST_BYTES_MAX);
	struct manifest index CLEANUP_MANIFEST = {0};
	CLEANUP(cleanup_json) json_t *document = NULL;
	CLEANUP_FREE char *text = NULL;
	int r = fdio_read_file(work->from, "index.json", &bytes, err);

	if (r == 0)
		r = manifest_parse(bytes.data ? bytes.data : "", bytes.len, MEDIA_OCI_INDEX, &index, err);
	if (r == 0)
		r = fdio_mkdir_all(work->to, "blobs/sha256", 0755, err);
	if (r < 0)
		return r;
	document = json_deep_copy(index.document);
	if (!document)
		return err_sys(err, -ENOMEM, "cannot read 'index.json'");
	r = take_entries(work, &index, document, 0, err);
	if (r == 0)
		r = fdio_replace_file(work->to, "oci-layout", version, strlen(version), 0644, err);
	text = r == 0 ? json_dumps(document, JSON_COMPACT) : NULL;
	if (r == 0 && !text)
		r = err_sys(err, -ENOMEM, "cannot write 'index.json'");
	/* The layout is one when its index is there: last. */
	return r < 0 ? r : fdio_replace_file(work->to, "index.json", text, strlen(text), 0644, err);
}

int cryptlayout_encrypt(int from, int to, const struct jwe_recipient *recipients, size_t count,
			struct cryptlayout_totals *ret_totals, struct err *err)
{
	struct work work = {.from = from, .to = to, .recipients = recipients, .count = count};
	int r = take_layout(&work, err);

	*ret_totals = work.totals;
	return r;
}

int cryptlayout_decrypt(int from, int to, struct unwrap_key *const *keys, size_t count,
			struct cryptlayout_totals *ret_totals, struct err *err)
{
	struct work work = {.from = from, .to = to, .keys = keys, .count = count};
	int r = take_layout(&work, err);

	*ret_totals = work.totals;
	return r;
}
