/* SPDX-License-Identifier: Apache-2.0 */
/* Who manages which field: server-side apply, and the book that other writes keep for it. */
#include <errno.h>
#include <stdio.h>

#include "api/fieldset.h"
#include "api/patches.h"
#include "base/clock.h"
#include "base/str.h"

#define APPLY "Apply"
#define UPDATE "Update"

/* More managers by update than these are put together, so that nobody can make an object grow by changing names. */
#define UPDATERS_MAX 10
#define ANCIENT "ancient-changes"

static int no_memory(struct err *err)
{
	return err_set(err, -ENOMEM, "out of memory");
}

static bool is_text(const json_t *entry, const char *name, const char *text)
{
	const char *value = json_string_value(json_object_get(entry, name));

	return str_eq(value ? value : "", text ? text : "");
}

static bool is_entry(const json_t *entry, const char *manager, const char *operation, const char *subresource)
{
	return is_text(entry, "manager", manager) && is_text(entry, "operation", operation) &&
	       is_text(entry, "subresource", subresource);
}

static json_t *find_entry(const json_t *list, const char *manager, const char *operation, const char *subresource)
{
	json_t *entry;
	size_t i;

	json_array_foreach((json_t *)list, i, entry)
		if (is_entry(entry, manager, operation, subresource))
			return entry;
	return NULL;
}

/* The list of managers, made when it is not there; borrowed, NULL without memory. */
static json_t *managers_of(json_t *object)
{
	json_t *list = api_value(object, "metadata.managedFields");

	if (json_is_array(list))
		return list;
	return api_set(object, "metadata.managedFields", list = json_array()) < 0 ? NULL : list;
}

static int stamp_entry(json_t *entry, json_t *set)
{
	char now[CLOCK_STAMP_SIZE];

	clock_format(now, clock_wall_ms());
	return json_object_set(entry, "fieldsV1", set) < 0 || json_object_set_new(entry, "time", json_string(now)) < 0
		       ? -ENOMEM
		       : 0;
}

static int add_entry(const struct api_kind *kind, json_t *list, const char *manager, const char *operation,
		     const char *subresource, json_t *set)
{
	char version[API_VERSION_MAX];
	json_t *entry;

	api_version_format(kind, version);
	entry = json_pack("{s:s, s:s, s:s, s:s}", "manager", manager, "operation", operation, "apiVersion", version,
			  "fieldsType", "FieldsV1");
	if (!entry ||
	    (subresource && *subresource && json_object_set_new(entry, "subresource", json_string(subresource)) < 0) ||
	    stamp_entry(entry, set) < 0) {
		json_decref(entry);
		return -ENOMEM;
	}
	return json_array_append_new(list, entry) < 0 ? -ENOMEM : 0;
}

/* Drops entries that own nothing any more. */
static void drop_empty(json_t *list)
{
	for (size_t i = json_array_size(list); i-- > 0;)
		if (!json_object_size(json_object_get(json_array_get(list, i), "fieldsV1")))
			(void)json_array_remove(list, i);
}

/* Takes a set away from all entries but one. */
static void subtract_from_others(json_t *list, const json_t *keep, const json_t *set)
{
	json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry)
		if (entry != keep)
			fieldset_subtract(json_object_get(entry, "fieldsV1"), set);
}

/* Puts the oldest updaters together while there are too many. */
static int fold_updaters(const struct api_kind *kind, json_t *list)
{
	CLEANUP_JSON json_t *set = json_object();
	size_t updaters = 0;
	json_t *entry;
	size_t i;

	json_array_foreach(list, i, entry)
		updaters += is_text(entry, "operation", UPDATE);
	if (updaters <= UPDATERS_MAX)
		return 0;
	for (i = 0; i < json_array_size(list) && updaters >= UPDATERS_MAX;) {
		entry = json_array_get(list, i);
		if (!is_text(entry, "operation", UPDATE)) {
			i++;
			continue;
		}
		if (fieldset_add(set, json_object_get(entry, "fieldsV1")) < 0)
			return -ENOMEM;
		(void)json_array_remove(list, i);
		updaters--;
	}
	return add_entry(kind, list, ANCIENT, UPDATE, NULL, set);
}

