/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of fields as metadata.managedFields writes them (FieldsV1): "f:name" a field or map key, "k:{…}" an item of a list by its
 * keys, "v:value" an item of a set, "." the item itself; {} is the thing itself with nothing below.
 */
#ifndef API_FIELDSET_H
#define API_FIELDSET_H

#include "api/schema.h"

/* All fields an object sets, without what identifies it. NULL without memory. */
json_t *fieldset_of(const struct api_message *message, const json_t *object);

/* The fields that differ between two objects: set or changed in the new one, and gone from it. Negative errno. */
int fieldset_compare(const struct api_message *message, const json_t *old, const json_t *object, json_t **ret_changed,
		     json_t **ret_removed) MUST_CHECK;

/* Adds all of other to the set (-ENOMEM); removes all of other from the set. */
int fieldset_add(json_t *set, const json_t *other) MUST_CHECK;
void fieldset_subtract(json_t *set, const json_t *other);

/* Takes the fields of a set away from an object. -ENOMEM. */
int fieldset_remove_from(const struct api_message *message, const json_t *set, json_t *object) MUST_CHECK;

/*
 * Calls for each single field that both sets hold and whose value differs between the objects, with its path in the form
 * `.spec.containers[name="a"].image`.
 */
typedef void (*fieldset_fn)(void *user, const char *path);
int fieldset_conflicts(const struct api_message *message, const json_t *ours, const json_t *theirs,
		       const json_t *object, const json_t *live, fieldset_fn fn, void *user) MUST_CHECK;

/* The key text of a list's item: "k:{\"containerPort\":80,\"protocol\":\"TCP\"}" or "v:1"; NULL when it has none or without memory. */
char *fieldset_item_name(const struct api_field *field, const json_t *item);

/* The items of an open list by their names; NULL without memory. */
json_t *fieldset_index(const struct api_field *field, const json_t *list);

/* Whether server-side apply looks into a list: it has keys or is a set. */
bool fieldset_is_open_list(const struct api_field *field);

#endif
