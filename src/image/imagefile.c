/* SPDX-License-Identifier: Apache-2.0 */
#include "image/imagefile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "image/seal.h"

struct imagefile {
	int fd;
	struct seal *seal;
	uint64_t chunk; /* the one that is being filled */
	size_t filled;
	uint8_t first[IMAGEFILE_CHUNK]; /* chunk 0 waits for its first block */
	size_t first_len;
	uint8_t bytes[IMAGEFILE_CHUNK];
};

int imagefile_new(int fd, struct seal *seal, struct imagefile **ret_file)
{
	struct imagefile *file = calloc(1, sizeof(*file));

	if (!file) {
		seal_free(seal);
		return -ENOMEM;
	}
	file->fd = fd;
	file->seal = seal;
	file->filled = EROFS_BLOCK;
	*ret_file = file;
	return 0;
}

void imagefile_free(struct imagefile *file)
{
	if (file)
		seal_free(file->seal);
	free(file);
}

static int write_chunk(struct imagefile *file, uint64_t chunk, const uint8_t *bytes, size_t len, struct err *err)
{
	off_t at = (off_t)(chunk * IMAGEFILE_CHUNK);

	if (file->seal)
		return seal_chunk(file->seal, chunk, bytes, len, err);
	while (len) {
		ssize_t n = pwrite(file->fd, bytes, len, at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_sys(err, -errno, "cannot write the image");
		bytes += n;
		at += n;
		len -= (size_t)n;
	}
	return 0;
}

static int end_chunk(struct imagefile *file, struct err *err)
{
	int r = 0;

	if (file->chunk == 0) {
		memcpy(file->first, file->bytes, file->filled);
		file->first_len = file->filled;
	} else {
		r = write_chunk(file, file->chunk, file->bytes, file->filled, err);
	}
	file->chunk++;
	file->filled = 0;
	return r;
}

int imagefile_put(void *user, const void *bytes, size_t len, struct err *err)
{
	struct imagefile *file = user;
	const uint8_t *at = bytes;

	while (len) {
		size_t room = IMAGEFILE_CHUNK - file->filled, piece = len < room ? len : room;

		memcpy(file->bytes + file->filled, at, piece);
		file->filled += piece;
		at += piece;
		len -= piece;
		if (file->filled == IMAGEFILE_CHUNK) {
			int r = end_chunk(file, err);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int imagefile_finish(struct imagefile *file, const uint8_t first[static EROFS_BLOCK], struct err *err)
{
	uint64_t size = file->chunk * IMAGEFILE_CHUNK + file->filled;
	int r = file->filled ? end_chunk(file, err) : 0;

	memcpy(file->first, first, EROFS_BLOCK);
	if (r == 0)
		r = write_chunk(file, 0, file->first, file->first_len, err);
	return r == 0 && file->seal ? seal_finish(file->seal, size, err) : r;
}
