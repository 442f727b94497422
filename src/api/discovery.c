/* SPDX-License-Identifier: Apache-2.0 */
/* What the server offers: the lists clients read first. Groups and versions are those of the kinds' rows. */
#include "api/api.h"

#include <errno.h>
#include <stdio.h>

#include "api/schema.h"
#include "base/str.h"

#define AGGREGATED_TYPE(version) "application/json;g=apidiscovery.k8s.io;v=" version ";as=APIGroupDiscoveryList"

/* What is below an object of a kind, and who may do what there. */
static const struct subresource {
	const char *name;
	const char *kind; /* of the answer; NULL: the object's own */
	const char *verbs[4];
	const char *group, *version; /* of that kind, where they are not the object's own */
} subresources[] = {
	{"binding", "Binding", {"create"}},
	{"eviction", "Eviction", {"create"}, "policy", "v1"},
	{"log", NULL, {"get"}},
	{"status", NULL, {"get", "patch", "update"}},
	{"ticket", NULL, {"get"}},
};

static const struct subresource *subresource_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(subresources); i++)
		if (str_eq(subresources[i].name, name))
			return &subresources[i];
	return NULL;
}

static json_t *words(const char *const *list)
{
	json_t *array = json_array();

	for (; list && *list; list++)
		if (json_array_append_new(array, json_string(*list)) < 0) {
			json_decref(array);
			return NULL;
		}
	return array;
}

/* Sets a list unless it is empty. */
static int set_words(json_t *object, const char *name, const char *const *list)
{
	return list && *list ? api_set(object, name, words(list)) : 0;
}

static json_t *response_kind(const struct api_kind *kind, const struct subresource *sub)
{
	bool own = !sub || !sub->group;

	return json_pack("{s:s, s:s, s:s}", "group", own ? kind->group : sub->group, "version",
			 own ? kind->version : sub->version, "kind", sub && sub->kind ? sub->kind : kind->kind);
}

