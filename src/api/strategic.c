/* SPDX-License-Identifier: Apache-2.0 */
/* Strategic merge patch: lists are merged by the keys the tables name, directives begin with '$'. */
#include <errno.h>
#include <stdio.h>

#include "api/patches.h"
#include "base/str.h"

#define DELETE_PREFIX "$deleteFromPrimitiveList/"
#define ORDER_PREFIX "$setElementOrder/"
#define KEY_MAX 512

static int merge_object(const struct api_message *message, json_t *object, const json_t *patch, struct err *err);

static int no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

/* What tells the items of a list apart, as text: a value, or the value of an item's key. False when there is none. */
static bool item_key(const struct api_field *field, const json_t *item, char to[static KEY_MAX])
{
	const json_t *value = field->type == API_OBJECT && json_is_object(item)
				      ? json_object_get(item, field->merge_key)
				      : item;
	int len = -1;

	if (json_is_string(value))
		len = snprintf(to, KEY_MAX, "s%s", json_string_value(value));
	else if (json_is_integer(value))
		len = snprintf(to, KEY_MAX, "i%" JSON_INTEGER_FORMAT, json_integer_value(value));
	return len > 0 && len < KEY_MAX;
}

/* The items of a list by their keys; the first of equal ones. */
static json_t *index_list(const struct api_field *field, const json_t *list)
{
	json_t *index = json_object(), *item;
	char key[KEY_MAX];
	size_t i;

	json_array_foreach((json_t *)list, i, item)
		if (item_key(field, item, key) && !json_object_get(index, key) &&
		    json_object_set(index, key, item) < 0) {
			json_decref(index);
			return NULL;
		}
	return index;
}

static bool is_directive(const json_t *item, const char *word)
{
	const char *text = json_string_value(json_object_get(item, "$patch"));

	return text && str_eq(text, word);
}

/* Drops the items whose keys the set holds. */
static int drop_items(const struct api_field *field, json_t *list, const json_t *keys)
{
	CLEANUP_JSON json_t *kept = json_array();
	char key[KEY_MAX];
	json_t *item;
	size_t i;

	if (!json_object_size(keys))
		return 0;
	json_array_foreach(list, i, item)
		if ((!item_key(field, item, key) || !json_object_get(keys, key)) && json_array_append(kept, item) < 0)
			return -ENOMEM;
	return json_array_clear(list) < 0 || json_array_extend(list, kept) < 0 ? -ENOMEM : 0;
}

/* Merges one item of a patch into the list, or appends it. */
static int merge_item(const struct api_field *field, json_t *list, json_t *index, const json_t *item, struct err *err)
{
	char key[KEY_MAX];
	json_t *now;
	int r;

	if (!item_key(field, item, key))
		return err_set(err, ERR_INVALID, "strategic merge patch: an item of %s has no %s", field->name,
			       field->merge_key ? field->merge_key : "scalar value");
	now = json_object_get(index, key);
	if (now)
		return field->type == API_OBJECT ? merge_object(field->of, now, item, err) : 0;
	now = field->type == API_OBJECT ? json_object() : json_deep_copy(item);
	if (!now || json_object_set(index, key, now) < 0 || json_array_append(list, now) < 0) {
		json_decref(now);
		return no_memory(err);
	}
	r = field->type == API_OBJECT ? merge_object(field->of, now, item, err) : 0;
	json_decref(now);
	return r;
}

static int merge_items(const struct api_field *field, json_t *list, const json_t *patch, struct err *err)
{
	CLEANUP_JSON json_t *index = index_list(field, list);
	CLEANUP_JSON json_t *gone = json_object();
	char key[KEY_MAX];
	json_t *item;
	size_t i;
	int r = index && gone ? 0 : no_memory(err);

	json_array_foreach((json_t *)patch, i, item) {
		if (r < 0)
			return r;
		if (is_directive(item, "replace"))
			continue;
		if (!is_directive(item, "delete"))
			r = merge_item(field, list, index, item, err);
		else if (item_key(field, item, key) && json_object_set_new(gone, key, json_true()) < 0)
			r = no_memory(err);
	}
	return r < 0 ? r : drop_items(field, list, gone) < 0 ? no_memory(err) : 0;
}

