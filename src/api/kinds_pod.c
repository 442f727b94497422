/* SPDX-License-Identifier: Apache-2.0 */
/* Pods: the specification, affinity, tolerations. */
#include "api/messages.h"

static const char *const supplemental_groups_policy_words[] = {"Merge", "Strict", NULL};
static const char *const pod_fs_group_change_policy_words[] = {"OnRootMismatch", "Always", NULL};
static const char *const node_selector_operator_words[] = {"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt", NULL};
static const char *const toleration_operator_words[] = {"Exists", "Equal", "Lt", "Gt", NULL};
static const char *const taint_effect_words[] = {"NoSchedule", "PreferNoSchedule", "NoExecute", NULL};
static const char *const unsatisfiable_constraint_action_words[] = {"DoNotSchedule", "ScheduleAnyway", NULL};
static const char *const node_inclusion_policy_words[] = {"Ignore", "Honor", NULL};
static const char *const restart_policy_words[] = {"Always", "OnFailure", "Never", NULL};
static const char *const dns_policy_words[] = {"ClusterFirstWithHostNet", "ClusterFirst", "Default", "None", NULL};
static const char *const preemption_policy_words[] = {"PreemptLowerPriority", "Never", NULL};

static const struct api_field sysctl[] = {
	{"name", 1, STRING, REQUIRED, .check = API_CHECK_SYSCTL},
	{"value", 2, STRING, REQUIRED},
	{0},
};
API_MESSAGE(sysctl, CORE_V1 "Sysctl");

static const struct api_field pod_security_context[] = {
	{"seLinuxOptions", 1, OBJECT, POINTER, .of = &api_m_se_linux_options},
	{"windowsOptions", 8, OBJECT, POINTER, .of = &api_m_windows_security_context_options},
	{"runAsUser", 2, INT64, POINTER, .check = API_CHECK_ID},
	{"runAsGroup", 6, INT64, POINTER, .check = API_CHECK_ID},
	{"runAsNonRoot", 3, BOOL, POINTER},
	{"supplementalGroups", 4, INT64, LIST | ATOMIC, .check = API_CHECK_ID},
	{"supplementalGroupsPolicy", 12, STRING, POINTER, .words = supplemental_groups_policy_words},
	{"fsGroup", 5, INT64, POINTER, .check = API_CHECK_ID},
	{"sysctls", 7, OBJECT, LIST | ATOMIC, .of = &api_m_sysctl},
	{"fsGroupChangePolicy", 9, STRING, POINTER, .words = pod_fs_group_change_policy_words},
	{"seccompProfile", 10, OBJECT, POINTER, .of = &api_m_seccomp_profile},
	{"appArmorProfile", 11, OBJECT, POINTER, .of = &api_m_app_armor_profile},
	{"seLinuxChangePolicy", 13, STRING, POINTER},
	{0},
};
API_MESSAGE(pod_security_context, CORE_V1 "PodSecurityContext",
	    .doc = "What all containers of the pod may do, unless they say otherwise.");

static const struct api_field node_selector_requirement[] = {
	{"key", 1, STRING, REQUIRED, .check = API_CHECK_LABEL_KEY},
	{"operator", 2, STRING, REQUIRED, .words = node_selector_operator_words},
	{"values", 3, STRING, LIST | ATOMIC},
	{0},
};
API_MESSAGE(node_selector_requirement, CORE_V1 "NodeSelectorRequirement", .check = api_hook_requirement_check);

static const struct api_field node_selector_term[] = {
	{"matchExpressions", 1, OBJECT, LIST | ATOMIC, .of = &api_m_node_selector_requirement},
	{"matchFields", 2, OBJECT, LIST | ATOMIC, .of = &api_m_node_selector_requirement},
	{0},
};
API_MESSAGE(node_selector_term, CORE_V1 "NodeSelectorTerm");

static const struct api_field node_selector[] = {
	{"nodeSelectorTerms", 1, OBJECT, LIST | REQUIRED | ATOMIC, .of = &api_m_node_selector_term},
	{0},
};
API_MESSAGE(node_selector, CORE_V1 "NodeSelector");

static const struct api_field preferred_scheduling_term[] = {
	{"weight", 1, INT32, REQUIRED, .check = API_CHECK_WEIGHT},
	{"preference", 2, OBJECT, REQUIRED, .of = &api_m_node_selector_term},
	{0},
};
API_MESSAGE(preferred_scheduling_term, CORE_V1 "PreferredSchedulingTerm");

static const struct api_field node_affinity[] = {
	{"requiredDuringSchedulingIgnoredDuringExecution", 1, OBJECT, POINTER, .of = &api_m_node_selector},
	{"preferredDuringSchedulingIgnoredDuringExecution", 2, OBJECT, LIST | ATOMIC,
	 .of = &api_m_preferred_scheduling_term},
	{0},
};
API_MESSAGE(node_affinity, CORE_V1 "NodeAffinity");

