/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/podspec.h"

#include <errno.h>
#include <string.h>

#include "api/api.h"
#include "base/str.h"
#include "cis/podfields.h"
#include "oci/reference.h"
#include "policy/domain.h"
#include "policy/limits.h"

#define ID_MAX 65535 /* of a user or group inside a pod's range */

static int read_id(const json_t *security, const char *name, bool *ret_has, uint32_t *ret_id, struct err *err)
{
	const json_t *value = json_object_get(security, name);

	if (!value || json_is_null(value))
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > ID_MAX)
		return err_set(err, ERR_INVALID, "field 'securityContext.%s' is not 0 to %d", name, ID_MAX);
	*ret_has = true;
	*ret_id = (uint32_t)json_integer_value(value);
	return 0;
}

/* What the container says, else what the pod says. */
static int read_user(const json_t *pod_security, struct podspec_container *container, struct err *err)
{
	const json_t *own = json_object_get(container->object, "securityContext");
	const json_t *const levels[] = {pod_security, own};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(levels); i++) {
		const json_t *non_root = json_object_get(levels[i], "runAsNonRoot");

		if (json_is_boolean(non_root))
			container->must_not_be_root = json_is_true(non_root);
		r = read_id(levels[i], "runAsUser", &container->has_user, &container->user, err);
		if (r == 0)
			r = read_id(levels[i], "runAsGroup", &container->has_group, &container->group, err);
	}
	return r;
}

/* A limit in thousandths of its unit; what is not given has the default. */
static int read_amount(const json_t *resources, const char *list, const char *name, int64_t *ret_milli, struct err *err)
{
	const json_t *value = json_object_get(json_object_get(resources, list), name);
	int r;

	if (!value || json_is_null(value))
		return 0;
	if (json_is_integer(value)) {
		if (json_integer_value(value) < 0 || json_integer_value(value) > INT64_MAX / 1000)
			return err_set(err, ERR_INVALID, "field 'resources.%s.%s' is out of range", list, name);
		*ret_milli = json_integer_value(value) * 1000;
		return 0;
	}
	if (!json_is_string(value))
		return err_set(err, ERR_INVALID, "field 'resources.%s.%s' is not a quantity", list, name);
	r = api_quantity(json_string_value(value), ret_milli, err);
	if (r == 0 && *ret_milli < 0)
		return err_set(err, ERR_INVALID, "field 'resources.%s.%s' is negative", list, name);
	return r < 0 ? err_prefix(err, "field 'resources.%s.%s'", list, name) : 0;
}

static int check_resource_names(const json_t *resources, struct err *err)
{
	static const char *const lists[] = {"limits", "requests"};
	static const char *const names[] = {"cpu", "memory", "ephemeral-storage"};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		const char *key;
		json_t *value;

		json_object_foreach(json_object_get(resources, lists[i]), key, value) {
			if (!str_eq(key, names[0]) && !str_eq(key, names[1]) && !str_eq(key, names[2]))
				return err_set(err, -EOPNOTSUPP,
					       "field 'resources.%s.%s' is not supported by this instance", lists[i],
					       key);
		}
	}
	return 0;
}

static int read_resources(struct podspec_container *container, struct err *err)
{
	const json_t *resources = json_object_get(container->object, "resources");
	int64_t memory_milli = POLICY_LIMIT_MEMORY_BYTES * 1000;
	int r = check_resource_names(resources, err);

	container->cpu_milli = POLICY_LIMIT_CPU_MILLI;
	if (r == 0)
		r = read_amount(resources, "limits", "cpu", &container->cpu_milli, err);
	if (r == 0)
		r = read_amount(resources, "requests", "cpu", &container->cpu_request_milli, err);
	if (r == 0)
		r = read_amount(resources, "limits", "memory", &memory_milli, err);
	if (r < 0)
		return r;
	container->memory = memory_milli / 1000;
	if (container->memory < POLICY_LIMIT_MEMORY_LEAST)
		return err_set(err, ERR_INVALID, "memory limit of %lld bytes is below the least of %lld",
			       (long long)container->memory, (long long)POLICY_LIMIT_MEMORY_LEAST);
	if (container->cpu_milli < 10)
		return err_set(err, ERR_INVALID, "cpu limit of %lldm is below the least of 10m",
			       (long long)container->cpu_milli);
	return 0;
}

static int read_container(struct podspec *spec, const json_t *object, bool init, struct err *err)
{
	struct podspec_container *container = &spec->containers[spec->count];
	struct reference reference;
	int r;

	container->object = object;
	container->init = init;
	container->name = json_string_value(json_object_get(object, "name"));
	container->image = json_string_value(json_object_get(object, "image"));
	if (!container->name || !str_is_dns_label(container->name))
		return err_set(err, ERR_INVALID, "a container has no valid name");
	if (podspec_find(spec, container->name))
		return err_set(err, ERR_INVALID, "container '%s' is named twice", container->name);
	if (!container->image)
		return err_set(err, ERR_INVALID, "container '%s' has no image", container->name);
	r = reference_parse(container->image, &reference, err);
	if (r == 0 && (!reference.has_digest || reference.digest.algorithm != DIGEST_SHA256))
		r = err_set(err, ERR_DENIED, "image '%s' is not named by its sha256 digest", container->image);
	if (r == 0)
		r = read_user(json_object_get(json_object_get(spec->pod, "spec"), "securityContext"), container, err);
	if (r == 0)
		r = read_resources(container, err);
	if (r < 0)
		return err_prefix(err, "container '%s'", container->name);
	spec->count++;
	spec->init_count += init;
	return 0;
}

