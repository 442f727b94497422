/* SPDX-License-Identifier: Apache-2.0 */
/* Only for the tables: short words for their rows, and the messages that several of them use. */
#ifndef API_MESSAGES_H
#define API_MESSAGES_H

#include "api/schema.h"

#define STRING API_STRING
#define BOOL API_BOOL
#define INT32 API_INT32
#define INT64 API_INT64
#define BYTES API_BYTES
#define TIME API_TIME
#define MICRO_TIME API_MICRO_TIME
#define QUANTITY API_QUANTITY
#define INT_OR_STRING API_INT_OR_STRING
#define OBJECT API_OBJECT
#define ANY API_ANY

#define LIST API_LIST
#define MAP API_MAP
#define POINTER API_POINTER
#define REQUIRED API_REQUIRED
#define INLINE API_INLINE
#define MERGE API_MERGE
#define RETAIN API_RETAIN
#define ATOMIC API_ATOMIC
#define SET API_SET
#define UNION API_UNION
#define IMMUTABLE API_IMMUTABLE

#define META_V1 "io.k8s.apimachinery.pkg.apis.meta.v1."
#define CORE_V1 "io.k8s.api.core.v1."
#define POLICY_V1 "io.k8s.api.policy.v1."
#define COORDINATION_V1 "io.k8s.api.coordination.v1."
#define SCHEDULING_V1 "io.k8s.api.scheduling.v1."
#define AUTHORIZATION_V1 "io.k8s.api.authorization.v1."
#define AUTHENTICATION_V1 "io.k8s.api.authentication.v1."
#define TRUST_V1 "dev.bulkhead.trust.v1."

/* Makes api_m_NAME from the rows NAME[]; further members may follow. */
#define API_MESSAGE(rows, full_name, ...) const struct api_message api_m_##rows = {full_name, rows, ##__VA_ARGS__}

