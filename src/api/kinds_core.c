/* SPDX-License-Identifier: Apache-2.0 */
/* The remaining kinds of core/v1. */
#include "api/messages.h"

static const char *const protocol_words[] = {"TCP", "UDP", "SCTP", NULL};
static const char *const service_type_words[] = {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName", NULL};
static const char *const service_affinity_words[] = {"ClientIP", "None", NULL};
static const char *const service_external_traffic_policy_words[] = {"Cluster", "Local", NULL};
static const char *const ip_family_policy_words[] = {"SingleStack", "PreferDualStack", "RequireDualStack", NULL};
static const char *const service_internal_traffic_policy_words[] = {"Cluster", "Local", NULL};
static const char *const resource_quota_scope_words[] = {"Terminating",
							 "NotTerminating",
							 "BestEffort",
							 "NotBestEffort",
							 "PriorityClass",
							 "CrossNamespacePodAffinity",
							 "VolumeAttributesClass",
							 NULL};
static const char *const scope_selector_operator_words[] = {"In", "NotIn", "Exists", "DoesNotExist", NULL};

static const struct api_field namespace_spec[] = {
	{"finalizers", 1, STRING, LIST | ATOMIC, .initial = "[\"kubernetes\"]"},
	{0},
};
API_MESSAGE(namespace_spec, CORE_V1 "NamespaceSpec");

static const struct api_field namespace_condition[] = {
	{"type", 1, STRING},   {"status", 2, STRING},  {"lastTransitionTime", 4, TIME},
	{"reason", 5, STRING}, {"message", 6, STRING}, {0},
};
API_MESSAGE(namespace_condition, CORE_V1 "NamespaceCondition");

static const struct api_field namespace[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta,
	 .doc = "Name, labels and annotations. The label trust.bulkhead.dev/domain names the trust domain."},
	{"spec", 2, OBJECT, .of = &api_m_namespace_spec, .initial = "{}"},
	{"status", 3, OBJECT, .of = &api_m_namespace_status, .initial = "{}"},
	{0},
};
API_MESSAGE(namespace, CORE_V1 "Namespace", .fill = api_hook_namespace_fill,
	    .doc = "A name space for objects; it belongs to one trust domain.");

static const struct api_field secret[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta, .doc = "Name, namespace, labels and annotations."},
	{"immutable", 5, BOOL, POINTER, .doc = "The entries can never change."},
	{"data", 2, BYTES, MAP, .doc = "Entries as bytes, in base64."},
	{"stringData", 4, STRING, MAP, .doc = "Entries as text, for writing only."},
	{"type", 3, STRING, IMMUTABLE, .initial = "Opaque", .doc = "What the entries are for."},
	{0},
};
API_MESSAGE(secret, CORE_V1 "Secret", .fill = api_hook_secret_fill, .check = api_hook_data_check,
	    .doc = "Settings that are kept sealed, for pods to read.");

static const struct api_field config_map[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta, .doc = "Name, namespace, labels and annotations."},
	{"immutable", 4, BOOL, POINTER, .doc = "The entries can never change."},
	{"data", 2, STRING, MAP, .doc = "Entries as text."},
	{"binaryData", 3, BYTES, MAP, .doc = "Entries as bytes, in base64."},
	{0},
};
API_MESSAGE(config_map, CORE_V1 "ConfigMap", .check = api_hook_data_check,
	    .doc = "Settings as text, for pods to read.");

static const struct api_field object_reference[] = {
	{"kind", 1, STRING},       {"namespace", 2, STRING},       {"name", 3, STRING},      {"uid", 4, STRING},
	{"apiVersion", 5, STRING}, {"resourceVersion", 6, STRING}, {"fieldPath", 7, STRING}, {0},
};
API_MESSAGE(object_reference, CORE_V1 "ObjectReference");

static const struct api_field event_source[] = {
	{"component", 1, STRING},
	{"host", 2, STRING},
	{0},
};
API_MESSAGE(event_source, CORE_V1 "EventSource");

