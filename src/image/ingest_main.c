/* SPDX-License-Identifier: Apache-2.0 */
/* The unpacking process: confines itself before it reads the first byte, unpacks what the channel brings, ends. */
#include "image/ingest.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/rand.h>

#include "base/fdio.h"
#include "image/confine.h"
#include "image/decompress.h"
#include "image/decrypt.h"
#include "image/image.h"
#include "image/imagefile.h"

#define CHANNEL 0
#define OUTPUT 3
#define MEMORY_MAX ((size_t)64 << 20)

/* All that unpacking does. */
static const char *const calls[] = {
	"read",       "write",         "pwrite64",        "close",        "fstat",          "lseek",
	"mmap",       "munmap",        "mremap",          "mprotect",     "madvise",        "brk",
	"futex",      "getrandom",     "rt_sigreturn",    "rt_sigaction", "rt_sigprocmask", "exit",
	"exit_group", "clock_gettime", "restart_syscall", "getpid",
};

struct session {
	struct unpack *unpack;
	struct imagefile *file;
	struct digest_stream *diff; /* of the layer at hand, uncompressed */
	struct decompress *decompress;
	uint32_t data_left; /* of the data frame at hand */
	bool layer_ended;
};

static int read_head(struct ingest_head *head, struct err *err)
{
	int r = fdio_read_exact(CHANNEL, head, sizeof(*head));

	return r < 0 ? err_sys(err, r, "the channel to the image store broke") : 0;
}

static int read_frame(enum ingest_frame frame, void *to, size_t len, struct err *err)
{
	struct ingest_head head;
	int r = read_head(&head, err);

	if (r < 0)
		return r;
	if (head.frame != frame || head.len != len)
		return err_set(err, -EPROTO, "the image store sent frame %u of %u bytes", head.frame, head.len);
	r = fdio_read_exact(CHANNEL, to, len);
	return r < 0 ? err_sys(err, r, "the channel to the image store broke") : 0;
}

/* A source_fn: the compressed bytes of the layer at hand. */
static int read_layer(void *user, char *to, size_t size, size_t *ret_len, struct err *err)
{
	struct session *session = user;
	ssize_t n;

	*ret_len = 0;
	while (!session->data_left && !session->layer_ended) {
		struct ingest_head head;
		int r = read_head(&head, err);

		if (r < 0)
			return r;
		if (head.frame == INGEST_LAYER_END && head.len == 0)
			session->layer_ended = true;
		else if (head.frame == INGEST_DATA && head.len <= INGEST_DATA_MAX)
			session->data_left = head.len;
		else
			return err_set(err, -EPROTO, "the image store sent frame %u of %u bytes", head.frame, head.len);
	}
	if (session->layer_ended)
		return 0;
	n = read(CHANNEL, to, size < session->data_left ? size : session->data_left);
	if (n <= 0)
		return err_sys(err, n < 0 ? -errno : -ENODATA, "the channel to the image store broke");
	session->data_left -= (uint32_t)n;
	*ret_len = (size_t)n;
	return 0;
}

/* A source_fn: the layer's bytes uncompressed, digested on their way. */
static int read_plain(void *user, char *to, size_t size, size_t *ret_len, struct err *err)
{
	struct session *session = user;
	int r = decompress_read(session->decompress, to, size, ret_len, err);

	if (r < 0)
		return r;
	r = digest_stream_update(session->diff, to, *ret_len);
	return r < 0 ? err_sys(err, r, "cannot compute a digest") : 0;
}

static int unpack_plain(struct session *session, const struct ingest_layer *layer, source_fn source, void *user,
			struct err *err)
{
	CLEANUP(cleanup_digest_stream) struct digest_stream *diff = NULL;
	CLEANUP(cleanup_decompress) struct decompress *decompress = NULL;
	int r = digest_stream_new(layer->diff_id.algorithm, &diff);

	if (r == 0)
		r = decompress_new(layer->compression, source, user, &decompress);
	if (r < 0)
		return err_sys(err, r, "cannot unpack");
	session->diff = diff;
	session->decompress = decompress;
	r = unpack_layer(session->unpack, read_plain, session, err);
	if (r < 0)
		return r;
	r = digest_stream_verify(diff, &layer->diff_id, err);
	return r < 0 ? err_prefix(err, "its uncompressed content") : 0;
}

