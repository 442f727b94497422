/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/fields.h"

#include <errno.h>
#include <string.h>

#include "base/json_text.h"
#include "base/str.h"
#include "policy/domain.h"

static const char *const type_words[] = {
	[POLICY_FIELD_STRING] = "a string", [POLICY_FIELD_INTEGER] = "a non-negative integer",
	[POLICY_FIELD_TRUE] = "a boolean",  [POLICY_FIELD_OBJECT] = "an object",
	[POLICY_FIELD_ARRAY] = "an array",
};

static bool has_type(const json_t *value, enum policy_field_type type)
{
	switch (type) {
	case POLICY_FIELD_STRING:
		return json_is_string(value) && strlen(json_string_value(value)) == json_string_length(value);
	case POLICY_FIELD_INTEGER:
		return json_is_integer(value) && json_integer_value(value) >= 0;
	case POLICY_FIELD_TRUE:
		return json_is_boolean(value);
	case POLICY_FIELD_OBJECT:
		return json_is_object(value);
	case POLICY_FIELD_ARRAY:
		return json_is_array(value);
	}
	return false;
}

static const struct policy_field *field_of(const struct policy_field *fields, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(fields[i].name, name))
			return &fields[i];
	return NULL;
}

static int check_value(const json_t *value, const char *path, const struct policy_field *field, struct err *err)
{
	size_t size;

	if (!has_type(value, field->type))
		return err_set(err, ERR_INVALID, "field '%s.%s' is not %s", path, field->name, type_words[field->type]);
	size = field->type == POLICY_FIELD_STRING ? json_string_length(value) : json_array_size(value);
	if (field->most && size > field->most)
		return err_set(err, ERR_INVALID, "field '%s.%s' has %zu %s, at most %zu are allowed", path, field->name,
			       size, field->type == POLICY_FIELD_STRING ? "bytes" : "elements", field->most);
	return 0;
}

int policy_fields_check(const json_t *value, const char *path, const struct policy_field *fields, size_t count,
			struct err *err)
{
	const char *name;
	const json_t *member;

	if (!json_is_object(value))
		return err_set(err, ERR_INVALID, "field '%s' is not an object", path);
	json_object_foreach((json_t *)value, name, member) {
		const struct policy_field *field = field_of(fields, count, name);
		int r;

		if (!field)
			return err_set(err, ERR_INVALID, "unknown field '%s.%.64s'", path, name);
		r = check_value(member, path, field, err);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < count; i++)
		if (fields[i].required && !json_object_get(value, fields[i].name))
			return err_set(err, ERR_INVALID, "field '%s.%s' is missing", path, fields[i].name);
	return 0;
}

int policy_fields_load(const char *what, const char *bytes, size_t len, json_t **ret_object, struct err *err)
{
	json_t *object = json_text_read(bytes, len, err);

	if (!object)
		return err_prefix(err, "%s is not JSON", what);
	if (!json_is_object(object)) {
		json_decref(object);
		return err_set(err, ERR_SYNTAX, "%s is not a JSON object", what);
	}
	*ret_object = object;
	return 0;
}

static int read_name(const json_t *item, const char *path, size_t index, struct policy_names *names, struct err *err)
{
	const char *name = json_string_value(item);

	if (!name || !*name || strlen(name) != json_string_length(item) || strlen(name) > 2 * POLICY_NAME_MAX)
		return err_set(err, ERR_INVALID, "field '%s[%zu]' is not a name", path, index);
	if (policy_names_have(names, name))
		return err_set(err, ERR_INVALID, "field '%s[%zu]' repeats '%s'", path, index, name);
	names->items[names->count] = strdup(name);
	if (!names->items[names->count])
		return err_set(err, -ENOMEM, "out of memory");
	names->count++;
	return 0;
}

int policy_names_read(const json_t *array, const char *path, struct policy_names *ret_names, struct err *err)
{
	struct policy_names names = {0};
	size_t count = json_array_size(array);

	if (count) {
		names.items = calloc(count, sizeof(*names.items));
		if (!names.items)
			return err_set(err, -ENOMEM, "out of memory");
	}
	for (size_t i = 0; i < count; i++) {
		int r = read_name(json_array_get(array, i), path, i, &names, err);

		if (r < 0) {
			policy_names_done(&names);
			return r;
		}
	}
	*ret_names = names;
	return 0;
}

void policy_names_done(struct policy_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->items[i]);
	free(names->items);
	*names = (struct policy_names){0};
}

bool policy_names_have(const struct policy_names *names, const char *name)
{
	for (size_t i = 0; i < names->count; i++)
		if (str_eq(names->items[i], name))
			return true;
	return false;
}

bool policy_names_glob(const struct policy_names *patterns, const char *string)
{
	for (size_t i = 0; i < patterns->count; i++)
		if (str_glob(patterns->items[i], string))
			return true;
	return false;
}
