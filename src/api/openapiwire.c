/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The OpenAPI document of version 2 as protobuf: the messages of gnostic's openapi.v2, which are the JSON document with
 * maps as lists of pairs. A table per message says which JSON member becomes which field.
 */
#include <errno.h>

#include "api/openapi.h"
#include "base/str.h"

enum form {
	FORM_STRING,
	FORM_STRINGS,
	FORM_MESSAGE,  /* one message */
	FORM_MESSAGES, /* a list of messages */
	FORM_NAMED,    /* an object: pairs {name 1, value 2} in a message with field 1, or the field named by .pairs */
	FORM_TYPE,     /* a string in TypeItem{value 1} */
	FORM_ITEM,     /* one schema in ItemsItem{schema 1} and the like */
};

struct member {
	const char *json; /* "x-" for all vendor extensions */
	int number;
	enum form form;
	const struct member *of; /* the members of the message within */
	int wraps[4];            /* messages with one field each around it, outermost first */
	int pairs;               /* field number of the pairs of FORM_NAMED; 1 when 0 */
};

static const struct member schema_members[];

static const struct member schema_members[] = {
	{"$ref", 1, FORM_STRING},
	{"format", 2, FORM_STRING},
	{"description", 4, FORM_STRING},
	{"required", 19, FORM_STRINGS},
	{"additionalProperties", 21, FORM_ITEM, schema_members},
	{"type", 22, FORM_TYPE},
	{"items", 23, FORM_ITEM, schema_members},
	{"properties", 25, FORM_NAMED, schema_members},
	{"x-", 31},
	{0},
};

static const struct member parameter_members[] = {
	{"in", 2, FORM_STRING},
	{"name", 4, FORM_STRING},
	{"type", 6, FORM_STRING},
	{0},
};

static const struct member response_members[] = {
	{"description", 1, FORM_STRING},
	{"schema", 2, FORM_ITEM, schema_members},
	{0},
};

static const struct member operation_members[] = {
	{"consumes", 7, FORM_STRINGS},
	{"parameters", 8, FORM_MESSAGES, parameter_members, {1, 2, 3}},
	{"responses", 9, FORM_NAMED, response_members, {1}},
	{"x-", 13},
	{0},
};

static const struct member path_members[] = {
	{"get", 2, FORM_MESSAGE, operation_members},   {"put", 3, FORM_MESSAGE, operation_members},
	{"post", 4, FORM_MESSAGE, operation_members},  {"delete", 5, FORM_MESSAGE, operation_members},
	{"patch", 8, FORM_MESSAGE, operation_members}, {0},
};

static const struct member info_members[] = {
	{"title", 1, FORM_STRING},
	{"version", 2, FORM_STRING},
	{0},
};

static const struct member document_members[] = {
	{"swagger", 1, FORM_STRING},
	{"info", 2, FORM_MESSAGE, info_members},
	{"paths", 8, FORM_NAMED, path_members, {0}, 2},
	{"definitions", 9, FORM_NAMED, schema_members},
	{0},
};

static int put_message(struct buf *to, const struct member *members, const json_t *object);

static int put_varint(struct buf *to, uint64_t value)
{
	int r = 0;

	for (; r == 0 && value >= 0x80; value >>= 7)
		r = buf_putc(to, (char)(value | 0x80));
	return r < 0 ? r : buf_putc(to, (char)value);
}

static int put_bytes(struct buf *to, int number, const char *bytes, size_t len)
{
	int r = put_varint(to, (uint64_t)number << 3 | 2);

	if (r == 0)
		r = put_varint(to, len);
	return r < 0 ? r : buf_append(to, bytes, len);
}

static int put_text(struct buf *to, int number, const char *text)
{
	return put_bytes(to, number, text, strlen(text));
}

/* A message within the messages that wrap it. */
static int put_wrapped(struct buf *to, int number, const int *wraps, const struct member *members, const json_t *object)
{
	CLEANUP_BUF struct buf inner = buf_of(OPENAPI_DOCUMENT_MAX);
	int r = *wraps ? put_wrapped(&inner, wraps[0], wraps + 1, members, object)
		       : put_message(&inner, members, object);

	return r < 0 ? r : put_bytes(to, number, inner.data ? inner.data : "", inner.len);
}

