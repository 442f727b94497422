/* SPDX-License-Identifier: Apache-2.0 */
#include "api/fieldset.h"

#include <errno.h>
#include <stdio.h>

#include "base/str.h"

#define PATH_SIZE 512

/* What a client cannot own: it says which object it is, or the server writes it. */
static const char *const unowned_metadata[] =
	{"name",          "namespace", "uid", "resourceVersion", "generation", "selfLink", "creationTimestamp",
	 "managedFields", NULL};

static int set_of_object(const struct api_message *message, const json_t *object, json_t *set);

bool fieldset_is_open_list(const struct api_field *field)
{
	if (!(field->flags & API_LIST) || (field->flags & API_ATOMIC))
		return false;
	return (field->flags & API_SET) || (field->type == API_OBJECT && (field->keys || field->merge_key));
}

/* A key's value in an item; one that has a default and is not there counts as the default. */
static json_t *key_value(const struct api_message *message, const json_t *item, const char *name, size_t len)
{
	char key[64];
	const struct api_field *field;
	json_t *value;

	if (len >= sizeof(key))
		return NULL;
	memcpy(key, name, len);
	key[len] = '\0';
	value = json_object_get(item, key);
	if (value)
		return json_incref(value);
	field = api_field_find(message, key);
	return field && field->initial ? json_string(field->initial) : NULL;
}

static json_t *keys_of(const struct api_field *field, const json_t *item)
{
	const char *names = field->keys ? field->keys : field->merge_key;
	json_t *keys = json_object();

	while (keys && *names) {
		size_t len = strcspn(names, ",");
		json_t *value = key_value(field->of, item, names, len);

		if (!value || json_object_setn_new(keys, names, len, value) < 0) {
			json_decref(keys);
			return NULL;
		}
		names += len + (names[len] == ',');
	}
	return keys;
}

char *fieldset_item_name(const struct api_field *field, const json_t *item)
{
	CLEANUP_JSON json_t *keys = NULL;
	CLEANUP_FREE char *text = NULL;

	if (field->type != API_OBJECT) {
		text = json_dumps(item, JSON_COMPACT | JSON_ENCODE_ANY);
		return text ? str_format("v:%s", text) : NULL;
	}
	keys = json_is_object(item) ? keys_of(field, item) : NULL;
	text = keys ? json_dumps(keys, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
	return text ? str_format("k:%s", text) : NULL;
}

static int set_of_list(const struct api_field *field, const json_t *list, json_t *set)
{
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)list, i, item) {
		CLEANUP_FREE char *name = fieldset_item_name(field, item);
		json_t *node;

		/* without its keys an item belongs to nobody; validation has more to say about it */
		if (!name)
			continue;
		node = json_object();
		if (!node || json_object_set_new(set, name, node) < 0)
			return -ENOMEM;
		if (field->type == API_OBJECT &&
		    (json_object_set_new(node, ".", json_object()) < 0 || set_of_object(field->of, item, node) < 0))
			return -ENOMEM;
	}
	return 0;
}

