/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds and their places in the paths. */
#include "api/columns.h"
#include "api/messages.h"

#include "base/str.h"

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_WORDS ((const char *const[]){NULL})
#define ALL_VERBS WORDS("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
#define READ_VERBS WORDS("delete", "get", "list", "patch", "update", "watch")

static const struct api_kind kinds[] = {
	{.group = "",
	 .version = "v1",
	 .kind = "Binding",
	 .resource = "bindings",
	 .singular = "binding",
	 .short_names = NO_WORDS,
	 .categories = NO_WORDS,
	 .subresources = NO_WORDS,
	 .verbs = WORDS("create"),
	 .namespaced = true,
	 .name_check = API_CHECK_SUBDOMAIN,
	 .message = &api_m_binding},
	{.group = "",
	 .version = "v1",
	 .kind = "ConfigMap",
	 .list_kind = "ConfigMapList",
	 .resource = "configmaps",
	 .singular = "configmap",
	 .short_names = WORDS("cm"),
	 .categories = NO_WORDS,
	 .subresources = NO_WORDS,
	 .verbs = ALL_VERBS,
	 .namespaced = true,
	 .name_check = API_CHECK_SUBDOMAIN,
	 .message = &api_m_config_map,
	 .columns = api_columns_config_map,
	 .check_update = api_hook_data_update},
	{.group = "",
	 .version = "v1",
	 .kind = "Event",
	 .list_kind = "EventList",
	 .resource = "events",
	 .singular = "event",
	 .short_names = WORDS("ev"),
	 .categories = NO_WORDS,
	 .subresources = NO_WORDS,
	 .verbs = ALL_VERBS,
	 .namespaced = true,
	 .name_check = API_CHECK_SUBDOMAIN,
	 .message = &api_m_event,
	 .columns = api_columns_event,
	 .field_labels = WORDS("involvedObject.kind", "involvedObject.namespace", "involvedObject.name",
			       "involvedObject.uid", "involvedObject.apiVersion", "involvedObject.resourceVersion",
			       "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type")},
	{.group = "",
	 .version = "v1",
	 .kind = "LimitRange",
	 .list_kind = "LimitRangeList",
	 .resource = "limitranges",
	 .singular = "limitrange",
	 .short_names = WORDS("limits"),
	 .categories = NO_WORDS,
	 .subresources = NO_WORDS,
	 .verbs = ALL_VERBS,
	 .namespaced = true,
	 .name_check = API_CHECK_SUBDOMAIN,
	 .message = &api_m_limit_range},
	{.group = "",
	 .version = "v1",
	 .kind = "Namespace",
	 .list_kind = "NamespaceList",
	 .resource = "namespaces",
	 .singular = "namespace",
	 .short_names = WORDS("ns"),
	 .categories = NO_WORDS,
	 .subresources = WORDS("status"),
	 .verbs = WORDS("create", "delete", "get", "list", "patch", "update", "watch"),
	 .name_check = API_CHECK_LABEL,
	 .message = &api_m_namespace,
	 .columns = api_columns_namespace,
	 .field_labels = WORDS("status.phase")},
	{.group = "",
	 .version = "v1",
	 .kind = "Node",
	 .list_kind = "NodeList",
	 .resource = "nodes",
	 .singular = "node",
	 .short_names = WORDS("no"),
	 .categories = NO_WORDS,
	 .subresources = WORDS("status"),
	 .verbs = ALL_VERBS,
	 .name_check = API_CHECK_SUBDOMAIN,
	 .message = &api_m_node,
	 .columns = api_columns_node,
	 .field_labels = WORDS("spec.unschedulable")},
	{.group = "",
	 .version = "v1",
	 .kind = "Pod",
	 .list_kind = "PodList",
	 .resource = "pods",
	 .singular = "pod",
	 .short_names = WORDS("po"),
	 .categories = WORDS("all"),
	 .subresources = WORDS("binding", "eviction", "log", "status", "ticket"),
	 .verbs = ALL_VERBS,
	 .namespaced = true,
	 .has_generation = true,
	 .name_check = API_CHECK_SUBDOMAIN,
	 .message = &api_m_pod,
	 .columns = api_columns_pod,
	 .check_update = api_hook_pod_update,
	 .field_labels = WORDS("spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
			       "spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName")},
	{.group = "",
	 .version = "v1",
	 .kind = "ResourceQuota",
	 .list_kind = "ResourceQuotaList",
	 .resource = "resourcequotas",
	 .singular = "resourcequota",
	 .short_names = WORDS("quota"),
	 .categories = NO_WORDS,
	 .subresources = WORDS("status"),
	 .verbs = ALL_VERBS,
	 .namespaced = true,
	 .name_check = API_CHECK_SUBDOMAIN,
	 .message = &api_m_resource_quota,
	 .columns = api_columns_resource_quota},
	{.group = "",
	 .version = "v1",
	 .kind = "Secret",
	 .list_kind = "SecretList",
	 .resource = "secrets",
	 .singular = "secret",
	 .short_names = NO_WORDS,
	 .categories = NO_WORDS,
	 .subresources = NO_WORDS,
	 .verbs = ALL_VERBS,
	 .namespaced = true,
	 .name_check = API_CHECK_SUBDOMAIN,
	 .message = &api_m_secret,
	 .columns = api_columns_secret,
	 .check_update = api_hook_data_update,
	 .field_labels = WORDS("type")},
	{.group = "",
	 .version = "v1",
	 .kind = "Service",
	 .list_kind = "ServiceList",
	 .resource = "services",
	 .singular = "service",
	 .short_names = WORDS("svc"),
	 .categories = WORDS("all"),
	 .subresources = WORDS("status"),
	 .verbs = ALL_VERBS,
	 .namespaced = true,
	 .name_check = API_CHECK_LABEL_1035,
	 .message = &api_m_service,
	 .columns = api_columns_service,
	 .field_labels = WORDS("spec.clusterIP", "spec.type")},
	{.group = "",
	 .version = "v1",
	 .kind = "ServiceAccount",
	 .list_kind = "ServiceAccountList",
	 .resource = "serviceaccounts",
	 .singular = "serviceaccount",
	 .short_names = WORDS("sa"),
	 .categories = NO_WORDS,
	 .subresources = NO_WORDS,
	 .verbs = ALL_VERBS,
	 .namespaced = true,
	 .name_check = API_CHECK_SUBDOMAIN,
	 .message = &api_m_service_account,
	 .columns = api_columns_service_account},
	{.group = "authentication.k8s.io",
	 .version = "v1",
	 .kind = "SelfSubjectReview",
	 .resource = "selfsubjectreviews",
	 .singular = "selfsubjectreview",
	 .short_names = NO_WORDS,
	 .categories = NO_WORDS,
	 .subresources = NO_WORDS,
	 .verbs = WORDS("create"),
	 .message = &api_m_self_subject_review},
	{.group = "authorization.k8s.io",
	 .version = "v1",
	 .kind = "SelfSubjectAccessReview",
	 .resource = "selfsubjectaccessreviews",
	 .singular = "selfsubjectaccessreview",
	 .short_names = NO_WORDS,
	 .categories = NO_WORDS,
	 .subresources = NO_WORDS,
	 .verbs = WORDS("create"),
	 .message = &api_m_self_subject_access_review},
	{.group = "authorization.k8s.io",
	 .version = "v1",
	 .kind = "SelfSubjectRulesReview",
	 .resource = "selfsubjectrulesreviews",
	 .singular = "selfsubjectrulesreview",
	 .short_names = NO_WORDS,
	 .categories = NO_WORDS,
	 .subresources = NO_WORDS,
	 .verbs = WORDS("create"),
	 .message = &api_m_self_subject_rules_review},
	{.group = "coordination.k8s.io",
	 .version = "v1",
	 .kind = "Lease",
	 .list_kind = "LeaseList",
	 .resource = "leases",
	 .singular = "lease",
	 .short_names = NO_WORDS,
	 .categories = NO_WORDS,
	 .subresources = NO_WORDS,
	 .verbs = ALL_VERBS,
	 .namespaced = true,
	 .name_check = API_CHECK_SUBDOMAIN,
	 .message = &api_m_lease,
	 .columns = api_columns_lease},
	{.group = "trust.bulkhead.dev",
	 .version = "v1",
	 .kind = "TrustDomain",
	 .list_kind = "TrustDomainList",
	 .resource = "trustdomains",
	 .singular = "trustdomain",
	 .short_names = WORDS("td"),
	 .categories = NO_WORDS,
	 .subresources = WORDS("status"),
	 .verbs = ALL_VERBS,
	 .has_generation = true,
	 .name_check = API_CHECK_SUBDOMAIN,
	 .message = &api_m_trust_domain,
	 .columns = api_columns_trust_domain},
};

