/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "policy/ceiling.h"

#define CPU_PERIOD_US 100000
#define CAPABILITIES_MAX 64

/* The container's own file systems. Paths of the kernel's that say too much are masked, those that change the machine read-only. */
static const char base_mounts[] =
	"[{\"destination\":\"/"
	"proc\",\"type\":\"proc\",\"source\":\"proc\",\"options\":[\"nosuid\",\"noexec\",\"nodev\"]},"
	"{\"destination\":\"/"
	"dev\",\"type\":\"tmpfs\",\"source\":\"tmpfs\",\"options\":[\"nosuid\",\"noexec\",\"strictatime\",\"mode=755\","
	"\"size=65536k\"]},"
	"{\"destination\":\"/dev/"
	"pts\",\"type\":\"devpts\",\"source\":\"devpts\",\"options\":[\"nosuid\",\"noexec\",\"newinstance\",\"ptmxmode="
	"0666\",\"mode=0620\"]},"
	"{\"destination\":\"/dev/"
	"shm\",\"type\":\"tmpfs\",\"source\":\"shm\",\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"mode=1777\",\"size="
	"65536k\"]},"
	"{\"destination\":\"/dev/"
	"mqueue\",\"type\":\"mqueue\",\"source\":\"mqueue\",\"options\":[\"nosuid\",\"noexec\",\"nodev\"]},"
	"{\"destination\":\"/"
	"sys\",\"type\":\"sysfs\",\"source\":\"sysfs\",\"options\":[\"nosuid\",\"noexec\",\"nodev\",\"ro\"]}]";

static const char *const masked_paths[] = {
	"/proc/acpi",
	"/proc/asound",
	"/proc/interrupts",
	"/proc/kcore",
	"/proc/keys",
	"/proc/latency_stats",
	"/proc/sched_debug",
	"/proc/scsi",
	"/proc/timer_list",
	"/proc/timer_stats",
	"/sys/devices/virtual/powercap",
	"/sys/firmware",
};

