/* SPDX-License-Identifier: Apache-2.0 */
#include "api/schema.h"

#include <assert.h>
#include <stdio.h>

#include "base/str.h"

const struct api_field *api_field_find(const struct api_message *message, const char *name)
{
	for (const struct api_field *field = message->fields; field->name; field++) {
		if (field->flags & API_INLINE) {
			const struct api_field *inner = api_field_find(field->of, name);

			if (inner)
				return inner;
		} else if (str_eq(field->name, name)) {
			return field;
		}
	}
	return NULL;
}

const struct api_field *api_field_next(const struct api_message *message, struct api_cursor *at)
{
	if (!at->begun) {
		at->begun = true;
		at->stack[0] = message->fields;
	}
	while (true) {
		const struct api_field *field = at->stack[at->depth];

		if (!field->name) {
			if (at->depth == 0)
				return NULL;
			at->depth--;
			continue;
		}
		at->stack[at->depth]++;
		if (!(field->flags & API_INLINE))
			return field;
		assert(at->depth + 1 < (int)ARRAY_SIZE(at->stack));
		at->stack[++at->depth] = field->of->fields;
	}
}

bool api_is_absent(const struct api_field *field, const json_t *value)
{
	if (!value || json_is_null(value))
		return true;
	if (field->flags & (API_LIST | API_MAP))
		return json_is_array(value) ? json_array_size(value) == 0 : json_object_size(value) == 0;
	if (field->flags & API_POINTER)
		return false;
	if (json_is_string(value))
		return json_string_length(value) == 0;
	if (json_is_integer(value))
		return json_integer_value(value) == 0 && field->type != API_INT_OR_STRING;
	return json_is_false(value);
}

void api_version_format(const struct api_kind *kind, char to[static API_VERSION_MAX])
{
	(void)snprintf(to, API_VERSION_MAX, "%s%s%s", kind->group, *kind->group ? "/" : "", kind->version);
}
