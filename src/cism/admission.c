/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/admission.h"

#include <errno.h>
#include <stdio.h>

#include "base/str.h"
#include "cism/joins.h"
#include "cism/prover.h"
#include "cism/quarantines.h"
#include "policy/domain.h"
#include "policy/resourcequota.h"

#define ON(operation) (1U << (operation))
#define ON_CREATE ON(ADMISSION_CREATE)
#define ON_WRITE (ON_CREATE | ON(ADMISSION_UPDATE))
#define ON_ALL (ON_WRITE | ON(ADMISSION_UPDATE_STATUS))

static int namespace_is_active(struct admission *admission, struct err *err);
static int namespace_status(struct admission *admission, struct err *err);
static int instance_speaks_of_itself(struct admission *admission, struct err *err);
static int warn_of_what_is_missing(struct admission *admission, struct err *err);
static int platform_conditions(struct admission *admission, struct err *err);
static int warn_of_what_is_not_counted(struct admission *admission, struct err *err);

/* In this order; resource NULL: every kind. */
static const struct {
	const char *group;
	const char *resource;
	unsigned operations;
	int (*link)(struct admission *admission, struct err *err);
} chain[] = {
	{NULL, NULL, ON_CREATE, namespace_is_active},
	{NULL, NULL, ON_ALL, instance_speaks_of_itself},
	{NULL, NULL, ON_WRITE, warn_of_what_is_missing},
	{"", "resourcequotas", ON_WRITE, warn_of_what_is_not_counted},
	{"", "namespaces", ON_CREATE, namespace_status},
	{"", "namespaces", ON_WRITE, admission_namespace_domain},
	{"", "pods", ON_CREATE, admission_pod_placement},
	{"", "pods", ON_CREATE, admission_pod_priority},
	{"", "pods", ON_WRITE, admission_pod_host},
	{"", "pods", ON_CREATE, admission_pod_defaults},
	{"", "pods", ON_WRITE, admission_pod_domain},
	{"", "pods", ON(ADMISSION_UPDATE), admission_pod_fixed},
	{"trust.bulkhead.dev", "trustdomains", ON_WRITE, admission_domain_rules},
	{"trust.bulkhead.dev", "quarantines", ON_WRITE, quarantines_admit},
	{"", "nodes", ON(ADMISSION_UPDATE_STATUS), platform_conditions},
	{"trust.bulkhead.dev", "imagepolicies", ON_WRITE, admission_image_policy},
	{"trust.bulkhead.dev", "jointokens", ON_WRITE, joins_admit_token},
	{"scheduling.k8s.io", "priorityclasses", ON_WRITE, admission_priority_class},
};

int admission_run(struct admission *admission, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(chain); i++) {
		int r;

		if (!(chain[i].operations & ON(admission->operation)))
			continue;
		if (chain[i].resource && (!str_eq(chain[i].resource, admission->kind->resource) ||
					  !str_eq(chain[i].group, admission->kind->group)))
			continue;
		r = chain[i].link(admission, err);
		/* What is not implemented is refused like what is not allowed: to the client the method is not at fault. */
		if (r == -EOPNOTSUPP)
			err->code = ERR_DENIED;
		if (r < 0)
			return r == -EOPNOTSUPP ? ERR_DENIED : r;
	}
	return 0;
}

/* Nothing new comes into a namespace that is not there or that goes; the write holds only while that stays so. */
static int namespace_is_active(struct admission *admission, struct err *err)
{
	CLEANUP_OBJECT struct object namespace = {0};
	const char *name = api_string(admission->object, "metadata.namespace");
	char key[STORE_KEY_MAX + 1];
	int r;

	if (!admission->kind->namespaced)
		return 0;
	r = records_get(admission->call->cism->store, records_namespaces(), NULL, name, &namespace, err);
	if (r == 0)
		r = records_key(records_namespaces(), NULL, name, key, err);
	if (r < 0)
		return r;
	if (api_string(namespace.json, "metadata.deletionTimestamp"))
		return err_set(err, ERR_DENIED,
			       "%s \"%s\" is forbidden: unable to create new content in namespace %s because it is "
			       "being terminated",
			       admission->kind->resource, api_string(admission->object, "metadata.name"), name);
	/* Events come in numbers and die with the namespace anyway. */
	if (admission->kind != records_events())
		change_compare(admission->change, key, namespace.revision);
	return 0;
}

static int namespace_status(struct admission *admission, struct err *err)
{
	json_t *labels = api_value(admission->object, "metadata.labels");

	if (!labels && api_set(admission->object, "metadata.labels", json_object()) < 0)
		return err_sys(err, -ENOMEM, "cannot complete the namespace");
	labels = api_value(admission->object, "metadata.labels");
	if (json_object_set_new(labels, "kubernetes.io/metadata.name",
				json_string(api_string(admission->object, "metadata.name"))) < 0 ||
	    api_set(admission->object, "status", json_pack("{s:s}", "phase", "Active")) < 0)
		return err_sys(err, -ENOMEM, "cannot complete the namespace");
	return 0;
}