static const struct api_field pod_affinity_term[] = {
	{"labelSelector", 1, OBJECT, POINTER, .of = &api_m_label_selector},
	{"namespaces", 2, STRING, LIST | ATOMIC},
	{"topologyKey", 3, STRING, REQUIRED, .check = API_CHECK_LABEL_KEY},
	{"namespaceSelector", 4, OBJECT, POINTER, .of = &api_m_label_selector},
	{"matchLabelKeys", 5, STRING, LIST | ATOMIC},
	{"mismatchLabelKeys", 6, STRING, LIST | ATOMIC},
	{0},
};
API_MESSAGE(pod_affinity_term, CORE_V1 "PodAffinityTerm");

static const struct api_field weighted_pod_affinity_term[] = {
	{"weight", 1, INT32, REQUIRED, .check = API_CHECK_WEIGHT},
	{"podAffinityTerm", 2, OBJECT, REQUIRED, .of = &api_m_pod_affinity_term},
	{0},
};
API_MESSAGE(weighted_pod_affinity_term, CORE_V1 "WeightedPodAffinityTerm");

static const struct api_field pod_affinity[] = {
	{"requiredDuringSchedulingIgnoredDuringExecution", 1, OBJECT, LIST | ATOMIC, .of = &api_m_pod_affinity_term},
	{"preferredDuringSchedulingIgnoredDuringExecution", 2, OBJECT, LIST | ATOMIC,
	 .of = &api_m_weighted_pod_affinity_term},
	{0},
};
API_MESSAGE(pod_affinity, CORE_V1 "PodAffinity");

static const struct api_field pod_anti_affinity[] = {
	{"requiredDuringSchedulingIgnoredDuringExecution", 1, OBJECT, LIST | ATOMIC, .of = &api_m_pod_affinity_term},
	{"preferredDuringSchedulingIgnoredDuringExecution", 2, OBJECT, LIST | ATOMIC,
	 .of = &api_m_weighted_pod_affinity_term},
	{0},
};
API_MESSAGE(pod_anti_affinity, CORE_V1 "PodAntiAffinity");

static const struct api_field affinity[] = {
	{"nodeAffinity", 1, OBJECT, POINTER, .of = &api_m_node_affinity},
	{"podAffinity", 2, OBJECT, POINTER, .of = &api_m_pod_affinity},
	{"podAntiAffinity", 3, OBJECT, POINTER, .of = &api_m_pod_anti_affinity},
	{0},
};
API_MESSAGE(affinity, CORE_V1 "Affinity", .doc = "Where the pod should or must be, or not be.");

static const struct api_field toleration[] = {
	{"key", 1, STRING, .check = API_CHECK_LABEL_KEY},
	{"operator", 2, STRING, .words = toleration_operator_words},
	{"value", 3, STRING},
	{"effect", 4, STRING, .words = taint_effect_words},
	{"tolerationSeconds", 5, INT64, POINTER},
	{0},
};
API_MESSAGE(toleration, CORE_V1 "Toleration", .check = api_hook_toleration_check,
	    .doc = "A taint that does not keep the pod away.");

static const struct api_field host_alias[] = {
	{"ip", 1, STRING, REQUIRED, .check = API_CHECK_IP},
	{"hostnames", 2, STRING, LIST | ATOMIC},
	{0},
};
API_MESSAGE(host_alias, CORE_V1 "HostAlias");

static const struct api_field pod_dns_config_option[] = {
	{"name", 1, STRING},
	{"value", 2, STRING, POINTER},
	{0},
};
API_MESSAGE(pod_dns_config_option, CORE_V1 "PodDNSConfigOption");

static const struct api_field pod_dns_config[] = {
	{"nameservers", 1, STRING, LIST | ATOMIC, .check = API_CHECK_IP},
	{"searches", 2, STRING, LIST | ATOMIC},
	{"options", 3, OBJECT, LIST | ATOMIC, .of = &api_m_pod_dns_config_option},
	{0},
};
API_MESSAGE(pod_dns_config, CORE_V1 "PodDNSConfig");

static const struct api_field pod_readiness_gate[] = {
	{"conditionType", 1, STRING, REQUIRED},
	{0},
};
API_MESSAGE(pod_readiness_gate, CORE_V1 "PodReadinessGate");

