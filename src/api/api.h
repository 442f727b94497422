/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kubernetes objects as data: one table a kind (src/api/kinds_*.c) names every field with its protobuf number, type, list-map
 * key, patch strategy, default and validation; the functions here walk the tables. Objects are jansson values.
 * No function knows a kind by name; a new kind is a table. docs/adr/0002.
 */
#ifndef API_API_H
#define API_API_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/err.h"

#define API_BODY_MAX ((size_t)3 * 1024 * 1024) /* Kubernetes' own limit of a request body */
#define API_DEPTH_MAX 64                       /* nesting of a body */
#define API_VALUES_MAX 50000                   /* values in a body, so that few bytes cannot become much memory */

struct api_message; /* a table of fields, api/schema.h */
struct api_column;
struct api_faults;

struct api_kind {
	const char *group;   /* "" for core */
	const char *version; /* "v1" */
	const char *kind;
	const char *list_kind;
	const char *resource; /* plural, as in paths */
	const char *singular;
	const char *const *short_names;  /* NULL-terminated */
	const char *const *categories;   /* NULL-terminated */
	const char *const *subresources; /* "status", "log", "ticket", …; NULL-terminated */
	const char *const *verbs;        /* what discovery says; NULL-terminated */
	bool namespaced;
	bool has_generation; /* spec changes bump metadata.generation */
	bool any_version;    /* decoded whatever apiVersion it names (DeleteOptions) */
	int name_check;      /* enum api_check for metadata.name; 0 for kinds without a name of their own */
	const struct api_message *message;
	const struct api_column *columns; /* NULL: Name and Age */
	const char *const
		*field_labels; /* what a fieldSelector may name besides metadata.name and .namespace; NULL-terminated */
	/* Adds what an update may not change beyond the fields that are marked so; may be NULL. */
	void (*check_update)(struct api_faults *faults, const json_t *object, const json_t *old);
};

/* Finds a kind by its place in the path, or by the kind word; NULL when there is none. */
const struct api_kind *api_kind_by_resource(const char *group, const char *version, const char *resource);
const struct api_kind *api_kind_by_name(const char *group, const char *version, const char *kind);
/* All kinds, in the order of discovery; ends with NULL. */
const struct api_kind *const *api_kinds(void);

enum api_strictness { API_STRICT, API_WARN, API_IGNORE }; /* fieldValidation; an absent one is API_STRICT */

/*
 * Decodes a body: application/json, application/yaml, application/vnd.kubernetes.protobuf (envelope k8s\0). Duplicate keys,
 * unknown and wrongly typed fields are refused by path ("unknown field \"spec.containers[0].imag\""); with API_WARN unknown
 * ones are dropped and reported one a line in warnings. apiVersion and kind must be the kind's. -EMEDIUMTYPE for other types.
 */
int api_decode(const struct api_kind *kind, const char *content_type, const char *bytes, size_t len,
	       enum api_strictness strictness, json_t **ret_object, struct buf *warnings, struct err *err) MUST_CHECK;

/* Fills the defaults of the table (restartPolicy Always, protocol TCP …) in place. */
int api_default(const struct api_kind *kind, json_t *object, struct err *err) MUST_CHECK;

/* Validates a new object; with old also what must not change. ERR_INVALID; every fault is listed: `spec.a: Required value; …`. */
int api_validate(const struct api_kind *kind, const json_t *object, const json_t *old, struct err *err) MUST_CHECK;

/*
 * Applies a patch by its content type (json-patch, merge-patch, strategic-merge-patch with the directives kubectl sends,
 * apply-patch+yaml with field ownership by manager; ERR_CONFLICT names the owner unless force). The result is a new object.
 */
struct api_patch_options {
	const char *content_type;
	const char *field_manager;
	bool force;
	enum api_strictness strictness;
};
int api_patch(const struct api_kind *kind, const json_t *object, const struct api_patch_options *options,
	      const char *bytes, size_t len, json_t **ret_object, struct buf *warnings, struct err *err) MUST_CHECK;

/*
 * Keeps metadata.managedFields for a write that is no server-side apply: what differs from old (NULL for a new object) now
 * belongs to the manager. Takes the book from old, whatever the object says. subresource: "status" or NULL.
 */
int api_manage(const struct api_kind *kind, const json_t *old, json_t *object, const char *manager,
	       const char *subresource, struct err *err) MUST_CHECK;

/* A Table (meta.k8s.io/v1) over the objects, columns as kubectl shows them; include: None, Metadata, Object. */
int api_table(const struct api_kind *kind, json_t *const *objects, size_t count, const char *include, bool headers,
	      json_t **ret_table, struct err *err) MUST_CHECK;

/* labelSelector and fieldSelector, in Kubernetes' syntax. */
struct api_selector;
int api_selector_parse_labels(const char *text, struct api_selector **ret_selector, struct err *err) MUST_CHECK;
int api_selector_parse_fields(const struct api_kind *kind, const char *text, struct api_selector **ret_selector,
			      struct err *err) MUST_CHECK;
bool api_selector_matches(const struct api_selector *selector, const json_t *object);
void api_selector_free(struct api_selector *selector);

/* Documents about the tables. path is the request's ("/api", "/apis", "/api/v1", "/apis/G/V", "/apis/G"); accept its Accept header. */
int api_discovery(const char *path, const char *accept, struct buf *to, const char **ret_type,
		  struct err *err) MUST_CHECK;
int api_openapi_v2(const char *accept, struct buf *to, const char **ret_type, struct err *err) MUST_CHECK;
/* path "/openapi/v3" (index) or "/openapi/v3/api/v1", "/openapi/v3/apis/G/V". */
int api_openapi_v3(const char *path, struct buf *to, const char **ret_type, struct err *err) MUST_CHECK;

/* A Status object for an error (or success with code 0); name and kind may be NULL. */
json_t *api_status(int code, const struct err *err, const struct api_kind *kind, const char *name);

/* --- reading and writing objects by dotted path ("metadata.labels" …; no list indices, no keys with dots) --- */
const char *api_string(const json_t *object, const char *path); /* NULL when absent or no string */
json_int_t api_integer(const json_t *object, const char *path, json_int_t otherwise);
json_t *api_value(const json_t *object, const char *path); /* borrowed; NULL when absent */
/* Sets a value (stolen, also on failure), making the objects on the way. */
int api_set(json_t *object, const char *path, json_t *value) MUST_CHECK;
/* metadata.labels[key] or metadata.annotations[key]; NULL when absent. */
const char *api_label(const json_t *object, const char *key);
const char *api_annotation(const json_t *object, const char *key);
/* A resource quantity ("500m", "64Mi") in thousandths of its unit. */
int api_quantity(const char *text, int64_t *ret_milli, struct err *err) MUST_CHECK;
/* JSON as bytes of the wire: compact, keys in insertion order. Frees with free(); NULL without memory. */
char *api_format(const json_t *object);

static inline void api_cleanup_json(json_t **object)
{
	json_decref(*object);
}
/* Drops a reference at the end of the scope. */
#define CLEANUP_JSON __attribute__((cleanup(api_cleanup_json)))

#endif
