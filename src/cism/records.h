/* SPDX-License-Identifier: Apache-2.0 */
/*
 * API objects in the store: /registry/GROUP/RESOURCE/[NAMESPACE/]NAME holds the object's JSON without resourceVersion,
 * which is the key's last revision. Every write of a trust domain or an image policy also writes RECORDS_RULES_KEY, whose last revision is
 * thereby the revision of all rules: one compare on it holds a decision to the rules it was made under.
 */
#ifndef CISM_RECORDS_H
#define CISM_RECORDS_H

#include "api/api.h"
#include "cism/change.h"

#define RECORDS_RULES_KEY "/rules/trustdomains"
/* The same for the quotas of a namespace (%s). */
#define RECORDS_QUOTAS_KEY "/quota/%s/rules"

struct object {
	json_t *json; /* owned; metadata.resourceVersion is set */
	uint64_t revision;
};
void records_done(struct object *object);
#define CLEANUP_OBJECT __attribute__((cleanup(records_done)))

struct object_list {
	json_t **items; /* owned references */
	size_t count;
	uint64_t revision;
	bool more;
	char last_key[STORE_KEY_MAX + 1]; /* where to go on when more */
};
void records_list_done(struct object_list *list);
#define CLEANUP_OBJECT_LIST __attribute__((cleanup(records_list_done)))

/* The key of an object, or the prefix of a collection for name NULL (namespace "" or NULL: of all namespaces). */
int records_key(const struct api_kind *kind, const char *namespace, const char *name,
		char key[static STORE_KEY_MAX + 1], struct err *err) MUST_CHECK;

/* The object of a stored value. ERR_CORRUPT when it is no JSON object. */
int records_parse(const char *key, const char *value, size_t len, uint64_t revision, json_t **ret_json,
		  struct err *err) MUST_CHECK;

/* Reads one object. ERR_NOT_FOUND in Kubernetes' words: pods "x" not found. */
int records_get(struct store *store, const struct api_kind *kind, const char *namespace, const char *name,
		struct object *ret_object, struct err *err) MUST_CHECK;

struct records_query {
	const struct api_kind *kind;
	const char *namespace;                      /* NULL or "": all */
	const struct api_selector *labels, *fields; /* NULL: all */
	const char *after;                          /* key to go on behind, or NULL */
	size_t limit;                               /* 0: all */
	uint64_t at_revision;                       /* 0: newest */
};
/* Lists the objects that match, all from one revision. */
int records_list(struct store *store, const struct records_query *query, struct object_list *ret_list,
		 struct err *err) MUST_CHECK;

/* Waits for a revision that a client was given, perhaps by another replica. In Kubernetes' words (-ETIMEDOUT) there is none. */
int records_reach(struct store *store, uint64_t revision, struct err *err) MUST_CHECK;

/* Adds writing or removing an object to a change; revision is what its key is compared with (0: must be new). */
void records_put(struct change *change, const struct api_kind *kind, const json_t *json, uint64_t revision);
void records_remove(struct change *change, const struct api_kind *kind, const json_t *json, uint64_t revision);

/* As records_put for a status that no decision is made by. */
void records_put_status(struct change *change, const struct api_kind *kind, const json_t *json, uint64_t revision);

/* The revision of all trust domains' and image policies' rules; 0 when there never were any. */
int records_rules_revision(struct store *store, uint64_t *ret_revision, struct err *err) MUST_CHECK;

/* Sets metadata.resourceVersion. */
int records_set_revision(json_t *json, uint64_t revision) MUST_CHECK;

/* The kinds this service itself works with; they always exist. */
const struct api_kind *records_pods(void);
const struct api_kind *records_nodes(void);
const struct api_kind *records_namespaces(void);
const struct api_kind *records_events(void);
const struct api_kind *records_leases(void);
const struct api_kind *records_priorities(void);
const struct api_kind *records_domains(void);
const struct api_kind *records_quotas(void);
const struct api_kind *records_image_policies(void);
const struct api_kind *records_quarantines(void);

#endif
