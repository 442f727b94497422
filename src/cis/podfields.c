/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/podfields.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

#include "base/str.h"

enum rule {
	TAKE,  /* read elsewhere, or none of the instance's business */
	UNSET, /* may only be absent, false or empty */
};

struct row {
	const char *name;
	enum rule rule;
	const char *word; /* with TAKE: the only value a string may have */
};

#define PATH_SIZE 192

static const struct row pod_rows[] = {
	{"containers", TAKE},
	{"initContainers", TAKE},
	{"volumes", TAKE},
	{"restartPolicy", TAKE},
	{"terminationGracePeriodSeconds", TAKE},
	{"nodeName", TAKE},
	{"nodeSelector", TAKE},
	{"affinity", TAKE},
	{"tolerations", TAKE},
	{"topologySpreadConstraints", TAKE},
	{"schedulerName", TAKE},
	{"priority", TAKE},
	{"priorityClassName", TAKE},
	{"preemptionPolicy", TAKE},
	{"serviceAccount", TAKE},
	{"serviceAccountName", TAKE},
	{"automountServiceAccountToken", TAKE},
	{"imagePullSecrets", TAKE},
	{"enableServiceLinks", TAKE},
	{"hostname", TAKE},
	{"subdomain", TAKE},
	{"hostAliases", TAKE},
	{"dnsPolicy", TAKE},
	{"dnsConfig", TAKE},
	{"securityContext", TAKE},
	{"hostNetwork", UNSET},
	{"hostPID", UNSET},
	{"hostIPC", UNSET},
	{"hostUsers", UNSET},
	{"shareProcessNamespace", UNSET},
	{"setHostnameAsFQDN", UNSET},
};

static const struct row container_rows[] = {
	{"name", TAKE},
	{"image", TAKE},
	{"command", TAKE},
	{"args", TAKE},
	{"workingDir", TAKE},
	{"ports", TAKE},
	{"env", TAKE},
	{"envFrom", TAKE},
	{"resources", TAKE},
	{"volumeMounts", TAKE},
	{"imagePullPolicy", TAKE},
	{"securityContext", TAKE},
	{"resizePolicy", TAKE},
	{"terminationMessagePath", TAKE},
	{"terminationMessagePolicy", TAKE},
	{"livenessProbe", TAKE},
	{"readinessProbe", TAKE},
	{"startupProbe", TAKE},
	{"stdin", UNSET},
	{"stdinOnce", UNSET},
	{"tty", UNSET},
};

static const struct row pod_security_rows[] = {
	{"runAsUser", TAKE},           {"runAsGroup", TAKE},         {"runAsNonRoot", TAKE},   {"fsGroup", TAKE},
	{"fsGroupChangePolicy", TAKE}, {"supplementalGroups", TAKE}, {"seccompProfile", TAKE},
};

static const struct row container_security_rows[] = {
	{"runAsUser", TAKE},
	{"runAsGroup", TAKE},
	{"runAsNonRoot", TAKE},
	{"capabilities", TAKE},
	{"readOnlyRootFilesystem", TAKE},
	{"seccompProfile", TAKE},
	{"procMount", TAKE, "Default"},
	{"privileged", UNSET},
	{"allowPrivilegeEscalation", UNSET},
};

static const struct row seccomp_rows[] = {{"type", TAKE, "RuntimeDefault"}};

static const struct row volume_rows[] = {
	{"name", TAKE}, {"emptyDir", TAKE}, {"configMap", TAKE}, {"secret", TAKE}, {"downwardAPI", TAKE},
};

static const struct row mount_rows[] = {
	{"name", TAKE},
	{"mountPath", TAKE},
	{"readOnly", TAKE},
	{"mountPropagation", TAKE, "None"},
};

static const struct row port_rows[] = {
	{"name", TAKE}, {"containerPort", TAKE}, {"protocol", TAKE}, {"hostPort", UNSET}, {"hostIP", UNSET},
};

static bool is_unset(const json_t *value)
{
	return json_is_null(value) || json_is_false(value) ||
	       (json_is_integer(value) && json_integer_value(value) == 0) ||
	       (json_is_string(value) && json_string_length(value) == 0) ||
	       (json_is_array(value) && json_array_size(value) == 0) ||
	       (json_is_object(value) && json_object_size(value) == 0);
}

static int refuse(const char *path, const char *name, struct err *err)
{
	return err_set(err, -EOPNOTSUPP, "field '%s.%s' is not supported by this instance", path, name);
}

