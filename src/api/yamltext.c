/* SPDX-License-Identifier: Apache-2.0 */
/* YAML text to JSON values, by libyaml's events. One document, no aliases; plain scalars as Kubernetes reads them. */
#include "api/schema.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <yaml.h>

#include "base/str.h"

struct frame {
	json_t *value; /* owned by the frame below, or by the reader at the bottom */
	char *key;     /* of an object: read, and its value is next */
};

struct reader {
	struct frame frames[API_DEPTH_MAX];
	int depth;
	json_t *root;
	bool allow_duplicates;
	bool done; /* the one document has ended */
	size_t values;
};

/* Words of YAML 1.1 that stand for a truth value. */
static bool plain_bool(const char *text, bool *ret_value)
{
	static const char *const yes[] = {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"};
	static const char *const no[] = {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
		if (str_eq(text, yes[i]) || str_eq(text, no[i])) {
			*ret_value = str_eq(text, yes[i]);
			return true;
		}
	return false;
}

static bool plain_integer(const char *text, json_int_t *ret_value)
{
	const char *digits = text + (*text == '-' || *text == '+');
	int base = 10;
	char *end;

	if (digits[0] == '0' && digits[1]) {
		base = digits[1] == 'x' ? 16 : digits[1] == 'b' ? 2 : 8;
		digits += digits[1] == 'x' || digits[1] == 'b' || digits[1] == 'o' ? 2 : 1;
	}
	if (!*digits || digits[strspn(digits, "0123456789abcdefABCDEF")])
		return false;
	errno = 0;
	*ret_value = strtoll(digits, &end, base);
	if (*end || errno)
		return false;
	if (*text == '-')
		*ret_value = -*ret_value;
	return true;
}

static bool plain_real(const char *text, double *ret_value)
{
	char *end;

	if (!text[strcspn(text, "0123456789")] || text[strspn(text, "+-.0123456789eE")])
		return false;
	*ret_value = strtod(text, &end);
	return !*end && isfinite(*ret_value);
}

static json_t *plain_scalar(const char *text)
{
	json_int_t integer;
	double real;
	bool truth;

	if (!*text || str_eq(text, "~") || str_eq(text, "null") || str_eq(text, "Null") || str_eq(text, "NULL"))
		return json_null();
	if (plain_bool(text, &truth))
		return json_boolean(truth);
	if (plain_integer(text, &integer))
		return json_integer(integer);
	if (plain_real(text, &real))
		return json_real(real);
	return json_string(text);
}

static int yaml_error(struct err *err, const yaml_event_t *event, const char *what)
{
	return err_set(err, ERR_SYNTAX, "yaml: line %zu: %s", event->start_mark.line + 1, what);
}

/* Puts a value where the reader stands; the reference is taken, also on failure. */
static int place_value(struct reader *reader, const yaml_event_t *event, json_t *value, struct err *err)
{
	struct frame *top = reader->depth ? &reader->frames[reader->depth - 1] : NULL;
	int r;

	if (!value)
		return yaml_error(err, event, "text is not UTF-8");
	if (!top) {
		reader->root = value;
		return 0;
	}
	if (json_is_array(top->value)) {
		r = json_array_append_new(top->value, value);
	} else {
		r = json_object_set_new(top->value, top->key, value);
		free(take_ptr(top->key));
	}
	return r < 0 ? err_set(err, -ENOMEM, "out of memory") : 0;
}

/* Whether the next scalar is a key; takes it as one then. */
static int take_key(struct reader *reader, const yaml_event_t *event, struct err *err)
{
	struct frame *top = &reader->frames[reader->depth - 1];
	const char *text = (const char *)event->data.scalar.value;

	if (event->data.scalar.plain_implicit && str_eq(text, "<<"))
		return yaml_error(err, event, "merge keys are not supported");
	if (!reader->allow_duplicates && json_object_get(top->value, text)) {
		err_set(err, ERR_SYNTAX, "yaml: line %zu: duplicate field \"%.200s\"", event->start_mark.line + 1,
			text);
		return ERR_SYNTAX;
	}
	top->key = strdup(text);
	return top->key ? 0 : err_set(err, -ENOMEM, "out of memory");
}

static bool expects_key(const struct reader *reader)
{
	const struct frame *top = reader->depth ? &reader->frames[reader->depth - 1] : NULL;

	return top && json_is_object(top->value) && !top->key;
}

static int take_scalar(struct reader *reader, const yaml_event_t *event, struct err *err)
{
	const char *text = (const char *)event->data.scalar.value;
	size_t len = event->data.scalar.length;

	if (strlen(text) != len)
		return yaml_error(err, event, "text holds a NUL");
	if (expects_key(reader))
		return take_key(reader, event, err);
	if (event->data.scalar.tag && !str_eq((const char *)event->data.scalar.tag, YAML_STR_TAG) &&
	    !str_eq((const char *)event->data.scalar.tag, "!"))
		return yaml_error(err, event, "tags are not supported");
	return place_value(reader, event, event->data.scalar.plain_implicit ? plain_scalar(text) : json_string(text),
			   err);
}

static int open_collection(struct reader *reader, const yaml_event_t *event, json_t *value, struct err *err)
{
	int r;

	if (expects_key(reader)) {
		json_decref(value);
		return yaml_error(err, event, "a key must be a scalar");
	}
	if (reader->depth == API_DEPTH_MAX) {
		json_decref(value);
		return yaml_error(err, event, "nested too deeply");
	}
	r = place_value(reader, event, value, err);
	if (r == 0)
		reader->frames[reader->depth++] = (struct frame){.value = value};
	return r;
}

static int take_event(struct reader *reader, const yaml_event_t *event, struct err *err)
{
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return take_scalar(reader, event, err);
	case YAML_SEQUENCE_START_EVENT:
		return open_collection(reader, event, json_array(), err);
	case YAML_MAPPING_START_EVENT:
		return open_collection(reader, event, json_object(), err);
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		reader->depth--;
		return 0;
	case YAML_ALIAS_EVENT:
		return yaml_error(err, event, "aliases are not supported");
	case YAML_DOCUMENT_START_EVENT:
		return reader->root ? yaml_error(err, event, "more than one document") : 0;
	case YAML_STREAM_END_EVENT:
		reader->done = true;
		return 0;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		return 0;
	}
	return 0;
}

static int read_events(struct reader *reader, yaml_parser_t *parser, struct err *err)
{
	yaml_event_t event;
	int r = 0;

	while (r == 0 && !reader->done) {
		if (!yaml_parser_parse(parser, &event))
			return err_set(err, ERR_SYNTAX, "yaml: line %zu: %s", parser->problem_mark.line + 1,
				       parser->problem ? parser->problem : "malformed");
		if (++reader->values > API_VALUES_MAX)
			r = yaml_error(err, &event, "too many values");
		else
			r = take_event(reader, &event, err);
		yaml_event_delete(&event);
	}
	return r;
}

int api_yaml_parse(const char *bytes, size_t len, bool allow_duplicates, json_t **ret_value, struct err *err)
{
	struct reader reader = {.allow_duplicates = allow_duplicates};
	yaml_parser_t parser;
	int r;

	if (len > API_BODY_MAX)
		return err_set(err, ERR_TOO_LARGE, "body is larger than %zu bytes", API_BODY_MAX);
	if (!yaml_parser_initialize(&parser))
		return err_set(err, -ENOMEM, "out of memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)bytes, len);
	r = read_events(&reader, &parser, err);
	yaml_parser_delete(&parser);
	for (int i = 0; i < API_DEPTH_MAX; i++)
		free(reader.frames[i].key);
	if (r == 0 && !reader.root)
		r = err_set(err, ERR_SYNTAX, "yaml: the document is empty");
	if (r < 0) {
		json_decref(reader.root);
		return r;
	}
	*ret_value = reader.root;
	return 0;
}
