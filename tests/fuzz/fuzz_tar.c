/* SPDX-License-Identifier: Apache-2.0 */
/* A layer as it comes from the registry: gzip or zstd by its first bytes, else plain; then the tar reader to its end. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "image/decompress.h"
#include "image/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct bytes {
	const uint8_t *at;
	size_t left;
};

static int read_bytes(void *user, char *to, size_t size, size_t *ret_len, struct err *err)
{
	struct bytes *bytes = user;
	size_t len = bytes->left < size ? bytes->left : size;

	(void)err;
	if (len)
		memcpy(to, bytes->at, len);
	bytes->at += len;
	bytes->left -= len;
	*ret_len = len;
	return 0;
}

static enum media_compression guess(const uint8_t *data, size_t size)
{
	if (size >= 2 && data[0] == 0x1f && data[1] == 0x8b)
		return MEDIA_GZIP;
	return size >= 4 && memcmp(data, "\x28\xb5\x2f\xfd", 4) == 0 ? MEDIA_ZSTD : MEDIA_PLAIN;
}

/* What unpacking rests on. */
static void check_name(const char *name)
{
	if (name[0] == '/' || strlen(name) >= TAR_NAME_SIZE || str_starts(name, "../") || strstr(name, "/../") ||
	    str_ends(name, "/..") || str_eq(name, "..") || strstr(name, "//"))
		abort();
}

static void check_entry(const struct tar_entry *entry)
{
	check_name(entry->name);
	if (entry->type == TAR_LINK)
		check_name(entry->target);
	if (entry->uid > TAR_ID_MAX || entry->gid > TAR_ID_MAX || entry->mode > 07777 ||
	    entry->mtime.tv_nsec > 999999999 || (entry->type != TAR_FILE && entry->size) ||
	    (entry->type != TAR_FOLDER && !entry->name[0]))
		abort();
	for (size_t i = 0; i < entry->xattr_count; i++)
		if (!entry->xattrs[i].name[0] || (entry->xattrs[i].len && entry->xattrs[i].value[entry->xattrs[i].len]))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP(cleanup_decompress) struct decompress *decompress = NULL;
	CLEANUP(cleanup_tar) struct tar *tar = NULL;
	struct bytes bytes = {.at = data, .left = size};
	const struct tar_entry *entry;
	uint64_t total = 0;
	struct err err;

	if (decompress_new(guess(data, size), read_bytes, &bytes, &decompress) < 0 ||
	    tar_new(decompress_read, decompress, &tar) < 0)
		return 0;
	while (total < 4u << 20 && tar_next(tar, &entry, &err) > 0) {
		const char *piece;
		size_t len;
		int r;

		check_entry(entry);
		while ((r = tar_data(tar, &piece, &len, &err)) > 0)
			total += len;
		if (r < 0)
			break;
		total++;
	}
	return 0;
}
