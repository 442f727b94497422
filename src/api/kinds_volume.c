/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes and what projects into them. */
#include "api/messages.h"

static const char *const azure_data_disk_caching_mode_words[] = {"None", "ReadOnly", "ReadWrite", NULL};
static const char *const azure_data_disk_kind_words[] = {"Shared", "Dedicated", "Managed", NULL};
static const char *const persistent_volume_mode_words[] = {"Block", "Filesystem", NULL};
static const char *const pull_policy_words[] = {"Always", "Never", "IfNotPresent", NULL};

static const struct api_field host_path_volume_source[] = {
	{"path", 1, STRING, REQUIRED, .check = API_CHECK_NO_BACKSTEP},
	{"type", 2, STRING, POINTER, .initial = ""},
	{0},
};
API_MESSAGE(host_path_volume_source, CORE_V1 "HostPathVolumeSource");

static const struct api_field empty_dir_volume_source[] = {
	{"medium", 1, STRING},
	{"sizeLimit", 2, QUANTITY, POINTER, .check = API_CHECK_NOT_NEGATIVE},
	{"mode", 3, INT32, POINTER},
	{0},
};
API_MESSAGE(empty_dir_volume_source, CORE_V1 "EmptyDirVolumeSource",
	    .doc = "An empty folder that lives as long as the pod.");

static const struct api_field gce_persistent_disk_volume_source[] = {
	{"pdName", 1, STRING, REQUIRED}, {"fsType", 2, STRING}, {"partition", 3, INT32}, {"readOnly", 4, BOOL}, {0},
};
API_MESSAGE(gce_persistent_disk_volume_source, CORE_V1 "GCEPersistentDiskVolumeSource");

static const struct api_field aws_elastic_block_store_volume_source[] = {
	{"volumeID", 1, STRING, REQUIRED}, {"fsType", 2, STRING}, {"partition", 3, INT32}, {"readOnly", 4, BOOL}, {0},
};
API_MESSAGE(aws_elastic_block_store_volume_source, CORE_V1 "AWSElasticBlockStoreVolumeSource");

static const struct api_field git_repo_volume_source[] = {
	{"repository", 1, STRING, REQUIRED},
	{"revision", 2, STRING},
	{"directory", 3, STRING},
	{0},
};
API_MESSAGE(git_repo_volume_source, CORE_V1 "GitRepoVolumeSource");

static const struct api_field key_to_path[] = {
	{"key", 1, STRING, REQUIRED},
	{"path", 2, STRING, REQUIRED, .check = API_CHECK_RELATIVE_PATH},
	{"mode", 3, INT32, POINTER, .check = API_CHECK_FILE_MODE},
	{"user", 4, INT64, POINTER},
	{0},
};
API_MESSAGE(key_to_path, CORE_V1 "KeyToPath");

static const struct api_field secret_volume_source[] = {
	{"secretName", 1, STRING, REQUIRED},
	{"items", 2, OBJECT, LIST | ATOMIC, .of = &api_m_key_to_path},
	{"defaultMode", 3, INT32, POINTER, .initial = "420", .check = API_CHECK_FILE_MODE},
	{"optional", 4, BOOL, POINTER},
	{"defaultUser", 5, INT64, POINTER},
	{0},
};
API_MESSAGE(secret_volume_source, CORE_V1 "SecretVolumeSource", .doc = "The entries of a Secret as files.");

static const struct api_field nfs_volume_source[] = {
	{"server", 1, STRING, REQUIRED},
	{"path", 2, STRING, REQUIRED},
	{"readOnly", 3, BOOL},
	{0},
};
API_MESSAGE(nfs_volume_source, CORE_V1 "NFSVolumeSource");

static const struct api_field local_object_reference[] = {
	{"name", 1, STRING},
	{0},
};
API_MESSAGE(local_object_reference, CORE_V1 "LocalObjectReference");

