/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes. */
#include "api/messages.h"

static const char *const taint_effect_words[] = {"NoSchedule", "PreferNoSchedule", "NoExecute", NULL};

static const struct api_field taint[] = {
	{"key", 1, STRING, REQUIRED, .check = API_CHECK_LABEL_KEY},
	{"value", 2, STRING},
	{"effect", 3, STRING, REQUIRED, .words = taint_effect_words},
	{"timeAdded", 4, TIME, POINTER},
	{0},
};
API_MESSAGE(taint, CORE_V1 "Taint");

static const struct api_field config_map_node_config_source[] = {
	{"namespace", 1, STRING},
	{"name", 2, STRING},
	{"uid", 3, STRING},
	{"resourceVersion", 4, STRING},
	{"kubeletConfigKey", 5, STRING},
	{0},
};
API_MESSAGE(config_map_node_config_source, CORE_V1 "ConfigMapNodeConfigSource");

static const struct api_field node_config_source[] = {
	{"configMap", 2, OBJECT, POINTER, .of = &api_m_config_map_node_config_source},
	{0},
};
API_MESSAGE(node_config_source, CORE_V1 "NodeConfigSource");

static const struct api_field node_pod_preemption_policy[] = {
	{"disableResizePreemption", 1, STRING, LIST | SET},
	{0},
};
API_MESSAGE(node_pod_preemption_policy, CORE_V1 "NodePodPreemptionPolicy");

static const struct api_field node_spec[] = {
	{"podCIDR", 1, STRING},
	{"podCIDRs", 7, STRING, LIST | MERGE | SET},
	{"providerID", 3, STRING},
	{"unschedulable", 4, BOOL},
	{"taints", 5, OBJECT, LIST | ATOMIC, .of = &api_m_taint},
	{"configSource", 6, OBJECT, POINTER, .of = &api_m_node_config_source},
	{"externalID", 2, STRING},
	{"podPreemptionPolicy", 8, OBJECT, POINTER, .of = &api_m_node_pod_preemption_policy},
	{0},
};
API_MESSAGE(node_spec, CORE_V1 "NodeSpec");

static const struct api_field node_condition[] = {
	{"type", 1, STRING},
	{"status", 2, STRING},
	{"lastHeartbeatTime", 3, TIME},
	{"lastTransitionTime", 4, TIME},
	{"reason", 5, STRING},
	{"message", 6, STRING},
	{0},
};
API_MESSAGE(node_condition, CORE_V1 "NodeCondition");

static const struct api_field node_address[] = {
	{"type", 1, STRING},
	{"address", 2, STRING},
	{0},
};
API_MESSAGE(node_address, CORE_V1 "NodeAddress");

static const struct api_field daemon_endpoint[] = {
	{"Port", 1, INT32},
	{0},
};
API_MESSAGE(daemon_endpoint, CORE_V1 "DaemonEndpoint");

static const struct api_field node_daemon_endpoints[] = {
	{"kubeletEndpoint", 1, OBJECT, .of = &api_m_daemon_endpoint},
	{0},
};
API_MESSAGE(node_daemon_endpoints, CORE_V1 "NodeDaemonEndpoints");

static const struct api_field node_system_info[] = {
	{"machineID", 1, STRING},
	{"systemUUID", 2, STRING},
	{"bootID", 3, STRING},
	{"kernelVersion", 4, STRING},
	{"osImage", 5, STRING},
	{"containerRuntimeVersion", 6, STRING},
	{"kubeletVersion", 7, STRING},
	{"kubeProxyVersion", 8, STRING},
	{"operatingSystem", 9, STRING},
	{"architecture", 10, STRING},
	{"swap", 11, OBJECT, POINTER, .of = &api_m_node_swap_status},
	{0},
};
API_MESSAGE(node_system_info, CORE_V1 "NodeSystemInfo");

static const struct api_field attached_volume[] = {
	{"name", 1, STRING},
	{"devicePath", 2, STRING},
	{0},
};
API_MESSAGE(attached_volume, CORE_V1 "AttachedVolume");

static const struct api_field node_runtime_handler_features[] = {
	{"recursiveReadOnlyMounts", 1, BOOL, POINTER},
	{"userNamespaces", 2, BOOL, POINTER},
	{0},
};
API_MESSAGE(node_runtime_handler_features, CORE_V1 "NodeRuntimeHandlerFeatures");

static const struct api_field node_runtime_handler[] = {
	{"name", 1, STRING},
	{"features", 2, OBJECT, POINTER, .of = &api_m_node_runtime_handler_features},
	{0},
};
API_MESSAGE(node_runtime_handler, CORE_V1 "NodeRuntimeHandler");

static const struct api_field node_features[] = {
	{"supplementalGroupsPolicy", 1, BOOL, POINTER},
	{0},
};
API_MESSAGE(node_features, CORE_V1 "NodeFeatures");

static const struct api_field node[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta},
	{"spec", 2, OBJECT, .of = &api_m_node_spec},
	{"status", 3, OBJECT, .of = &api_m_node_status},
	{0},
};
API_MESSAGE(node, CORE_V1 "Node", .doc = "A CIS instance: where pods run.");
