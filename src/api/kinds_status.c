/* SPDX-License-Identifier: Apache-2.0 */
/* What the platform reports about pods, containers and services. */
#include "api/messages.h"

static const struct api_field namespace_status[] = {
	{"phase", 1, STRING, .initial = "Active"},
	{"conditions", 2, OBJECT, LIST | MERGE, .of = &api_m_namespace_condition, .merge_key = "type"},
	{0},
};
API_MESSAGE(namespace_status, CORE_V1 "NamespaceStatus");

static const struct api_field host_ip[] = {
	{"ip", 1, STRING},
	{0},
};
API_MESSAGE(host_ip, CORE_V1 "HostIP");

static const struct api_field image_volume_status[] = {
	{"imageRef", 1, STRING},
	{0},
};
API_MESSAGE(image_volume_status, CORE_V1 "ImageVolumeStatus");

static const struct api_field volume_status[] = {
	{"image", 1, OBJECT, POINTER, .of = &api_m_image_volume_status},
	{0},
};
API_MESSAGE(volume_status, CORE_V1 "VolumeStatus");

static const struct api_field volume_mount_status[] = {
	{"name", 1, STRING},
	{"mountPath", 2, STRING},
	{"readOnly", 3, BOOL},
	{"recursiveReadOnly", 4, STRING, POINTER},
	{"volumeStatus", 5, OBJECT, POINTER, .of = &api_m_volume_status},
	{0},
};
API_MESSAGE(volume_mount_status, CORE_V1 "VolumeMountStatus");

static const struct api_field linux_container_user[] = {
	{"uid", 1, INT64},
	{"gid", 2, INT64},
	{"supplementalGroups", 3, INT64, LIST | ATOMIC},
	{0},
};
API_MESSAGE(linux_container_user, CORE_V1 "LinuxContainerUser");

static const struct api_field resource_health[] = {
	{"resourceID", 1, STRING},
	{"health", 2, STRING},
	{"message", 6, STRING, POINTER},
	{0},
};
API_MESSAGE(resource_health, CORE_V1 "ResourceHealth");

static const struct api_field resource_status[] = {
	{"name", 1, STRING},
	{"resources", 2, OBJECT, LIST, .of = &api_m_resource_health, .keys = "resourceID"},
	{0},
};
API_MESSAGE(resource_status, CORE_V1 "ResourceStatus");

static const struct api_field node_swap_status[] = {
	{"capacity", 1, INT64, POINTER},
	{0},
};
API_MESSAGE(node_swap_status, CORE_V1 "NodeSwapStatus");

static const struct api_field node_config_status[] = {
	{"assigned", 1, OBJECT, POINTER, .of = &api_m_node_config_source},
	{"active", 2, OBJECT, POINTER, .of = &api_m_node_config_source},
	{"lastKnownGood", 3, OBJECT, POINTER, .of = &api_m_node_config_source},
	{"error", 4, STRING},
	{0},
};
API_MESSAGE(node_config_status, CORE_V1 "NodeConfigStatus");

static const struct api_field node_status[] = {
	{"capacity", 1, QUANTITY, MAP},
	{"allocatable", 2, QUANTITY, MAP},
	{"phase", 3, STRING},
	{"conditions", 4, OBJECT, LIST | MERGE, .of = &api_m_node_condition, .merge_key = "type"},
	{"addresses", 5, OBJECT, LIST | MERGE, .of = &api_m_node_address, .merge_key = "type"},
	{"daemonEndpoints", 6, OBJECT, .of = &api_m_node_daemon_endpoints},
	{"nodeInfo", 7, OBJECT, .of = &api_m_node_system_info},
	{"images", 8, OBJECT, LIST | ATOMIC, .of = &api_m_container_image},
	{"volumesInUse", 9, STRING, LIST | ATOMIC},
	{"volumesAttached", 10, OBJECT, LIST | ATOMIC, .of = &api_m_attached_volume},
	{"config", 11, OBJECT, POINTER, .of = &api_m_node_config_status},
	{"runtimeHandlers", 12, OBJECT, LIST | ATOMIC, .of = &api_m_node_runtime_handler},
	{"features", 13, OBJECT, POINTER, .of = &api_m_node_features},
	{0},
};
API_MESSAGE(node_status, CORE_V1 "NodeStatus", .doc = "What the instance reports.");

static const struct api_field port_status[] = {
	{"port", 1, INT32},
	{"protocol", 2, STRING},
	{"error", 3, STRING, POINTER},
	{0},
};
API_MESSAGE(port_status, CORE_V1 "PortStatus");

static const struct api_field load_balancer_status[] = {
	{"ingress", 1, OBJECT, LIST | ATOMIC, .of = &api_m_load_balancer_ingress},
	{0},
};
API_MESSAGE(load_balancer_status, CORE_V1 "LoadBalancerStatus");

static const struct api_field service_status[] = {
	{"loadBalancer", 1, OBJECT, .of = &api_m_load_balancer_status},
	{"conditions", 2, OBJECT, LIST | MERGE, .of = &api_m_condition, .merge_key = "type"},
	{0},
};
API_MESSAGE(service_status, CORE_V1 "ServiceStatus");

static const struct api_field resource_quota_status[] = {
	{"hard", 1, QUANTITY, MAP},
	{"used", 2, QUANTITY, MAP},
	{0},
};
API_MESSAGE(resource_quota_status, CORE_V1 "ResourceQuotaStatus");

static const struct api_field subject_access_review_status[] = {
	{"allowed", 1, BOOL}, {"denied", 4, BOOL}, {"reason", 2, STRING}, {"evaluationError", 3, STRING}, {0},
};
API_MESSAGE(subject_access_review_status, AUTHORIZATION_V1 "SubjectAccessReviewStatus");

static const struct api_field self_subject_review_status[] = {
	{"userInfo", 1, OBJECT, .of = &api_m_user_info},
	{0},
};
API_MESSAGE(self_subject_review_status, AUTHENTICATION_V1 "SelfSubjectReviewStatus");