static const struct api_field iscsi_volume_source[] = {
	{"targetPortal", 1, STRING, REQUIRED},
	{"iqn", 2, STRING, REQUIRED},
	{"lun", 3, INT32, REQUIRED},
	{"iscsiInterface", 4, STRING},
	{"fsType", 5, STRING},
	{"readOnly", 6, BOOL},
	{"portals", 7, STRING, LIST | ATOMIC},
	{"chapAuthDiscovery", 8, BOOL},
	{"chapAuthSession", 11, BOOL},
	{"secretRef", 10, OBJECT, POINTER, .of = &api_m_local_object_reference},
	{"initiatorName", 12, STRING, POINTER},
	{0},
};
API_MESSAGE(iscsi_volume_source, CORE_V1 "ISCSIVolumeSource");

static const struct api_field glusterfs_volume_source[] = {
	{"endpoints", 1, STRING, REQUIRED},
	{"path", 2, STRING, REQUIRED},
	{"readOnly", 3, BOOL},
	{0},
};
API_MESSAGE(glusterfs_volume_source, CORE_V1 "GlusterfsVolumeSource");

static const struct api_field persistent_volume_claim_volume_source[] = {
	{"claimName", 1, STRING, REQUIRED},
	{"readOnly", 2, BOOL},
	{0},
};
API_MESSAGE(persistent_volume_claim_volume_source, CORE_V1 "PersistentVolumeClaimVolumeSource");

static const struct api_field rbd_volume_source[] = {
	{"monitors", 1, STRING, LIST | REQUIRED | ATOMIC},
	{"image", 2, STRING, REQUIRED},
	{"fsType", 3, STRING},
	{"pool", 4, STRING},
	{"user", 5, STRING},
	{"keyring", 6, STRING},
	{"secretRef", 7, OBJECT, POINTER, .of = &api_m_local_object_reference},
	{"readOnly", 8, BOOL},
	{0},
};
API_MESSAGE(rbd_volume_source, CORE_V1 "RBDVolumeSource");

static const struct api_field flex_volume_source[] = {
	{"driver", 1, STRING, REQUIRED},
	{"fsType", 2, STRING},
	{"secretRef", 3, OBJECT, POINTER, .of = &api_m_local_object_reference},
	{"readOnly", 4, BOOL},
	{"options", 5, STRING, MAP},
	{0},
};
API_MESSAGE(flex_volume_source, CORE_V1 "FlexVolumeSource");

static const struct api_field cinder_volume_source[] = {
	{"volumeID", 1, STRING, REQUIRED},
	{"fsType", 2, STRING},
	{"readOnly", 3, BOOL},
	{"secretRef", 4, OBJECT, POINTER, .of = &api_m_local_object_reference},
	{0},
};
API_MESSAGE(cinder_volume_source, CORE_V1 "CinderVolumeSource");

static const struct api_field ceph_fs_volume_source[] = {
	{"monitors", 1, STRING, LIST | REQUIRED | ATOMIC},
	{"path", 2, STRING},
	{"user", 3, STRING},
	{"secretFile", 4, STRING},
	{"secretRef", 5, OBJECT, POINTER, .of = &api_m_local_object_reference},
	{"readOnly", 6, BOOL},
	{0},
};
API_MESSAGE(ceph_fs_volume_source, CORE_V1 "CephFSVolumeSource");

static const struct api_field flocker_volume_source[] = {
	{"datasetName", 1, STRING},
	{"datasetUUID", 2, STRING},
	{0},
};
API_MESSAGE(flocker_volume_source, CORE_V1 "FlockerVolumeSource");

static const struct api_field object_field_selector[] = {
	{"apiVersion", 1, STRING, .initial = "v1"},
	{"fieldPath", 2, STRING, REQUIRED},
	{0},
};
API_MESSAGE(object_field_selector, CORE_V1 "ObjectFieldSelector");

static const struct api_field resource_field_selector[] = {
	{"containerName", 1, STRING},
	{"resource", 2, STRING, REQUIRED},
	{"divisor", 3, QUANTITY},
	{0},
};
API_MESSAGE(resource_field_selector, CORE_V1 "ResourceFieldSelector");