/* Kinds of bodies that have no place of their own. */
static const struct api_kind bodies[] = {
	{.group = "", .version = "v1", .kind = "DeleteOptions", .any_version = true, .message = &api_m_delete_options},
	{.group = "policy", .version = "v1", .kind = "Eviction", .message = &api_m_eviction},
	{.group = "", .version = "v1", .kind = "Status", .message = &api_m_status},
};

const struct api_kind *api_kind_by_resource(const char *group, const char *version, const char *resource)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_eq(kinds[i].resource, resource) && str_eq(kinds[i].group, group) &&
		    str_eq(kinds[i].version, version))
			return &kinds[i];
	return NULL;
}

static bool is_kind(const struct api_kind *kind, const char *group, const char *version, const char *word)
{
	return str_eq(kind->kind, word) && str_eq(kind->group, group) && str_eq(kind->version, version);
}

const struct api_kind *api_kind_by_name(const char *group, const char *version, const char *kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (is_kind(&kinds[i], group, version, kind))
			return &kinds[i];
	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++)
		if (is_kind(&bodies[i], group, version, kind))
			return &bodies[i];
	return NULL;
}

static const struct api_kind *all[ARRAY_SIZE(kinds) + 1];

__attribute__((constructor)) static void list_kinds(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		all[i] = &kinds[i];
}

const struct api_kind *const *api_kinds(void)
{
	return all;
}