static int track(const struct api_kind *kind, json_t *object, const char *manager, const char *subresource,
		 json_t *changed, json_t *removed)
{
	json_t *list = managers_of(object), *own = find_entry(list, manager, UPDATE, subresource);
	int r = list ? 0 : -ENOMEM;

	subtract_from_others(list, own, changed);
	subtract_from_others(list, NULL, removed);
	if (r == 0 && own && json_object_size(changed)) {
		json_t *set = json_object_get(own, "fieldsV1");

		r = json_is_object(set) && fieldset_add(set, changed) == 0 ? stamp_entry(own, set) : -ENOMEM;
	} else if (r == 0 && json_object_size(changed)) {
		r = add_entry(kind, list, manager, UPDATE, subresource, changed);
	}
	drop_empty(list);
	return r < 0 ? r : fold_updaters(kind, list);
}

int api_manage(const struct api_kind *kind, const json_t *old, json_t *object, const char *manager,
	       const char *subresource, struct err *err)
{
	CLEANUP_JSON json_t *changed = NULL, *removed = NULL;
	json_t *before = api_value(old, "metadata.managedFields");

	if (before ? api_set(object, "metadata.managedFields", json_deep_copy(before)) < 0 : false)
		return no_memory(err);
	if (!before)
		(void)json_object_del(json_object_get(object, "metadata"), "managedFields");
	if (fieldset_compare(kind->message, old, object, &changed, &removed) < 0 ||
	    track(kind, object, manager && *manager ? manager : "unknown", subresource, changed, removed) < 0)
		return no_memory(err);
	return 0;
}

struct conflict_list {
	char text[ERR_MESSAGE_MAX - 128]; /* one manager and its fields after the other */
	size_t len;
	char first[ERR_MESSAGE_MAX - 128]; /* the sentence when there is only one */
	size_t count;
	const char *manager;
	const char *version;
	bool named; /* this manager stands in the text */
};

static void append_text(struct conflict_list *list, const char *text)
{
	size_t len = strlen(text);

	if (len >= sizeof(list->text) - list->len)
		return;
	memcpy(list->text + list->len, text, len + 1);
	list->len += len;
}

static void add_conflict(void *user, const char *path)
{
	struct conflict_list *list = user;
	char text[600];

	if (list->count++ == 0)
		(void)snprintf(list->first, sizeof(list->first), "conflict with \"%.128s\" using %.100s: %.300s",
			       list->manager, list->version, path);
	(void)snprintf(text, sizeof(text), "%sconflicts with \"%.128s\" using %.100s:", list->len ? "\n" : "",
		       list->manager, list->version);
	if (!list->named)
		append_text(list, text);
	list->named = true;
	(void)snprintf(text, sizeof(text), "\n- %.300s", path);
	append_text(list, text);
}

/* Finds the fields that others own with other values. */
static int find_conflicts(const struct api_kind *kind, const json_t *managers, const json_t *own, const json_t *set,
			  const json_t *applied, const json_t *live, struct err *err)
{
	struct conflict_list list = {0};
	json_t *entry;
	size_t i;

	json_array_foreach((json_t *)managers, i, entry) {
		list.manager = json_string_value(json_object_get(entry, "manager"));
		list.version = json_string_value(json_object_get(entry, "apiVersion"));
		list.named = false;
		if (!list.manager || !list.version || entry == own)
			continue;
		if (fieldset_conflicts(kind->message, set, json_object_get(entry, "fieldsV1"), applied, live,
				       add_conflict, &list) < 0)
			return no_memory(err);
	}
	if (!list.count)
		return 0;
	if (list.count == 1)
		return err_set(err, ERR_CONFLICT, "Apply failed with 1 conflict: %s", list.first);
	return err_set(err, ERR_CONFLICT, "Apply failed with %zu conflicts: %s", list.count, list.text);
}

static int merge_object(const struct api_message *message, json_t *object, const json_t *applied);

