/* SPDX-License-Identifier: Apache-2.0 */
/* Request targets in origin form (RFC 9112 section 3.2.1): path and query, decoded strictly. No I/O. */
#ifndef HTTP_TARGET_H
#define HTTP_TARGET_H

#include <stddef.h>

#include "base/err.h"

#define TARGET_BYTES_MAX 8192
#define TARGET_PARAMETERS_MAX 64

struct target {
	char *path; /* decoded, NUL-terminated */
	struct target_parameter {
		char *name, *value;
	} parameters[TARGET_PARAMETERS_MAX];
	size_t parameter_count;
};

/*
 * Decodes text in place; the target points into it. ERR_SYNTAX for a target that does not begin with '/', for invalid
 * escapes, NUL and other control bytes, fragments, empty or dot segments, parameters without name or given twice;
 * ERR_TOO_LARGE over the maxima. Paths may end with '/'.
 */
int target_parse(char *text, struct target *ret_target, struct err *err) MUST_CHECK;

/* The same, where one parameter may be given more than once; repeatable NULL: none. */
int target_parse_repeated(char *text, const char *repeatable, struct target *ret_target, struct err *err) MUST_CHECK;

/* The value of a parameter given for the index-th time, from 0; NULL when it was not. */
const char *target_repeated(const struct target *target, const char *name, size_t index);

/* The value of a parameter, NULL when absent. */
const char *target_parameter(const struct target *target, const char *name);

#endif
