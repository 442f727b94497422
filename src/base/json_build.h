/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON values made by a pattern, like jansson's json_pack without what that brings along: its reader of values, and
 * messages that are shown to nobody. For the program whose size is measured.
 */
#ifndef BASE_JSON_BUILD_H
#define BASE_JSON_BUILD_H

#include <jansson.h>

/*
 * A pattern is one value: "{s:V, …}" an object, whose names are arguments too, "[V, …]" a list, s a string, i an int,
 * I a json_int_t, b an int as a boolean, o a value that is given away, O one that is kept. In an object or a list what
 * stands before a * is left out when it is NULL. Returns NULL without memory, or for a NULL or a text that is not UTF-8
 * elsewhere; what was given away is gone then too. The caller owns the value.
 */
json_t *json_build(const char *pattern, ...);

#endif