static const struct api_field event_series[] = {
	{"count", 1, INT32},
	{"lastObservedTime", 2, MICRO_TIME},
	{0},
};
API_MESSAGE(event_series, CORE_V1 "EventSeries");

static const struct api_field event[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta},
	{"involvedObject", 2, OBJECT, REQUIRED, .of = &api_m_object_reference},
	{"reason", 3, STRING},
	{"message", 4, STRING},
	{"source", 5, OBJECT, .of = &api_m_event_source},
	{"firstTimestamp", 6, TIME},
	{"lastTimestamp", 7, TIME},
	{"count", 8, INT32},
	{"type", 9, STRING},
	{"eventTime", 10, MICRO_TIME},
	{"series", 11, OBJECT, POINTER, .of = &api_m_event_series},
	{"action", 12, STRING},
	{"related", 13, OBJECT, POINTER, .of = &api_m_object_reference},
	{"reportingComponent", 14, STRING},
	{"reportingInstance", 15, STRING},
	{0},
};
API_MESSAGE(event, CORE_V1 "Event", .doc = "Something that happened to an object.");

static const struct api_field service_port[] = {
	{"name", 1, STRING, .check = API_CHECK_LABEL},
	{"protocol", 2, STRING, .words = protocol_words, .initial = "TCP"},
	{"appProtocol", 6, STRING, POINTER},
	{"port", 3, INT32, REQUIRED, .check = API_CHECK_PORT},
	{"targetPort", 4, INT_OR_STRING, .check = API_CHECK_PORT},
	{"nodePort", 5, INT32},
	{0},
};
API_MESSAGE(service_port, CORE_V1 "ServicePort", .fill = api_hook_service_port_fill);

static const struct api_field client_ip_config[] = {
	{"timeoutSeconds", 1, INT32, POINTER},
	{0},
};
API_MESSAGE(client_ip_config, CORE_V1 "ClientIPConfig");

static const struct api_field session_affinity_config[] = {
	{"clientIP", 1, OBJECT, POINTER, .of = &api_m_client_ip_config},
	{0},
};
API_MESSAGE(session_affinity_config, CORE_V1 "SessionAffinityConfig");

static const struct api_field service_spec[] = {
	{"ports", 1, OBJECT, LIST | MERGE, .of = &api_m_service_port, .merge_key = "port", .keys = "port,protocol"},
	{"selector", 2, STRING, MAP | ATOMIC, .check = API_CHECK_LABELS},
	{"clusterIP", 3, STRING},
	{"clusterIPs", 18, STRING, LIST | ATOMIC},
	{"type", 4, STRING, .words = service_type_words, .initial = "ClusterIP"},
	{"externalIPs", 5, STRING, LIST | ATOMIC},
	{"sessionAffinity", 7, STRING, .words = service_affinity_words, .initial = "None"},
	{"loadBalancerIP", 8, STRING},
	{"loadBalancerSourceRanges", 9, STRING, LIST | ATOMIC},
	{"externalName", 10, STRING},
	{"externalTrafficPolicy", 11, STRING, .words = service_external_traffic_policy_words},
	{"healthCheckNodePort", 12, INT32},
	{"publishNotReadyAddresses", 13, BOOL},
	{"sessionAffinityConfig", 14, OBJECT, POINTER, .of = &api_m_session_affinity_config},
	{"ipFamilies", 19, STRING, LIST | ATOMIC},
	{"ipFamilyPolicy", 17, STRING, POINTER, .words = ip_family_policy_words},
	{"allocateLoadBalancerNodePorts", 20, BOOL, POINTER},
	{"loadBalancerClass", 21, STRING, POINTER},
	{"internalTrafficPolicy", 22, STRING, POINTER, .words = service_internal_traffic_policy_words,
	 .initial = "Cluster"},
	{"trafficDistribution", 23, STRING, POINTER},
	{0},
};
API_MESSAGE(service_spec, CORE_V1 "ServiceSpec");

