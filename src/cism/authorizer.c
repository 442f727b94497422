/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/authorizer.h"

#include <stdio.h>

#include "base/str.h"
#include "cism/records.h"

#define NODE_PREFIX "system:node:"

/* What must hold for the row to count, beyond its words. */
enum condition {
	ALWAYS,
	OWN_POD,        /* the pod is bound to the instance */
	OWN_PODS_ONLY,  /* the field selector confines the list to its own pods */
	OWN_NODE,       /* the name is the instance's */
	OWN_LEASE,      /* the name is the instance's, in kube-node-lease */
	NAMED_BY_A_POD, /* a pod bound to the instance names the object */
};

static const struct {
	const char *verbs; /* separated by commas */
	const char *group;
	const char *resource;
	const char *subresource;
	enum condition condition;
} instance_rows[] = {
	{"get", "", "pods", "", OWN_POD},
	{"list,watch", "", "pods", "", OWN_PODS_ONLY},
	{"get,update,patch", "", "pods", "status", OWN_POD},
	{"get", "", "pods", "ticket", OWN_POD},
	{"create", "", "pods", "keys", OWN_POD},
	{"get", "", "nodes", "", OWN_NODE},
	{"get,update,patch", "", "nodes", "status", OWN_NODE},
	{"create", "", "nodes", "stopped", OWN_NODE},
	{"get", "", "nodes", "holders", OWN_NODE},
	{"get,create", "", "nodes", "streams", OWN_NODE},
	{"create", "", "nodes", "certificate", OWN_NODE},
	{"get,create,update,patch", "coordination.k8s.io", "leases", "", OWN_LEASE},
	{"create,update,patch", "", "events", "", ALWAYS}, /* about whom is checked at admission */
	{"get", "", "secrets", "", NAMED_BY_A_POD},
	{"get", "", "configmaps", "", NAMED_BY_A_POD},
};

/* What everybody with a certificate may ask. */
static const struct {
	const char *verbs;
	const char *group;
	const char *resource;
} common_rows[] = {
	{"create", "authorization.k8s.io", "selfsubjectaccessreviews"},
	{"create", "authorization.k8s.io", "selfsubjectrulesreviews"},
	{"create", "authentication.k8s.io", "selfsubjectreviews"},
};

static const char *const open_paths[] = {"/api", "/apis", "/openapi", "/version", "/livez", "/readyz", "/healthz"};

static bool has_group(const struct authorizer_user *user, const char *group)
{
	for (size_t i = 0; i < user->group_count; i++)
		if (str_eq(user->groups[i], group))
			return true;
	return false;
}

bool authorizer_is_master(const struct authorizer_user *user)
{
	return user->name[0] && has_group(user, "system:masters");
}

const char *authorizer_instance(const struct authorizer_user *user)
{
	if (!str_starts(user->name, NODE_PREFIX) || !user->name[strlen(NODE_PREFIX)] ||
	    !has_group(user, "system:nodes"))
		return NULL;
	return user->name + strlen(NODE_PREFIX);
}

static bool in_list(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = list; at; at = strchr(at, ',')) {
		at += *at == ',';
		if (strncmp(at, word, len) == 0 && (at[len] == ',' || at[len] == '\0'))
			return true;
	}
	return false;
}

static bool volume_names(const json_t *pod, const char *resource, const char *name)
{
	bool secret = str_eq(resource, "secrets");
	const json_t *volume;
	size_t i;

	json_array_foreach(api_value(pod, "spec.volumes"), i, volume) {
		const char *named = secret ? api_string(volume, "secret.secretName")
					   : api_string(volume, "configMap.name");

		if (named && str_eq(named, name))
			return true;
	}
	return false;
}

static bool environment_names(const json_t *container, const char *resource, const char *name)
{
	bool secret = str_eq(resource, "secrets");
	const json_t *row;
	const char *named;
	size_t i;

	json_array_foreach(json_object_get(container, "env"), i, row) {
		named = api_string(row, secret ? "valueFrom.secretKeyRef.name" : "valueFrom.configMapKeyRef.name");
		if (named && str_eq(named, name))
			return true;
	}
	json_array_foreach(json_object_get(container, "envFrom"), i, row) {
		named = api_string(row, secret ? "secretRef.name" : "configMapRef.name");
		if (named && str_eq(named, name))
			return true;
	}
	return false;
}

static bool pod_names(const json_t *pod, const char *resource, const char *name)
{
	static const char *const lists[] = {"spec.initContainers", "spec.containers"};
	const json_t *container;
	size_t i;

	if (volume_names(pod, resource, name))
		return true;
	for (size_t list = 0; list < ARRAY_SIZE(lists); list++)
		json_array_foreach(api_value(pod, lists[list]), i, container)
			if (environment_names(container, resource, name))
				return true;
	return false;
}

static bool bound_to(const json_t *pod, const char *instance)
{
	const char *node = api_string(pod, "spec.nodeName");

	return node && str_eq(node, instance);
}

