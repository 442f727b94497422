/* SPDX-License-Identifier: Apache-2.0 */
/* Names and types of an object against the tables. */
#include "api/schema.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"

struct conform {
	enum api_strictness strictness;
	struct api_faults unknown; /* unknown field "a", unknown field "b" */
	struct buf *warnings;
	struct err *err;
};

static int conform_message(struct conform *conform, const struct api_message *message, const struct api_place *at,
			   json_t *object, bool root);

static const char *type_word(const struct api_field *field)
{
	switch (field->type) {
	case API_STRING:
	case API_TIME:
	case API_MICRO_TIME:
		return "string";
	case API_BOOL:
		return "bool";
	case API_INT32:
		return "int32";
	case API_INT64:
		return "int64";
	case API_BYTES:
		return "[]byte";
	case API_QUANTITY:
		return "quantity";
	case API_INT_OR_STRING:
		return "int or string";
	case API_OBJECT:
		return strrchr(field->of->name, '.') + 1;
	case API_ANY:
		return "object";
	}
	return "value";
}

static const char *json_word(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "object";
	case JSON_ARRAY:
		return "array";
	case JSON_STRING:
		return "string";
	case JSON_INTEGER:
	case JSON_REAL:
		return "number";
	case JSON_TRUE:
	case JSON_FALSE:
		return "bool";
	case JSON_NULL:
		return "null";
	}
	return "value";
}

static int wrong_type(const struct conform *conform, const struct api_place *at, const json_t *value, const char *shape,
		      const char *type)
{
	char path[256];

	api_place_format(at, path, sizeof(path));
	return err_set(conform->err, ERR_SYNTAX, "json: cannot unmarshal %s into field \"%s\" of type %s%s",
		       json_word(value), path, shape, type);
}

static int wrong_value(const struct conform *conform, const struct api_place *at, const char *what)
{
	char path[256];

	api_place_format(at, path, sizeof(path));
	return err_set(conform->err, ERR_SYNTAX, "field \"%s\": %s", path, what);
}

static int conform_integer(const struct conform *conform, const struct api_field *field, const struct api_place *at,
			   const json_t *value)
{
	json_int_t number = json_integer_value(value);
	char path[256];

	if (!json_is_integer(value))
		return wrong_type(conform, at, value, "", type_word(field));
	if (field->type == API_INT64 || (number >= INT32_MIN && number <= INT32_MAX))
		return 0;
	api_place_format(at, path, sizeof(path));
	return err_set(conform->err, ERR_SYNTAX, "json: cannot unmarshal number %lld into field \"%s\" of type int32",
		       (long long)number, path);
}

static bool is_base64(const char *text)
{
	size_t len = strlen(text), body = len;

	while (body > 0 && len - body < 2 && text[body - 1] == '=')
		body--;
	return len % 4 == 0 && strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") == body;
}

static int conform_time(const struct conform *conform, const struct api_place *at, const json_t *value)
{
	int64_t ms;

	if (!json_is_string(value))
		return wrong_type(conform, at, value, "", "string");
	if (clock_parse(json_string_value(value), &ms) < 0)
		return wrong_value(conform, at, "not a time as RFC 3339 has it");
	return 0;
}

/* Quantities may be written as numbers; they are kept as text. *value may be replaced. */
static int conform_quantity(const struct conform *conform, const struct api_place *at, json_t **value)
{
	struct err inner = {0};
	char number[48];
	int64_t milli;
	json_t *text;

	if (json_is_integer(*value))
		(void)snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(*value));
	else if (json_is_real(*value))
		(void)snprintf(number, sizeof(number), "%.15g", json_real_value(*value));
	else if (!json_is_string(*value))
		return wrong_type(conform, at, *value, "", "quantity");
	if (!json_is_string(*value)) {
		text = json_string(number);
		if (!text)
			return err_set(conform->err, -ENOMEM, "out of memory");
		json_decref(*value);
		*value = text;
	}
	if (api_quantity(json_string_value(*value), &milli, &inner) < 0)
		return wrong_value(conform, at, inner.msg);
	return 0;
}

/* One value, list and map already opened. Holds a reference in *value, which it may exchange. */
static int conform_one(struct conform *conform, const struct api_field *field, const struct api_place *at,
		       json_t **value)
{
	switch (field->type) {
	case API_STRING:
		return json_is_string(*value) ? 0 : wrong_type(conform, at, *value, "", "string");
	case API_BOOL:
		return json_is_boolean(*value) ? 0 : wrong_type(conform, at, *value, "", "bool");
	case API_INT32:
	case API_INT64:
		return conform_integer(conform, field, at, *value);
	case API_BYTES:
		if (!json_is_string(*value))
			return wrong_type(conform, at, *value, "", "[]byte");
		return is_base64(json_string_value(*value)) ? 0 : wrong_value(conform, at, "illegal base64 data");
	case API_TIME:
	case API_MICRO_TIME:
		return conform_time(conform, at, *value);
	case API_QUANTITY:
		return conform_quantity(conform, at, value);
	case API_INT_OR_STRING:
		if (json_is_string(*value))
			return 0;
		return conform_integer(conform, &(struct api_field){.type = API_INT32}, at, *value);
	case API_OBJECT:
		if (!json_is_object(*value))
			return wrong_type(conform, at, *value, "", type_word(field));
		return conform_message(conform, field->of, at, *value, false);
	case API_ANY:
		return json_is_object(*value) ? 0 : wrong_type(conform, at, *value, "", "object");
	}
	return 0;
}