static const struct api_field topology_spread_constraint[] = {
	{"maxSkew", 1, INT32, REQUIRED, .check = API_CHECK_POSITIVE},
	{"topologyKey", 2, STRING, REQUIRED, .check = API_CHECK_LABEL_KEY},
	{"whenUnsatisfiable", 3, STRING, REQUIRED, .words = unsatisfiable_constraint_action_words},
	{"labelSelector", 4, OBJECT, POINTER, .of = &api_m_label_selector},
	{"minDomains", 5, INT32, POINTER},
	{"nodeAffinityPolicy", 6, STRING, POINTER, .words = node_inclusion_policy_words},
	{"nodeTaintsPolicy", 7, STRING, POINTER, .words = node_inclusion_policy_words},
	{"matchLabelKeys", 8, STRING, LIST | ATOMIC},
	{0},
};
API_MESSAGE(topology_spread_constraint, CORE_V1 "TopologySpreadConstraint");

static const struct api_field pod_os[] = {
	{"name", 1, STRING, REQUIRED},
	{0},
};
API_MESSAGE(pod_os, CORE_V1 "PodOS");

static const struct api_field pod_scheduling_gate[] = {
	{"name", 1, STRING, REQUIRED},
	{0},
};
API_MESSAGE(pod_scheduling_gate, CORE_V1 "PodSchedulingGate");

static const struct api_field pod_resource_claim[] = {
	{"name", 1, STRING, REQUIRED},
	{"resourceClaimName", 3, STRING, POINTER},
	{"resourceClaimTemplateName", 4, STRING, POINTER},
	{0},
};
API_MESSAGE(pod_resource_claim, CORE_V1 "PodResourceClaim");

static const struct api_field pod_spec[] = {
	{"volumes", 1, OBJECT, LIST | MERGE | RETAIN, .of = &api_m_volume, .merge_key = "name",
	 .check = API_CHECK_UNIQUE, .doc = "Folders that the containers can mount."},
	{"initContainers", 20, OBJECT, LIST | MERGE, .of = &api_m_container, .merge_key = "name",
	 .check = API_CHECK_UNIQUE, .doc = "Run one after the other, each to its end, before the containers start."},
	{"containers", 2, OBJECT, LIST | REQUIRED | MERGE, .of = &api_m_container, .merge_key = "name",
	 .check = API_CHECK_UNIQUE, .doc = "The containers; they start together."},
	{"ephemeralContainers", 34, OBJECT, LIST | MERGE, .of = &api_m_ephemeral_container, .merge_key = "name",
	 .doc = "Containers added later to look into a running pod."},
	{"restartPolicy", 3, STRING, .words = restart_policy_words, .initial = "Always",
	 .doc = "Whether containers that ended start again: Always, OnFailure or Never."},
	{"terminationGracePeriodSeconds", 4, INT64, POINTER, .initial = "30", .check = API_CHECK_NOT_NEGATIVE,
	 .doc = "How long containers may take to end when asked, before they are killed."},
	{"activeDeadlineSeconds", 5, INT64, POINTER, .check = API_CHECK_POSITIVE,
	 .doc = "How long the pod may run at all."},
	{"dnsPolicy", 6, STRING, .words = dns_policy_words, .initial = "ClusterFirst",
	 .doc = "Where names are looked up."},
	{"nodeSelector", 7, STRING, MAP | ATOMIC, .check = API_CHECK_LABELS,
	 .doc = "Labels that the instance must have."},
	{"serviceAccountName", 8, STRING, .check = API_CHECK_SUBDOMAIN, .doc = "The identity of the pod."},
	{"serviceAccount", 9, STRING},
	{"automountServiceAccountToken", 21, BOOL, POINTER},
	{"nodeName", 10, STRING, .check = API_CHECK_SUBDOMAIN,
	 .doc = "The instance the pod is bound to; written by the platform."},
	{"hostNetwork", 11, BOOL, .doc = "Use the network of the host."},
	{"hostPID", 12, BOOL, .doc = "See the processes of the host."},
	{"hostIPC", 13, BOOL, .doc = "Share memory with the host."},
	{"shareProcessNamespace", 27, BOOL, POINTER, .doc = "One process namespace for all containers of the pod."},
	{"securityContext", 14, OBJECT, POINTER, .of = &api_m_pod_security_context, .initial = "{}",
	 .doc = "What all containers may do, unless they say otherwise."},
	{"imagePullSecrets", 15, OBJECT, LIST | MERGE, .of = &api_m_local_object_reference, .merge_key = "name",
	 .doc = "Secrets to pull images with."},
	{"hostname", 16, STRING, .check = API_CHECK_LABEL, .doc = "The host name in the pod; its name when absent."},
	{"subdomain", 17, STRING, .check = API_CHECK_LABEL},
	{"affinity", 18, OBJECT, POINTER, .of = &api_m_affinity, .doc = "Where the pod should or must be, or not be."},
	{"schedulerName", 19, STRING, .initial = "default-scheduler", .doc = "Who places the pod."},
	{"tolerations", 22, OBJECT, LIST | ATOMIC, .of = &api_m_toleration,
	 .doc = "Taints that do not keep the pod away."},
	{"hostAliases", 23, OBJECT, LIST | MERGE, .of = &api_m_host_alias, .merge_key = "ip",
	 .doc = "Further lines of /etc/hosts."},
	{"priorityClassName", 24, STRING, .check = API_CHECK_SUBDOMAIN},
	{"priority", 25, INT32, POINTER},
	{"dnsConfig", 26, OBJECT, POINTER, .of = &api_m_pod_dns_config},
	{"readinessGates", 28, OBJECT, LIST | ATOMIC, .of = &api_m_pod_readiness_gate},
	{"runtimeClassName", 29, STRING, POINTER, .check = API_CHECK_SUBDOMAIN,
	 .doc = "How the pod is isolated, by name."},
	{"enableServiceLinks", 30, BOOL, POINTER, .initial = "true"},
	{"preemptionPolicy", 31, STRING, POINTER, .words = preemption_policy_words},
	{"overhead", 32, QUANTITY, MAP, .doc = "Resources for the isolation itself."},
	{"topologySpreadConstraints", 33, OBJECT, LIST | MERGE, .of = &api_m_topology_spread_constraint,
	 .merge_key = "topologyKey", .keys = "topologyKey,whenUnsatisfiable",
	 .doc = "How pods are spread over the instances."},
	{"setHostnameAsFQDN", 35, BOOL, POINTER},
	{"os", 36, OBJECT, POINTER, .of = &api_m_pod_os},
	{"hostUsers", 37, BOOL, POINTER, .doc = "Use the users of the host."},
	{"schedulingGates", 38, OBJECT, LIST | MERGE, .of = &api_m_pod_scheduling_gate, .merge_key = "name"},
	{"resourceClaims", 39, OBJECT, LIST | MERGE | RETAIN, .of = &api_m_pod_resource_claim, .merge_key = "name"},
	{"resources", 40, OBJECT, POINTER, .of = &api_m_resource_requirements},
	{0},
};
API_MESSAGE(pod_spec, CORE_V1 "PodSpec", .check = api_hook_pod_spec_check, .doc = "What the pod is to be.");