static const char *const readonly_paths[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

static json_t *string_list(const char *const *items, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		(void)json_array_append_new(list, json_string(items[i]));
	return list;
}

static size_t read_capabilities(const json_t *list, const char **to)
{
	const json_t *item;
	size_t i, count = 0;

	json_array_foreach(list, i, item) {
		if (json_is_string(item) && count < CAPABILITIES_MAX)
			to[count++] = json_string_value(item);
	}
	return count;
}

static json_t *format_capabilities(uint64_t set)
{
	json_t *list = json_array();

	for (unsigned n = 0; n < 64; n++) {
		if (set & UINT64_C(1) << n)
			(void)json_array_append_new(list, json_sprintf("CAP_%s", policy_capability_name(n)));
	}
	return list;
}

/*
 * Nothing but what the pod adds and its domain's ceiling allows. For other users than root a capability survives the exec
 * only through the inheritable and ambient sets.
 */
static int add_capabilities(const struct bundle *bundle, json_t *process, struct err *err)
{
	const struct podspec_container *container = bundle->env.container;
	const json_t *capabilities = json_object_get(json_object_get(container->object, "securityContext"),
						     "capabilities");
	const char *add[CAPABILITIES_MAX], *drop[CAPABILITIES_MAX];
	size_t add_count = read_capabilities(json_object_get(capabilities, "add"), add);
	size_t drop_count = read_capabilities(json_object_get(capabilities, "drop"), drop);
	uint32_t user = 0, group = 0;
	uint64_t set = 0;
	int r = policy_ceiling_compute(bundle->domain, container->name, add, add_count, drop, drop_count, &set, err);

	if (r == 0)
		r = podenv_user(&bundle->env, &user, &group, err);
	if (r < 0)
		return r;
	return json_object_set_new(process, "capabilities",
				   json_pack("{s:o, s:o, s:o, s:o, s:o}", "bounding", format_capabilities(set),
					     "permitted", format_capabilities(set), "effective",
					     format_capabilities(set), "inheritable",
					     format_capabilities(user ? set : 0), "ambient",
					     format_capabilities(user ? set : 0))) < 0
		       ? err_sys(err, -ENOMEM, "cannot build the capabilities")
		       : 0;
}

static json_t *build_namespaces(const json_t *namespaces)
{
	static const char *const joined[] = {"user", "network", "ipc", "uts"}, *const own[] = {"mount", "pid",
											       "cgroup"};
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(joined); i++) {
		json_t *path = json_object_get(namespaces, joined[i]);

		/* One that is missing must not become the host's or a new, unfiltered one. */
		if (!json_is_string(path) ||
		    json_array_append_new(list, json_pack("{s:s, s:O}", "type", joined[i], "path", path)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		(void)json_array_append_new(list, json_pack("{s:s}", "type", own[i]));
	return list;
}

static json_t *build_resources(const struct bundle *bundle)
{
	const struct podspec_container *container = bundle->env.container;
	int64_t request = container->cpu_request_milli ? container->cpu_request_milli : container->cpu_milli;
	int64_t shares = request * 1024 / 1000;

	/* Memory and swap together are no more than the memory alone: nothing of a pod is swapped. */
	return json_pack("{s:{s:I, s:I, s:I}, s:{s:I, s:I}, s:{s:I}}", "cpu", "quota",
			 (json_int_t)(container->cpu_milli * CPU_PERIOD_US / 1000), "period", (json_int_t)CPU_PERIOD_US,
			 "shares",
			 (json_int_t)(shares < 2        ? 2
				      : shares > 262144 ? 262144
							: shares),
			 "memory", "limit", (json_int_t)container->memory, "swap", (json_int_t)container->memory,
			 "pids", "limit", (json_int_t)bundle->env.spec->pids);
}

static json_t *build_linux(const struct bundle *bundle)
{
	json_t *namespaces = build_namespaces(bundle->namespaces);

	if (!namespaces)
		return NULL;
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "namespaces", namespaces, "resources", build_resources(bundle),
			 "cgroupsPath", json_sprintf("%s/%s", bundle->cgroup, bundle->env.container->name),
			 "maskedPaths", string_list(masked_paths, ARRAY_SIZE(masked_paths)), "readonlyPaths",
			 string_list(readonly_paths, ARRAY_SIZE(readonly_paths)));
}

/* Read-only unless the pod says otherwise; then the runtime lays memory of the container's own over the image. */
static bool is_read_only(const struct podspec_container *container)
{
	return !json_is_false(
		json_object_get(json_object_get(container->object, "securityContext"), "readOnlyRootFilesystem"));
}

int bundle_build(const struct bundle *bundle, json_t **ret_config, struct err *err)
{
	json_t *process = NULL, *mounts = json_loads(base_mounts, 0, NULL), *config = NULL;
	int r = podenv_process(&bundle->env, &process, err);

	if (r == 0)
		r = add_capabilities(bundle, process, err);
	/* One byte, not none: a core that goes through a pipe of the machine's is written whatever the limit, but for 1. */
	if (r == 0 && bundle->sensitive &&
	    json_object_set_new(process, "rlimits",
				json_pack("[{s:s, s:i, s:i}]", "type", "RLIMIT_CORE", "soft", 1, "hard", 1)) < 0)
		r = err_sys(err, -ENOMEM, "cannot build the limits");
	if (r == 0)
		r = podvolume_mounts(bundle->volume, bundle->env.container, mounts, err);
	if (r == 0) {
		config = json_pack("{s:s, s:O, s:{s:s, s:b}, s:O, s:o, s:{s:s}}", "ociVersion", "1.2.0", "process",
				   process, "root", "path", bundle->root, "readonly",
				   is_read_only(bundle->env.container), "mounts", mounts, "linux", build_linux(bundle),
				   "annotations", "dev.bulkhead.root.idmap", "true");
		if (!config)
			r = err_set(err, -ENOMEM, "cannot build the configuration of container '%s'",
				    bundle->env.container->name);
	}
	json_decref(process);
	json_decref(mounts);
	if (r == 0)
		*ret_config = config;
	return r;
}

int bundle_write(const struct bundle *bundle, char **ret_path, struct err *err)
{
	CLEANUP_FREE char *path = str_format("%s/bundles/%s", bundle->volume->run, bundle->env.container->name),
			  *file = NULL, *text = NULL;
	json_t *config = NULL;
	int r = bundle_build(bundle, &config, err);

	if (r == 0) {
		text = json_dumps(config, JSON_COMPACT);
		file = path ? str_format("%s/config.json", path) : NULL;
		if (!text || !file)
			r = err_sys(err, -ENOMEM, "cannot write a bundle");
	}
	json_decref(config);
	if (r == 0)
		r = fdio_mkdir_all(AT_FDCWD, path, 0700, err);
	/* It may hold secrets as environment: for root alone, and below the run folder. */
	if (r == 0)
		r = fdio_replace_file(AT_FDCWD, file, text, strlen(text), 0600, err);
	if (r == 0)
		*ret_path = take_ptr(path);
	return r;
}
