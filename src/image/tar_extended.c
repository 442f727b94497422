/* SPDX-License-Identifier: Apache-2.0 */
#include "image/tar_extended.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

void tar_extended_init(struct tar_extended *extended)
{
	*extended = (struct tar_extended){
		.pax = buf_of(TAR_EXTENDED_MAX),
		.global = buf_of(TAR_EXTENDED_MAX),
		.long_name = buf_of(TAR_EXTENDED_MAX),
		.long_target = buf_of(TAR_EXTENDED_MAX),
	};
}

void tar_extended_done(struct tar_extended *extended)
{
	buf_done(&extended->pax);
	buf_done(&extended->global);
	buf_done(&extended->long_name);
	buf_done(&extended->long_target);
}

void tar_extended_clear(struct tar_extended *extended)
{
	struct buf pax = extended->pax, global = extended->global, name = extended->long_name,
		   target = extended->long_target;

	*extended = (struct tar_extended){.pax = pax, .global = global, .long_name = name, .long_target = target};
}

struct buf *tar_extended_buffer(struct tar_extended *extended, char type)
{
	switch (type) {
	case 'x':
		return &extended->pax;
	case 'g':
		return &extended->global;
	case 'L':
		return &extended->long_name;
	case 'K':
		return &extended->long_target;
	default:
		return NULL;
	}
}

/* One string of an entry may come from one place only, and from there once. */
static int set_string(const char **to, const char *what, const char *value, size_t len, struct err *err)
{
	if (*to)
		return err_set(err, ERR_INVALID, "the %s is given twice", what);
	if (len == 0 || len >= TAR_NAME_SIZE)
		return err_set(err, ERR_INVALID, "the %s has %zu bytes, not 1 to %d", what, len, TAR_NAME_SIZE - 1);
	if (memchr(value, '\0', len))
		return err_set(err, ERR_INVALID, "the %s has a NUL byte", what);
	*to = value;
	return 0;
}

static int set_number(bool *has, uint64_t *to, const char *what, const char *value, size_t len, struct err *err)
{
	if (*has)
		return err_set(err, ERR_INVALID, "the %s is given twice", what);
	if (strlen(value) != len || str_parse_u64(value, UINT64_MAX >> 1, to) < 0)
		return err_set(err, ERR_INVALID, "the %s is not a number", what);
	*has = true;
	return 0;
}

static int pax_name(struct tar_extended *to, const char *key, char *value, size_t len, struct err *err)
{
	return set_string(&to->name, "name", value, len, err);
}

static int pax_target(struct tar_extended *to, const char *key, char *value, size_t len, struct err *err)
{
	return set_string(&to->target, "link target", value, len, err);
}

static int pax_size(struct tar_extended *to, const char *key, char *value, size_t len, struct err *err)
{
	return set_number(&to->has_size, &to->size, "size", value, len, err);
}

static int pax_uid(struct tar_extended *to, const char *key, char *value, size_t len, struct err *err)
{
	return set_number(&to->has_uid, &to->uid, "uid", value, len, err);
}

static int pax_gid(struct tar_extended *to, const char *key, char *value, size_t len, struct err *err)
{
	return set_number(&to->has_gid, &to->gid, "gid", value, len, err);
}

/* "seconds[.fraction]", perhaps negative: times before 1970 count as 1970. */
static int pax_mtime(struct tar_extended *to, const char *key, char *value, size_t len, struct err *err)
{
	char *dot = strchr(value, '.');
	bool negative = value[0] == '-';
	long scale = 100000000;
	uint64_t seconds;

	if (to->has_mtime)
		return err_set(err, ERR_INVALID, "the time is given twice");
	if (dot)
		*dot = '\0';
	if (strlen(value) + (dot ? 1 + strlen(dot + 1) : 0) != len ||
	    str_parse_u64(value + negative, UINT64_C(1) << 40, &seconds) < 0 ||
	    (dot && dot[1 + strspn(dot + 1, "0123456789")]))
		return err_set(err, ERR_INVALID, "the time is not a number of seconds");
	to->has_mtime = true;
	to->mtime = (struct timespec){0};
	if (negative)
		return 0;
	if (seconds > UINT64_C(1) << 34)
		return err_set(err, ERR_INVALID, "the time is not a number of seconds");
	to->mtime.tv_sec = (time_t)seconds;
	for (const char *digit = dot ? dot + 1 : ""; *digit && scale; digit++, scale /= 10)
		to->mtime.tv_nsec += (*digit - '0') * scale;
	return 0;
}

