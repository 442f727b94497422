/* SPDX-License-Identifier: Apache-2.0 */
#include "image/imagenote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <jansson.h>

#include "base/fdio.h"
#include "base/str.h"

static int read_hex(const char *text, uint8_t *to, size_t len)
{
	if (!text || strlen(text) != 2 * len || strspn(text, "0123456789abcdef") != 2 * len)
		return ERR_CORRUPT;
	for (size_t i = 0; i < len; i++) {
		unsigned value;

		if (sscanf(text + 2 * i, "%2x", &value) != 1)
			return ERR_CORRUPT;
		to[i] = (uint8_t)value;
	}
	return 0;
}

static int read_class(const char *word, enum policy_cache *ret_class)
{
	for (enum policy_cache class = POLICY_CACHE_SHARED; class <= POLICY_CACHE_NEVER; class ++) {
		if (!word || !str_eq(word, policy_cache_name(class)))
			continue;
		*ret_class = class;
		return 0;
	}
	return ERR_CORRUPT;
}

static int read_fields(const json_t *info, struct catalog_entry *to)
{
	const json_t *bytes = json_object_get(info, "bytes"), *entries = json_object_get(info, "entries");
	const char *domain = json_string_value(json_object_get(info, "domain"));
	int r = json_is_integer(bytes) && json_is_integer(entries) ? 0 : ERR_CORRUPT;

	if (r == 0)
		r = read_class(json_string_value(json_object_get(info, "class")), &to->class);
	if (r < 0)
		return r;
	to->bytes = (uint64_t)json_integer_value(bytes);
	to->entries = (uint64_t)json_integer_value(entries);
	to->encrypted = json_is_true(json_object_get(info, "encryptedLayers"));
	if (to->class == POLICY_CACHE_SHARED)
		return domain ? ERR_CORRUPT : 0;
	if (!domain || !*domain || str_copy(to->domain, sizeof(to->domain), domain) < 0)
		return ERR_CORRUPT;
	return read_hex(json_string_value(json_object_get(info, "seal")), to->seal, sizeof(to->seal));
}

int imagenote_read(int dir, struct catalog_entry *to)
{
	struct buf text CLEANUP_BUF = buf_of(65536);
	struct stat st;
	json_t *info;
	int r = fdio_read_file(dir, IMAGENOTE_FILE, &text, NULL);

	if (r < 0)
		return r;
	info = json_loadb(text.data ? text.data : "", text.len, JSON_REJECT_DUPLICATES, NULL);
	r = read_fields(info, to);
	json_decref(info);
	if (r == 0 && fstatat(dir, IMAGENOTE_FILE, &st, AT_SYMLINK_NOFOLLOW) == 0)
		to->used_ms = (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000;
	return r;
}

int imagenote_write(int dir, const struct catalog_entry *entry, struct err *err)
{
	CLEANUP_FREE char *text = NULL;
	char seal[2 * SEAL_ID_SIZE + 1];
	json_t *info = json_pack("{s:I, s:I, s:s, s:b}", "bytes", (json_int_t)entry->bytes, "entries",
				 (json_int_t)entry->entries, "class", policy_cache_name(entry->class),
				 "encryptedLayers", entry->encrypted);

	for (size_t i = 0; i < SEAL_ID_SIZE; i++)
		(void)snprintf(seal + 2 * i, 3, "%02x", entry->seal[i]);
	if (info && entry->class != POLICY_CACHE_SHARED)
		(void)json_object_update_new(info, json_pack("{s:s, s:s}", "domain", entry->domain, "seal", seal));
	text = info ? json_dumps(info, JSON_COMPACT) : NULL;
	json_decref(info);
	return text ? fdio_replace_file(dir, IMAGENOTE_FILE, text, strlen(text), 0600, err)
		    : err_sys(err, -ENOMEM, "cannot note an image");
}