static json_t *aggregated_subresources(const struct api_kind *kind)
{
	json_t *list = json_array();

	for (const char *const *name = kind->subresources; name && *name; name++) {
		const struct subresource *sub = subresource_of(*name);
		json_t *item = json_pack("{s:s, s:o, s:o}", "subresource", *name, "responseKind",
					 response_kind(kind, sub), "verbs", words(sub ? sub->verbs : NULL));

		if (json_array_append_new(list, item) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *aggregated_resource(const struct api_kind *kind)
{
	json_t *resource = json_pack("{s:s, s:o, s:s, s:s, s:o}", "resource", kind->resource, "responseKind",
				     response_kind(kind, NULL), "scope", kind->namespaced ? "Namespaced" : "Cluster",
				     "singularResource", kind->singular, "verbs", words(kind->verbs));

	if (!resource || set_words(resource, "shortNames", kind->short_names) < 0 ||
	    set_words(resource, "categories", kind->categories) < 0 ||
	    (*kind->subresources && api_set(resource, "subresources", aggregated_subresources(kind)) < 0)) {
		json_decref(resource);
		return NULL;
	}
	return resource;
}

static bool same_version(const struct api_kind *a, const struct api_kind *b)
{
	return str_eq(a->group, b->group) && str_eq(a->version, b->version);
}

/* The kinds stand grouped: the first of each group, and of each version, stands for it. */
static bool begins_group(const struct api_kind *const *at)
{
	return at == api_kinds() || !str_eq(at[-1]->group, at[0]->group);
}

static bool begins_version(const struct api_kind *const *at)
{
	return at == api_kinds() || !same_version(at[-1], at[0]);
}

static json_t *aggregated_version(const struct api_kind *const *at)
{
	const struct api_kind *first = *at;
	json_t *resources = json_array();

	for (; *at && same_version(*at, first); at++)
		if (json_array_append_new(resources, aggregated_resource(*at)) < 0) {
			json_decref(resources);
			return NULL;
		}
	return json_pack("{s:s, s:o, s:s}", "version", first->version, "resources", resources, "freshness", "Current");
}

static json_t *aggregated_group(const struct api_kind *const *at)
{
	const struct api_kind *first = *at;
	json_t *versions = json_array();

	for (; *at && str_eq((*at)->group, first->group); at++)
		if (begins_version(at) && json_array_append_new(versions, aggregated_version(at)) < 0) {
			json_decref(versions);
			return NULL;
		}
	if (!*first->group)
		return json_pack("{s:{s:n}, s:o}", "metadata", "creationTimestamp", "versions", versions);
	return json_pack("{s:{s:s, s:n}, s:o}", "metadata", "name", first->group, "creationTimestamp", "versions",
			 versions);
}

/* APIGroupDiscoveryList of the core group, or of all others. */
static json_t *aggregated(bool core, const char *version)
{
	char group_version[64];
	json_t *items = json_array();

	for (const struct api_kind *const *at = api_kinds(); *at; at++)
		if (begins_group(at) && (*(*at)->group == '\0') == core &&
		    json_array_append_new(items, aggregated_group(at)) < 0) {
			json_decref(items);
			return NULL;
		}
	(void)snprintf(group_version, sizeof(group_version), "apidiscovery.k8s.io/%s", version);
	return json_pack("{s:s, s:s, s:{}, s:o}", "kind", "APIGroupDiscoveryList", "apiVersion", group_version,
			 "metadata", "items", items);
}

static json_t *version_entry(const struct api_kind *kind)
{
	char text[API_VERSION_MAX];

	api_version_format(kind, text);
	return json_pack("{s:s, s:s}", "groupVersion", text, "version", kind->version);
}

static json_t *group_entry(const struct api_kind *const *at)
{
	const struct api_kind *first = *at;
	json_t *versions = json_array();

	for (; *at && str_eq((*at)->group, first->group); at++)
		if (begins_version(at) && json_array_append_new(versions, version_entry(*at)) < 0) {
			json_decref(versions);
			return NULL;
		}
	return json_pack("{s:s, s:o, s:o}", "name", first->group, "versions", versions, "preferredVersion",
			 version_entry(first));
}

static json_t *group_list(void)
{
	json_t *groups = json_array();

	for (const struct api_kind *const *at = api_kinds(); *at; at++)
		if (*(*at)->group && begins_group(at) && json_array_append_new(groups, group_entry(at)) < 0) {
			json_decref(groups);
			return NULL;
		}
	return json_pack("{s:s, s:s, s:o}", "kind", "APIGroupList", "apiVersion", "v1", "groups", groups);
}

static json_t *one_group(const char *group)
{
	for (const struct api_kind *const *at = api_kinds(); *at; at++) {
		json_t *entry;

		if (!begins_group(at) || !str_eq((*at)->group, group))
			continue;
		entry = group_entry(at);
		if (api_set(entry, "kind", json_string("APIGroup")) < 0 ||
		    api_set(entry, "apiVersion", json_string("v1")) < 0) {
			json_decref(entry);
			return NULL;
		}
		return entry;
	}
	return NULL;
}

static int add_resources(json_t *list, const struct api_kind *kind)
{
	json_t *resource = json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", kind->resource, "singularName",
				     kind->singular, "namespaced", kind->namespaced, "kind", kind->kind, "verbs",
				     words(kind->verbs));
	char name[128];

	if (set_words(resource, "shortNames", kind->short_names) < 0 ||
	    set_words(resource, "categories", kind->categories) < 0) {
		json_decref(resource);
		return -1;
	}
	if (json_array_append_new(list, resource) < 0)
		return -1;
	for (const char *const *word = kind->subresources; word && *word; word++) {
		const struct subresource *sub = subresource_of(*word);

		(void)snprintf(name, sizeof(name), "%s/%s", kind->resource, *word);
		resource = json_pack("{s:s, s:s, s:b, s:s, s:o}", "name", name, "singularName", "", "namespaced",
				     kind->namespaced, "kind", sub && sub->kind ? sub->kind : kind->kind, "verbs",
				     words(sub ? sub->verbs : NULL));
		/* By the group kubectl tells whether evictions can be asked for. */
		if (sub && sub->group &&
		    (api_set(resource, "group", json_string(sub->group)) < 0 ||
		     api_set(resource, "version", json_string(sub->version)) < 0)) {
			json_decref(resource);
			return -1;
		}
		if (json_array_append_new(list, resource) < 0)
			return -1;
	}
	return 0;
}

/* APIResourceList of a group and version; NULL when there is none. */
static json_t *resource_list(const char *group, const char *version)
{
	json_t *list = json_array();
	char text[API_VERSION_MAX] = "";

	for (const struct api_kind *const *at = api_kinds(); *at; at++) {
		if (!str_eq((*at)->group, group) || !str_eq((*at)->version, version))
			continue;
		api_version_format(*at, text);
		if (add_resources(list, *at) < 0)
			text[0] = '\0';
	}
	if (!*text) {
		json_decref(list);
		return NULL;
	}
	return json_pack("{s:s, s:s, s:s, s:o}", "kind", "APIResourceList", "apiVersion", "v1", "groupVersion", text,
			 "resources", list);
}

static json_t *core_versions(void)
{
	return json_pack("{s:s, s:[s], s:[{s:s, s:s}]}", "kind", "APIVersions", "versions", "v1",
			 "serverAddressByClientCIDRs", "clientCIDR", "0.0.0.0/0", "serverAddress", "");
}

/* "/apis/G" or "/apis/G/V" */
static json_t *below_apis(const char *rest)
{
	char group[256];
	size_t len = strcspn(rest, "/");

	if (len == 0 || len >= sizeof(group))
		return NULL;
	memcpy(group, rest, len);
	group[len] = '\0';
	if (!rest[len] || !rest[len + 1])
		return one_group(group);
	return resource_list(group, rest + len + 1);
}

/* The aggregated version the client takes, by the first it names; NULL when it wants the plain lists. */
static const char *aggregated_version_of(const char *accept, const char **ret_type)
{
	const char *v2 = accept ? strstr(accept, "g=apidiscovery.k8s.io;v=v2;") : NULL;
	const char *beta = accept ? strstr(accept, "g=apidiscovery.k8s.io;v=v2beta1;") : NULL;
	const char *plain = accept;

	while (plain && (plain = strstr(plain, "application/json")) && plain[strlen("application/json")] == ';')
		plain++;
	if ((!v2 && !beta) || (plain && (!v2 || plain < v2) && (!beta || plain < beta)))
		return NULL;
	*ret_type = v2 && (!beta || v2 < beta) ? AGGREGATED_TYPE("v2") : AGGREGATED_TYPE("v2beta1");
	return v2 && (!beta || v2 < beta) ? "v2" : "v2beta1";
}

static json_t *discover(const char *path, const char *accept, const char **ret_type)
{
	bool core = str_eq(path, "/api") || str_eq(path, "/api/");
	const char *version;

	*ret_type = "application/json";
	if (core || str_eq(path, "/apis") || str_eq(path, "/apis/")) {
		version = aggregated_version_of(accept, ret_type);
		if (version)
			return aggregated(core, version);
		return core ? core_versions() : group_list();
	}
	if (str_starts(path, "/api/"))
		return resource_list("", path + strlen("/api/"));
	return str_starts(path, "/apis/") ? below_apis(path + strlen("/apis/")) : NULL;
}

int api_discovery(const char *path, const char *accept, struct buf *to, const char **ret_type, struct err *err)
{
	const char *type;
	CLEANUP_JSON json_t *document = discover(path, accept, &type);
	CLEANUP_FREE char *text = document ? api_format(document) : NULL;

	if (!document)
		return err_set(err, ERR_NOT_FOUND, "the server could not find the requested resource");
	if (!text || buf_puts(to, text) < 0)
		return err_set(err, -ENOMEM, "out of memory");
	*ret_type = type;
	return 0;
}
