/* SPDX-License-Identifier: Apache-2.0 */
#include "api/openapi.h"

#include <errno.h>
#include <stdio.h>

#include "api/messages.h"
#include "base/str.h"

static int add_message(struct openapi_sink *sink, const struct api_message *message);

json_t *openapi_gvk(const struct api_kind *kind)
{
	return json_pack("{s:s, s:s, s:s}", "group", kind->group, "kind", kind->kind, "version", kind->version);
}

static json_t *reference_to(const struct openapi_sink *sink, const char *name)
{
	CLEANUP_FREE char *text = str_format("%s%s", sink->reference, name);

	return text ? json_pack("{s:s}", "$ref", text) : NULL;
}

/* The schema of one value of a row. */
static json_t *one_schema(const struct openapi_sink *sink, const struct api_field *field)
{
	switch (field->type) {
	case API_STRING:
	case API_QUANTITY:
		return json_pack("{s:s}", "type", "string");
	case API_BOOL:
		return json_pack("{s:s}", "type", "boolean");
	case API_INT32:
		return json_pack("{s:s, s:s}", "type", "integer", "format", "int32");
	case API_INT64:
		return json_pack("{s:s, s:s}", "type", "integer", "format", "int64");
	case API_BYTES:
		return json_pack("{s:s, s:s}", "type", "string", "format", "byte");
	case API_TIME:
	case API_MICRO_TIME:
		return json_pack("{s:s, s:s}", "type", "string", "format", "date-time");
	case API_INT_OR_STRING:
		return json_pack("{s:s, s:s}", "type", "string", "format", "int-or-string");
	case API_OBJECT:
		return reference_to(sink, field->of->name);
	case API_ANY:
		return json_pack("{s:s}", "type", "object");
	}
	return NULL;
}

/* "containerPort,protocol" as a list. */
static json_t *split_keys(const char *keys)
{
	json_t *list = json_array();

	while (*keys) {
		size_t len = strcspn(keys, ",");

		if (json_array_append_new(list, json_stringn(keys, len)) < 0) {
			json_decref(list);
			return NULL;
		}
		keys += len + (keys[len] == ',');
	}
	return list;
}

/* What patches and apply do with a list. */
static int add_list_rules(json_t *schema, const struct api_field *field)
{
	const char *keys = field->keys ? field->keys : field->merge_key;
	int r = 0;

	if (field->flags & API_MERGE)
		r = json_object_set_new(schema, "x-kubernetes-patch-strategy",
					json_string(field->flags & API_RETAIN ? "merge,retainKeys" : "merge"));
	if (r == 0 && field->merge_key)
		r = json_object_set_new(schema, "x-kubernetes-patch-merge-key", json_string(field->merge_key));
	if (r == 0 && keys && !(field->flags & API_ATOMIC)) {
		r = json_object_set_new(schema, "x-kubernetes-list-type", json_string("map"));
		if (r == 0)
			r = json_object_set_new(schema, "x-kubernetes-list-map-keys", split_keys(keys));
	} else if (r == 0) {
		r = json_object_set_new(schema, "x-kubernetes-list-type",
					json_string(field->flags & API_SET ? "set" : "atomic"));
	}
	return r;
}

static json_t *field_schema(const struct openapi_sink *sink, const struct api_field *field)
{
	json_t *schema = one_schema(sink, field);

	if (schema && (field->flags & API_LIST)) {
		schema = json_pack("{s:s, s:o}", "type", "array", "items", schema);
		if (schema && add_list_rules(schema, field) < 0) {
			json_decref(schema);
			return NULL;
		}
	} else if (schema && (field->flags & API_MAP)) {
		schema = json_pack("{s:s, s:o}", "type", "object", "additionalProperties", schema);
	}
	if (schema && field->doc && json_object_set_new(schema, "description", json_string(field->doc)) < 0) {
		json_decref(schema);
		return NULL;
	}
	return schema;
}

