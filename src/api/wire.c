/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies in protobuf, as kubectl 1.32 and later send them, read into JSON values by the tables. */
#include "api/schema.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/str.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct span {
	const unsigned char *at, *end;
};

/* One field off the wire: its number and either a number or bytes. */
struct item {
	uint64_t number;
	unsigned int type;
	uint64_t value;
	struct span bytes;
};

struct wire {
	size_t values; /* made so far */
	struct err *err;
};

static int read_message(struct wire *wire, const struct api_message *message, struct span span, json_t *object,
			int depth);

static int malformed(const struct wire *wire, const char *what)
{
	return err_set(wire->err, ERR_SYNTAX, "protobuf: %s", what);
}

static bool read_varint(struct span *span, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 70 && span->at < span->end; shift += 7) {
		unsigned char byte = *span->at++;

		if (shift == 63 && byte > 1)
			return false;
		value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80)) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

static bool read_bytes(struct span *span, uint64_t len, struct span *ret_bytes)
{
	if (len > (uint64_t)(span->end - span->at))
		return false;
	*ret_bytes = (struct span){span->at, span->at + len};
	span->at += len;
	return true;
}

static bool read_item(struct span *span, struct item *ret_item)
{
	struct item item = {0};
	uint64_t tag, len;

	if (!read_varint(span, &tag) || tag >> 3 == 0 || tag >> 3 > INT32_MAX)
		return false;
	item.number = tag >> 3;
	item.type = tag & 7;
	switch (item.type) {
	case WIRE_VARINT:
		if (!read_varint(span, &item.value))
			return false;
		break;
	case WIRE_BYTES:
		if (!read_varint(span, &len) || !read_bytes(span, len, &item.bytes))
			return false;
		break;
	case WIRE_FIXED64:
	case WIRE_FIXED32:
		if (!read_bytes(span, item.type == WIRE_FIXED64 ? 8 : 4, &item.bytes))
			return false;
		break;
	default:
		return false;
	}
	*ret_item = item;
	return true;
}

static size_t span_len(struct span span)
{
	return (size_t)(span.end - span.at);
}

static int text_value(struct wire *wire, struct span bytes, json_t **ret_value)
{
	if (memchr(bytes.at, 0, span_len(bytes)))
		return malformed(wire, "string holds a NUL");
	*ret_value = json_stringn((const char *)bytes.at, span_len(bytes));
	return *ret_value ? 0 : malformed(wire, "string is not UTF-8");
}

static int base64_value(struct wire *wire, struct span bytes, json_t **ret_value)
{
	CLEANUP_FREE char *text = malloc(span_len(bytes) / 3 * 4 + 5);

	if (!text)
		return err_set(wire->err, -ENOMEM, "out of memory");
	EVP_EncodeBlock((unsigned char *)text, bytes.at, (int)span_len(bytes));
	*ret_value = json_string(text);
	return *ret_value ? 0 : err_set(wire->err, -ENOMEM, "out of memory");
}

/* The values of fields 1 to 3 of one of the small messages below; absent ones are zero. */
static int read_triple(struct wire *wire, struct span span, struct item items[static 4])
{
	struct item item;

	while (span.at < span.end) {
		if (!read_item(&span, &item))
			return malformed(wire, "truncated or malformed field");
		if (item.number <= 3)
			items[item.number] = item;
	}
	return 0;
}

/* Timestamp{seconds 1, nanos 2}; the empty one is no time at all and yields NULL. */
static int time_value(struct wire *wire, struct span span, bool micro, json_t **ret_value)
{
	struct item items[4] = {0};
	char stamp[CLOCK_STAMP_SIZE], text[40];
	int r = read_triple(wire, span, items);

	*ret_value = NULL;
	if (r < 0 || (!items[1].value && !items[2].value))
		return r;
	if (items[1].value > 253402300799 || items[2].value > 999999999)
		return malformed(wire, "time is out of range");
	clock_format(stamp, (int64_t)items[1].value * 1000);
	(void)snprintf(text, sizeof(text), "%.19s.%06uZ", stamp, (unsigned int)(items[2].value / 1000));
	*ret_value = json_string(micro ? text : stamp);
	return *ret_value ? 0 : err_set(wire->err, -ENOMEM, "out of memory");
}

/* IntOrString{type 1, intVal 2, strVal 3}. */
static int int_or_string_value(struct wire *wire, struct span span, json_t **ret_value)
{
	struct item items[4] = {0};
	int r = read_triple(wire, span, items);

	if (r < 0)
		return r;
	if (items[1].value == 1 && items[3].bytes.at)
		return text_value(wire, items[3].bytes, ret_value);
	*ret_value = items[1].value == 1 ? json_string("") : json_integer((int32_t)items[2].value);
	return *ret_value ? 0 : err_set(wire->err, -ENOMEM, "out of memory");
}