static int merge_list(const struct api_field *field, json_t *list, const json_t *patch, struct err *err)
{
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)patch, i, item)
		if (is_directive(item, "replace") && json_array_clear(list) < 0)
			return no_memory(err);
	return merge_items(field, list, patch, err);
}

/* The place of each key in a list, as integers by key. */
static json_t *positions(const struct api_field *field, const json_t *list)
{
	json_t *places = json_object(), *item;
	char key[KEY_MAX];
	size_t i;

	json_array_foreach((json_t *)list, i, item)
		if (item_key(field, item, key) && !json_object_get(places, key) &&
		    json_object_set_new(places, key, json_integer((json_int_t)i)) < 0) {
			json_decref(places);
			return NULL;
		}
	return places;
}

static json_int_t position_of(const struct api_field *field, const json_t *places, const json_t *item)
{
	char key[KEY_MAX];
	const json_t *place = item_key(field, item, key) ? json_object_get(places, key) : NULL;

	return place ? json_integer_value(place) : -1;
}

/* The items that the order names, in that order; *rest gets the others as they stand. */
static int split_ordered(const struct api_field *field, const json_t *list, const json_t *order, json_t *named,
			 json_t *rest)
{
	CLEANUP_JSON json_t *wanted = positions(field, order);
	CLEANUP_JSON json_t *index = index_list(field, list);
	char key[KEY_MAX];
	json_t *item;
	size_t i;
	int r = wanted && index ? 0 : -1;

	json_array_foreach((json_t *)order, i, item) {
		json_t *found = item_key(field, item, key) ? json_object_get(index, key) : NULL;

		/* an order that names an item twice counts once */
		if (r == 0 && found && position_of(field, wanted, item) == (json_int_t)i)
			r = json_array_append(named, found);
	}
	json_array_foreach((json_t *)list, i, item)
		if (r == 0 && position_of(field, wanted, item) < 0)
			r = json_array_append(rest, item);
	return r;
}

/* Merges the two by where the items stood before the patch; new ones come as early as they can. */
static int weave(const struct api_field *field, json_t *list, const json_t *named, const json_t *rest,
		 const json_t *before)
{
	size_t i = 0, j = 0, named_count = json_array_size(named), rest_count = json_array_size(rest);
	int r = json_array_clear(list);

	while (r == 0 && (i < named_count || j < rest_count)) {
		json_t *a = json_array_get(named, i), *b = json_array_get(rest, j);

		if (a && (!b || position_of(field, before, a) < position_of(field, before, b))) {
			r = json_array_append(list, a);
			i++;
		} else {
			r = json_array_append(list, b);
			j++;
		}
	}
	return r;
}

static int reorder(const struct api_field *field, json_t *list, const json_t *order, const json_t *before)
{
	CLEANUP_JSON json_t *named = json_array(), *rest = json_array();

	return split_ordered(field, list, order, named, rest) < 0 || weave(field, list, named, rest, before) < 0
		       ? -ENOMEM
		       : 0;
}

/* Removes values from a list of scalars. */
static int delete_values(const struct api_field *field, json_t *object, const json_t *values)
{
	json_t *list = json_object_get(object, field->name);
	CLEANUP_JSON json_t *keys = positions(field, values);

	return json_is_array(list) && (!keys || drop_items(field, list, keys) < 0) ? -ENOMEM : 0;
}

/* A list of the patch, with the order and deletions that stand beside it. */
static int patch_list(const struct api_field *field, json_t *object, const json_t *value, const json_t *patch,
		      struct err *err)
{
	CLEANUP_FREE char *order_name = str_format(ORDER_PREFIX "%s", field->name);
	const json_t *order = order_name ? json_object_get(patch, order_name) : NULL;
	json_t *list = json_object_get(object, field->name);
	CLEANUP_JSON json_t *before = NULL;
	int r;

	if (!json_is_array(list) && json_object_set_new(object, field->name, list = json_array()) < 0)
		return no_memory(err);
	before = positions(field, list);
	if (!order_name || !before)
		return no_memory(err);
	r = value ? merge_list(field, list, value, err) : 0;
	if (r == 0 && json_is_array(order) && reorder(field, list, order, before) < 0)
		return no_memory(err);
	return r;
}

static bool merges(const struct api_field *field)
{
	return field && (field->flags & API_LIST) && (field->flags & API_MERGE) &&
	       (field->type != API_OBJECT || field->merge_key);
}