static int check_field(const struct row *row, const char *path, const json_t *value, struct err *err)
{
	switch (row->rule) {
	case TAKE:
		if (row->word && !json_is_null(value) &&
		    (!json_is_string(value) || !str_eq(json_string_value(value), row->word)))
			return err_set(err, -EOPNOTSUPP, "field '%s.%s' can only be '%s' on this instance", path,
				       row->name, row->word);
		return 0;
	case UNSET:
		return is_unset(value) ? 0 : refuse(path, row->name, err);
	}
	return -EINVAL;
}

/* An absent object is as good as an empty one. */
static int check_object(const json_t *object, const char *path, const struct row *rows, size_t count, struct err *err)
{
	const char *key;
	json_t *value;

	if (!object || json_is_null(object))
		return 0;
	if (!json_is_object(object))
		return err_set(err, ERR_INVALID, "field '%s' is not an object", path);
	json_object_foreach((json_t *)object, key, value) {
		size_t i = 0;
		int r;

		while (i < count && !str_eq(rows[i].name, key))
			i++;
		if (i == count) {
			if (is_unset(value))
				continue;
			return refuse(path, key, err);
		}
		r = check_field(&rows[i], path, value, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_list(const json_t *list, const char *path, const struct row *rows, size_t count, struct err *err)
{
	const json_t *item;
	size_t i;

	if (list && !json_is_null(list) && !json_is_array(list))
		return err_set(err, ERR_INVALID, "field '%s' is not a list", path);
	json_array_foreach(list, i, item) {
		char at[PATH_SIZE];
		int r;

		(void)snprintf(at, sizeof(at), "%s[%zu]", path, i);
		r = check_object(item, at, rows, count, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_security(const json_t *owner, const char *path, const struct row *rows, size_t count, struct err *err)
{
	const json_t *security = json_object_get(owner, "securityContext");
	char at[PATH_SIZE + 32];
	int r;

	(void)snprintf(at, sizeof(at), "%s.securityContext", path);
	r = check_object(security, at, rows, count, err);
	if (r < 0)
		return r;
	(void)snprintf(at, sizeof(at), "%s.securityContext.seccompProfile", path);
	return check_object(json_object_get(security, "seccompProfile"), at, seccomp_rows, ARRAY_SIZE(seccomp_rows),
			    err);
}

static int check_container(const json_t *container, const char *path, struct err *err)
{
	char at[PATH_SIZE + 32];
	int r = check_security(container, path, container_security_rows, ARRAY_SIZE(container_security_rows), err);

	(void)snprintf(at, sizeof(at), "%s.volumeMounts", path);
	if (r == 0)
		r = check_list(json_object_get(container, "volumeMounts"), at, mount_rows, ARRAY_SIZE(mount_rows), err);
	(void)snprintf(at, sizeof(at), "%s.ports", path);
	if (r == 0)
		r = check_list(json_object_get(container, "ports"), at, port_rows, ARRAY_SIZE(port_rows), err);
	return r;
}

static int check_containers(const json_t *spec, const char *name, struct err *err)
{
	const json_t *list = json_object_get(spec, name), *container;
	char path[PATH_SIZE];
	size_t i;
	int r;

	(void)snprintf(path, sizeof(path), "spec.%s", name);
	r = check_list(list, path, container_rows, ARRAY_SIZE(container_rows), err);
	if (r < 0)
		return r;
	json_array_foreach(list, i, container) {
		(void)snprintf(path, sizeof(path), "spec.%s[%zu]", name, i);
		r = check_container(container, path, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int podfields_check(const json_t *pod, struct err *err)
{
	const json_t *spec = json_object_get(pod, "spec");
	int r;

	if (!json_is_object(spec))
		return err_set(err, ERR_INVALID, "field 'spec' is missing");
	r = check_object(spec, "spec", pod_rows, ARRAY_SIZE(pod_rows), err);
	if (r == 0)
		r = check_security(spec, "spec", pod_security_rows, ARRAY_SIZE(pod_security_rows), err);
	if (r == 0)
		r = check_list(json_object_get(spec, "volumes"), "spec.volumes", volume_rows, ARRAY_SIZE(volume_rows),
			       err);
	if (r == 0)
		r = check_containers(spec, "containers", err);
	if (r == 0)
		r = check_containers(spec, "initContainers", err);
	return r;
}
