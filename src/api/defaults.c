/* SPDX-License-Identifier: Apache-2.0 */
#include "api/schema.h"

#include <errno.h>

#include "base/str.h"

static int fill_message(const struct api_message *message, json_t *object);

/* The value a row's default stands for; NULL without memory. */
static json_t *initial_value(const struct api_field *field)
{
	if (field->type == API_OBJECT || (field->flags & (API_LIST | API_MAP)))
		return json_loads(field->initial, 0, NULL);
	switch (field->type) {
	case API_BOOL:
		return json_boolean(str_eq(field->initial, "true"));
	case API_INT32:
	case API_INT64:
		return json_integer(strtoll(field->initial, NULL, 10));
	case API_STRING:
	case API_BYTES:
	case API_TIME:
	case API_MICRO_TIME:
	case API_QUANTITY:
	case API_INT_OR_STRING:
	case API_OBJECT:
	case API_ANY:
		break;
	}
	return json_string(field->initial);
}

/* Goes on into what a field holds. */
static int fill_below(const struct api_field *field, json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;
	int r = 0;

	if (field->type != API_OBJECT || !value)
		return 0;
	if (field->flags & API_LIST) {
		json_array_foreach(value, i, item)
			if (r == 0)
				r = fill_message(field->of, item);
		return r;
	}
	if (field->flags & API_MAP) {
		json_object_foreach(value, key, item)
			if (r == 0)
				r = fill_message(field->of, item);
		return r;
	}
	return fill_message(field->of, value);
}

/* The rules of the inline messages run with those of the message they stand in. */
static int run_fills(const struct api_message *message, json_t *object)
{
	int r = message->fill ? message->fill(object) : 0;

	for (const struct api_field *field = message->fields; r == 0 && field->name; field++)
		if (field->flags & API_INLINE)
			r = run_fills(field->of, object);
	return r;
}

static int fill_message(const struct api_message *message, json_t *object)
{
	struct api_cursor at = {0};
	const struct api_field *field;
	int r = run_fills(message, object);

	while (r == 0 && (field = api_field_next(message, &at))) {
		json_t *value = json_object_get(object, field->name);

		if (field->initial && (field->flags & (API_LIST | API_MAP) ? !value : api_is_absent(field, value))) {
			value = initial_value(field);
			if (!value || json_object_set_new(object, field->name, value) < 0)
				return -ENOMEM;
		}
		r = fill_below(field, value);
	}
	return r;
}

int api_default(const struct api_kind *kind, json_t *object, struct err *err)
{
	return fill_message(kind->message, object) < 0 ? err_set(err, -ENOMEM, "out of memory") : 0;
}
