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
#define PERIOD_MOST 1000000
#define QUOTA_LEAST 1000 /* and the least period */
#define SHARE_MOST UINT64_C(1000000000)

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

uint64_t bounds_defaults_share(int64_t quota, int64_t period)
{
	uint64_t value = (uint64_t)quota, whole = period > 0 ? (uint64_t)period : PERIOD;

	return value > (UINT64_MAX - whole) / 1000 ? UINT64_MAX : (value * 1000 + whole - 1) / whole;
}

int64_t bounds_defaults_quota(uint64_t share, int64_t *period)
{
	int64_t most = (int64_t)(share < SHARE_MOST ? share : SHARE_MOST);

	if (*period < QUOTA_LEAST || *period > PERIOD_MOST)
		*period = PERIOD;
	if (most * *period / 1000 < QUOTA_LEAST)
		*period = (PERIOD_MOST + most - 1) / most;
	return most * *period / 1000;
}

json_t *bounds_defaults_object(json_t *object, const char *name)
{
	json_t *member = json_object_get(object, name);

	if ((!member || json_is_null(member)) && json_object_set_new(object, name, json_object()) == 0)
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
	for (size_t i = 0; i < bounds->count; i++) {
		const struct runtime_ceiling_limit *limits = bounds->ceilings[i].limits;

		if (limits[kind].has_default || limits[kind].has_most)
			return true;
		/* Swap is bounded together with memory. */
		if (kind == RUNTIME_CEILING_MEMORY && limits[RUNTIME_CEILING_SWAP].has_most)
			return true;
	}
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
	int64_t period = resources->cpu_period.value;

	if (kind == RUNTIME_CEILING_CPU) {
		value = (uint64_t)bounds_defaults_quota(value, &period);
		if (json_object_set_new(group, "period", json_integer(period)) < 0)
			return -ENOMEM;
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
	/* 0 of processes is "not said". */
	return !numbers[kind]->present || numbers[kind]->value == 0;
}

/* Memory that is limited is not had again as swap: only a file that gives swap by default adds some. */
static bool adds_swap(const struct bounds *bounds, const struct spec_resources *resources, int64_t memory,
		      uint64_t swap)
{
	if (!is_missing(resources, RUNTIME_CEILING_MEMORY) && !resources->memory_limit.present)
		return false;
	if (memory <= 0)
		return true;
	for (size_t i = 0; i < bounds->count; i++)
		if (bounds->ceilings[i].limits[RUNTIME_CEILING_SWAP].has_default && swap >= (uint64_t)memory)
			return true;
	return false;
}

int bounds_defaults_limits(struct bounds *bounds, const struct spec *spec, json_t **ret_config, struct err *err)
{
	const struct spec_resources *resources = &spec->linux_.resources;
	const char *path = spec->linux_.cgroups_path;
	int64_t memory = resources->memory_limit.value;
	struct cgroup cgroup = {0};
	json_t *config = NULL;
	int r = 0;

	for (size_t i = 0; r == 0 && i < RUNTIME_CEILING_LIMITS; i++) {
		enum runtime_ceiling_limit_kind kind = (enum runtime_ceiling_limit_kind)i;
		uint64_t value;

		/* Only files ask for a limit of swap. */
		if (!is_missing(resources, kind) || (kind == RUNTIME_CEILING_SWAP && bounds->count == 0))
			continue;
		if (bounds->machine.memory == 0)
			bounds_defaults_machine(&bounds->machine);
		if (!runtime_ceiling_default(bounds->ceilings, bounds->count, kind, &bounds->machine, &value))
			continue;
		if (kind == RUNTIME_CEILING_SWAP && !adds_swap(bounds, resources, memory, value))
			continue;
		if (cgroup.count == 0)
			r = cgroup_init(&cgroup, path && path[0] ? path : "/x", err);
		if (r < 0 || gives_way(bounds, &cgroup, kind))
			continue;
		if (kind == RUNTIME_CEILING_MEMORY)
			memory = (int64_t)value;
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