static int conform_list(struct conform *conform, const struct api_field *field, const struct api_place *at,
			json_t *list)
{
	size_t count = json_array_size(list);

	if (!json_is_array(list))
		return wrong_type(conform, at, list, "[]", type_word(field));
	for (size_t i = 0; i < count; i++) {
		struct api_place item = {.up = at, .index = i};
		json_t *value = json_incref(json_array_get(list, i));
		int r;

		r = conform_one(conform, field, &item, &value);
		if (json_array_set_new(list, i, value) < 0 && r == 0)
			r = err_set(conform->err, -ENOMEM, "out of memory");
		if (r < 0)
			return r;
	}
	return 0;
}

static int conform_map(struct conform *conform, const struct api_field *field, const struct api_place *at, json_t *map)
{
	const char *key;
	json_t *entry;
	void *next;

	if (!json_is_object(map))
		return wrong_type(conform, at, map, "map[string]", type_word(field));
	json_object_foreach_safe(map, next, key, entry) {
		struct api_place item = {.up = at, .name = key, .is_key = true};
		json_t *value = json_incref(entry);
		int r = 0;

		if (json_is_null(value) && field->type == API_STRING) {
			json_decref(value);
			value = json_string("");
		}
		if (value)
			r = conform_one(conform, field, &item, &value);
		if (r == 0 && value == entry) {
			json_decref(value);
			continue;
		}
		if (r == 0 && json_object_set(map, key, value) < 0)
			r = err_set(conform->err, -ENOMEM, "out of memory");
		json_decref(value);
		if (r < 0)
			return r;
	}
	return 0;
}

static int conform_field(struct conform *conform, const struct api_field *field, const struct api_place *at,
			 json_t *object)
{
	json_t *value = json_incref(json_object_get(object, field->name));
	json_t *before = value;
	int r;

	if (field->flags & API_LIST)
		r = conform_list(conform, field, at, value);
	else if (field->flags & API_MAP)
		r = conform_map(conform, field, at, value);
	else
		r = conform_one(conform, field, at, &value);
	if (r == 0 && value != before && json_object_set(object, field->name, value) < 0)
		r = err_set(conform->err, -ENOMEM, "out of memory");
	json_decref(value);
	return r;
}

static int report_unknown(struct conform *conform, const struct api_place *at)
{
	char path[256], text[300];

	api_place_format(at, path, sizeof(path));
	(void)snprintf(text, sizeof(text), "unknown field \"%s\"", path);
	switch (conform->strictness) {
	case API_STRICT:
		api_fault_text(&conform->unknown, text);
		return 0;
	case API_WARN:
		return conform->warnings ? buf_printf(conform->warnings, "%s\n", text) : 0;
	case API_IGNORE:
		return 0;
	}
	return 0;
}

static int conform_message(struct conform *conform, const struct api_message *message, const struct api_place *at,
			   json_t *object, bool root)
{
	const char *name;
	json_t *value;
	void *next;

	json_object_foreach_safe(object, next, name, value) {
		const struct api_field *field = api_field_find(message, name);
		struct api_place here = {.up = at, .name = name};
		bool drop = !field || json_is_null(value);
		int r = 0;

		if (!field && root && (str_eq(name, "apiVersion") || str_eq(name, "kind")))
			continue;
		if (!field)
			r = report_unknown(conform, &here);
		else if (!drop)
			r = conform_field(conform, field, &here, object);
		if (r < 0)
			return r;
		if (drop)
			(void)json_object_del(object, name);
	}
	return 0;
}

int api_conform(const struct api_kind *kind, json_t *object, enum api_strictness strictness, struct buf *warnings,
		struct err *err)
{
	struct conform conform = {.strictness = strictness,
				  .unknown = {.separator = ", "},
				  .warnings = warnings,
				  .err = err};
	const struct api_place root = {0};
	int r = conform_message(&conform, kind->message, &root, object, true);

	if (r < 0)
		return r;
	if (!conform.unknown.count)
		return 0;
	if (conform.unknown.hidden)
		return err_set(err, ERR_SYNTAX, "strict decoding error: %s, and %zu more", conform.unknown.text,
			       conform.unknown.hidden);
	return err_set(err, ERR_SYNTAX, "strict decoding error: %s", conform.unknown.text);
}