/* Quantity{string 1}. */
static int quantity_value(struct wire *wire, struct span span, json_t **ret_value)
{
	struct item items[4] = {0};
	int r = read_triple(wire, span, items);

	if (r < 0)
		return r;
	if (!items[1].bytes.at || items[1].bytes.at == items[1].bytes.end) {
		*ret_value = json_string("0");
		return *ret_value ? 0 : err_set(wire->err, -ENOMEM, "out of memory");
	}
	return text_value(wire, items[1].bytes, ret_value);
}

/* RawExtension and FieldsV1{raw 1}: JSON text; the empty one yields NULL. */
static int any_value(struct wire *wire, struct span span, json_t **ret_value)
{
	struct item items[4] = {0};
	int r = read_triple(wire, span, items);

	*ret_value = NULL;
	if (r < 0 || !items[1].bytes.at || items[1].bytes.at == items[1].bytes.end)
		return r;
	return api_json_parse((const char *)items[1].bytes.at, span_len(items[1].bytes), false, ret_value, wire->err);
}

static int object_value(struct wire *wire, const struct api_message *message, struct span span, json_t **ret_value,
			int depth)
{
	json_t *object = json_object();
	int r = object ? read_message(wire, message, span, object, depth + 1)
		       : err_set(wire->err, -ENOMEM, "out of memory");

	if (r < 0) {
		json_decref(object);
		return r;
	}
	*ret_value = object;
	return 0;
}

/* One value of a field; NULL where the wire says nothing. */
static int read_value(struct wire *wire, const struct api_field *field, const struct item *item, json_t **ret_value,
		      int depth)
{
	bool number = field->type == API_BOOL || field->type == API_INT32 || field->type == API_INT64;

	if (item->type != (number ? WIRE_VARINT : WIRE_BYTES))
		return malformed(wire, "field has the wrong wire type");
	if (++wire->values > API_VALUES_MAX)
		return malformed(wire, "too many values");
	switch (field->type) {
	case API_STRING:
		return text_value(wire, item->bytes, ret_value);
	case API_BOOL:
		*ret_value = json_boolean(item->value != 0);
		return 0;
	case API_INT32:
		*ret_value = json_integer((int32_t)item->value);
		return *ret_value ? 0 : err_set(wire->err, -ENOMEM, "out of memory");
	case API_INT64:
		*ret_value = json_integer((json_int_t)item->value);
		return *ret_value ? 0 : err_set(wire->err, -ENOMEM, "out of memory");
	case API_BYTES:
		return base64_value(wire, item->bytes, ret_value);
	case API_TIME:
	case API_MICRO_TIME:
		return time_value(wire, item->bytes, field->type == API_MICRO_TIME, ret_value);
	case API_QUANTITY:
		return quantity_value(wire, item->bytes, ret_value);
	case API_INT_OR_STRING:
		return int_or_string_value(wire, item->bytes, ret_value);
	case API_OBJECT:
		return object_value(wire, field->of, item->bytes, ret_value, depth);
	case API_ANY:
		return any_value(wire, item->bytes, ret_value);
	}
	return 0;
}

/* A map's entry is a message {key 1, value 2}. */
static int read_entry(struct wire *wire, const struct api_field *field, const struct item *item, json_t *object,
		      int depth)
{
	struct item items[4] = {0};
	json_t *map = json_object_get(object, field->name), *key = NULL, *value = NULL;
	int r = item->type == WIRE_BYTES ? read_triple(wire, item->bytes, items)
					 : malformed(wire, "map entry has the wrong wire type");

	if (r == 0 && !map) {
		map = json_object();
		if (!map || json_object_set_new(object, field->name, map) < 0)
			r = err_set(wire->err, -ENOMEM, "out of memory");
	}
	if (items[2].number == 0)
		items[2] = (struct item){.number = 2, .type = WIRE_BYTES, .bytes = {item->bytes.end, item->bytes.end}};
	if (items[1].number == 0)
		items[1] = items[2], items[1].bytes.at = items[1].bytes.end;
	if (r == 0)
		r = items[1].type == WIRE_BYTES ? text_value(wire, items[1].bytes, &key)
						: malformed(wire, "map key is no string");
	if (r == 0)
		r = read_value(wire, field, &items[2], &value, depth);
	if (r == 0 && value && json_object_set(map, json_string_value(key), value) < 0)
		r = err_set(wire->err, -ENOMEM, "out of memory");
	json_decref(key);
	json_decref(value);
	return r;
}

