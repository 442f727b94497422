/* SPDX-License-Identifier: Apache-2.0 */
/* What the readers of this folder share: bounded JSON documents and typed members with the member's path in the error. */
#ifndef OCI_DOCUMENT_H
#define OCI_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "base/err.h"

#define DOCUMENT_WHERE_SIZE 96

/* Formats the path of a member, cut when longer. */
void document_where(char to[static DOCUMENT_WHERE_SIZE], const char *format, ...) PRINTF_LIKE(2, 3);

/* Reads one JSON object with nothing behind it; ERR_TOO_LARGE over max, ERR_SYNTAX with line and column. */
int document_parse(const char *bytes, size_t len, size_t max, json_t **ret_root, struct err *err) MUST_CHECK;

/* A string member, kept by reference; NULL when it is absent or null and not required. ERR_INVALID: "WHEREname is …". */
int document_string(const json_t *object, const char *where, const char *name, bool required, const char **ret_value,
		    struct err *err) MUST_CHECK;

/*
 * A member that is a list of at most max strings, absent or null meaning none: *ret_list is a NULL-terminated array the
 * caller frees, its strings kept by reference.
 */
int document_strings(const json_t *object, const char *where, const char *name, size_t max, const char ***ret_list,
		     size_t *ret_count, struct err *err) MUST_CHECK;

#endif
