/* SPDX-License-Identifier: Apache-2.0 */
/* JSON schemas out of the tables, for both versions of OpenAPI. */
#ifndef API_OPENAPI_H
#define API_OPENAPI_H

#include "api/api.h"

/* Where schemas are collected. */
struct openapi_sink {
	const char *reference; /* "#/definitions/" or "#/components/schemas/" */
	json_t *schemas;       /* by full name */
};

/* Adds the kind's schema, its list's, and those of all messages they use. Negative errno. */
int openapi_add_kind(struct openapi_sink *sink, const struct api_kind *kind) MUST_CHECK;

/* {"group","version","kind"} of a kind; NULL without memory. */
json_t *openapi_gvk(const struct api_kind *kind);

/* Writes a document of version 2 as gnostic's openapi.v2.Document in protobuf. */
int openapi_wire_format(const json_t *document, struct buf *to) MUST_CHECK;

/* The largest document, in bytes. */
#define OPENAPI_DOCUMENT_MAX ((size_t)16 * 1024 * 1024)

#endif