static int read_containers(struct podspec *spec, const json_t *object, struct err *err)
{
	const json_t *init = json_object_get(object, "initContainers"), *rest = json_object_get(object, "containers"),
		     *container;
	size_t i, total = json_array_size(init) + json_array_size(rest);
	int r = 0;

	if (json_array_size(rest) == 0)
		return err_set(err, ERR_INVALID, "the pod has no containers");
	if (total > PODSPEC_CONTAINERS_MAX)
		return err_set(err, ERR_TOO_LARGE, "the pod has %zu containers, more than %d", total,
			       PODSPEC_CONTAINERS_MAX);
	spec->containers = calloc(total, sizeof(*spec->containers));
	if (!spec->containers)
		return err_sys(err, -ENOMEM, "cannot read the pod");
	json_array_foreach(init, i, container) {
		r = read_container(spec, container, true, err);
		if (r < 0)
			return r;
	}
	json_array_foreach(rest, i, container) {
		r = read_container(spec, container, false, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_restart(struct podspec *spec, const json_t *object, struct err *err)
{
	static const char *const words[] = {[PODSPEC_RESTART_ALWAYS] = "Always",
					    [PODSPEC_RESTART_ON_FAILURE] = "OnFailure",
					    [PODSPEC_RESTART_NEVER] = "Never"};
	const char *word = json_string_value(json_object_get(object, "restartPolicy"));

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (!word || str_eq(words[i], word)) {
			spec->restart = (enum podspec_restart)i;
			return 0;
		}
	}
	return err_set(err, ERR_INVALID, "field 'spec.restartPolicy' is '%s'", word);
}

static int read_pod(struct podspec *spec, struct err *err)
{
	const json_t *object = json_object_get(spec->pod, "spec"),
		     *grace = json_object_get(object, "terminationGracePeriodSeconds");
	int r;

	spec->uid = api_string(spec->pod, "metadata.uid");
	spec->namespace = api_string(spec->pod, "metadata.namespace");
	spec->name = api_string(spec->pod, "metadata.name");
	/* The uid names folders and cgroups. */
	if (!spec->uid || !str_is_dns_label(spec->uid) || !spec->namespace || !spec->name)
		return err_set(err, ERR_INVALID, "the pod has no valid uid, namespace or name");
	r = podfields_check(spec->pod, err);
	if (r < 0)
		return r;
	spec->hostname = json_string_value(json_object_get(object, "hostname"));
	if (!spec->hostname || !*spec->hostname)
		spec->hostname = spec->name;
	spec->grace_s = PODSPEC_GRACE_DEFAULT;
	if (json_is_integer(grace))
		spec->grace_s = json_integer_value(grace);
	if (spec->grace_s < 0 || spec->grace_s > 86400)
		return err_set(err, ERR_INVALID, "field 'spec.terminationGracePeriodSeconds' is not 0 to 86400");
	if (json_array_size(json_object_get(object, "volumes")) > PODSPEC_VOLUMES_MAX)
		return err_set(err, ERR_TOO_LARGE, "the pod has more than %d volumes", PODSPEC_VOLUMES_MAX);
	r = read_id(json_object_get(object, "securityContext"), "fsGroup", &spec->has_fs_group, &spec->fs_group, err);
	if (r == 0)
		r = policy_limits_pids(api_annotation(spec->pod, POLICY_ANNOTATION_PIDS), &spec->pids, err);
	if (r == 0)
		r = read_restart(spec, object, err);
	if (r == 0)
		r = read_containers(spec, object, err);
	return r;
}

int podspec_parse(json_t *pod, struct podspec **ret_spec, struct err *err)
{
	CLEANUP(cleanup_podspec) struct podspec *spec = calloc(1, sizeof(*spec));
	int r;

	if (!spec)
		return err_sys(err, -ENOMEM, "cannot read the pod");
	spec->pod = json_incref(pod);
	r = read_pod(spec, err);
	if (r == 0)
		*ret_spec = take_ptr(spec);
	return r;
}

void podspec_free(struct podspec *spec)
{
	if (!spec)
		return;
	free(spec->containers);
	json_decref(spec->pod);
	free(spec);
}

const struct podspec_container *podspec_find(const struct podspec *spec, const char *name)
{
	for (size_t i = 0; i < spec->count; i++) {
		if (str_eq(spec->containers[i].name, name))
			return &spec->containers[i];
	}
	return NULL;
}

size_t podspec_groups(const struct podspec *spec, uint32_t *to, size_t max)
{
	const json_t *list = api_value(spec->pod, "spec.securityContext.supplementalGroups"), *item;
	size_t i, count = 0;

	if (spec->has_fs_group && count < max)
		to[count++] = spec->fs_group;
	json_array_foreach(list, i, item) {
		json_int_t id = json_integer_value(item);

		if (json_is_integer(item) && id >= 0 && id <= ID_MAX && count < max)
			to[count++] = (uint32_t)id;
	}
	return count;
}
