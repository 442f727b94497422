/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of patch, each on values that are already parsed. All change the object in place and may leave it half changed. */
#ifndef API_PATCHES_H
#define API_PATCHES_H

#include "api/schema.h"

/* RFC 6902. A failed test is ERR_INVALID, a path that leads nowhere too. *object may be exchanged. */
int patches_json(json_t **object, const json_t *operations, struct err *err) MUST_CHECK;

/* RFC 7386. -ENOMEM. */
int patches_merge(json_t *object, const json_t *patch) MUST_CHECK;

/* Strategic merge patch by the tables, with its directives. */
int patches_strategic(const struct api_message *message, json_t *object, const json_t *patch,
		      struct err *err) MUST_CHECK;

/*
 * Server-side apply: merges what the manager applies into the object (an empty one for a new object), takes away what the
 * manager applied before and no longer does, and writes metadata.managedFields. ERR_CONFLICT names the fields that other
 * managers own with other values, unless force takes them over.
 */
int patches_apply(const struct api_kind *kind, json_t *object, json_t *applied, const char *manager, bool force,
		  struct err *err) MUST_CHECK;

#endif