static const struct api_field downward_api_volume_file[] = {
	{"path", 1, STRING, REQUIRED, .check = API_CHECK_RELATIVE_PATH},
	{"fieldRef", 2, OBJECT, POINTER, .of = &api_m_object_field_selector},
	{"resourceFieldRef", 3, OBJECT, POINTER, .of = &api_m_resource_field_selector},
	{"mode", 4, INT32, POINTER, .check = API_CHECK_FILE_MODE},
	{"user", 5, INT64, POINTER},
	{0},
};
API_MESSAGE(downward_api_volume_file, CORE_V1 "DownwardAPIVolumeFile");

static const struct api_field downward_api_volume_source[] = {
	{"items", 1, OBJECT, LIST | ATOMIC, .of = &api_m_downward_api_volume_file},
	{"defaultMode", 2, INT32, POINTER, .initial = "420", .check = API_CHECK_FILE_MODE},
	{"defaultUser", 3, INT64, POINTER},
	{0},
};
API_MESSAGE(downward_api_volume_source, CORE_V1 "DownwardAPIVolumeSource");

static const struct api_field fc_volume_source[] = {
	{"targetWWNs", 1, STRING, LIST | ATOMIC},
	{"lun", 2, INT32, POINTER},
	{"fsType", 3, STRING},
	{"readOnly", 4, BOOL},
	{"wwids", 5, STRING, LIST | ATOMIC},
	{0},
};
API_MESSAGE(fc_volume_source, CORE_V1 "FCVolumeSource");

static const struct api_field azure_file_volume_source[] = {
	{"secretName", 1, STRING, REQUIRED},
	{"shareName", 2, STRING, REQUIRED},
	{"readOnly", 3, BOOL},
	{0},
};
API_MESSAGE(azure_file_volume_source, CORE_V1 "AzureFileVolumeSource");

static const struct api_field config_map_volume_source[] = {
	{"localObjectReference", 1, OBJECT, INLINE, .of = &api_m_local_object_reference},
	{"items", 2, OBJECT, LIST | ATOMIC, .of = &api_m_key_to_path},
	{"defaultMode", 3, INT32, POINTER, .initial = "420", .check = API_CHECK_FILE_MODE},
	{"optional", 4, BOOL, POINTER},
	{"defaultUser", 5, INT64, POINTER},
	{0},
};
API_MESSAGE(config_map_volume_source, CORE_V1 "ConfigMapVolumeSource", .doc = "The entries of a ConfigMap as files.");

static const struct api_field vsphere_virtual_disk_volume_source[] = {
	{"volumePath", 1, STRING, REQUIRED},
	{"fsType", 2, STRING},
	{"storagePolicyName", 3, STRING},
	{"storagePolicyID", 4, STRING},
	{0},
};
API_MESSAGE(vsphere_virtual_disk_volume_source, CORE_V1 "VsphereVirtualDiskVolumeSource");

static const struct api_field quobyte_volume_source[] = {
	{"registry", 1, STRING, REQUIRED},
	{"volume", 2, STRING, REQUIRED},
	{"readOnly", 3, BOOL},
	{"user", 4, STRING},
	{"group", 5, STRING},
	{"tenant", 6, STRING},
	{0},
};
API_MESSAGE(quobyte_volume_source, CORE_V1 "QuobyteVolumeSource");

static const struct api_field azure_disk_volume_source[] = {
	{"diskName", 1, STRING, REQUIRED},
	{"diskURI", 2, STRING, REQUIRED},
	{"cachingMode", 3, STRING, POINTER, .words = azure_data_disk_caching_mode_words},
	{"fsType", 4, STRING, POINTER},
	{"readOnly", 5, BOOL, POINTER},
	{"kind", 6, STRING, POINTER, .words = azure_data_disk_kind_words},
	{0},
};
API_MESSAGE(azure_disk_volume_source, CORE_V1 "AzureDiskVolumeSource");

static const struct api_field photon_persistent_disk_volume_source[] = {
	{"pdID", 1, STRING, REQUIRED},
	{"fsType", 2, STRING},
	{0},
};
API_MESSAGE(photon_persistent_disk_volume_source, CORE_V1 "PhotonPersistentDiskVolumeSource");