static bool is_own(const struct admission *admission, const json_t *object, const char *instance)
{
	CLEANUP_OBJECT struct object pod = {0};
	const char *kind, *name, *node;

	/* Nothing that would hold up its own removal, or that of its namespace. */
	if (json_array_size(api_value(object, "metadata.finalizers")) > 0 && admission->kind != records_pods())
		return false;
	if (admission->kind == records_leases())
		return str_eq(api_string(object, "metadata.name"), instance);
	/* Asked again here: between the header and the end of the body the name may have gone to another pod. */
	if (admission->kind == records_pods()) {
		node = api_string(object, "spec.nodeName");
		return node && str_eq(node, instance);
	}
	kind = api_string(object, "involvedObject.kind");
	name = api_string(object, "involvedObject.name");
	if (!kind || !name)
		return false;
	if (str_eq(kind, "Node"))
		return str_eq(name, instance);
	if (!str_eq(kind, "Pod") || records_get(admission->call->cism->store, records_pods(),
						api_string(object, "metadata.namespace"), name, &pod, NULL) < 0)
		return false;
	node = api_string(pod.json, "spec.nodeName");
	return node && str_eq(node, instance);
}

/* What it is to be, and what it was before. */
static bool is_own_all(const struct admission *admission, const char *instance)
{
	return is_own(admission, admission->object, instance) &&
	       (!admission->old || is_own(admission, admission->old, instance));
}

/* An instance writes its own lease, the status of its pods, and events about itself and them. */
static int instance_speaks_of_itself(struct admission *admission, struct err *err)
{
	const char *instance = authorizer_instance(&admission->call->user);

	if (!instance ||
	    (admission->kind != records_leases() && admission->kind != records_events() &&
	     admission->kind != records_pods()) ||
	    is_own_all(admission, instance))
		return 0;
	return err_set(err, ERR_DENIED, "%s \"%s\" is forbidden: it is not about instance \"%s\" or a pod of it",
		       admission->kind->resource, api_string(admission->object, "metadata.name"), instance);
}

/* What the platform says of a node it says alone: an instance that reports its status neither changes nor drops it. */
static int platform_conditions(struct admission *admission, struct err *err)
{
	static const char *const types[] = {PROVER_CONDITION, QUARANTINES_CONDITION};
	json_t *rows = api_value(admission->object, "status.conditions");
	const json_t *before = api_value(admission->old, "status.conditions"), *row;

	if (!authorizer_instance(&admission->call->user))
		return 0;
	if (!rows && api_set(admission->object, "status.conditions", json_array()) < 0)
		return err_sys(err, -ENOMEM, "cannot complete the status");
	rows = api_value(admission->object, "status.conditions");
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		size_t at;

		for (at = json_array_size(rows); at > 0; at--) {
			const char *type = api_string(json_array_get(rows, at - 1), "type");

			if (type && str_eq(type, types[i]))
				(void)json_array_remove(rows, at - 1);
		}
		json_array_foreach(before, at, row) {
			const char *type = api_string(row, "type");

			if (type && str_eq(type, types[i]) && json_array_append_new(rows, json_deep_copy(row)) < 0)
				return err_sys(err, -ENOMEM, "cannot complete the status");
		}
	}
	return 0;
}

/* What is kept but has no effect yet is said with every write of it. path NULL: the whole kind. */
static const struct {
	const char *resource;
	const char *path;
	const char *warning;
} missing[] = {
	{"resourcequotas", "spec.scopes", "a ResourceQuota with spec.scopes is kept but not enforced yet"},
	{"resourcequotas", "spec.scopeSelector",
	 "a ResourceQuota with spec.scopeSelector is kept but not enforced yet"},
	{"limitranges", NULL, "LimitRange is kept but not enforced yet"},
	{"services", NULL, "Service is kept but gets no address yet"},
	{"priorityclasses", NULL, "PriorityClass says who is placed first; nothing that runs is stopped for it"},
};

static int warn(struct admission *admission, const char *what, const char *warning, struct err *err)
{
	struct buf *warnings = &admission->call->warnings;

	if (buf_printf(warnings, "%s%s%s", warnings->len ? "\n" : "", what, warning) < 0)
		return err_sys(err, -ENOMEM, "cannot warn");
	return 0;
}

static int warn_of_what_is_not_counted(struct admission *admission, struct err *err)
{
	const char *name;
	json_t *value;
	int r = 0;

	json_object_foreach(api_value(admission->object, "spec.hard"), name, value) {
		char path[300];

		(void)snprintf(path, sizeof(path), "spec.hard.%.250s", name);
		if (r == 0 && !policy_resourcequota_counts(name))
			r = warn(admission, path, " is kept but not enforced yet", err);
	}
	return r;
}

static int warn_of_what_is_missing(struct admission *admission, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(missing); i++)
		if (str_eq(missing[i].resource, admission->kind->resource) &&
		    (!missing[i].path || api_value(admission->object, missing[i].path)))
			r = warn(admission, "", missing[i].warning, err);
	return r;
}

/* --- facts --- */

int admission_facts_read(struct store *store, const char *namespace, struct admission_facts *ret_facts, struct err *err)
{
	struct admission_facts facts = {0};
	int r = records_get(store, records_namespaces(), NULL, namespace, &facts.namespace, err);

	if (r < 0)
		return r;
	facts.domain_name = api_label(facts.namespace.json, POLICY_LABEL_DOMAIN);
	if (facts.domain_name && !facts.domain_name[0])
		facts.domain_name = NULL;
	if (facts.domain_name) {
		r = records_get(store, records_domains(), NULL, facts.domain_name, &facts.domain, err);
		if (r < 0 && r != ERR_NOT_FOUND) {
			admission_facts_done(&facts);
			return r;
		}
	}
	*ret_facts = facts;
	return 0;
}

void admission_facts_done(struct admission_facts *facts)
{
	records_done(&facts->namespace);
	records_done(&facts->domain);
}
