/* SPDX-License-Identifier: Apache-2.0 */
/* status.conditions of an object: one row a type. */
#ifndef CISM_CONDITIONS_H
#define CISM_CONDITIONS_H

#include <jansson.h>

#include "base/cleanup.h"

/* Sets a condition (reason and message may be NULL). Returns 1 when something changed, 0 when it was so, -ENOMEM. */
int conditions_set(json_t *object, const char *type, const char *status, const char *reason,
		   const char *message) MUST_CHECK;

#endif