static const struct api_field secret_projection[] = {
	{"localObjectReference", 1, OBJECT, INLINE, .of = &api_m_local_object_reference},
	{"items", 2, OBJECT, LIST | ATOMIC, .of = &api_m_key_to_path},
	{"optional", 4, BOOL, POINTER},
	{0},
};
API_MESSAGE(secret_projection, CORE_V1 "SecretProjection");

static const struct api_field downward_api_projection[] = {
	{"items", 1, OBJECT, LIST | ATOMIC, .of = &api_m_downward_api_volume_file},
	{0},
};
API_MESSAGE(downward_api_projection, CORE_V1 "DownwardAPIProjection");

static const struct api_field config_map_projection[] = {
	{"localObjectReference", 1, OBJECT, INLINE, .of = &api_m_local_object_reference},
	{"items", 2, OBJECT, LIST | ATOMIC, .of = &api_m_key_to_path},
	{"optional", 4, BOOL, POINTER},
	{0},
};
API_MESSAGE(config_map_projection, CORE_V1 "ConfigMapProjection");

static const struct api_field service_account_token_projection[] = {
	{"audience", 1, STRING},
	{"expirationSeconds", 2, INT64, POINTER, .initial = "3600"},
	{"path", 3, STRING, REQUIRED},
	{"user", 4, INT64, POINTER},
	{0},
};
API_MESSAGE(service_account_token_projection, CORE_V1 "ServiceAccountTokenProjection");

static const struct api_field cluster_trust_bundle_projection[] = {
	{"name", 1, STRING, POINTER},
	{"signerName", 2, STRING, POINTER},
	{"labelSelector", 3, OBJECT, POINTER, .of = &api_m_label_selector},
	{"optional", 5, BOOL, POINTER},
	{"path", 4, STRING, REQUIRED},
	{"user", 6, INT64, POINTER},
	{0},
};
API_MESSAGE(cluster_trust_bundle_projection, CORE_V1 "ClusterTrustBundleProjection");

static const struct api_field volume_projection[] = {
	{"secret", 1, OBJECT, POINTER | UNION, .of = &api_m_secret_projection},
	{"downwardAPI", 2, OBJECT, POINTER | UNION, .of = &api_m_downward_api_projection},
	{"configMap", 3, OBJECT, POINTER | UNION, .of = &api_m_config_map_projection},
	{"serviceAccountToken", 4, OBJECT, POINTER | UNION, .of = &api_m_service_account_token_projection},
	{"clusterTrustBundle", 5, OBJECT, POINTER | UNION, .of = &api_m_cluster_trust_bundle_projection},
	{0},
};
API_MESSAGE(volume_projection, CORE_V1 "VolumeProjection", .one_of = "projection source");

static const struct api_field projected_volume_source[] = {
	{"sources", 1, OBJECT, LIST | ATOMIC, .of = &api_m_volume_projection},
	{"defaultMode", 2, INT32, POINTER, .initial = "420", .check = API_CHECK_FILE_MODE},
	{"defaultUser", 3, INT64, POINTER},
	{0},
};
API_MESSAGE(projected_volume_source, CORE_V1 "ProjectedVolumeSource");

static const struct api_field portworx_volume_source[] = {
	{"volumeID", 1, STRING, REQUIRED},
	{"fsType", 2, STRING},
	{"readOnly", 3, BOOL},
	{0},
};
API_MESSAGE(portworx_volume_source, CORE_V1 "PortworxVolumeSource");

static const struct api_field scale_io_volume_source[] = {
	{"gateway", 1, STRING, REQUIRED},
	{"system", 2, STRING, REQUIRED},
	{"secretRef", 3, OBJECT, POINTER, .of = &api_m_local_object_reference},
	{"sslEnabled", 4, BOOL},
	{"protectionDomain", 5, STRING},
	{"storagePool", 6, STRING},
	{"storageMode", 7, STRING},
	{"volumeName", 8, STRING},
	{"fsType", 9, STRING},
	{"readOnly", 10, BOOL},
	{0},
};
API_MESSAGE(scale_io_volume_source, CORE_V1 "ScaleIOVolumeSource");