static int append_value(struct wire *wire, const struct api_field *field, const struct item *item, json_t *list,
			int depth)
{
	json_t *value = NULL;
	int r = read_value(wire, field, item, &value, depth);

	if (r == 0 && value && json_array_append(list, value) < 0)
		r = err_set(wire->err, -ENOMEM, "out of memory");
	json_decref(value);
	return r;
}

/* Repeated numbers may come packed into one run of bytes. */
static int read_list(struct wire *wire, const struct api_field *field, const struct item *item, json_t *object,
		     int depth)
{
	json_t *list = json_object_get(object, field->name);
	bool number = field->type == API_INT32 || field->type == API_INT64;
	struct span packed = item->bytes;
	int r = 0;

	if (!list) {
		list = json_array();
		if (!list || json_object_set_new(object, field->name, list) < 0)
			return err_set(wire->err, -ENOMEM, "out of memory");
	}
	if (!number || item->type != WIRE_BYTES)
		return append_value(wire, field, item, list, depth);
	while (r == 0 && packed.at < packed.end) {
		struct item one = {.number = item->number, .type = WIRE_VARINT};

		if (!read_varint(&packed, &one.value))
			return malformed(wire, "truncated or malformed field");
		r = append_value(wire, field, &one, list, depth);
	}
	return r;
}

static int read_field(struct wire *wire, const struct api_field *field, const struct item *item, json_t *object,
		      int depth)
{
	json_t *value = NULL;
	int r;

	if (field->flags & API_INLINE)
		return item->type == WIRE_BYTES ? read_message(wire, field->of, item->bytes, object, depth + 1)
						: malformed(wire, "field has the wrong wire type");
	if (field->flags & API_MAP)
		return read_entry(wire, field, item, object, depth);
	if (field->flags & API_LIST)
		return read_list(wire, field, item, object, depth);
	r = read_value(wire, field, item, &value, depth);
	if (r == 0 && value && !api_is_absent(field, value) &&
	    ((field->flags & API_POINTER) || !json_is_object(value) || json_object_size(value)) &&
	    json_object_set(object, field->name, value) < 0)
		r = err_set(wire->err, -ENOMEM, "out of memory");
	json_decref(value);
	return r;
}

static int read_message(struct wire *wire, const struct api_message *message, struct span span, json_t *object,
			int depth)
{
	struct item item;
	int r = 0;

	if (depth > API_DEPTH_MAX)
		return malformed(wire, "nested too deeply");
	while (r == 0 && span.at < span.end) {
		const struct api_field *field = message->fields;

		if (!read_item(&span, &item))
			return malformed(wire, "truncated or malformed field");
		while (field->name && (uint64_t)field->number != item.number)
			field++;
		if (field->name)
			r = read_field(wire, field, &item, object, depth);
	}
	return r;
}

/* Unknown{typeMeta 1 {apiVersion 1, kind 2}, raw 2}. */
static int read_envelope(struct wire *wire, const struct api_kind *kind, struct span span, json_t *object)
{
	struct item outer[4] = {0}, type[4] = {0};
	json_t *text = NULL;
	int r = read_triple(wire, span, outer);

	if (r == 0)
		r = read_triple(wire, outer[1].bytes, type);
	for (size_t i = 1; r == 0 && i <= 2; i++) {
		if (!type[i].bytes.at || type[i].bytes.at == type[i].bytes.end)
			continue;
		r = text_value(wire, type[i].bytes, &text);
		if (r == 0 && api_set(object, i == 1 ? "apiVersion" : "kind", text) < 0)
			r = err_set(wire->err, -ENOMEM, "out of memory");
	}
	return r == 0 && outer[2].bytes.at ? read_message(wire, kind->message, outer[2].bytes, object, 0) : r;
}

int api_wire_parse(const struct api_kind *kind, const char *bytes, size_t len, json_t **ret_value, struct err *err)
{
	const unsigned char *at = (const unsigned char *)bytes;
	struct wire wire = {.err = err};
	CLEANUP_JSON json_t *object = json_object();
	int r;

	if (!object)
		return err_set(err, -ENOMEM, "out of memory");
	if (len > API_BODY_MAX)
		return err_set(err, ERR_TOO_LARGE, "body is larger than %zu bytes", API_BODY_MAX);
	if (len < 4 || memcmp(bytes, "k8s", 4) != 0)
		return malformed(&wire, "body does not begin with k8s and a zero byte");
	r = read_envelope(&wire, kind, (struct span){at + 4, at + len}, object);
	if (r < 0)
		return r;
	*ret_value = take_ptr(object);
	return 0;
}