/* An object within: merged into what is there. */
static int patch_object(const struct api_field *field, json_t *object, const char *name, const json_t *value,
			struct err *err)
{
	const struct api_message *message = field && field->type == API_OBJECT && !(field->flags & API_MAP) ? field->of
													    : NULL;
	json_t *now = json_object_get(object, name);

	if (!json_is_object(now) && json_object_set_new(object, name, now = json_object()) < 0)
		return no_memory(err);
	return merge_object(message, now, value, err);
}

static int patch_member(const struct api_message *message, json_t *object, const char *name, const json_t *value,
			const json_t *patch, struct err *err)
{
	const struct api_field *field = message ? api_field_find(message, name) : NULL;

	if (json_is_null(value)) {
		(void)json_object_del(object, name);
		return 0;
	}
	if (json_is_array(value) && merges(field))
		return patch_list(field, object, value, patch, err);
	if (json_is_object(value))
		return patch_object(field, object, name, value, err);
	return json_object_set_new(object, name, json_deep_copy(value)) < 0 ? no_memory(err) : 0;
}

/* "$setElementOrder/ports", "$deleteFromPrimitiveList/finalizers", "$retainKeys"; "$patch" was seen to before. */
static int run_directive(const struct api_message *message, json_t *object, const char *name, const json_t *value,
			 const json_t *patch, struct err *err)
{
	bool order = str_starts(name, ORDER_PREFIX), remove = str_starts(name, DELETE_PREFIX);
	const char *target = name + (order ? strlen(ORDER_PREFIX) : remove ? strlen(DELETE_PREFIX) : 0);
	const struct api_field *field = message && (order || remove) ? api_field_find(message, target) : NULL;

	if (str_eq(name, "$patch") || str_eq(name, "$retainKeys"))
		return 0;
	if ((!order && !remove) || !json_is_array(value))
		return err_set(err, ERR_SYNTAX, "strategic merge patch: unknown or malformed directive %.100s", name);
	if (!merges(field))
		return err_set(err, ERR_SYNTAX, "strategic merge patch: %.100s is no list that is merged", target);
	if (remove)
		return delete_values(field, object, value) < 0 ? no_memory(err) : 0;
	if (json_object_get(patch, target) || !json_object_get(object, target))
		return 0;
	return patch_list(field, object, NULL, patch, err);
}

/* Drops what "$retainKeys" does not name. */
static int retain_keys(json_t *object, const json_t *keys, struct err *err)
{
	CLEANUP_JSON json_t *kept = json_object();
	const char *name;
	json_t *key;
	void *next;
	size_t i;

	if (!json_is_array(keys))
		return err_set(err, ERR_SYNTAX, "strategic merge patch: $retainKeys must be a list");
	json_array_foreach((json_t *)keys, i, key)
		if (json_is_string(key) && json_object_set_new(kept, json_string_value(key), json_true()) < 0)
			return no_memory(err);
	json_object_foreach_safe(object, next, name, key)
		if (!json_object_get(kept, name))
			(void)json_object_del(object, name);
	return 0;
}

/* "$patch": whether anything is left to merge. */
static int begin_object(json_t *object, const json_t *patch, bool *ret_done, struct err *err)
{
	const json_t *directive = json_object_get(patch, "$patch"), *retain = json_object_get(patch, "$retainKeys");

	*ret_done = false;
	if (directive && !is_directive(patch, "merge") && !is_directive(patch, "replace") &&
	    !is_directive(patch, "delete"))
		return err_set(err, ERR_SYNTAX, "strategic merge patch: $patch must be replace, delete or merge");
	if (is_directive(patch, "replace") || is_directive(patch, "delete"))
		(void)json_object_clear(object);
	*ret_done = is_directive(patch, "delete");
	return retain ? retain_keys(object, retain, err) : 0;
}

static int merge_object(const struct api_message *message, json_t *object, const json_t *patch, struct err *err)
{
	const char *name;
	json_t *value;
	bool done;
	int r = begin_object(object, patch, &done, err);

	if (r < 0 || done)
		return r;
	json_object_foreach((json_t *)patch, name, value) {
		r = *name == '$' ? run_directive(message, object, name, value, patch, err)
				 : patch_member(message, object, name, value, patch, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int patches_strategic(const struct api_message *message, json_t *object, const json_t *patch, struct err *err)
{
	return merge_object(message, object, patch, err);
}