static int merge_list(const struct api_field *field, json_t *list, const json_t *applied)
{
	CLEANUP_JSON json_t *index = fieldset_index(field, list);
	json_t *item;
	size_t i;

	json_array_foreach((json_t *)applied, i, item) {
		CLEANUP_FREE char *name = fieldset_item_name(field, item);
		json_t *now = name ? json_object_get(index, name) : NULL;

		if (now && field->type == API_OBJECT) {
			if (merge_object(field->of, now, item) < 0)
				return -ENOMEM;
			continue;
		}
		if (!now && (json_array_append_new(list, now = json_deep_copy(item)) < 0 ||
			     (name && json_object_set(index, name, now) < 0)))
			return -ENOMEM;
	}
	return index ? 0 : -ENOMEM;
}

static int merge_value(const struct api_field *field, json_t *object, const json_t *value)
{
	bool object_within = field->type == API_OBJECT && !(field->flags & (API_LIST | API_MAP));
	json_t *now = json_object_get(object, field->name);

	if (now && !(field->flags & API_ATOMIC)) {
		if (json_is_array(now) && fieldset_is_open_list(field))
			return merge_list(field, now, value);
		if (json_is_object(now) && (field->flags & API_MAP))
			return json_object_update(now, (json_t *)value);
		if (json_is_object(now) && object_within)
			return merge_object(field->of, now, value);
	}
	return json_object_set_new(object, field->name, json_deep_copy(value));
}

static int merge_object(const struct api_message *message, json_t *object, const json_t *applied)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)applied, name, value) {
		const struct api_field *field = api_field_find(message, name);

		if (field && merge_value(field, object, value) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Takes away what the manager applied before and does not now, unless another owns it too. */
static int remove_dropped(const struct api_kind *kind, json_t *object, const json_t *managers, const json_t *own,
			  const json_t *set)
{
	CLEANUP_JSON json_t *dropped = json_deep_copy(json_object_get(own, "fieldsV1"));
	json_t *entry;
	size_t i;

	if (!own)
		return 0;
	if (!dropped)
		return -ENOMEM;
	fieldset_subtract(dropped, set);
	json_array_foreach((json_t *)managers, i, entry)
		if (entry != own)
			fieldset_subtract(dropped, json_object_get(entry, "fieldsV1"));
	return fieldset_remove_from(kind->message, dropped, object);
}

/* The fields that differ now go over to us. *ret_any: there were some. */
static int take_over(const struct api_kind *kind, json_t *managers, const json_t *own, const json_t *object,
		     const json_t *live, bool *ret_any)
{
	CLEANUP_JSON json_t *changed = NULL, *removed = NULL;

	if (fieldset_compare(kind->message, live, object, &changed, &removed) < 0)
		return -ENOMEM;
	subtract_from_others(managers, own, changed);
	subtract_from_others(managers, own, removed);
	*ret_any = json_object_size(changed) || json_object_size(removed);
	return 0;
}

/* Writes our entry. One that says the same of an object that is the same keeps its time, so that nothing is written. */
static int note_applied(const struct api_kind *kind, json_t *managers, json_t *own, const char *manager, json_t *set,
			bool any)
{
	if (!own)
		return add_entry(kind, managers, manager, APPLY, NULL, set);
	return any || !json_equal(json_object_get(own, "fieldsV1"), set) ? stamp_entry(own, set) : 0;
}

int patches_apply(const struct api_kind *kind, json_t *object, json_t *applied, const char *manager, bool force,
		  struct err *err)
{
	CLEANUP_JSON json_t *live = json_deep_copy(object);
	CLEANUP_JSON json_t *set = fieldset_of(kind->message, applied);
	json_t *managers = managers_of(object), *own = find_entry(managers, manager, APPLY, NULL);
	bool any = false;
	int r;

	if (!live || !set || !managers)
		return no_memory(err);
	r = force ? 0 : find_conflicts(kind, managers, own, set, applied, live, err);
	if (r < 0)
		return r;
	if (remove_dropped(kind, object, managers, own, set) < 0 || merge_object(kind->message, object, applied) < 0 ||
	    take_over(kind, managers, own, object, live, &any) < 0 ||
	    note_applied(kind, managers, own, manager, set, any) < 0)
		return no_memory(err);
	drop_empty(managers);
	return 0;
}
