/* SPDX-License-Identifier: Apache-2.0 */
/* Containers: ports, environment, probes, security context. */
#include "api/messages.h"

static const char *const protocol_words[] = {"TCP", "UDP", "SCTP", NULL};
static const char *const mount_propagation_mode_words[] = {"None", "HostToContainer", "Bidirectional", NULL};
static const char *const uri_scheme_words[] = {"HTTP", "HTTPS", NULL};
static const char *const seccomp_profile_type_words[] = {"Unconfined", "RuntimeDefault", "Localhost", NULL};
static const char *const app_armor_profile_type_words[] = {"Unconfined", "RuntimeDefault", "Localhost", NULL};
static const char *const proc_mount_type_words[] = {"Default", "Unmasked", NULL};
static const char *const termination_message_policy_words[] = {"File", "FallbackToLogsOnError", NULL};
static const char *const pull_policy_words[] = {"Always", "Never", "IfNotPresent", NULL};

static const struct api_field container_port[] = {
	{"name", 1, STRING, .check = API_CHECK_PORT_NAME, .doc = "A name for the port."},
	{"hostPort", 2, INT32, .check = API_CHECK_PORT, .doc = "The port on the host."},
	{"containerPort", 3, INT32, REQUIRED, .check = API_CHECK_PORT, .doc = "The port in the pod."},
	{"protocol", 4, STRING, .words = protocol_words, .initial = "TCP", .doc = "UDP, TCP or SCTP."},
	{"hostIP", 5, STRING, .check = API_CHECK_IP},
	{0},
};
API_MESSAGE(container_port, CORE_V1 "ContainerPort", .doc = "A port the container listens on.");

static const struct api_field config_map_env_source[] = {
	{"localObjectReference", 1, OBJECT, INLINE, .of = &api_m_local_object_reference},
	{"optional", 2, BOOL, POINTER},
	{0},
};
API_MESSAGE(config_map_env_source, CORE_V1 "ConfigMapEnvSource");

static const struct api_field secret_env_source[] = {
	{"localObjectReference", 1, OBJECT, INLINE, .of = &api_m_local_object_reference},
	{"optional", 2, BOOL, POINTER},
	{0},
};
API_MESSAGE(secret_env_source, CORE_V1 "SecretEnvSource");

static const struct api_field env_from_source[] = {
	{"prefix", 1, STRING},
	{"configMapRef", 2, OBJECT, POINTER | UNION, .of = &api_m_config_map_env_source},
	{"secretRef", 3, OBJECT, POINTER | UNION, .of = &api_m_secret_env_source},
	{0},
};
API_MESSAGE(env_from_source, CORE_V1 "EnvFromSource", .one_of = "value source");

static const struct api_field env_var_source[] = {
	{"fieldRef", 1, OBJECT, POINTER | UNION, .of = &api_m_object_field_selector},
	{"resourceFieldRef", 2, OBJECT, POINTER | UNION, .of = &api_m_resource_field_selector},
	{"configMapKeyRef", 3, OBJECT, POINTER | UNION, .of = &api_m_config_map_key_selector},
	{"secretKeyRef", 4, OBJECT, POINTER | UNION, .of = &api_m_secret_key_selector},
	{0},
};
API_MESSAGE(env_var_source, CORE_V1 "EnvVarSource", .one_of = "value source");

static const struct api_field env_var[] = {
	{"name", 1, STRING, REQUIRED, .check = API_CHECK_ENV_NAME, .doc = "The name of the variable."},
	{"value", 2, STRING, .doc = "Its value; $(NAME) stands for an earlier one."},
	{"valueFrom", 3, OBJECT, POINTER, .of = &api_m_env_var_source, .doc = "Where the value comes from."},
	{0},
};
API_MESSAGE(env_var, CORE_V1 "EnvVar", .check = api_hook_env_check, .doc = "A variable of the environment.");

static const struct api_field resource_claim[] = {
	{"name", 1, STRING, REQUIRED},
	{"request", 2, STRING},
	{0},
};
API_MESSAGE(resource_claim, CORE_V1 "ResourceClaim");

static const struct api_field resource_requirements[] = {
	{"limits", 1, QUANTITY, MAP, .doc = "What may not be passed."},
	{"requests", 2, QUANTITY, MAP, .doc = "What is reserved; the limits when absent."},
	{"claims", 3, OBJECT, LIST, .of = &api_m_resource_claim, .keys = "name"},
	{0},
};
API_MESSAGE(resource_requirements, CORE_V1 "ResourceRequirements", .fill = api_hook_resources_fill,
	    .check = api_hook_resources_check, .doc = "What is reserved, and what may not be passed.");