extern const struct api_message api_m_object_meta;
extern const struct api_message api_m_owner_reference;
extern const struct api_message api_m_list_meta;
extern const struct api_message api_m_label_selector;
extern const struct api_message api_m_condition;
extern const struct api_message api_m_namespace_spec;
extern const struct api_message api_m_namespace_condition;
extern const struct api_message api_m_namespace_status;
extern const struct api_message api_m_namespace;
extern const struct api_message api_m_host_path_volume_source;
extern const struct api_message api_m_empty_dir_volume_source;
extern const struct api_message api_m_gce_persistent_disk_volume_source;
extern const struct api_message api_m_aws_elastic_block_store_volume_source;
extern const struct api_message api_m_git_repo_volume_source;
extern const struct api_message api_m_key_to_path;
extern const struct api_message api_m_secret_volume_source;
extern const struct api_message api_m_nfs_volume_source;
extern const struct api_message api_m_local_object_reference;
extern const struct api_message api_m_iscsi_volume_source;
extern const struct api_message api_m_glusterfs_volume_source;
extern const struct api_message api_m_persistent_volume_claim_volume_source;
extern const struct api_message api_m_rbd_volume_source;
extern const struct api_message api_m_flex_volume_source;
extern const struct api_message api_m_cinder_volume_source;
extern const struct api_message api_m_ceph_fs_volume_source;
extern const struct api_message api_m_flocker_volume_source;
extern const struct api_message api_m_object_field_selector;
extern const struct api_message api_m_resource_field_selector;
extern const struct api_message api_m_downward_api_volume_file;
extern const struct api_message api_m_downward_api_volume_source;
extern const struct api_message api_m_fc_volume_source;
extern const struct api_message api_m_azure_file_volume_source;
extern const struct api_message api_m_config_map_volume_source;
extern const struct api_message api_m_vsphere_virtual_disk_volume_source;
extern const struct api_message api_m_quobyte_volume_source;
extern const struct api_message api_m_azure_disk_volume_source;
extern const struct api_message api_m_photon_persistent_disk_volume_source;
extern const struct api_message api_m_secret_projection;
extern const struct api_message api_m_downward_api_projection;
extern const struct api_message api_m_config_map_projection;
extern const struct api_message api_m_service_account_token_projection;
extern const struct api_message api_m_cluster_trust_bundle_projection;
extern const struct api_message api_m_volume_projection;
extern const struct api_message api_m_projected_volume_source;
extern const struct api_message api_m_portworx_volume_source;
extern const struct api_message api_m_scale_io_volume_source;
extern const struct api_message api_m_storage_os_volume_source;
extern const struct api_message api_m_csi_volume_source;
extern const struct api_message api_m_volume_resource_requirements;
extern const struct api_message api_m_typed_local_object_reference;
extern const struct api_message api_m_typed_object_reference;
extern const struct api_message api_m_persistent_volume_claim_spec;
extern const struct api_message api_m_persistent_volume_claim_template;
extern const struct api_message api_m_ephemeral_volume_source;
extern const struct api_message api_m_image_volume_source;
extern const struct api_message api_m_volume_source;
extern const struct api_message api_m_volume;
extern const struct api_message api_m_container_port;
extern const struct api_message api_m_config_map_env_source;
extern const struct api_message api_m_secret_env_source;
extern const struct api_message api_m_env_from_source;
extern const struct api_message api_m_config_map_key_selector;
extern const struct api_message api_m_secret_key_selector;
extern const struct api_message api_m_env_var_source;
extern const struct api_message api_m_env_var;
extern const struct api_message api_m_resource_claim;
extern const struct api_message api_m_resource_requirements;
extern const struct api_message api_m_container_resize_policy;
extern const struct api_message api_m_volume_mount;
extern const struct api_message api_m_volume_device;
extern const struct api_message api_m_exec_action;
extern const struct api_message api_m_http_header;
extern const struct api_message api_m_http_get_action;
extern const struct api_message api_m_tcp_socket_action;
extern const struct api_message api_m_grpc_action;
extern const struct api_message api_m_probe_handler;
extern const struct api_message api_m_probe;
extern const struct api_message api_m_sleep_action;
extern const struct api_message api_m_lifecycle_handler;
extern const struct api_message api_m_lifecycle;
extern const struct api_message api_m_capabilities;
extern const struct api_message api_m_se_linux_options;
extern const struct api_message api_m_windows_security_context_options;
extern const struct api_message api_m_seccomp_profile;
extern const struct api_message api_m_app_armor_profile;
extern const struct api_message api_m_security_context;
extern const struct api_message api_m_container;
extern const struct api_message api_m_ephemeral_container_common;
extern const struct api_message api_m_ephemeral_container;
extern const struct api_message api_m_sysctl;
extern const struct api_message api_m_pod_security_context;
extern const struct api_message api_m_node_selector_requirement;
extern const struct api_message api_m_node_selector_term;
extern const struct api_message api_m_node_selector;
extern const struct api_message api_m_preferred_scheduling_term;
extern const struct api_message api_m_node_affinity;
extern const struct api_message api_m_pod_affinity_term;
extern const struct api_message api_m_weighted_pod_affinity_term;
extern const struct api_message api_m_pod_affinity;
extern const struct api_message api_m_pod_anti_affinity;
extern const struct api_message api_m_affinity;
extern const struct api_message api_m_toleration;
extern const struct api_message api_m_host_alias;
extern const struct api_message api_m_pod_dns_config_option;
extern const struct api_message api_m_pod_dns_config;
extern const struct api_message api_m_pod_readiness_gate;
extern const struct api_message api_m_topology_spread_constraint;
extern const struct api_message api_m_pod_os;
extern const struct api_message api_m_pod_scheduling_gate;
extern const struct api_message api_m_pod_resource_claim;
extern const struct api_message api_m_pod_spec;
extern const struct api_message api_m_pod_condition;
extern const struct api_message api_m_host_ip;
extern const struct api_message api_m_pod_ip;
extern const struct api_message api_m_container_state_waiting;
extern const struct api_message api_m_container_state_running;
extern const struct api_message api_m_container_state_terminated;
extern const struct api_message api_m_container_state;
extern const struct api_message api_m_image_volume_status;
extern const struct api_message api_m_volume_status;
extern const struct api_message api_m_volume_mount_status;
extern const struct api_message api_m_linux_container_user;
extern const struct api_message api_m_container_user;
extern const struct api_message api_m_resource_health;
extern const struct api_message api_m_resource_status;
extern const struct api_message api_m_container_status;
extern const struct api_message api_m_pod_resource_claim_status;
extern const struct api_message api_m_pod_status;
extern const struct api_message api_m_pod;
extern const struct api_message api_m_taint;
extern const struct api_message api_m_config_map_node_config_source;
extern const struct api_message api_m_node_config_source;
extern const struct api_message api_m_node_pod_preemption_policy;
extern const struct api_message api_m_node_spec;
extern const struct api_message api_m_node_condition;
extern const struct api_message api_m_node_address;
extern const struct api_message api_m_daemon_endpoint;
extern const struct api_message api_m_node_daemon_endpoints;
extern const struct api_message api_m_node_swap_status;
extern const struct api_message api_m_node_system_info;
extern const struct api_message api_m_container_image;
extern const struct api_message api_m_attached_volume;
extern const struct api_message api_m_node_config_status;
extern const struct api_message api_m_node_runtime_handler_features;
extern const struct api_message api_m_node_runtime_handler;
extern const struct api_message api_m_node_features;
extern const struct api_message api_m_node_status;
extern const struct api_message api_m_node;
extern const struct api_message api_m_secret;
extern const struct api_message api_m_config_map;
extern const struct api_message api_m_object_reference;
extern const struct api_message api_m_event_source;
extern const struct api_message api_m_event_series;
extern const struct api_message api_m_event;
extern const struct api_message api_m_service_port;
extern const struct api_message api_m_client_ip_config;
extern const struct api_message api_m_session_affinity_config;
extern const struct api_message api_m_service_spec;
extern const struct api_message api_m_port_status;
extern const struct api_message api_m_load_balancer_ingress;
extern const struct api_message api_m_load_balancer_status;
extern const struct api_message api_m_service_status;
extern const struct api_message api_m_service;
extern const struct api_message api_m_service_account;
extern const struct api_message api_m_binding;
extern const struct api_message api_m_scoped_resource_selector_requirement;
extern const struct api_message api_m_scope_selector;
extern const struct api_message api_m_resource_quota_spec;
extern const struct api_message api_m_resource_quota_status;
extern const struct api_message api_m_resource_quota;
extern const struct api_message api_m_limit_range_item;
extern const struct api_message api_m_limit_range_spec;
extern const struct api_message api_m_limit_range;
extern const struct api_message api_m_lease_spec;
extern const struct api_message api_m_lease;
extern const struct api_message api_m_priority_class;
extern const struct api_message api_m_field_selector_attributes;
extern const struct api_message api_m_label_selector_attributes;
extern const struct api_message api_m_resource_attributes;
extern const struct api_message api_m_non_resource_attributes;
extern const struct api_message api_m_self_subject_access_review_spec;
extern const struct api_message api_m_subject_access_review_status;
extern const struct api_message api_m_self_subject_access_review;
extern const struct api_message api_m_resource_rule;
extern const struct api_message api_m_non_resource_rule;
extern const struct api_message api_m_subject_rules_review_status;
extern const struct api_message api_m_self_subject_rules_review_spec;
extern const struct api_message api_m_self_subject_rules_review;
extern const struct api_message api_m_user_info;
extern const struct api_message api_m_self_subject_review_status;
extern const struct api_message api_m_self_subject_review;
extern const struct api_message api_m_managed_fields_entry;
extern const struct api_message api_m_label_selector_requirement;
extern const struct api_message api_m_field_selector_requirement;
extern const struct api_message api_m_preconditions;
extern const struct api_message api_m_delete_options;
extern const struct api_message api_m_eviction;
extern const struct api_message api_m_status_cause;
extern const struct api_message api_m_status_details;
extern const struct api_message api_m_status;
extern const struct api_message api_m_separation_peer;
extern const struct api_message api_m_separation_rule;
extern const struct api_message api_m_interface_peer;
extern const struct api_message api_m_interface_port;
extern const struct api_message api_m_declared_interface;
extern const struct api_message api_m_sub_function;
extern const struct api_message api_m_cache_rule;
extern const struct api_message api_m_ceiling;
extern const struct api_message api_m_trust_domain_spec;
extern const struct api_message api_m_trust_domain_status;
extern const struct api_message api_m_trust_domain;
extern const struct api_message api_m_quarantine_spec;
extern const struct api_message api_m_quarantined_instance;
extern const struct api_message api_m_quarantine_status;
extern const struct api_message api_m_quarantine;
extern const struct api_message api_m_image_policy_spec;
extern const struct api_message api_m_image_policy;
extern const struct api_message api_m_join_token_spec;
extern const struct api_message api_m_join_token_status;
extern const struct api_message api_m_join_token;