/* 1 when it holds, 0 when not, or what the store answered. */
static int own_pod(struct store *store, const char *instance, const struct authorizer_question *question)
{
	CLEANUP_OBJECT struct object pod = {0};
	int r = records_get(store, records_pods(), question->namespace, question->name, &pod, NULL);

	if (r == ERR_NOT_FOUND)
		return 0;
	return r < 0 ? r : bound_to(pod.json, instance);
}

static int named_by_a_pod(struct store *store, const char *instance, const struct authorizer_question *question)
{
	CLEANUP_OBJECT_LIST struct object_list pods = {0};
	struct records_query query = {.kind = records_pods(), .namespace = question->namespace};
	int r;

	if (!question->namespace[0] || !question->name[0])
		return 0;
	r = records_list(store, &query, &pods, NULL);
	if (r < 0)
		return r;
	for (size_t i = 0; i < pods.count; i++)
		if (bound_to(pods.items[i], instance) && pod_names(pods.items[i], question->resource, question->name))
			return 1;
	return 0;
}

static int holds(enum condition condition, const char *instance, const struct authorizer_question *question,
		 struct store *store)
{
	char selector[300];

	switch (condition) {
	case ALWAYS:
		return 1;
	case OWN_POD:
		return own_pod(store, instance, question);
	case OWN_PODS_ONLY:
		(void)snprintf(selector, sizeof(selector), "spec.nodeName=%s", instance);
		/* A name in the path would be a second word on what is selected. */
		return !question->name[0] && question->field_selector && str_eq(question->field_selector, selector);
	case OWN_NODE:
		return str_eq(question->name, instance);
	case OWN_LEASE:
		/* A creation carries the name in its body: admission compares it. */
		return str_eq(question->namespace, "kube-node-lease") &&
		       (str_eq(question->name, instance) || (str_eq(question->verb, "create") && !question->name[0]));
	case NAMED_BY_A_POD:
		return named_by_a_pod(store, instance, question);
	}
	return 0;
}

static int instance_may(const char *instance, const struct authorizer_question *question, struct store *store)
{
	for (size_t i = 0; i < ARRAY_SIZE(instance_rows); i++) {
		if (!in_list(instance_rows[i].verbs, question->verb) ||
		    !str_eq(instance_rows[i].group, question->group) ||
		    !str_eq(instance_rows[i].resource, question->resource) ||
		    !str_eq(instance_rows[i].subresource, question->subresource))
			continue;
		int r = holds(instance_rows[i].condition, instance, question, store);

		if (r != 0)
			return r;
	}
	return 0;
}

static bool everybody_may(const struct authorizer_question *question)
{
	for (size_t i = 0; question->path && i < ARRAY_SIZE(open_paths); i++) {
		size_t len = strlen(open_paths[i]);

		if (strncmp(question->path, open_paths[i], len) == 0 &&
		    (!question->path[len] || question->path[len] == '/'))
			return str_eq(question->verb, "get");
	}
	for (size_t i = 0; !question->path && i < ARRAY_SIZE(common_rows); i++)
		if (in_list(common_rows[i].verbs, question->verb) && str_eq(common_rows[i].group, question->group) &&
		    str_eq(common_rows[i].resource, question->resource))
			return true;
	return false;
}

static int refuse(const struct authorizer_user *user, const struct authorizer_question *question, struct err *err)
{
	char resource[320];
	char named[300] = "";
	char scope[100] = " at the cluster scope";

	if (question->path)
		return err_set(err, ERR_DENIED, "forbidden: User \"%s\" cannot %s path \"%s\"", user->name,
			       question->verb, question->path);
	(void)snprintf(resource, sizeof(resource), "%s%s%s", question->resource, question->subresource[0] ? "/" : "",
		       question->subresource);
	if (question->name[0])
		(void)snprintf(named, sizeof(named), " \"%s\"", question->name);
	if (question->namespace[0])
		(void)snprintf(scope, sizeof(scope), " in the namespace \"%s\"", question->namespace);
	return err_set(err, ERR_DENIED,
		       "%s%s%s%s is forbidden: User \"%s\" cannot %s resource \"%s\" in API group \"%s\"%s",
		       question->resource, question->group[0] ? "." : "", question->group, named, user->name,
		       question->verb, resource, question->group, scope);
}

int authorizer_decide(const struct authorizer_user *user, const struct authorizer_question *question,
		      struct store *store, struct err *err)
{
	const char *instance = authorizer_instance(user);
	int r = 0;

	if (!user->name[0])
		return err_set(err, ERR_UNKNOWN_PEER, "Unauthorized");
	if (authorizer_is_master(user) || everybody_may(question))
		return 0;
	if (instance && !question->path)
		r = instance_may(instance, question, store);
	if (r < 0)
		return err_sys(err, r, "cannot decide what '%s' may do", user->name);
	return r > 0 ? 0 : refuse(user, question, err);
}