static const struct api_field container_resize_policy[] = {
	{"resourceName", 1, STRING, REQUIRED},
	{"restartPolicy", 2, STRING, REQUIRED},
	{0},
};
API_MESSAGE(container_resize_policy, CORE_V1 "ContainerResizePolicy");

static const struct api_field volume_mount[] = {
	{"name", 1, STRING, REQUIRED, .doc = "The volume."},
	{"readOnly", 2, BOOL, .doc = "Mount it read-only."},
	{"recursiveReadOnly", 7, STRING, POINTER},
	{"mountPath", 3, STRING, REQUIRED, .doc = "Where it appears."},
	{"subPath", 4, STRING, .check = API_CHECK_RELATIVE_PATH, .doc = "Only this part of it."},
	{"mountPropagation", 5, STRING, POINTER, .words = mount_propagation_mode_words},
	{"subPathExpr", 6, STRING},
	{0},
};
API_MESSAGE(volume_mount, CORE_V1 "VolumeMount", .doc = "Where a volume appears in a container.");

static const struct api_field volume_device[] = {
	{"name", 1, STRING, REQUIRED},
	{"devicePath", 2, STRING, REQUIRED},
	{0},
};
API_MESSAGE(volume_device, CORE_V1 "VolumeDevice");

static const struct api_field exec_action[] = {
	{"command", 1, STRING, LIST | ATOMIC | REQUIRED},
	{0},
};
API_MESSAGE(exec_action, CORE_V1 "ExecAction");

static const struct api_field http_header[] = {
	{"name", 1, STRING, REQUIRED},
	{"value", 2, STRING},
	{0},
};
API_MESSAGE(http_header, CORE_V1 "HTTPHeader");

static const struct api_field http_get_action[] = {
	{"path", 1, STRING, .initial = "/"},
	{"port", 2, INT_OR_STRING, REQUIRED, .check = API_CHECK_PORT},
	{"host", 3, STRING},
	{"scheme", 4, STRING, .words = uri_scheme_words, .initial = "HTTP"},
	{"httpHeaders", 5, OBJECT, LIST | ATOMIC, .of = &api_m_http_header},
	{0},
};
API_MESSAGE(http_get_action, CORE_V1 "HTTPGetAction");

static const struct api_field tcp_socket_action[] = {
	{"port", 1, INT_OR_STRING, REQUIRED, .check = API_CHECK_PORT},
	{"host", 2, STRING},
	{0},
};
API_MESSAGE(tcp_socket_action, CORE_V1 "TCPSocketAction");

static const struct api_field grpc_action[] = {
	{"port", 1, INT32, REQUIRED, .check = API_CHECK_PORT},
	{"service", 2, STRING, POINTER, .initial = ""},
	{0},
};
API_MESSAGE(grpc_action, CORE_V1 "GRPCAction");

static const struct api_field probe_handler[] = {
	{"exec", 1, OBJECT, POINTER | UNION, .of = &api_m_exec_action},
	{"httpGet", 2, OBJECT, POINTER | UNION, .of = &api_m_http_get_action},
	{"tcpSocket", 3, OBJECT, POINTER | UNION, .of = &api_m_tcp_socket_action},
	{"grpc", 4, OBJECT, POINTER | UNION, .of = &api_m_grpc_action},
	{0},
};
API_MESSAGE(probe_handler, CORE_V1 "ProbeHandler", .one_of = "handler type");

static const struct api_field probe[] = {
	{"handler", 1, OBJECT, INLINE, .of = &api_m_probe_handler},
	{"initialDelaySeconds", 2, INT32, .check = API_CHECK_NOT_NEGATIVE},
	{"timeoutSeconds", 3, INT32, .initial = "1", .check = API_CHECK_NOT_NEGATIVE},
	{"periodSeconds", 4, INT32, .initial = "10", .check = API_CHECK_NOT_NEGATIVE},
	{"successThreshold", 5, INT32, .initial = "1", .check = API_CHECK_NOT_NEGATIVE},
	{"failureThreshold", 6, INT32, .initial = "3", .check = API_CHECK_NOT_NEGATIVE},
	{"terminationGracePeriodSeconds", 7, INT64, POINTER, .check = API_CHECK_POSITIVE},
	{0},
};
API_MESSAGE(probe, CORE_V1 "Probe", .doc = "A question asked of a container again and again.");