static const struct api_field storage_os_volume_source[] = {
	{"volumeName", 1, STRING},
	{"volumeNamespace", 2, STRING},
	{"fsType", 3, STRING},
	{"readOnly", 4, BOOL},
	{"secretRef", 5, OBJECT, POINTER, .of = &api_m_local_object_reference},
	{0},
};
API_MESSAGE(storage_os_volume_source, CORE_V1 "StorageOSVolumeSource");

static const struct api_field csi_volume_source[] = {
	{"driver", 1, STRING, REQUIRED},
	{"readOnly", 2, BOOL, POINTER},
	{"fsType", 3, STRING, POINTER},
	{"volumeAttributes", 4, STRING, MAP},
	{"nodePublishSecretRef", 5, OBJECT, POINTER, .of = &api_m_local_object_reference},
	{0},
};
API_MESSAGE(csi_volume_source, CORE_V1 "CSIVolumeSource");

static const struct api_field volume_resource_requirements[] = {
	{"limits", 1, QUANTITY, MAP},
	{"requests", 2, QUANTITY, MAP},
	{0},
};
API_MESSAGE(volume_resource_requirements, CORE_V1 "VolumeResourceRequirements");

static const struct api_field typed_local_object_reference[] = {
	{"apiGroup", 1, STRING, POINTER},
	{"kind", 2, STRING, REQUIRED},
	{"name", 3, STRING, REQUIRED},
	{0},
};
API_MESSAGE(typed_local_object_reference, CORE_V1 "TypedLocalObjectReference");

static const struct api_field typed_object_reference[] = {
	{"apiGroup", 1, STRING, POINTER},
	{"kind", 2, STRING, REQUIRED},
	{"name", 3, STRING, REQUIRED},
	{"namespace", 4, STRING, POINTER},
	{0},
};
API_MESSAGE(typed_object_reference, CORE_V1 "TypedObjectReference");

static const struct api_field persistent_volume_claim_spec[] = {
	{"accessModes", 1, STRING, LIST | ATOMIC},
	{"selector", 4, OBJECT, POINTER, .of = &api_m_label_selector},
	{"resources", 2, OBJECT, .of = &api_m_volume_resource_requirements},
	{"volumeName", 3, STRING},
	{"storageClassName", 5, STRING, POINTER},
	{"volumeMode", 6, STRING, POINTER, .words = persistent_volume_mode_words},
	{"dataSource", 7, OBJECT, POINTER, .of = &api_m_typed_local_object_reference},
	{"dataSourceRef", 8, OBJECT, POINTER, .of = &api_m_typed_object_reference},
	{"volumeAttributesClassName", 9, STRING, POINTER},
	{0},
};
API_MESSAGE(persistent_volume_claim_spec, CORE_V1 "PersistentVolumeClaimSpec");

static const struct api_field persistent_volume_claim_template[] = {
	{"metadata", 1, OBJECT, .of = &api_m_object_meta},
	{"spec", 2, OBJECT, REQUIRED, .of = &api_m_persistent_volume_claim_spec},
	{0},
};
API_MESSAGE(persistent_volume_claim_template, CORE_V1 "PersistentVolumeClaimTemplate");

static const struct api_field ephemeral_volume_source[] = {
	{"volumeClaimTemplate", 1, OBJECT, POINTER, .of = &api_m_persistent_volume_claim_template},
	{0},
};
API_MESSAGE(ephemeral_volume_source, CORE_V1 "EphemeralVolumeSource");

static const struct api_field image_volume_source[] = {
	{"reference", 1, STRING},
	{"pullPolicy", 2, STRING, .words = pull_policy_words},
	{0},
};
API_MESSAGE(image_volume_source, CORE_V1 "ImageVolumeSource");

