/* SPDX-License-Identifier: Apache-2.0 */
#include "api/schema.h"

#include <errno.h>
#include <stdio.h>

#include "base/str.h"

static void validate_message(struct api_faults *faults, const struct api_message *message, const struct api_place *at,
			     const json_t *object, const json_t *old);

static void validate_one(struct api_faults *faults, const struct api_field *field, const struct api_place *at,
			 const json_t *value, const json_t *old)
{
	if (field->type == API_OBJECT && json_is_object(value))
		validate_message(faults, field->of, at, value, old);
	else
		api_check_value(field, faults, at, value);
}

/* The key's value as a hash key; NULL for items without it. */
static const char *key_text(const json_t *item, const char *key)
{
	return json_string_value(json_object_get(item, key));
}

static void validate_unique(struct api_faults *faults, const struct api_field *field, const struct api_place *at,
			    const json_t *list)
{
	CLEANUP_JSON json_t *seen = json_object();
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)list, i, item) {
		struct api_place here = {.up = at, .index = i};
		const char *text = key_text(item, field->merge_key);

		if (!text)
			continue;
		if (json_object_get(seen, text))
			api_fault(faults, &here, field->merge_key, "Duplicate value: \"%.100s\"", text);
		else
			(void)json_object_set_new(seen, text, json_true());
	}
}

static void validate_list(struct api_faults *faults, const struct api_field *field, const struct api_place *at,
			  const json_t *list)
{
	json_t *item;
	size_t i;

	if (field->most && json_array_size(list) > field->most) {
		api_fault(faults, at, NULL, "Too many: %zu: must have at most %zu items", json_array_size(list),
			  field->most);
		return;
	}
	json_array_foreach((json_t *)list, i, item) {
		struct api_place here = {.up = at, .index = i};

		validate_one(faults, field, &here, item, NULL);
	}
	if (field->check == API_CHECK_UNIQUE)
		validate_unique(faults, field, at, list);
}

static void validate_map(struct api_faults *faults, const struct api_field *field, const struct api_place *at,
			 const json_t *map)
{
	const char *key;
	json_t *item;

	if (field->check == API_CHECK_LABELS || field->check == API_CHECK_ANNOTATIONS) {
		api_check_value(field, faults, at, map);
		return;
	}
	json_object_foreach((json_t *)map, key, item) {
		struct api_place here = {.up = at, .name = key, .is_key = true};

		validate_one(faults, field, &here, item, NULL);
	}
}

static bool same(const struct api_field *field, const json_t *a, const json_t *b)
{
	return (api_is_absent(field, a) && api_is_absent(field, b)) || json_equal(a, b);
}

static void fault_immutable(struct api_faults *faults, const struct api_place *at, const json_t *value)
{
	CLEANUP_FREE char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	api_fault(faults, at, NULL, "Invalid value: %.200s: field is immutable", text ? text : "null");
}

static void validate_field(struct api_faults *faults, const struct api_field *field, const struct api_place *at,
			   const json_t *object, const json_t *old)
{
	const json_t *value = json_object_get(object, field->name);
	const json_t *before = json_object_get(old, field->name);

	if (old && (field->flags & API_IMMUTABLE) && !same(field, value, before)) {
		fault_immutable(faults, at, value);
		return;
	}
	if (api_is_absent(field, value)) {
		/* a zero that is there is for the range check to judge */
		if ((field->flags & API_REQUIRED) && !json_is_integer(value) && !json_is_boolean(value))
			api_fault(faults, at, NULL, "Required value");
		else if ((field->flags & API_REQUIRED) && json_is_integer(value))
			api_check_value(field, faults, at, value);
		return;
	}
	if (field->flags & API_LIST)
		validate_list(faults, field, at, value);
	else if (field->flags & API_MAP)
		validate_map(faults, field, at, value);
	else
		validate_one(faults, field, at, value, before);
}

static void validate_union(struct api_faults *faults, const struct api_message *message, const struct api_place *at,
			   const json_t *object)
{
	size_t count = 0;

	for (const struct api_field *field = message->fields; field->name; field++) {
		if (!(field->flags & API_UNION) || !json_object_get(object, field->name))
			continue;
		if (count++)
			api_fault(faults, at, field->name, "Forbidden: may not specify more than 1 %s",
				  message->one_of);
	}
	if (!count)
		api_fault(faults, at, NULL, "Required value: must specify a %s", message->one_of);
}

/* What concerns several fields; inline messages' rules run on the object they stand in. */
static void validate_rules(struct api_faults *faults, const struct api_message *message, const struct api_place *at,
			   const json_t *object)
{
	if (message->one_of)
		validate_union(faults, message, at, object);
	if (message->check)
		message->check(faults, at, object);
	for (const struct api_field *field = message->fields; field->name; field++)
		if (field->flags & API_INLINE)
			validate_rules(faults, field->of, at, object);
}

static void validate_message(struct api_faults *faults, const struct api_message *message, const struct api_place *at,
			     const json_t *object, const json_t *old)
{
	struct api_cursor cursor = {0};
	const struct api_field *field;

	while ((field = api_field_next(message, &cursor))) {
		struct api_place here = {.up = at, .name = field->name};

		validate_field(faults, field, &here, object, old);
	}
	validate_rules(faults, message, at, object);
}

/* The name by the kind's own rule, and whether a namespace belongs there. */
static void validate_identity(struct api_faults *faults, const struct api_kind *kind, const json_t *object)
{
	const struct api_place root = {0}, metadata = {.up = &root, .name = "metadata"};
	const char *name = api_string(object, "metadata.name"), *wrong;
	const char *space = api_string(object, "metadata.namespace");

	if (!name || !*name) {
		api_fault(faults, &metadata, "name", "Required value: name or generateName is required");
		return;
	}
	wrong = api_check_string((enum api_check)kind->name_check, name);
	if (wrong)
		api_fault(faults, &metadata, "name", "Invalid value: \"%.253s\": %s", name, wrong);
	if (kind->namespaced && (!space || !*space))
		api_fault(faults, &metadata, "namespace", "Required value");
	if (!kind->namespaced && space && *space)
		api_fault(faults, &metadata, "namespace", "Forbidden: not allowed on this type");
}

int api_validate(const struct api_kind *kind, const json_t *object, const json_t *old, struct err *err)
{
	struct api_faults faults = {.separator = "; "};
	const struct api_place root = {0};

	if (kind->name_check)
		validate_identity(&faults, kind, object);
	validate_message(&faults, kind->message, &root, object, old);
	if (old && kind->check_update)
		kind->check_update(&faults, object, old);
	if (!faults.count)
		return 0;
	if (faults.hidden)
		return err_set(err, ERR_INVALID, "%s; <nil>: and %zu more", faults.text, faults.hidden);
	return err_set(err, ERR_INVALID, "%s", faults.text);
}