static const struct api_field sleep_action[] = {
	{"seconds", 1, INT64, REQUIRED},
	{0},
};
API_MESSAGE(sleep_action, CORE_V1 "SleepAction");

static const struct api_field lifecycle_handler[] = {
	{"exec", 1, OBJECT, POINTER | UNION, .of = &api_m_exec_action},
	{"httpGet", 2, OBJECT, POINTER | UNION, .of = &api_m_http_get_action},
	{"tcpSocket", 3, OBJECT, POINTER | UNION, .of = &api_m_tcp_socket_action},
	{"sleep", 4, OBJECT, POINTER | UNION, .of = &api_m_sleep_action},
	{0},
};
API_MESSAGE(lifecycle_handler, CORE_V1 "LifecycleHandler", .one_of = "handler type");

static const struct api_field lifecycle[] = {
	{"postStart", 1, OBJECT, POINTER, .of = &api_m_lifecycle_handler},
	{"preStop", 2, OBJECT, POINTER, .of = &api_m_lifecycle_handler},
	{0},
};
API_MESSAGE(lifecycle, CORE_V1 "Lifecycle", .doc = "What is done after the start and before the end of a container.");

static const struct api_field capabilities[] = {
	{"add", 1, STRING, LIST | ATOMIC},
	{"drop", 2, STRING, LIST | ATOMIC},
	{0},
};
API_MESSAGE(capabilities, CORE_V1 "Capabilities", .doc = "Capabilities beyond or below the default set.");

static const struct api_field se_linux_options[] = {
	{"user", 1, STRING}, {"role", 2, STRING}, {"type", 3, STRING}, {"level", 4, STRING}, {0},
};
API_MESSAGE(se_linux_options, CORE_V1 "SELinuxOptions");

static const struct api_field windows_security_context_options[] = {
	{"gmsaCredentialSpecName", 1, STRING, POINTER},
	{"gmsaCredentialSpec", 2, STRING, POINTER},
	{"runAsUserName", 3, STRING, POINTER},
	{"hostProcess", 4, BOOL, POINTER},
	{0},
};
API_MESSAGE(windows_security_context_options, CORE_V1 "WindowsSecurityContextOptions");

static const struct api_field seccomp_profile[] = {
	{"type", 1, STRING, REQUIRED, .words = seccomp_profile_type_words},
	{"localhostProfile", 2, STRING, POINTER},
	{0},
};
API_MESSAGE(seccomp_profile, CORE_V1 "SeccompProfile");

static const struct api_field app_armor_profile[] = {
	{"type", 1, STRING, REQUIRED, .words = app_armor_profile_type_words},
	{"localhostProfile", 2, STRING, POINTER},
	{0},
};
API_MESSAGE(app_armor_profile, CORE_V1 "AppArmorProfile");

static const struct api_field security_context[] = {
	{"capabilities", 1, OBJECT, POINTER, .of = &api_m_capabilities,
	 .doc = "Capabilities beyond or below the default set."},
	{"privileged", 2, BOOL, POINTER, .doc = "Everything the host may do."},
	{"seLinuxOptions", 3, OBJECT, POINTER, .of = &api_m_se_linux_options},
	{"windowsOptions", 10, OBJECT, POINTER, .of = &api_m_windows_security_context_options},
	{"runAsUser", 4, INT64, POINTER, .check = API_CHECK_ID, .doc = "The user id in the container."},
	{"runAsGroup", 8, INT64, POINTER, .check = API_CHECK_ID, .doc = "The group id in the container."},
	{"runAsNonRoot", 5, BOOL, POINTER, .doc = "Refuse to start as user 0."},
	{"readOnlyRootFilesystem", 6, BOOL, POINTER, .doc = "The root cannot be written."},
	{"allowPrivilegeEscalation", 7, BOOL, POINTER, .doc = "Whether a process may gain more than its parent."},
	{"procMount", 9, STRING, POINTER, .words = proc_mount_type_words, .doc = "How /proc is masked."},
	{"seccompProfile", 11, OBJECT, POINTER, .of = &api_m_seccomp_profile, .doc = "Which system calls are allowed."},
	{"appArmorProfile", 12, OBJECT, POINTER, .of = &api_m_app_armor_profile, .doc = "The profile of AppArmor."},
	{0},
};
API_MESSAGE(security_context, CORE_V1 "SecurityContext", .doc = "What the container may do.");