/* What is unpacked counts when the decryptor agreed with the whole of it; when it does not, that is why unpacking failed. */
static int unpack_encrypted(struct session *session, const struct ingest_layer *layer, struct err *err)
{
	CLEANUP(cleanup_decrypt) struct decrypt *decrypt = NULL;
	struct err verdict = {0};
	int r = decrypt_new(&layer->secret, read_layer, session, &decrypt);

	if (r < 0)
		return err_sys(err, r, "cannot decrypt");
	r = unpack_plain(session, layer, decrypt_read, decrypt, err);
	if (decrypt_finish(decrypt, &verdict) < 0 && (r == 0 || verdict.code == ERR_CORRUPT)) {
		*err = verdict;
		r = verdict.code;
	}
	return r < 0 ? r : decrypt_check(decrypt, &layer->diff_id, err);
}

static int take_layer(struct session *session, struct ingest_layer *layer, struct err *err)
{
	int r;

	session->layer_ended = false;
	r = layer->encrypted ? unpack_encrypted(session, layer, err)
			     : unpack_plain(session, layer, read_layer, session, err);
	explicit_bzero(&layer->secret, sizeof(layer->secret));
	return r;
}

static int answer(int code, const struct unpack_totals *totals, const struct err *err)
{
	struct ingest_verdict verdict = {.code = code};

	if (totals)
		verdict.totals = *totals;
	if (code < 0)
		(void)snprintf(verdict.message, sizeof(verdict.message), "%.511s", err->msg);
	return fdio_write_all(CHANNEL, &verdict, sizeof(verdict));
}

static int finish(struct session *session, struct unpack_totals *totals, struct err *err)
{
	uint8_t first[EROFS_BLOCK];
	int r = unpack_finish(session->unpack, totals, first, err);

	return r < 0 ? r : imagefile_finish(session->file, first, err);
}

/* Takes layers until the store says that was the last. */
static int serve(struct session *session, struct unpack_totals *totals, struct err *err)
{
	while (true) {
		struct ingest_layer layer;
		struct ingest_head head;
		int r = read_head(&head, err);

		if (r < 0)
			return r;
		if (head.frame == INGEST_FINISH && head.len == 0)
			return finish(session, totals, err);
		if (head.frame != INGEST_LAYER || head.len != sizeof(layer))
			return err_set(err, -EPROTO, "the image store sent frame %u of %u bytes", head.frame, head.len);
		r = fdio_read_exact(CHANNEL, &layer, sizeof(layer));
		if (r < 0)
			return err_sys(err, r, "the channel to the image store broke");
		r = take_layer(session, &layer, err);
		if (r < 0)
			return r;
		r = answer(0, NULL, NULL);
		if (r < 0)
			return r;
	}
}

static int begin_image(const struct ingest_orders *orders, struct imagefile **ret_file, struct unpack **ret_unpack,
		       struct err *err)
{
	struct seal *seal = NULL;
	int r = orders->sealed ? seal_new(OUTPUT, &orders->binding, orders->key, &seal) : 0;

	if (r == 0)
		r = imagefile_new(OUTPUT, seal, ret_file);
	if (r == 0)
		r = unpack_new(imagefile_put, *ret_file, &orders->limits, ret_unpack);
	return r < 0 ? err_sys(err, r, "cannot unpack") : 0;
}

static int run(void)
{
	CLEANUP(cleanup_unpack) struct unpack *unpack = NULL;
	CLEANUP(cleanup_imagefile) struct imagefile *file = NULL;
	struct unpack_totals totals = {0};
	struct ingest_orders orders;
	struct session session = {0};
	struct err err = {0};
	struct digest warm;
	uint8_t noise[16];
	int r;

	/* libcrypto looks for its configuration when it is first used: while there is a file system. */
	r = digest_of(DIGEST_SHA256, "", 0, &warm) < 0 || RAND_bytes(noise, sizeof(noise)) != 1
		    ? err_sys(&err, -EIO, "cannot use libcrypto")
		    : 0;
	if (r == 0)
		r = confine_self(&(struct confine){PRIVILEGE_INGEST, calls, ARRAY_SIZE(calls), MEMORY_MAX}, &err);
	if (r == 0)
		r = read_frame(INGEST_ORDERS, &orders, sizeof(orders), &err);
	if (r == 0)
		r = begin_image(&orders, &file, &unpack, &err);
	explicit_bzero(&orders, sizeof(orders));
	session.unpack = unpack;
	session.file = file;
	if (r == 0)
		r = serve(&session, &totals, &err);
	return answer(r, r == 0 ? &totals : NULL, &err) < 0 || r < 0 ? 1 : 0;
}

int image_ingest_main(void)
{
	/* What libraries do at an ordinary exit may need what confinement has taken. */
	_exit(run());
}