/* Fills properties and required; the messages they use are added too. */
static int add_fields(struct openapi_sink *sink, const struct api_message *message, json_t *properties,
		      json_t *required)
{
	struct api_cursor at = {0};
	const struct api_field *field;
	int r = 0;

	while (r == 0 && (field = api_field_next(message, &at))) {
		r = json_object_set_new(properties, field->name, field_schema(sink, field));
		if (r == 0 && (field->flags & API_REQUIRED))
			r = json_array_append_new(required, json_string(field->name));
		if (r == 0 && field->type == API_OBJECT)
			r = add_message(sink, field->of);
	}
	return r;
}

/* An object's schema with properties and required to be filled; NULL without memory. */
static json_t *object_schema(const char *doc)
{
	json_t *schema = json_pack("{s:s}", "type", "object");

	if (schema && doc && json_object_set_new(schema, "description", json_string(doc)) < 0) {
		json_decref(schema);
		return NULL;
	}
	return schema;
}

static int fill_schema(struct openapi_sink *sink, const struct api_message *message, json_t *schema)
{
	json_t *properties = json_object_get(schema, "properties");
	CLEANUP_JSON json_t *required = json_array();
	int r = 0;

	if (!properties) {
		properties = json_object();
		r = json_object_set_new(schema, "properties", properties);
	}
	if (r == 0)
		r = add_fields(sink, message, properties, required);
	if (r == 0 && json_array_size(required))
		r = json_object_set(schema, "required", required);
	return r;
}

static int add_message(struct openapi_sink *sink, const struct api_message *message)
{
	json_t *schema;

	if (json_object_get(sink->schemas, message->name))
		return 0;
	schema = object_schema(message->doc);
	if (json_object_set_new(sink->schemas, message->name, schema) < 0)
		return -ENOMEM;
	return fill_schema(sink, message, schema);
}

static json_t *type_properties(void)
{
	return json_pack("{s:{s:s, s:s}, s:{s:s, s:s}}", "apiVersion", "type", "string", "description",
			 "The version of the schema this object is written in.", "kind", "type", "string",
			 "description", "The kind of the object.");
}

static int add_list(struct openapi_sink *sink, const struct api_kind *kind)
{
	CLEANUP_FREE char *name = str_format("%sList", kind->message->name);
	json_t *schema = object_schema(NULL), *properties = type_properties();

	if (!name || json_object_set_new(sink->schemas, name, schema) < 0 ||
	    json_object_set_new(schema, "properties", properties) < 0)
		return -ENOMEM;
	return json_object_set_new(properties, "metadata", reference_to(sink, api_m_list_meta.name)) < 0 ||
			       json_object_set_new(properties, "items",
						   json_pack("{s:s, s:o}", "type", "array", "items",
							     reference_to(sink, kind->message->name))) < 0 ||
			       json_object_set_new(schema, "required", json_pack("[s]", "items")) < 0 ||
			       json_object_set_new(schema, "x-kubernetes-group-version-kind",
						   json_pack("[{s:s, s:s, s:s}]", "group", kind->group, "kind",
							     kind->list_kind, "version", kind->version)) < 0
		       ? -ENOMEM
		       : 0;
}

int openapi_add_kind(struct openapi_sink *sink, const struct api_kind *kind)
{
	json_t *schema = object_schema(kind->message->doc);

	if (json_object_set_new(sink->schemas, kind->message->name, schema) < 0 ||
	    json_object_set_new(schema, "properties", type_properties()) < 0 ||
	    fill_schema(sink, kind->message, schema) < 0 ||
	    json_object_set_new(schema, "x-kubernetes-group-version-kind", json_pack("[o]", openapi_gvk(kind))) < 0)
		return -ENOMEM;
	if (!kind->list_kind)
		return 0;
	return add_list(sink, kind) < 0 || add_message(sink, &api_m_list_meta) < 0 ? -ENOMEM : 0;
}