/* NamedX{name 1, value 2 X}, one a member of the object. */
static int put_pairs(struct buf *to, const struct member *member, const json_t *object)
{
	CLEANUP_BUF struct buf outer = buf_of(OPENAPI_DOCUMENT_MAX);
	const int wraps[] = {member->wraps[0], 0};
	const char *name;
	json_t *value;
	int r = 0;

	json_object_foreach((json_t *)object, name, value) {
		CLEANUP_BUF struct buf pair = buf_of(OPENAPI_DOCUMENT_MAX);

		r = put_text(&pair, 1, name);
		if (r == 0)
			r = put_wrapped(&pair, 2, wraps, member->of, value);
		if (r == 0)
			r = put_bytes(&outer, member->pairs ? member->pairs : 1, pair.data, pair.len);
		if (r < 0)
			return r;
	}
	return put_bytes(to, member->number, outer.data ? outer.data : "", outer.len);
}

/* NamedAny{name 1, value 2 Any{yaml 2}}; JSON is YAML. */
static int put_extension(struct buf *to, int number, const char *name, const json_t *value)
{
	CLEANUP_BUF struct buf any = buf_of(OPENAPI_DOCUMENT_MAX), pair = buf_of(OPENAPI_DOCUMENT_MAX);
	CLEANUP_FREE char *text = api_format(value);
	int r = text ? put_text(&any, 2, text) : -ENOMEM;

	if (r == 0)
		r = put_text(&pair, 1, name);
	if (r == 0)
		r = put_bytes(&pair, 2, any.data, any.len);
	return r < 0 ? r : put_bytes(to, number, pair.data, pair.len);
}

static int put_extensions(struct buf *to, int number, const json_t *object)
{
	const char *name;
	json_t *value;
	int r = 0;

	json_object_foreach((json_t *)object, name, value)
		if (r == 0 && str_starts(name, "x-"))
			r = put_extension(to, number, name, value);
	return r;
}

static int put_list(struct buf *to, const struct member *member, const json_t *list)
{
	json_t *value;
	size_t i;
	int r = 0;

	json_array_foreach((json_t *)list, i, value) {
		if (r == 0 && member->form == FORM_STRINGS)
			r = put_text(to, member->number, json_string_value(value));
		else if (r == 0)
			r = put_wrapped(to, member->number, member->wraps, member->of, value);
	}
	return r;
}

static int put_member(struct buf *to, const struct member *member, const json_t *value)
{
	static const int no_wraps[] = {0}, item[] = {1, 0};
	CLEANUP_BUF struct buf inner = buf_of(4096);
	int r;

	switch (member->form) {
	case FORM_STRING:
		return put_text(to, member->number, json_string_value(value));
	case FORM_STRINGS:
	case FORM_MESSAGES:
		return put_list(to, member, value);
	case FORM_MESSAGE:
		return put_wrapped(to, member->number, no_wraps, member->of, value);
	case FORM_NAMED:
		return put_pairs(to, member, value);
	case FORM_TYPE:
		r = put_text(&inner, 1, json_string_value(value));
		return r < 0 ? r : put_bytes(to, member->number, inner.data, inner.len);
	case FORM_ITEM:
		return put_wrapped(to, member->number, item, member->of, value);
	}
	return 0;
}

static int put_message(struct buf *to, const struct member *members, const json_t *object)
{
	int r = 0;

	for (const struct member *member = members; r == 0 && member->json; member++) {
		const json_t *value = json_object_get(object, member->json);

		if (str_eq(member->json, "x-"))
			r = put_extensions(to, member->number, object);
		else if (value)
			r = put_member(to, member, value);
	}
	return r;
}

int openapi_wire_format(const json_t *document, struct buf *to)
{
	return put_message(to, document_members, document);
}