static int pax_xattr(struct tar_extended *to, const char *key, char *value, size_t len, struct err *err)
{
	if (to->xattr_count == TAR_XATTRS_MAX)
		return err_set(err, ERR_TOO_LARGE, "there are more than %d extended attributes", TAR_XATTRS_MAX);
	if (!*key || strlen(key) > 255)
		return err_set(err, ERR_INVALID, "the name of an extended attribute has %zu bytes, not 1 to 255",
			       strlen(key));
	to->xattrs[to->xattr_count++] = (struct tar_xattr){.name = key, .value = value, .len = len};
	return 0;
}

static int pax_sparse(struct tar_extended *to, const char *key, char *value, size_t len, struct err *err)
{
	return err_set(err, ERR_INVALID, "it is a sparse file");
}

/* Names that end in '.' stand for all that begin so. What has no row does not change what is unpacked. */
static const struct {
	const char *key;
	int (*apply)(struct tar_extended *to, const char *key, char *value, size_t len, struct err *err);
} records[] = {
	{"path", pax_name},
	{"linkpath", pax_target},
	{"size", pax_size},
	{"uid", pax_uid},
	{"gid", pax_gid},
	{"mtime", pax_mtime},
	{"SCHILY.xattr.", pax_xattr},
	{"GNU.sparse.", pax_sparse},
	{"SCHILY.realsize", pax_sparse},
};

static int apply_record(struct tar_extended *to, const char *key, char *value, size_t len, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(records); i++) {
		bool prefix = str_ends(records[i].key, ".");

		if (prefix ? str_starts(key, records[i].key) : str_eq(key, records[i].key))
			return records[i].apply(to, key + (prefix ? strlen(records[i].key) : 0), value, len, err);
	}
	return 0;
}

/* Cuts "LENGTH KEY=VALUE\n" at *at into its parts, both NUL-terminated in place, and moves *at behind it. */
static int cut_record(char **at, const char *end, char **ret_key, char **ret_value, size_t *ret_len, struct err *err)
{
	char *record = *at, *space = memchr(record, ' ', (size_t)(end - record)), *equals;
	uint64_t len;

	if (!space || space - record > 8)
		return err_set(err, ERR_SYNTAX, "an extended header has a record without length");
	*space = '\0';
	if (str_parse_u64(record, TAR_EXTENDED_MAX, &len) < 0 || len > (uint64_t)(end - record) ||
	    record + len < space + 3 || record[len - 1] != '\n')
		return err_set(err, ERR_SYNTAX, "an extended header has a record of a wrong length");
	record[len - 1] = '\0';
	equals = memchr(space + 1, '=', (size_t)(record + len - 1 - (space + 1)));
	if (!equals || equals == space + 1 || memchr(space + 1, '\0', (size_t)(equals - space - 1)))
		return err_set(err, ERR_SYNTAX, "an extended header has a record without key");
	*equals = '\0';
	*ret_key = space + 1;
	*ret_value = equals + 1;
	*ret_len = (size_t)(record + len - 1 - (equals + 1));
	*at = record + len;
	return 0;
}

static int take_pax(struct tar_extended *extended, struct err *err)
{
	char *at = extended->pax.data, *end = at + extended->pax.len;

	if (extended->has_pax)
		return err_set(err, ERR_INVALID, "there are two extended headers");
	extended->has_pax = true;
	while (at < end) {
		char *key, *value;
		size_t len;
		int r = cut_record(&at, end, &key, &value, &len, err);

		if (r == 0)
			r = apply_record(extended, key, value, len, err);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Global headers may carry remarks and nothing that changes entries. */
static int take_global(struct tar_extended *extended, struct err *err)
{
	char *at = extended->global.data, *end = at + extended->global.len;

	while (at < end) {
		char *key, *value;
		size_t len;
		int r = cut_record(&at, end, &key, &value, &len, err);

		if (r < 0)
			return r;
		for (size_t i = 0; i < ARRAY_SIZE(records); i++)
			if (str_ends(records[i].key, ".") ? str_starts(key, records[i].key)
							  : str_eq(key, records[i].key))
				return err_set(err, ERR_INVALID, "a global extended header sets '%s'", records[i].key);
	}
	return 0;
}

/* GNU's long names end in NUL, which counts in the size. */
static int take_long(struct buf *data, const char **to, const char *what, struct err *err)
{
	size_t len = data->len;

	if (len && data->data[len - 1] == '\0')
		len--;
	return set_string(to, what, data->data, len, err);
}

int tar_extended_take(struct tar_extended *extended, char type, struct err *err)
{
	switch (type) {
	case 'x':
		return take_pax(extended, err);
	case 'g':
		return take_global(extended, err);
	case 'L':
		return take_long(&extended->long_name, &extended->name, "name", err);
	case 'K':
		return take_long(&extended->long_target, &extended->target, "link target", err);
	default:
		return err_set(err, ERR_INVALID, "not an extended header");
	}
}
