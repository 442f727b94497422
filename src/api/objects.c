/* SPDX-License-Identifier: Apache-2.0 */
#include "api/schema.h"

#include <errno.h>

#include "base/str.h"

/* The longest single name in a dotted path; longer ones are in no table. */
#define NAME_MAX_BYTES 128

/* Takes the next name off a dotted path; false when there is none or it is too long. */
static bool next_name(const char **path, char to[static NAME_MAX_BYTES])
{
	size_t len = strcspn(*path, ".");

	if (len == 0 || len >= NAME_MAX_BYTES)
		return false;
	memcpy(to, *path, len);
	to[len] = '\0';
	*path += len;
	if (**path == '.')
		(*path)++;
	return true;
}

json_t *api_value(const json_t *object, const char *path)
{
	json_t *value = (json_t *)object;
	char name[NAME_MAX_BYTES];

	while (value && *path) {
		if (!next_name(&path, name))
			return NULL;
		value = json_object_get(value, name);
	}
	return value;
}

const char *api_string(const json_t *object, const char *path)
{
	return json_string_value(api_value(object, path));
}

json_int_t api_integer(const json_t *object, const char *path, json_int_t otherwise)
{
	const json_t *value = api_value(object, path);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

int api_set(json_t *object, const char *path, json_t *value)
{
	char name[NAME_MAX_BYTES];

	if (!value)
		return -ENOMEM;
	while (next_name(&path, name)) {
		json_t *next;

		if (!*path)
			return json_object_set_new(object, name, value) < 0 ? -ENOMEM : 0;
		next = json_object_get(object, name);
		if (!json_is_object(next)) {
			next = json_object();
			if (!next || json_object_set_new(object, name, next) < 0)
				break;
		}
		object = next;
	}
	json_decref(value);
	return -ENOMEM;
}

const char *api_label(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(api_value(object, "metadata.labels"), key));
}

const char *api_annotation(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(api_value(object, "metadata.annotations"), key));
}

char *api_format(const json_t *object)
{
	return json_dumps(object, JSON_COMPACT | JSON_ENCODE_ANY);
}

json_t *api_text(const char *text)
{
	json_t *value = json_string(text);
	CLEANUP_FREE char *clean = value ? NULL : strdup(text);

	if (value || !clean)
		return value;
	for (char *at = clean; *at; at++)
		if (*at & 0x80)
			*at = '?';
	return json_string(clean);
}