/* Rules that concern several fields (hooks.c, podhooks.c). */
void api_hook_pod_update(struct api_faults *faults, const json_t *object, const json_t *old);
void api_hook_data_update(struct api_faults *faults, const json_t *object, const json_t *old);
void api_hook_cache_rule_check(struct api_faults *faults, const struct api_place *at, const json_t *object);
void api_hook_sub_function_check(struct api_faults *faults, const struct api_place *at, const json_t *object);
int api_hook_container_fill(json_t *object);
void api_hook_data_check(struct api_faults *faults, const struct api_place *at, const json_t *object);
void api_hook_env_check(struct api_faults *faults, const struct api_place *at, const json_t *object);
int api_hook_namespace_fill(json_t *object);
void api_hook_pod_spec_check(struct api_faults *faults, const struct api_place *at, const json_t *object);
void api_hook_requirement_check(struct api_faults *faults, const struct api_place *at, const json_t *object);
void api_hook_resources_check(struct api_faults *faults, const struct api_place *at, const json_t *object);
int api_hook_resources_fill(json_t *object);
int api_hook_secret_fill(json_t *object);
void api_hook_separation_peer_check(struct api_faults *faults, const struct api_place *at, const json_t *object);
int api_hook_service_port_fill(json_t *object);
void api_hook_toleration_check(struct api_faults *faults, const struct api_place *at, const json_t *object);
int api_hook_volume_fill(json_t *object);

#endif