static const struct api_field container[] = {
	{"name", 1, STRING, REQUIRED, .check = API_CHECK_LABEL, .doc = "The name, unique in the pod."},
	{"image", 2, STRING, REQUIRED, .check = API_CHECK_IMAGE,
	 .doc = "Where the image is: registry/repository:tag or @digest."},
	{"command", 3, STRING, LIST | ATOMIC, .doc = "What is run instead of the entry point of the image."},
	{"args", 4, STRING, LIST | ATOMIC, .doc = "Arguments; those of the image when absent."},
	{"workingDir", 5, STRING, .doc = "The folder the process starts in."},
	{"ports", 6, OBJECT, LIST | MERGE, .of = &api_m_container_port, .merge_key = "containerPort",
	 .keys = "containerPort,protocol", .doc = "Ports the container listens on."},
	{"envFrom", 19, OBJECT, LIST | ATOMIC, .of = &api_m_env_from_source,
	 .doc = "Variables from all entries of a ConfigMap or Secret."},
	{"env", 7, OBJECT, LIST | MERGE, .of = &api_m_env_var, .merge_key = "name",
	 .doc = "Variables of the environment."},
	{"resources", 8, OBJECT, .of = &api_m_resource_requirements, .initial = "{}",
	 .doc = "What is reserved, and what may not be passed."},
	{"resizePolicy", 23, OBJECT, LIST | ATOMIC, .of = &api_m_container_resize_policy},
	{"restartPolicy", 24, STRING, POINTER, .doc = "Always makes an init container run beside the containers."},
	{"volumeMounts", 9, OBJECT, LIST | MERGE, .of = &api_m_volume_mount, .merge_key = "mountPath",
	 .check = API_CHECK_UNIQUE, .doc = "Where volumes appear."},
	{"volumeDevices", 21, OBJECT, LIST | MERGE, .of = &api_m_volume_device, .merge_key = "devicePath"},
	{"livenessProbe", 10, OBJECT, POINTER, .of = &api_m_probe,
	 .doc = "When it fails, the container is started again."},
	{"readinessProbe", 11, OBJECT, POINTER, .of = &api_m_probe, .doc = "While it fails, the pod is not ready."},
	{"startupProbe", 22, OBJECT, POINTER, .of = &api_m_probe, .doc = "Until it succeeds, the other probes wait."},
	{"lifecycle", 12, OBJECT, POINTER, .of = &api_m_lifecycle,
	 .doc = "What is done after the start and before the end."},
	{"terminationMessagePath", 13, STRING, .initial = "/dev/termination-log",
	 .doc = "The file whose text ends up in the status."},
	{"terminationMessagePolicy", 20, STRING, .words = termination_message_policy_words, .initial = "File"},
	{"imagePullPolicy", 14, STRING, .words = pull_policy_words,
	 .doc = "When the registry is asked: Always, IfNotPresent or Never."},
	{"securityContext", 15, OBJECT, POINTER, .of = &api_m_security_context, .doc = "What the container may do."},
	{"stdin", 16, BOOL, .doc = "Keep standard input open."},
	{"stdinOnce", 17, BOOL},
	{"tty", 18, BOOL, .doc = "Give it a terminal."},
	{0},
};
API_MESSAGE(container, CORE_V1 "Container", .fill = api_hook_container_fill, .doc = "One container of a pod.");

