/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_json.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

int cir_json_load(const char *text, size_t len, json_t **ret_root, struct err *err)
{
	json_error_t where;
	json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &where);

	if (!root)
		return err_set(err, ERR_SYNTAX, "line %d: %s", where.line, where.text);
	if (!json_is_object(root)) {
		json_decref(root);
		return err_set(err, ERR_INVALID, "not an object");
	}
	*ret_root = root;
	return 0;
}

int cir_json_known(const json_t *object, const char *const *known, const char *where, struct err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)object, key, value) {
		const char *const *at = known;

		while (*at && !str_eq(*at, key))
			at++;
		if (!*at)
			return err_set(err, ERR_INVALID, "%sunknown member '%.100s'", where, key);
	}
	return 0;
}

void cir_json_strings_free(char **strings)
{
	for (char **at = strings; at && *at; at++)
		free(*at);
	free(strings);
}

int cir_json_strings(const json_t *list, const char *where, const char *field, char ***ret_strings, struct err *err)
{
	size_t count = json_array_size(list);
	char **strings;

	if (list && (!json_is_array(list) || count > CIR_JSON_LIST_MAX))
		return err_set(err, ERR_INVALID, "%s: '%s' is not a list of at most %d strings", where, field,
			       CIR_JSON_LIST_MAX);
	strings = calloc(count + 1, sizeof(*strings));
	if (!strings)
		return err_set(err, -ENOMEM, "no memory for '%s'", field);
	for (size_t i = 0; i < count; i++) {
		const char *string = json_string_value(json_array_get(list, i));

		strings[i] = string ? strdup(string) : NULL;
		if (!strings[i]) {
			cir_json_strings_free(strings);
			return err_set(err, string ? -ENOMEM : ERR_INVALID, "%s: '%s' is not a list of strings", where,
				       field);
		}
	}
	*ret_strings = strings;
	return 0;
}