static int set_of_map(const struct api_field *field, const json_t *map, json_t *set)
{
	const char *key;
	json_t *item;

	json_object_foreach((json_t *)map, key, item) {
		CLEANUP_FREE char *name = str_format("f:%s", key);
		json_t *node = json_object();

		if (!name || json_object_set_new(set, name, node) < 0)
			return -ENOMEM;
		if (field->type == API_OBJECT && set_of_object(field->of, item, node) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int set_of_value(const struct api_field *field, const json_t *value, json_t *node)
{
	if (field->flags & API_ATOMIC)
		return 0;
	if (field->flags & API_LIST)
		return fieldset_is_open_list(field) ? set_of_list(field, value, node) : 0;
	if (field->flags & API_MAP)
		return set_of_map(field, value, node);
	return field->type == API_OBJECT ? set_of_object(field->of, value, node) : 0;
}

static int set_of_object(const struct api_message *message, const json_t *object, json_t *set)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)object, name, value) {
		const struct api_field *field = api_field_find(message, name);
		CLEANUP_FREE char *member = str_format("f:%s", name);
		json_t *node;

		if (!field)
			continue;
		node = json_object();
		if (!member || json_object_set_new(set, member, node) < 0 || set_of_value(field, value, node) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Drops what is not owned; metadata that holds nothing else goes too. */
static void drop_identity(json_t *set)
{
	json_t *metadata = json_object_get(set, "f:metadata");
	char name[64];

	if (!metadata)
		return;
	for (const char *const *word = unowned_metadata; *word; word++) {
		(void)snprintf(name, sizeof(name), "f:%s", *word);
		(void)json_object_del(metadata, name);
	}
	if (!json_object_size(metadata))
		(void)json_object_del(set, "f:metadata");
}

json_t *fieldset_of(const struct api_message *message, const json_t *object)
{
	json_t *set = json_object();

	if (!set || set_of_object(message, object, set) < 0) {
		json_decref(set);
		return NULL;
	}
	drop_identity(set);
	return set;
}

static bool owns_itself(const json_t *node)
{
	return json_object_size(node) == 0 || json_object_get(node, ".");
}

int fieldset_add(json_t *set, const json_t *other)
{
	const char *name;
	json_t *theirs;

	json_object_foreach((json_t *)other, name, theirs) {
		json_t *ours = json_object_get(set, name);
		bool itself = ours && (owns_itself(ours) || owns_itself(theirs));
		int r;

		if (!ours) {
			if (json_object_set_new(set, name, json_deep_copy(theirs)) < 0)
				return -ENOMEM;
			continue;
		}
		r = fieldset_add(ours, theirs);
		if (r == 0 && itself && json_object_size(ours) && !json_object_get(ours, "."))
			r = json_object_set_new(ours, ".", json_object());
		if (r < 0)
			return -ENOMEM;
	}
	return 0;
}

void fieldset_subtract(json_t *set, const json_t *other)
{
	const char *name;
	json_t *ours;
	void *next;

	json_object_foreach_safe(set, next, name, ours) {
		const json_t *theirs = json_object_get(other, name);

		if (!theirs || str_eq(name, "."))
			continue;
		if (json_object_size(ours) == 0) {
			if (owns_itself(theirs))
				(void)json_object_del(set, name);
			continue;
		}
		if (owns_itself(theirs))
			(void)json_object_del(ours, ".");
		fieldset_subtract(ours, theirs);
		if (json_object_size(ours) == 0)
			(void)json_object_del(set, name);
	}
}

json_t *fieldset_index(const struct api_field *field, const json_t *list)
{
	json_t *index = json_object(), *item;
	size_t i;

	json_array_foreach((json_t *)list, i, item) {
		CLEANUP_FREE char *name = fieldset_item_name(field, item);

		if (name && json_object_set(index, name, item) < 0) {
			json_decref(index);
			return NULL;
		}
	}
	return index;
}

static int remove_items(const struct api_field *field, const json_t *set, json_t *list)
{
	CLEANUP_JSON json_t *kept = json_array();
	json_t *item;
	size_t i;

	json_array_foreach(list, i, item) {
		CLEANUP_FREE char *name = fieldset_item_name(field, item);
		const json_t *node = name ? json_object_get(set, name) : NULL;

		if (node && owns_itself(node))
			continue;
		if (node && field->type == API_OBJECT && fieldset_remove_from(field->of, node, item) < 0)
			return -ENOMEM;
		if (json_array_append(kept, item) < 0)
			return -ENOMEM;
	}
	return json_array_clear(list) < 0 || json_array_extend(list, kept) < 0 ? -ENOMEM : 0;
}

static int remove_keys(const struct api_field *field, const json_t *set, json_t *map)
{
	const char *name;
	json_t *node;

	json_object_foreach((json_t *)set, name, node) {
		if (!str_starts(name, "f:"))
			continue;
		if (owns_itself(node))
			(void)json_object_del(map, name + 2);
		else if (field->type == API_OBJECT &&
			 fieldset_remove_from(field->of, node, json_object_get(map, name + 2)) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int remove_below(const struct api_field *field, const json_t *node, json_t *value)
{
	if (field->flags & API_LIST)
		return remove_items(field, node, value);
	if (field->flags & API_MAP)
		return remove_keys(field, node, value);
	return field->type == API_OBJECT ? fieldset_remove_from(field->of, node, value) : 0;
}

int fieldset_remove_from(const struct api_message *message, const json_t *set, json_t *object)
{
	const char *name;
	json_t *node;

	json_object_foreach((json_t *)set, name, node) {
		const struct api_field *field = str_starts(name, "f:") ? api_field_find(message, name + 2) : NULL;
		json_t *value = field ? json_object_get(object, field->name) : NULL;

		if (!value)
			continue;
		if (json_object_size(node) == 0)
			(void)json_object_del(object, field->name);
		else if (remove_below(field, node, value) < 0)
			return -ENOMEM;
		else if (api_is_absent(field, value) || (json_is_object(value) && !json_object_size(value)))
			(void)json_object_del(object, field->name);
	}
	return 0;
}

static int compare_object(const struct api_message *message, const json_t *old, const json_t *object, json_t *changed,
			  json_t *removed);

/* Puts the whole set of a value under a name. */
static int add_whole(const struct api_field *field, const json_t *value, const char *name, json_t *set)
{
	json_t *node = json_object();

	return json_object_set_new(set, name, node) < 0 || set_of_value(field, value, node) < 0 ? -ENOMEM : 0;
}

/* Compares what is below a name, and keeps the two sets only where they hold something. */
static int compare_below(const struct api_message *message, const char *name, const json_t *old, const json_t *object,
			 json_t *changed, json_t *removed)
{
	CLEANUP_JSON json_t *more = json_object(), *less = json_object();
	int r = more && less ? compare_object(message, old, object, more, less) : -ENOMEM;

	if (r == 0 && json_object_size(more))
		r = json_object_set(changed, name, more);
	if (r == 0 && json_object_size(less))
		r = json_object_set(removed, name, less);
	return r < 0 ? -ENOMEM : 0;
}

static int compare_items(const struct api_field *field, const json_t *old, const json_t *list, json_t *changed,
			 json_t *removed)
{
	CLEANUP_JSON json_t *before = fieldset_index(field, old);
	CLEANUP_JSON json_t *now = fieldset_index(field, list);
	const struct api_field item_row = {.type = field->type, .of = field->of};
	const char *name;
	json_t *item;
	int r = before && now ? 0 : -ENOMEM;

	json_object_foreach(now, name, item) {
		const json_t *was = json_object_get(before, name);

		if (r == 0 && !was) {
			r = add_whole(&item_row, item, name, changed);
			if (r == 0 && field->type == API_OBJECT)
				r = json_object_set_new(json_object_get(changed, name), ".", json_object());
		} else if (r == 0 && field->type == API_OBJECT) {
			r = compare_below(field->of, name, was, item, changed, removed);
		}
	}
	json_object_foreach(before, name, item)
		if (r == 0 && !json_object_get(now, name)) {
			r = add_whole(&item_row, item, name, removed);
			if (r == 0 && field->type == API_OBJECT)
				r = json_object_set_new(json_object_get(removed, name), ".", json_object());
		}
	return r;
}

static int compare_keys(const json_t *old, const json_t *map, json_t *changed, json_t *removed)
{
	const char *key;
	json_t *value;
	int r = 0;

	json_object_foreach((json_t *)map, key, value) {
		CLEANUP_FREE char *name = str_format("f:%s", key);
		const json_t *was = json_object_get(old, key);

		if (r == 0 && (!was || !json_equal(was, value)))
			r = name ? json_object_set_new(changed, name, json_object()) : -ENOMEM;
	}
	json_object_foreach((json_t *)old, key, value) {
		CLEANUP_FREE char *name = str_format("f:%s", key);

		if (r == 0 && !json_object_get(map, key))
			r = name ? json_object_set_new(removed, name, json_object()) : -ENOMEM;
	}
	return r;
}

/* Compares a field that both objects have. */
static int compare_field(const struct api_field *field, const char *name, const json_t *old, const json_t *value,
			 json_t *changed, json_t *removed)
{
	CLEANUP_JSON json_t *more = json_object(), *less = json_object();
	bool map = (field->flags & API_MAP) && !(field->flags & API_ATOMIC);
	bool list = fieldset_is_open_list(field);
	int r;

	if (json_equal(old, value))
		return 0;
	if (!map && !list && (field->type != API_OBJECT || (field->flags & (API_LIST | API_MAP | API_ATOMIC))))
		return json_object_set_new(changed, name, json_object());
	if (!map && !list)
		return compare_below(field->of, name, old, value, changed, removed);
	r = list ? compare_items(field, old, value, more, less) : compare_keys(old, value, more, less);
	if (r == 0 && json_object_size(more))
		r = json_object_set(changed, name, more);
	if (r == 0 && json_object_size(less))
		r = json_object_set(removed, name, less);
	return r;
}

static int compare_object(const struct api_message *message, const json_t *old, const json_t *object, json_t *changed,
			  json_t *removed)
{
	struct api_cursor at = {0};
	const struct api_field *field;
	int r = 0;

	while (r == 0 && (field = api_field_next(message, &at))) {
		const json_t *value = json_object_get(object, field->name), *was = json_object_get(old, field->name);
		CLEANUP_FREE char *name = value || was ? str_format("f:%s", field->name) : NULL;

		if (!value && !was)
			continue;
		if (!name)
			r = -ENOMEM;
		else if (!was)
			r = add_whole(field, value, name, changed);
		else if (!value)
			r = add_whole(field, was, name, removed);
		else
			r = compare_field(field, name, was, value, changed, removed);
	}
	return r < 0 ? -ENOMEM : 0;
}

int fieldset_compare(const struct api_message *message, const json_t *old, const json_t *object, json_t **ret_changed,
		     json_t **ret_removed)
{
	CLEANUP_JSON json_t *changed = json_object(), *removed = json_object();

	if (!changed || !removed || compare_object(message, old, object, changed, removed) < 0)
		return -ENOMEM;
	drop_identity(changed);
	drop_identity(removed);
	*ret_changed = take_ptr(changed);
	*ret_removed = take_ptr(removed);
	return 0;
}

struct walk {
	fieldset_fn fn;
	void *user;
	char path[PATH_SIZE];
};

static int conflicts(struct walk *walk, const struct api_message *message, const json_t *ours, const json_t *theirs,
		     const json_t *object, const json_t *live);

/* Appends to the path and yields the length it had. */
static size_t path_push(struct walk *walk, const char *prefix, const char *text)
{
	size_t len = strlen(walk->path);

	(void)snprintf(walk->path + len, sizeof(walk->path) - len, "%s%s", prefix, text);
	return len;
}

/* "k:{"name":"a"}" as [name="a"] */
static size_t path_push_item(struct walk *walk, const char *name)
{
	CLEANUP_JSON json_t *keys = str_starts(name, "k:") ? json_loads(name + 2, 0, NULL) : NULL;
	size_t len = strlen(walk->path);
	const char *separator = "[", *key;
	json_t *value;

	json_object_foreach(keys, key, value) {
		CLEANUP_FREE char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

		(void)path_push(walk, separator, key);
		(void)path_push(walk, "=", text ? text : "");
		separator = ",";
	}
	(void)path_push(walk, "]", "");
	return len;
}

static int conflicts_of_items(struct walk *walk, const struct api_field *field, const json_t *ours,
			      const json_t *theirs, const json_t *list, const json_t *live)
{
	CLEANUP_JSON json_t *now = fieldset_index(field, list);
	CLEANUP_JSON json_t *before = fieldset_index(field, live);
	const char *name;
	json_t *node;
	int r = now && before ? 0 : -ENOMEM;

	json_object_foreach((json_t *)ours, name, node) {
		const json_t *other = json_object_get(theirs, name);
		size_t len;

		if (!other || !str_starts(name, "k:") || field->type != API_OBJECT)
			continue;
		len = path_push_item(walk, name);
		r = conflicts(walk, field->of, node, other, json_object_get(now, name), json_object_get(before, name));
		walk->path[len] = '\0';
		if (r < 0)
			return r;
	}
	return 0;
}

static void conflict_of_value(struct walk *walk, const json_t *value, const json_t *live)
{
	if (live && value && !json_equal(value, live))
		walk->fn(walk->user, walk->path);
}

static void conflicts_of_keys(struct walk *walk, const json_t *ours, const json_t *theirs, const json_t *map,
			      const json_t *live)
{
	const char *name;
	json_t *node;

	json_object_foreach((json_t *)ours, name, node) {
		size_t len;

		if (!str_starts(name, "f:") || !json_object_get(theirs, name))
			continue;
		len = path_push(walk, ".", name + 2);
		conflict_of_value(walk, json_object_get(map, name + 2), json_object_get(live, name + 2));
		walk->path[len] = '\0';
	}
}

static int conflicts(struct walk *walk, const struct api_message *message, const json_t *ours, const json_t *theirs,
		     const json_t *object, const json_t *live)
{
	const char *name;
	json_t *node;
	int r = 0;

	json_object_foreach((json_t *)ours, name, node) {
		const json_t *other = json_object_get(theirs, name);
		const struct api_field *field = str_starts(name, "f:") ? api_field_find(message, name + 2) : NULL;
		const json_t *value = field ? json_object_get(object, field->name) : NULL;
		const json_t *before = field ? json_object_get(live, field->name) : NULL;
		size_t len;

		if (!other || !field)
			continue;
		len = path_push(walk, ".", field->name);
		if (json_object_size(node) == 0 && json_object_size(other) == 0)
			conflict_of_value(walk, value, before);
		else if (field->flags & API_LIST)
			r = conflicts_of_items(walk, field, node, other, value, before);
		else if (field->flags & API_MAP)
			conflicts_of_keys(walk, node, other, value, before);
		else if (field->type == API_OBJECT)
			r = conflicts(walk, field->of, node, other, value, before);
		walk->path[len] = '\0';
		if (r < 0)
			return r;
	}
	return 0;
}

int fieldset_conflicts(const struct api_message *message, const json_t *ours, const json_t *theirs,
		       const json_t *object, const json_t *live, fieldset_fn fn, void *user)
{
	struct walk walk = {.fn = fn, .user = user};

	return conflicts(&walk, message, ours, theirs, object, live);
}
