/* SPDX-License-Identifier: Apache-2.0 */
/* Columns of the tables that clients print. A row is a path into the object, or a function. */
#ifndef API_COLUMNS_H
#define API_COLUMNS_H

#include <stdint.h>

#include "api/api.h"

struct api_column {
	const char *name;                                      /* NULL ends the list */
	const char *type;                                      /* "string", "integer", "date" */
	int priority;                                          /* 0 always, 1 with -o wide */
	const char *path;                                      /* where a string stands; absent ones are "<none>" */
	json_t *(*cell)(const json_t *object, int64_t now_ms); /* instead of a path; NULL without memory */
	const char *doc;
};

extern const struct api_column api_columns_default[];
extern const struct api_column api_columns_config_map[];
extern const struct api_column api_columns_event[];
extern const struct api_column api_columns_lease[];
extern const struct api_column api_columns_priority_class[];
extern const struct api_column api_columns_namespace[];
extern const struct api_column api_columns_node[];
extern const struct api_column api_columns_pod[];
extern const struct api_column api_columns_resource_quota[];
extern const struct api_column api_columns_secret[];
extern const struct api_column api_columns_service[];
extern const struct api_column api_columns_service_account[];
extern const struct api_column api_columns_trust_domain[];
extern const struct api_column api_columns_quarantine[];
extern const struct api_column api_columns_image_policy[];
extern const struct api_column api_columns_join_token[];

/* A length of time in the short form of the tables: "5s", "3m20s", "2d4h". */
#define API_AGE_SIZE 32
void api_age_format(char to[static API_AGE_SIZE], int64_t ms);

/* The age of what a field with a time says: "5m", or "<unknown>" without one. */
json_t *api_age_cell(const json_t *object, const char *path, int64_t now_ms);

#endif
