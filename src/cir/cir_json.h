/* SPDX-License-Identifier: Apache-2.0 */
/* What the registry's configuration files have in common: strict objects and lists of strings. Errors name the place. */
#ifndef CIR_CIR_JSON_H
#define CIR_CIR_JSON_H

#include <jansson.h>

#include "base/err.h"

#define CIR_JSON_LIST_MAX 100

/* An object of text, without duplicates. The caller decrefs. */
int cir_json_load(const char *text, size_t len, json_t **ret_root, struct err *err) MUST_CHECK;
/* ERR_INVALID for a member that is not among the known ones, a NULL-terminated list. */
int cir_json_known(const json_t *object, const char *const *known, const char *where, struct err *err) MUST_CHECK;
/* A NULL-terminated list from a list of strings; an empty one for NULL. The caller frees with cir_json_strings_free. */
int cir_json_strings(const json_t *list, const char *where, const char *field, char ***ret_strings,
		     struct err *err) MUST_CHECK;
void cir_json_strings_free(char **strings);

#endif