static const struct api_field pod_condition[] = {
	{"type", 1, STRING},
	{"observedGeneration", 7, INT64},
	{"status", 2, STRING},
	{"lastProbeTime", 3, TIME},
	{"lastTransitionTime", 4, TIME},
	{"reason", 5, STRING},
	{"message", 6, STRING},
	{0},
};
API_MESSAGE(pod_condition, CORE_V1 "PodCondition");

static const struct api_field pod_ip[] = {
	{"ip", 1, STRING},
	{0},
};
API_MESSAGE(pod_ip, CORE_V1 "PodIP");

static const struct api_field pod_resource_claim_status[] = {
	{"name", 1, STRING},
	{"resourceClaimName", 2, STRING, POINTER},
	{0},
};
API_MESSAGE(pod_resource_claim_status, CORE_V1 "PodResourceClaimStatus");

static const struct api_field pod_status[] = {
	{"observedGeneration", 17, INT64},
	{"phase", 1, STRING, .initial = "Pending"},
	{"conditions", 2, OBJECT, LIST | MERGE, .of = &api_m_pod_condition, .merge_key = "type"},
	{"message", 3, STRING},
	{"reason", 4, STRING},
	{"nominatedNodeName", 11, STRING},
	{"hostIP", 5, STRING},
	{"hostIPs", 16, OBJECT, LIST | MERGE | ATOMIC, .of = &api_m_host_ip, .merge_key = "ip"},
	{"podIP", 6, STRING},
	{"podIPs", 12, OBJECT, LIST | MERGE, .of = &api_m_pod_ip, .merge_key = "ip"},
	{"startTime", 7, TIME, POINTER},
	{"initContainerStatuses", 10, OBJECT, LIST | ATOMIC, .of = &api_m_container_status},
	{"containerStatuses", 8, OBJECT, LIST | ATOMIC, .of = &api_m_container_status},
	{"qosClass", 9, STRING},
	{"ephemeralContainerStatuses", 13, OBJECT, LIST | ATOMIC, .of = &api_m_container_status},
	{"resize", 14, STRING},
	{"resourceClaimStatuses", 15, OBJECT, LIST | MERGE | RETAIN, .of = &api_m_pod_resource_claim_status,
	 .merge_key = "name"},
	{0},
};
API_MESSAGE(pod_status, CORE_V1 "PodStatus", .doc = "What the platform observed of the pod.");

static const struct api_field pod[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta, .doc = "Name, namespace, labels and annotations."},
	{"spec", 2, OBJECT, REQUIRED, .of = &api_m_pod_spec, .doc = "What the pod is to be."},
	{"status", 3, OBJECT, .of = &api_m_pod_status, .initial = "{}", .doc = "What the platform observed of it."},
	{0},
};
API_MESSAGE(pod, CORE_V1 "Pod", .doc = "A set of containers that start, move and end together on one instance.");
