/* SPDX-License-Identifier: Apache-2.0 */
/* What holds between the parts of a pod, and what of it may change. */
#include "api/messages.h"

#include "base/str.h"

static const char *const container_lists[] = {"initContainers", "containers", "ephemeralContainers"};

/* The set of the names in a list of objects. */
static json_t *names_of(const json_t *list)
{
	json_t *names = json_object(), *item;
	size_t i;

	json_array_foreach((json_t *)list, i, item) {
		const char *name = api_string(item, "name");

		if (name)
			(void)json_object_set_new(names, name, json_true());
	}
	return names;
}

static void check_mounts(struct api_faults *faults, const struct api_place *at, const json_t *container,
			 const json_t *volumes)
{
	const struct api_place place = {.up = at, .name = "volumeMounts"};
	json_t *mount;
	size_t i;

	json_array_foreach(json_object_get(container, "volumeMounts"), i, mount) {
		struct api_place here = {.up = &place, .index = i};
		const char *name = api_string(mount, "name");

		if (name && *name && !json_object_get(volumes, name))
			api_fault(faults, &here, "name", "Not found: \"%.100s\"", name);
	}
}

void api_hook_pod_spec_check(struct api_faults *faults, const struct api_place *at, const json_t *object)
{
	CLEANUP_JSON json_t *volumes = names_of(json_object_get(object, "volumes"));
	CLEANUP_JSON json_t *containers = names_of(json_object_get(object, "containers"));

	for (size_t kind = 0; kind < ARRAY_SIZE(container_lists); kind++) {
		const struct api_place place = {.up = at, .name = container_lists[kind]};
		json_t *container;
		size_t i;

		json_array_foreach(json_object_get(object, container_lists[kind]), i, container) {
			struct api_place here = {.up = &place, .index = i};
			const char *name = api_string(container, "name");

			check_mounts(faults, &here, container, volumes);
			if (kind != 1 && name && json_object_get(containers, name))
				api_fault(faults, &here, "name", "Duplicate value: \"%.100s\"", name);
		}
	}
}

/* Makes what may change in a list of containers the same in both. */
static void level_images(json_t *spec, const json_t *old, const char *list)
{
	json_t *containers = json_object_get(spec, list), *before = json_object_get(old, list), *container;
	size_t i;

	if (json_array_size(containers) != json_array_size(before))
		return;
	json_array_foreach(containers, i, container) {
		json_t *image = json_object_get(json_array_get(before, i), "image");

		if (image)
			(void)json_object_set(container, "image", image);
	}
}

/* Tolerations may be added: every old one must still be there. */
static void level_tolerations(json_t *spec, const json_t *old)
{
	json_t *now = json_object_get(spec, "tolerations"), *before = json_object_get(old, "tolerations"), *item,
	       *other;
	size_t i, j;

	if (json_array_size(before) > 256 || json_array_size(now) > 256)
		return;
	json_array_foreach(before, i, item) {
		bool found = false;

		json_array_foreach(now, j, other)
			found |= json_equal(item, other);
		if (!found)
			return;
	}
	if (before)
		(void)json_object_set(spec, "tolerations", before);
	else
		(void)json_object_del(spec, "tolerations");
}

static void level_field(json_t *spec, const json_t *old, const char *name)
{
	json_t *value = json_object_get(old, name);

	if (value)
		(void)json_object_set(spec, name, value);
	else
		(void)json_object_del(spec, name);
}

void api_hook_pod_update(struct api_faults *faults, const json_t *object, const json_t *old)
{
	CLEANUP_JSON json_t *spec = json_deep_copy(json_object_get(object, "spec"));
	const json_t *before = json_object_get(old, "spec");
	const struct api_place root = {0};

	level_images(spec, before, "containers");
	level_images(spec, before, "initContainers");
	level_tolerations(spec, before);
	level_field(spec, before, "activeDeadlineSeconds");
	if (!json_equal(spec, before))
		api_fault(faults, &root, "spec",
			  "Forbidden: pod updates may not change fields other than `spec.containers[*].image`,"
			  "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
			  "(only additions to existing tolerations)");
}

void api_hook_data_update(struct api_faults *faults, const json_t *object, const json_t *old)
{
	static const char *const fields[] = {"data", "binaryData", "immutable"};
	const struct api_place root = {0};

	if (!json_is_true(json_object_get(old, "immutable")))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const json_t *now = json_object_get(object, fields[i]), *before = json_object_get(old, fields[i]);

		if (now != before && !json_equal(now, before))
			api_fault(faults, &root, fields[i], "Forbidden: field is immutable when `immutable` is set");
	}
}
