/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/bounds_defaults.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/str.h"
#include "runtime/rootless.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_file.h"

#define PERIOD 100000 /* microseconds, as the kernel has it by itself */

void bounds_defaults_machine(struct runtime_ceiling_machine *machine)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	CLEANUP_BUF struct buf text = buf_of(64);

	*machine = (struct runtime_ceiling_machine){.cpu_milli = cpus > 0 ? (uint64_t)cpus * 1000 : 1000,
						    .memory = pages > 0 && size > 0 ? (uint64_t)pages * (uint64_t)size
										    : UINT64_C(1) << 30,
						    .pids = 32768};
	if (fdio_read_file(AT_FDCWD, "/proc/sys/kernel/pid_max", &text, NULL) < 0 || !text.len)
		return;
	text.data[strcspn(text.data, "\n")] = '\0';
	(void)!str_parse_u64(text.data, UINT32_MAX, &machine->pids);
}

json_t *bounds_defaults_object(json_t *object, const char *name)
{
	json_t *member = json_object_get(object, name);

	if (!member && json_object_set_new(object, name, json_object()) == 0)
		member = json_object_get(object, name);
	return json_is_object(member) ? member : NULL;
}

/* The hierarchy that has a controller, -1: none. */
static int hierarchy_of(const struct cgroup *cgroup, const char *controller)
{
	char words[256] = "";

	for (size_t i = 0; i < cgroup->count; i++)
		if (cgroup_file_has_word(cgroup->hierarchies[i].controllers, controller))
			return (int)i;
	if (!cgroup->only_unified || cgroup->unified < 0)
		return -1;
	if (cgroup_file_read(cgroup->hierarchies[cgroup->unified].mount, "cgroup.controllers", words, sizeof(words)) <
	    0)
		return -1;
	for (char *at = words; *at; at++)
		*at = *at == ' ' || *at == '\n' ? ',' : *at;
	return cgroup_file_has_word(words, controller) ? cgroup->unified : -1;
}

/* Whether a group has a limit: version 1 writes a number below its "none", version 2 something else than "max". */
static bool is_limited(int group, enum runtime_ceiling_limit_kind kind, bool unified)
{
	static const char *const legacy[] = {"cpu.cfs_quota_us", "memory.limit_in_bytes", "", "pids.max"};
	static const char *const plain[] = {"cpu.max", "memory.max", "", "pids.max"};
	char value[64];

	if (cgroup_file_read(group, unified ? plain[kind] : legacy[kind], value, sizeof(value)) < 0)
		return false;
	return !str_starts(value, "max") && value[0] != '-' && strlen(value) < 19;
}

/* Whether a group above the container's has the limit: that one holds, and a larger one below it is refused. */
static bool limited_above(const struct cgroup *cgroup, int hierarchy, enum runtime_ceiling_limit_kind kind)
{
	char path[CGROUP_PATH_MAX];

	memcpy(path, cgroup->path, sizeof(path));
	for (char *slash = strrchr(path, '/'); slash; slash = strrchr(path, '/')) {
		CLEANUP_CLOSE int group = -1;

		*slash = '\0';
		group = openat(cgroup->hierarchies[hierarchy].mount, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (group >= 0 && is_limited(group, kind, hierarchy == cgroup->unified))
			return true;
	}
	return false;
}

static bool asked_by_file(const struct bounds *bounds, enum runtime_ceiling_limit_kind kind)
{
	for (size_t i = 0; i < bounds->count; i++)
		if (bounds->ceilings[i].limits[kind].has_default || bounds->ceilings[i].limits[kind].has_most)
			return true;
	return false;
}

/* Only the built-in default gives way. */
static bool gives_way(const struct bounds *bounds, const struct cgroup *cgroup, enum runtime_ceiling_limit_kind kind)
{
	int hierarchy;

	if (asked_by_file(bounds, kind))
		return false;
	if (rootless_is())
		return true;
	hierarchy = hierarchy_of(cgroup, runtime_ceiling_limit_name(kind));
	return hierarchy < 0 || limited_above(cgroup, hierarchy, kind);
}

static int set_limit(json_t *config, const struct spec_resources *resources, enum runtime_ceiling_limit_kind kind,
		     uint64_t value)
{
	static const char *const groups[] = {"cpu", "memory", "memory", "pids"};
	static const char *const fields[] = {"quota", "limit", "swap", "limit"};
	json_t *linux_ = bounds_defaults_object(config, "linux");
	json_t *all = bounds_defaults_object(linux_, "resources"), *group = bounds_defaults_object(all, groups[kind]);
	uint64_t period = PERIOD;

	if (kind == RUNTIME_CEILING_CPU) {
		if (resources->cpu_period.present && resources->cpu_period.value > 0)
			period = (uint64_t)resources->cpu_period.value;
		else if (json_object_set_new(group, "period", json_integer(PERIOD)) < 0)
			return -ENOMEM;
		/* The kernel takes no quota below a millisecond. */
		value = value * period / 1000;
		value = value < 1000 ? 1000 : value;
	}
	return json_object_set_new(group, fields[kind], json_integer((json_int_t)value)) < 0 ? -ENOMEM : 0;
}

static bool is_missing(const struct spec_resources *resources, enum runtime_ceiling_limit_kind kind)
{
	const struct spec_number *numbers[] = {&resources->cpu_quota, &resources->memory_limit, &resources->memory_swap,
					       &resources->pids_limit};
	static const char *const raw[] = {"cpu.max", "memory.max", "memory.swap.max", "pids.max"};

	for (size_t i = 0; i < resources->unified.count; i++)
		if (str_eq(resources->unified.items[i].key, raw[kind]))
			return false;
	return !numbers[kind]->present;
}

int bounds_defaults_limits(struct bounds *bounds, const struct spec *spec, json_t **ret_config, struct err *err)
{
	const struct spec_resources *resources = &spec->linux_.resources;
	const char *path = spec->linux_.cgroups_path;
	struct cgroup cgroup = {0};
	json_t *config = NULL;
	int r = 0;

	if (bounds->machine.memory == 0)
		bounds_defaults_machine(&bounds->machine);
	for (size_t i = 0; r == 0 && i < RUNTIME_CEILING_LIMITS; i++) {
		enum runtime_ceiling_limit_kind kind = (enum runtime_ceiling_limit_kind)i;
		uint64_t value;

		if (!is_missing(resources, kind) ||
		    !runtime_ceiling_default(bounds->ceilings, bounds->count, kind, &bounds->machine, &value))
			continue;
		if (cgroup.count == 0)
			r = cgroup_init(&cgroup, path && path[0] ? path : "/x", err);
		if (r < 0 || gives_way(bounds, &cgroup, kind))
			continue;
		if (!config)
			config = json_deep_copy(spec->json);
		if (!config || set_limit(config, resources, kind, value) < 0)
			r = err_set(err, -ENOMEM, "no memory");
	}
	cgroup_done(&cgroup);
	if (r == 0)
		*ret_config = config;
	else
		json_decref(config);
	return r;
}