static const struct api_field volume_source[] = {
	{"hostPath", 1, OBJECT, POINTER | UNION, .of = &api_m_host_path_volume_source},
	{"emptyDir", 2, OBJECT, POINTER | UNION, .of = &api_m_empty_dir_volume_source},
	{"gcePersistentDisk", 3, OBJECT, POINTER | UNION, .of = &api_m_gce_persistent_disk_volume_source},
	{"awsElasticBlockStore", 4, OBJECT, POINTER | UNION, .of = &api_m_aws_elastic_block_store_volume_source},
	{"gitRepo", 5, OBJECT, POINTER | UNION, .of = &api_m_git_repo_volume_source},
	{"secret", 6, OBJECT, POINTER | UNION, .of = &api_m_secret_volume_source},
	{"nfs", 7, OBJECT, POINTER | UNION, .of = &api_m_nfs_volume_source},
	{"iscsi", 8, OBJECT, POINTER | UNION, .of = &api_m_iscsi_volume_source},
	{"glusterfs", 9, OBJECT, POINTER | UNION, .of = &api_m_glusterfs_volume_source},
	{"persistentVolumeClaim", 10, OBJECT, POINTER | UNION, .of = &api_m_persistent_volume_claim_volume_source},
	{"rbd", 11, OBJECT, POINTER | UNION, .of = &api_m_rbd_volume_source},
	{"flexVolume", 12, OBJECT, POINTER | UNION, .of = &api_m_flex_volume_source},
	{"cinder", 13, OBJECT, POINTER | UNION, .of = &api_m_cinder_volume_source},
	{"cephfs", 14, OBJECT, POINTER | UNION, .of = &api_m_ceph_fs_volume_source},
	{"flocker", 15, OBJECT, POINTER | UNION, .of = &api_m_flocker_volume_source},
	{"downwardAPI", 16, OBJECT, POINTER | UNION, .of = &api_m_downward_api_volume_source},
	{"fc", 17, OBJECT, POINTER | UNION, .of = &api_m_fc_volume_source},
	{"azureFile", 18, OBJECT, POINTER | UNION, .of = &api_m_azure_file_volume_source},
	{"configMap", 19, OBJECT, POINTER | UNION, .of = &api_m_config_map_volume_source},
	{"vsphereVolume", 20, OBJECT, POINTER | UNION, .of = &api_m_vsphere_virtual_disk_volume_source},
	{"quobyte", 21, OBJECT, POINTER | UNION, .of = &api_m_quobyte_volume_source},
	{"azureDisk", 22, OBJECT, POINTER | UNION, .of = &api_m_azure_disk_volume_source},
	{"photonPersistentDisk", 23, OBJECT, POINTER | UNION, .of = &api_m_photon_persistent_disk_volume_source},
	{"projected", 26, OBJECT, POINTER | UNION, .of = &api_m_projected_volume_source},
	{"portworxVolume", 24, OBJECT, POINTER | UNION, .of = &api_m_portworx_volume_source},
	{"scaleIO", 25, OBJECT, POINTER | UNION, .of = &api_m_scale_io_volume_source},
	{"storageos", 27, OBJECT, POINTER | UNION, .of = &api_m_storage_os_volume_source},
	{"csi", 28, OBJECT, POINTER | UNION, .of = &api_m_csi_volume_source},
	{"ephemeral", 29, OBJECT, POINTER | UNION, .of = &api_m_ephemeral_volume_source},
	{"image", 30, OBJECT, POINTER | UNION, .of = &api_m_image_volume_source},
	{0},
};
API_MESSAGE(volume_source, CORE_V1 "VolumeSource", .one_of = "volume type");

static const struct api_field volume[] = {
	{"name", 1, STRING, REQUIRED, .check = API_CHECK_LABEL},
	{"volumeSource", 2, OBJECT, INLINE, .of = &api_m_volume_source},
	{0},
};
API_MESSAGE(volume, CORE_V1 "Volume", .fill = api_hook_volume_fill,
	    .doc = "A folder that containers of the pod can mount.");

static const struct api_field config_map_key_selector[] = {
	{"localObjectReference", 1, OBJECT, INLINE, .of = &api_m_local_object_reference},
	{"key", 2, STRING, REQUIRED},
	{"optional", 3, BOOL, POINTER},
	{0},
};
API_MESSAGE(config_map_key_selector, CORE_V1 "ConfigMapKeySelector");

static const struct api_field secret_key_selector[] = {
	{"localObjectReference", 1, OBJECT, INLINE, .of = &api_m_local_object_reference},
	{"key", 2, STRING, REQUIRED},
	{"optional", 3, BOOL, POINTER},
	{0},
};
API_MESSAGE(secret_key_selector, CORE_V1 "SecretKeySelector");
