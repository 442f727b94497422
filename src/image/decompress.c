/* SPDX-License-Identifier: Apache-2.0 */
#include "image/decompress.h"

#include <errno.h>
#include <stdbool.h>

#include <zlib.h>
#include <zstd.h>

#define WINDOW_SIZE 65536
#define ZSTD_WINDOW_LOG_MAX 25

struct decompress {
	enum media_compression compression;
	source_fn source;
	void *user;
	z_stream gzip;
	ZSTD_DCtx *zstd;
	char window[WINDOW_SIZE];
	size_t at, end;
	uint64_t in, out;
	bool between; /* at the border of members or frames: the end may come here */
};

int decompress_new(enum media_compression compression, source_fn source, void *user, struct decompress **ret_decompress)
{
	struct decompress *decompress = calloc(1, sizeof(*decompress));
	bool failed = false;

	if (!decompress)
		return -ENOMEM;
	decompress->source = source;
	decompress->user = user;
	decompress->compression = compression;
	switch (compression) {
	case MEDIA_PLAIN:
		break;
	case MEDIA_GZIP:
		failed = inflateInit2(&decompress->gzip, 15 + 16) != Z_OK;
		break;
	case MEDIA_ZSTD:
		decompress->zstd = ZSTD_createDCtx();
		failed = !decompress->zstd || ZSTD_isError(ZSTD_DCtx_setParameter(decompress->zstd, ZSTD_d_windowLogMax,
										  ZSTD_WINDOW_LOG_MAX));
		break;
	}
	if (failed) {
		decompress_free(decompress);
		return -ENOMEM;
	}
	*ret_decompress = decompress;
	return 0;
}

void decompress_free(struct decompress *decompress)
{
	if (!decompress)
		return;
	if (decompress->compression == MEDIA_GZIP)
		(void)inflateEnd(&decompress->gzip);
	(void)ZSTD_freeDCtx(decompress->zstd);
	free(decompress);
}

static int fill(struct decompress *decompress, struct err *err)
{
	int r;

	if (decompress->at < decompress->end)
		return 0;
	decompress->at = decompress->end = 0;
	r = decompress->source(decompress->user, decompress->window, sizeof(decompress->window), &decompress->end, err);
	if (r == 0)
		decompress->in += decompress->end;
	return r;
}

/* One step of zlib over what is in the window. */
static int gzip_step(struct decompress *decompress, char *to, size_t size, size_t *ret_len, struct err *err)
{
	z_stream *z = &decompress->gzip;
	int r;

	if (decompress->between && inflateReset(z) != Z_OK)
		return err_sys(err, -ENOMEM, "cannot decompress");
	z->next_in = (Bytef *)decompress->window + decompress->at;
	z->avail_in = (uInt)(decompress->end - decompress->at);
	z->next_out = (Bytef *)to;
	z->avail_out = (uInt)size;
	r = inflate(z, Z_NO_FLUSH);
	decompress->at = decompress->end - z->avail_in;
	*ret_len = size - z->avail_out;
	decompress->between = r == Z_STREAM_END;
	if (r == Z_MEM_ERROR)
		return err_sys(err, -ENOMEM, "cannot decompress");
	if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
		return err_set(err, ERR_INVALID, "the gzip stream is damaged");
	return 0;
}

static int zstd_step(struct decompress *decompress, char *to, size_t size, size_t *ret_len, struct err *err)
{
	ZSTD_inBuffer in = {.src = decompress->window, .size = decompress->end, .pos = decompress->at};
	ZSTD_outBuffer out = {.dst = to, .size = size};
	size_t left = ZSTD_decompressStream(decompress->zstd, &out, &in);

	if (ZSTD_isError(left))
		return err_set(err, ERR_INVALID, "the zstd stream is damaged: %s", ZSTD_getErrorName(left));
	decompress->at = in.pos;
	decompress->between = left == 0;
	*ret_len = out.pos;
	return 0;
}

/* Decompresses until at least one byte came out or the stream ended. */
static int produce(struct decompress *decompress, char *to, size_t size, size_t *ret_len, struct err *err)
{
	const char *name = decompress->compression == MEDIA_GZIP ? "gzip" : "zstd";

	*ret_len = 0;
	while (*ret_len == 0) {
		int r = fill(decompress, err);

		if (r < 0)
			return r;
		if (decompress->end == 0 && decompress->between)
			return 0;
		/* What the library still holds back comes out without input, before the end counts as premature. */
		r = decompress->compression == MEDIA_GZIP ? gzip_step(decompress, to, size, ret_len, err)
							  : zstd_step(decompress, to, size, ret_len, err);
		if (r < 0)
			return r;
		if (decompress->end == 0 && *ret_len == 0 && !decompress->between)
			return err_set(err, ERR_INVALID, "the %s stream is cut off", name);
	}
	return 0;
}

int decompress_read(void *user, char *to, size_t size, size_t *ret_len, struct err *err)
{
	struct decompress *decompress = user;
	int r;

	if (decompress->compression == MEDIA_PLAIN)
		return decompress->source(decompress->user, to, size, ret_len, err);
	r = produce(decompress, to, size, ret_len, err);
	if (r < 0)
		return r;
	decompress->out += *ret_len;
	if (decompress->out > DECOMPRESS_FREE &&
	    (decompress->out - DECOMPRESS_FREE) / DECOMPRESS_RATIO_MAX > decompress->in)
		return err_set(err, ERR_TOO_LARGE, "it unpacks to more than %d times its size", DECOMPRESS_RATIO_MAX);
	return 0;
}
