/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "image/tar_extended.h"

#define BLOCK 512
#define WINDOW_SIZE 65536
#define QUOTE_SIZE 200

/* The header block (POSIX.1-2017, pax, "ustar Interchange Format"). */
struct header {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char target[100];
	char magic[6];
	char version[2];
	char uname[32];
	char gname[32];
	char device_major[8];
	char device_minor[8];
	char prefix[155];
	char padding[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a tar header is one block");

struct tar {
	source_fn source;
	void *user;
	char window[WINDOW_SIZE];
	size_t at, end;     /* what of the window was read and not yet used */
	uint64_t entries;   /* entries begun, for messages about those without a name */
	uint64_t data_left; /* of the entry's data */
	size_t padding;     /* behind the data */
	struct tar_extended extended;
	struct tar_entry entry;
};

int tar_new(source_fn source, void *user, struct tar **ret_tar)
{
	struct tar *tar = calloc(1, sizeof(*tar));

	if (!tar)
		return -ENOMEM;
	tar->source = source;
	tar->user = user;
	tar_extended_init(&tar->extended);
	*ret_tar = tar;
	return 0;
}

void tar_free(struct tar *tar)
{
	if (!tar)
		return;
	tar_extended_done(&tar->extended);
	free(tar);
}

const char *tar_quote(char *to, size_t size, const char *name)
{
	size_t i = 0;

	for (; name[i] && i + 1 < size; i++)
		to[i] = (unsigned char)name[i] < 0x20 || name[i] == 0x7f || name[i] == '\'' ? '?' : name[i];
	to[i] = '\0';
	return to;
}

static int refuse(const struct tar *tar, struct err *err, const char *what)
{
	return err_set(err, ERR_INVALID, "entry %llu: %s", (unsigned long long)tar->entries, what);
}

static int refuse_named(const struct tar *tar, struct err *err, const char *what)
{
	char quoted[QUOTE_SIZE];

	return err_set(err, ERR_INVALID, "entry '%s': %s", tar_quote(quoted, sizeof(quoted), tar->entry.name), what);
}

/* Makes at least one byte available; *ret_more false at the end of the source. */
static int fill(struct tar *tar, bool *ret_more, struct err *err)
{
	size_t got = 0;
	int r;

	*ret_more = true;
	if (tar->at < tar->end)
		return 0;
	r = tar->source(tar->user, tar->window, sizeof(tar->window), &got, err);
	if (r < 0)
		return r;
	tar->at = 0;
	tar->end = got;
	*ret_more = got > 0;
	return 0;
}

/* Reads exactly len bytes. *ret_any tells whether any came before the end of the source; fewer than len are an error. */
static int take(struct tar *tar, char *to, size_t len, bool *ret_any, struct err *err)
{
	size_t done = 0;

	while (done < len) {
		size_t piece;
		bool more;
		int r = fill(tar, &more, err);

		if (r < 0)
			return r;
		if (!more)
			break;
		piece = tar->end - tar->at < len - done ? tar->end - tar->at : len - done;
		memcpy(to + done, tar->window + tar->at, piece);
		tar->at += piece;
		done += piece;
	}
	*ret_any = done > 0;
	if (done > 0 && done < len)
		return refuse(tar, err, "the archive is cut off");
	return 0;
}

/* A number field: octal digits, then blanks or NULs; or GNU's base 256 with the first bit set. */
static int number(const char *field, size_t size, uint64_t max, uint64_t *ret_value)
{
	uint64_t value = 0;
	size_t i = 0;

	if ((unsigned char)field[0] == 0x80) {
		for (i = 1; i < size; i++) {
			if (value >> 55)
				return -ERANGE;
			value = value << 8 | (unsigned char)field[i];
		}
	} else {
		while (i < size && field[i] == ' ')
			i++;
		for (; i < size && field[i] >= '0' && field[i] <= '7'; i++)
			value = value << 3 | (uint64_t)(field[i] - '0');
		for (; i < size; i++)
			if (field[i] != ' ' && field[i] != '\0')
				return -EINVAL;
	}
	if (value > max)
		return -ERANGE;
	*ret_value = value;
	return 0;
}

static bool checksum_matches(const struct header *header)
{
	const unsigned char *bytes = (const unsigned char *)header;
	uint64_t stated, sum = 0;

	if (number(header->checksum, sizeof(header->checksum), UINT32_MAX, &stated) < 0)
		return false;
	for (size_t i = 0; i < BLOCK; i++)
		sum += i >= offsetof(struct header, checksum) && i < offsetof(struct header, type) ? ' ' : bytes[i];
	return sum == stated;
}

static bool is_zero(const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (bytes[i])
			return false;
	return true;
}

/* Behind the first zero block: one more, then nothing but zeros, as writers fill up their last record. */
static int read_end(struct tar *tar, struct err *err)
{
	char block[BLOCK];
	bool any;
	int r = take(tar, block, BLOCK, &any, err);

	if (r < 0)
		return r;
	if (!any || !is_zero(block, BLOCK))
		return refuse(tar, err, "the archive's end mark is incomplete");
	while (true) {
		r = fill(tar, &any, err);
		if (r < 0 || !any)
			return r;
		if (!is_zero(tar->window + tar->at, tar->end - tar->at))
			return refuse(tar, err, "there are bytes behind the archive's end");
		tar->at = tar->end;
	}
}

/* Reads a header block. 0 at the archive's end. */
static int read_header(struct tar *tar, struct header *header, struct err *err)
{
	bool any;
	int r = take(tar, (char *)header, BLOCK, &any, err);

	if (r < 0)
		return r;
	if (!any)
		return refuse(tar, err, "the archive ends without an end mark");
	if (is_zero((const char *)header, BLOCK)) {
		r = read_end(tar, err);
		return r < 0 ? r : 0;
	}
	if (!checksum_matches(header))
		return refuse(tar, err, "the header's checksum is wrong");
	if (memcmp(header->magic,
		   "ustar\0"
		   "00",
		   8) != 0 &&
	    memcmp(header->magic, "ustar  ", 8) != 0)
		return refuse(tar, err, "the header is neither ustar nor GNU");
	return 1;
}

/* Reads the data of an extension header, with its padding, into the extension's buffer. */
static int read_extension(struct tar *tar, const struct header *header, struct buf *to, struct err *err)
{
	char padding[BLOCK];
	uint64_t size;
	char *at;
	bool any;
	int r;

	if (number(header->size, sizeof(header->size), UINT64_MAX >> 1, &size) < 0)
		return refuse(tar, err, "the size of the extended header is not a number");
	if (size > TAR_EXTENDED_MAX)
		return err_set(err, ERR_TOO_LARGE, "entry %llu: the extended header has %llu bytes, more than %u",
			       (unsigned long long)tar->entries, (unsigned long long)size, TAR_EXTENDED_MAX);
	buf_clear(to);
	r = buf_reserve(to, size, &at);
	if (r < 0)
		return err_sys(err, r, "entry %llu", (unsigned long long)tar->entries);
	r = size ? take(tar, at, size, &any, err) : 0;
	if (r < 0)
		return r;
	if (size && !any)
		return refuse(tar, err, "the archive is cut off");
	to->len = size;
	to->data[size] = '\0';
	if (size % BLOCK == 0)
		return 0;
	r = take(tar, padding, BLOCK - size % BLOCK, &any, err);
	return r < 0 ? r : any ? 0 : refuse(tar, err, "the archive is cut off");
}

/* Reads extension headers up to the header of an entry itself. 0 at the archive's end. */
static int read_entry_header(struct tar *tar, struct header *header, struct err *err)
{
	bool extended = false;

	tar_extended_clear(&tar->extended);
	while (true) {
		struct buf *data;
		int r = read_header(tar, header, err);

		if (r < 0)
			return r;
		if (r == 0)
			return extended ? refuse(tar, err, "the archive ends behind an extended header") : 0;
		data = tar_extended_buffer(&tar->extended, header->type);
		if (!data)
			return 1;
		r = read_extension(tar, header, data, err);
		if (r < 0)
			return r;
		r = tar_extended_take(&tar->extended, header->type, err);
		if (r < 0)
			return err_prefix(err, "entry %llu", (unsigned long long)tar->entries);
		extended = header->type != 'g';
	}
}

/* Copies a name field that need not end in NUL. */
static size_t field_copy(char *to, const char *field, size_t size)
{
	size_t len = strnlen(field, size);

	memcpy(to, field, len);
	to[len] = '\0';
	return len;
}

/* Names of extended headers are shorter than TAR_NAME_SIZE. */
static void copy_name(char to[static TAR_NAME_SIZE], const char *name)
{
	memcpy(to, name, strlen(name) + 1);
}

/* Takes "./" from the front and one "/" from the end, and checks every component. NULL, or what is wrong. */
static const char *normalise(char *name)
{
	size_t len, depth = 0;

	if (name[0] == '/')
		return "the name is absolute";
	while (name[0] == '.' && name[1] == '/')
		memmove(name, name + 2, strlen(name + 2) + 1);
	len = strlen(name);
	if (len && name[len - 1] == '/')
		name[--len] = '\0';
	if (str_eq(name, ".") || !len) {
		name[0] = '\0';
		return NULL;
	}
	for (const char *at = name;; at += strcspn(at, "/") + 1) {
		size_t part = strcspn(at, "/");

		if (part == 0 || (part == 1 && at[0] == '.'))
			return "the name has an empty or '.' component";
		if (part == 2 && at[0] == '.' && at[1] == '.')
			return "the name has a '..' component";
		if (part > 255)
			return "the name has a component of more than 255 bytes";
		if (++depth > TAR_DEPTH_MAX)
			return "the name has more than 128 components";
		if (!at[part])
			return NULL;
	}
}

/* Whether a relative symbolic link leads above the root by its own text alone. */
static bool leaves_root(const char *name, const char *target)
{
	long depth = 0;

	if (target[0] == '/')
		return false;
	for (; *name; name++)
		depth += *name == '/';
	for (const char *at = target; *at;) {
		size_t part = strcspn(at, "/");

		if (part == 2 && at[0] == '.' && at[1] == '.')
			depth--;
		else if (part && !(part == 1 && at[0] == '.'))
			depth++;
		if (depth < 0)
			return true;
		at += part + (at[part] == '/');
	}
	return false;
}

static int read_name(struct tar *tar, const struct header *header, struct err *err)
{
	struct tar_entry *entry = &tar->entry;
	const char *wrong;
	size_t len = 0;
	bool slash;

	if (tar->extended.name) {
		copy_name(entry->name, tar->extended.name);
	} else {
		if (header->magic[5] == '\0' && header->prefix[0]) {
			len = field_copy(entry->name, header->prefix, sizeof(header->prefix));
			entry->name[len++] = '/';
		}
		(void)field_copy(entry->name + len, header->name, sizeof(header->name));
	}
	if (!entry->name[0])
		return refuse(tar, err, "the name is empty");
	slash = str_ends(entry->name, "/");
	wrong = normalise(entry->name);
	if (wrong)
		return refuse_named(tar, err, wrong);
	if (entry->type != TAR_FOLDER && (slash || !entry->name[0]))
		return refuse_named(tar, err, "the name is a folder's but the entry is none");
	return 0;
}

static int read_target(struct tar *tar, const struct header *header, struct err *err)
{
	struct tar_entry *entry = &tar->entry;
	const char *wrong;

	entry->target[0] = '\0';
	if (entry->type != TAR_LINK && entry->type != TAR_SYMLINK)
		return 0;
	if (tar->extended.target)
		copy_name(entry->target, tar->extended.target);
	else
		(void)field_copy(entry->target, header->target, sizeof(header->target));
	if (!entry->target[0])
		return refuse_named(tar, err, "the link has no target");
	if (entry->type == TAR_SYMLINK)
		return leaves_root(entry->name, entry->target)
			       ? refuse_named(tar, err, "the symbolic link leaves the root")
			       : 0;
	wrong = normalise(entry->target);
	if (!wrong && !entry->target[0])
		wrong = "it is the root folder";
	if (wrong) {
		char quoted[QUOTE_SIZE], target[QUOTE_SIZE];

		return err_set(err, ERR_INVALID, "entry '%s': hard link to '%s': %s",
			       tar_quote(quoted, sizeof(quoted), entry->name),
			       tar_quote(target, sizeof(target), entry->target), wrong);
	}
	return 0;
}

static int read_type(struct tar *tar, char type)
{
	static const struct {
		char letter;
		enum tar_type type;
	} types[] = {{'0', TAR_FILE}, {'\0', TAR_FILE},   {'7', TAR_FILE},
		     {'1', TAR_LINK}, {'2', TAR_SYMLINK}, {'5', TAR_FOLDER}};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		if (types[i].letter != type)
			continue;
		tar->entry.type = types[i].type;
		return 0;
	}
	return -EINVAL;
}

/* What an entry that is refused for its type is called. */
static int refuse_type(struct tar *tar, const struct header *header, struct err *err)
{
	const char *what = "is of an unknown type";

	if (tar->extended.name)
		copy_name(tar->entry.name, tar->extended.name);
	else
		(void)field_copy(tar->entry.name, header->name, sizeof(header->name));
	if (header->type == '3' || header->type == '4')
		what = "is a device node";
	else if (header->type == '6')
		what = "is a named pipe";
	else if (header->type == 'S')
		what = "is a sparse file";
	return refuse_named(tar, err, what);
}

static int read_numbers(struct tar *tar, const struct header *header, struct err *err)
{
	const struct tar_extended *extended = &tar->extended;
	struct tar_entry *entry = &tar->entry;
	uint64_t mode, uid = extended->uid, gid = extended->gid, size = extended->size, mtime;

	if (number(header->mode, sizeof(header->mode), UINT32_MAX, &mode) < 0)
		return refuse_named(tar, err, "the mode is not a number");
	if ((!extended->has_uid && number(header->uid, sizeof(header->uid), UINT64_MAX >> 1, &uid) < 0) ||
	    (!extended->has_gid && number(header->gid, sizeof(header->gid), UINT64_MAX >> 1, &gid) < 0))
		return refuse_named(tar, err, "an owner is not a number");
	if (uid > TAR_ID_MAX || gid > TAR_ID_MAX)
		return refuse_named(tar, err, "an owner is over 65535");
	if (!extended->has_size && number(header->size, sizeof(header->size), UINT64_MAX >> 1, &size) < 0)
		return refuse_named(tar, err, "the size is not a number");
	if (size > TAR_FILE_MAX)
		return refuse_named(tar, err, "the size is over 1 TiB");
	if (size && entry->type != TAR_FILE)
		return refuse_named(tar, err, "there are bytes behind what is not a file");
	if (extended->has_mtime)
		entry->mtime = extended->mtime;
	else if (number(header->mtime, sizeof(header->mtime), UINT64_C(1) << 34, &mtime) < 0)
		return refuse_named(tar, err, "the time is not a number of seconds behind 1970");
	else
		entry->mtime = (struct timespec){.tv_sec = (time_t)mtime};
	entry->mode = (uint32_t)(mode & 07777);
	entry->uid = (uint32_t)uid;
	entry->gid = (uint32_t)gid;
	entry->size = size;
	return 0;
}

static int skip_data(struct tar *tar, struct err *err)
{
	char padding[BLOCK];
	bool any;
	int r;

	do {
		const char *bytes;
		size_t len;

		r = tar_data(tar, &bytes, &len, err);
	} while (r > 0);
	if (r < 0 || !tar->padding)
		return r;
	r = take(tar, padding, tar->padding, &any, err);
	if (r == 0 && !any)
		r = refuse_named(tar, err, "the archive is cut off");
	tar->padding = 0;
	return r;
}

int tar_next(struct tar *tar, const struct tar_entry **ret_entry, struct err *err)
{
	struct header header;
	int r = skip_data(tar, err);

	if (r < 0)
		return r;
	tar->entries++;
	tar->entry.name[0] = '\0';
	r = read_entry_header(tar, &header, err);
	if (r <= 0)
		return r;
	if (read_type(tar, header.type) < 0)
		return refuse_type(tar, &header, err);
	r = read_name(tar, &header, err);
	if (r == 0)
		r = read_target(tar, &header, err);
	if (r == 0)
		r = read_numbers(tar, &header, err);
	if (r < 0)
		return r;
	memcpy(tar->entry.xattrs, tar->extended.xattrs, sizeof(tar->entry.xattrs));
	tar->entry.xattr_count = tar->extended.xattr_count;
	tar->data_left = tar->entry.size;
	tar->padding = (size_t)(-tar->entry.size & (BLOCK - 1));
	*ret_entry = &tar->entry;
	return 1;
}

int tar_data(struct tar *tar, const char **ret_bytes, size_t *ret_len, struct err *err)
{
	size_t piece;
	bool more;
	int r;

	if (!tar->data_left)
		return 0;
	r = fill(tar, &more, err);
	if (r < 0)
		return r;
	if (!more)
		return refuse_named(tar, err, "the archive is cut off");
	piece = tar->end - tar->at;
	if (piece > tar->data_left)
		piece = (size_t)tar->data_left;
	*ret_bytes = tar->window + tar->at;
	*ret_len = piece;
	tar->at += piece;
	tar->data_left -= piece;
	return 1;
}
