/* SPDX-License-Identifier: Apache-2.0 */
/* JSON objects read against a table of their fields: an unknown, missing or wrongly typed one is refused by its path. */
#ifndef POLICY_FIELDS_H
#define POLICY_FIELDS_H

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

enum policy_field_type {
	POLICY_FIELD_STRING,
	POLICY_FIELD_INTEGER,
	POLICY_FIELD_TRUE,
	POLICY_FIELD_OBJECT,
	POLICY_FIELD_ARRAY
};

struct policy_field {
	const char *name;
	enum policy_field_type type;
	bool required;
	size_t most; /* most bytes of a string, most elements of an array; 0: no limit of its own */
};

/* Whether value is an object with these fields and no others; path ("spec.separation[0]") begins the messages. ERR_INVALID. */
int policy_fields_check(const json_t *value, const char *path, const struct policy_field *fields, size_t count,
			struct err *err) MUST_CHECK;

/* Parses a whole JSON object: no duplicate keys, nothing behind it. ERR_SYNTAX says what ("ticket") is malformed and where. */
int policy_fields_load(const char *what, const char *bytes, size_t len, json_t **ret_object,
		       struct err *err) MUST_CHECK;

struct policy_names {
	char **items;
	size_t count;
};

/* Copies an array of non-empty strings without duplicates (absent: empty). ERR_INVALID names path and element; -ENOMEM. */
int policy_names_read(const json_t *array, const char *path, struct policy_names *ret_names,
		      struct err *err) MUST_CHECK;
void policy_names_done(struct policy_names *names);
bool policy_names_have(const struct policy_names *names, const char *name);
/* Whether any of the names as a pattern of '*' matches. */
bool policy_names_glob(const struct policy_names *patterns, const char *string);

#endif