static const struct api_field load_balancer_ingress[] = {
	{"ip", 1, STRING},
	{"hostname", 2, STRING},
	{"ipMode", 3, STRING, POINTER},
	{"ports", 4, OBJECT, LIST | ATOMIC, .of = &api_m_port_status},
	{0},
};
API_MESSAGE(load_balancer_ingress, CORE_V1 "LoadBalancerIngress");

static const struct api_field service[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta},
	{"spec", 2, OBJECT, REQUIRED, .of = &api_m_service_spec},
	{"status", 3, OBJECT, .of = &api_m_service_status},
	{0},
};
API_MESSAGE(service, CORE_V1 "Service", .doc = "A name for a set of pods.");

static const struct api_field service_account[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta},
	{"secrets", 2, OBJECT, LIST | MERGE, .of = &api_m_object_reference, .merge_key = "name"},
	{"imagePullSecrets", 3, OBJECT, LIST | ATOMIC, .of = &api_m_local_object_reference},
	{"automountServiceAccountToken", 4, BOOL, POINTER},
	{0},
};
API_MESSAGE(service_account, CORE_V1 "ServiceAccount", .doc = "An identity for pods.");

static const struct api_field binding[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta},
	{"target", 2, OBJECT, REQUIRED | REQUIRED, .of = &api_m_object_reference},
	{0},
};
API_MESSAGE(binding, CORE_V1 "Binding", .doc = "The assignment of a pod to an instance.");

static const struct api_field scoped_resource_selector_requirement[] = {
	{"scopeName", 1, STRING, REQUIRED, .words = resource_quota_scope_words},
	{"operator", 2, STRING, REQUIRED, .words = scope_selector_operator_words},
	{"values", 3, STRING, LIST | ATOMIC},
	{0},
};
API_MESSAGE(scoped_resource_selector_requirement, CORE_V1 "ScopedResourceSelectorRequirement");

static const struct api_field scope_selector[] = {
	{"matchExpressions", 1, OBJECT, LIST | ATOMIC, .of = &api_m_scoped_resource_selector_requirement},
	{0},
};
API_MESSAGE(scope_selector, CORE_V1 "ScopeSelector");

static const struct api_field resource_quota_spec[] = {
	{"hard", 1, QUANTITY, MAP, .check = API_CHECK_NOT_NEGATIVE},
	{"scopes", 2, STRING, LIST | ATOMIC},
	{"scopeSelector", 3, OBJECT, POINTER, .of = &api_m_scope_selector},
	{0},
};
API_MESSAGE(resource_quota_spec, CORE_V1 "ResourceQuotaSpec");

static const struct api_field resource_quota[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta},
	{"spec", 2, OBJECT, .of = &api_m_resource_quota_spec},
	{"status", 3, OBJECT, .of = &api_m_resource_quota_status},
	{0},
};
API_MESSAGE(resource_quota, CORE_V1 "ResourceQuota", .doc = "The most that a namespace may use.");

static const struct api_field limit_range_item[] = {
	{"type", 1, STRING, REQUIRED},
	{"max", 2, QUANTITY, MAP},
	{"min", 3, QUANTITY, MAP},
	{"default", 4, QUANTITY, MAP},
	{"defaultRequest", 5, QUANTITY, MAP},
	{"maxLimitRequestRatio", 6, QUANTITY, MAP},
	{0},
};
API_MESSAGE(limit_range_item, CORE_V1 "LimitRangeItem");

static const struct api_field limit_range_spec[] = {
	{"limits", 1, OBJECT, LIST | REQUIRED | ATOMIC, .of = &api_m_limit_range_item},
	{0},
};
API_MESSAGE(limit_range_spec, CORE_V1 "LimitRangeSpec");

static const struct api_field limit_range[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta},
	{"spec", 2, OBJECT, .of = &api_m_limit_range_spec},
	{0},
};
API_MESSAGE(limit_range, CORE_V1 "LimitRange", .doc = "Defaults and bounds for each container of a namespace.");