static const struct api_field ephemeral_container_common[] = {
	{"name", 1, STRING, REQUIRED, .check = API_CHECK_LABEL},
	{"image", 2, STRING, REQUIRED, .check = API_CHECK_IMAGE},
	{"command", 3, STRING, LIST | ATOMIC},
	{"args", 4, STRING, LIST | ATOMIC},
	{"workingDir", 5, STRING},
	{"ports", 6, OBJECT, LIST | MERGE, .of = &api_m_container_port, .merge_key = "containerPort",
	 .keys = "containerPort,protocol"},
	{"envFrom", 19, OBJECT, LIST | ATOMIC, .of = &api_m_env_from_source},
	{"env", 7, OBJECT, LIST | MERGE, .of = &api_m_env_var, .merge_key = "name"},
	{"resources", 8, OBJECT, .of = &api_m_resource_requirements},
	{"resizePolicy", 23, OBJECT, LIST | ATOMIC, .of = &api_m_container_resize_policy},
	{"restartPolicy", 24, STRING, POINTER},
	{"volumeMounts", 9, OBJECT, LIST | MERGE, .of = &api_m_volume_mount, .merge_key = "mountPath"},
	{"volumeDevices", 21, OBJECT, LIST | MERGE, .of = &api_m_volume_device, .merge_key = "devicePath"},
	{"livenessProbe", 10, OBJECT, POINTER, .of = &api_m_probe},
	{"readinessProbe", 11, OBJECT, POINTER, .of = &api_m_probe},
	{"startupProbe", 22, OBJECT, POINTER, .of = &api_m_probe},
	{"lifecycle", 12, OBJECT, POINTER, .of = &api_m_lifecycle},
	{"terminationMessagePath", 13, STRING, .initial = "/dev/termination-log"},
	{"terminationMessagePolicy", 20, STRING, .words = termination_message_policy_words, .initial = "File"},
	{"imagePullPolicy", 14, STRING, .words = pull_policy_words},
	{"securityContext", 15, OBJECT, POINTER, .of = &api_m_security_context},
	{"stdin", 16, BOOL},
	{"stdinOnce", 17, BOOL},
	{"tty", 18, BOOL},
	{0},
};
API_MESSAGE(ephemeral_container_common, CORE_V1 "EphemeralContainerCommon", .fill = api_hook_container_fill);

static const struct api_field ephemeral_container[] = {
	{"ephemeralContainerCommon", 1, OBJECT, INLINE, .of = &api_m_ephemeral_container_common},
	{"targetContainerName", 2, STRING},
	{0},
};
API_MESSAGE(ephemeral_container, CORE_V1 "EphemeralContainer");

static const struct api_field container_state_waiting[] = {
	{"reason", 1, STRING},
	{"message", 2, STRING},
	{0},
};
API_MESSAGE(container_state_waiting, CORE_V1 "ContainerStateWaiting");

static const struct api_field container_state_running[] = {
	{"startedAt", 1, TIME},
	{0},
};
API_MESSAGE(container_state_running, CORE_V1 "ContainerStateRunning");

static const struct api_field container_state_terminated[] = {
	{"exitCode", 1, INT32}, {"signal", 2, INT32},    {"reason", 3, STRING},      {"message", 4, STRING},
	{"startedAt", 5, TIME}, {"finishedAt", 6, TIME}, {"containerID", 7, STRING}, {0},
};
API_MESSAGE(container_state_terminated, CORE_V1 "ContainerStateTerminated");

static const struct api_field container_state[] = {
	{"waiting", 1, OBJECT, POINTER, .of = &api_m_container_state_waiting},
	{"running", 2, OBJECT, POINTER, .of = &api_m_container_state_running},
	{"terminated", 3, OBJECT, POINTER, .of = &api_m_container_state_terminated},
	{0},
};
API_MESSAGE(container_state, CORE_V1 "ContainerState");

static const struct api_field container_user[] = {
	{"linux", 1, OBJECT, POINTER, .of = &api_m_linux_container_user},
	{0},
};
API_MESSAGE(container_user, CORE_V1 "ContainerUser");

static const struct api_field container_status[] = {
	{"name", 1, STRING},
	{"state", 2, OBJECT, .of = &api_m_container_state},
	{"lastState", 3, OBJECT, .of = &api_m_container_state},
	{"ready", 4, BOOL},
	{"restartCount", 5, INT32},
	{"image", 6, STRING},
	{"imageID", 7, STRING},
	{"containerID", 8, STRING},
	{"started", 9, BOOL, POINTER},
	{"allocatedResources", 10, QUANTITY, MAP},
	{"resources", 11, OBJECT, POINTER, .of = &api_m_resource_requirements},
	{"volumeMounts", 12, OBJECT, LIST | MERGE, .of = &api_m_volume_mount_status, .merge_key = "mountPath"},
	{"user", 13, OBJECT, POINTER, .of = &api_m_container_user},
	{"allocatedResourcesStatus", 14, OBJECT, LIST | MERGE, .of = &api_m_resource_status, .merge_key = "name"},
	{0},
};
API_MESSAGE(container_status, CORE_V1 "ContainerStatus");

static const struct api_field container_image[] = {
	{"names", 1, STRING, LIST | ATOMIC},
	{"sizeBytes", 2, INT64},
	{0},
};
API_MESSAGE(container_image, CORE_V1 "ContainerImage");
