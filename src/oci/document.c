/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/document.h"

#include <errno.h>
#include <stdio.h>

void document_where(char to[static DOCUMENT_WHERE_SIZE], const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(to, DOCUMENT_WHERE_SIZE, format, args);
	va_end(args);
}

int document_parse(const char *bytes, size_t len, size_t max, json_t **ret_root, struct err *err)
{
	json_error_t at;
	json_t *root;

	if (len > max)
		return err_set(err, ERR_TOO_LARGE, "the document has %zu bytes, more than %zu", len, max);
	/* jansson bounds the nesting itself and refuses NUL in strings unless asked otherwise. */
	root = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &at);
	if (!root)
		return err_set(err, ERR_SYNTAX, "not JSON: line %d column %d: %s", at.line, at.column, at.text);
	if (!json_is_object(root)) {
		json_decref(root);
		return err_set(err, ERR_INVALID, "the document is not an object");
	}
	*ret_root = root;
	return 0;
}

int document_string(const json_t *object, const char *where, const char *name, bool required, const char **ret_value,
		    struct err *err)
{
	const json_t *value = json_object_get(object, name);

	if (json_is_string(value)) {
		*ret_value = json_string_value(value);
		return 0;
	}
	if (value && !json_is_null(value))
		return err_set(err, ERR_INVALID, "%s%s is not a string", where, name);
	if (required)
		return err_set(err, ERR_INVALID, "%s%s is missing", where, name);
	*ret_value = NULL;
	return 0;
}

int document_strings(const json_t *object, const char *where, const char *name, size_t max, const char ***ret_list,
		     size_t *ret_count, struct err *err)
{
	const json_t *value = json_object_get(object, name);
	size_t count = json_array_size(value);
	const char **list;

	if (value && !json_is_null(value) && !json_is_array(value))
		return err_set(err, ERR_INVALID, "%s%s is not a list", where, name);
	if (count > max)
		return err_set(err, ERR_TOO_LARGE, "%s%s has %zu entries, more than %zu", where, name, count, max);
	list = calloc(count + 1, sizeof(*list));
	if (!list)
		return err_sys(err, -ENOMEM, "cannot read %s%s", where, name);
	for (size_t i = 0; i < count; i++) {
		list[i] = json_string_value(json_array_get(value, i));
		if (!list[i]) {
			free(list);
			return err_set(err, ERR_INVALID, "%s%s[%zu] is not a string", where, name, i);
		}
	}
	*ret_list = list;
	*ret_count = count;
	return 0;
}
