/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/bounds_narrow.h"

#include <errno.h>
#include <string.h>

#include "base/json_build.h"
#include "base/str.h"
#include "runtime/bounds_defaults.h"
#include "runtime/bounds_facts.h"

struct narrowing {
	json_t *config;
	json_t *linux_;
	json_t *process;
	const struct runtime_ceiling_facts *facts;
};

typedef int (*narrow_fn)(const struct narrowing *to, const struct runtime_ceiling_finding *finding);

/* Items are replaced by null first, so that the indices of the others stay; sweep takes the nulls out. */
static int drop(json_t *array, size_t index)
{
	return json_array_set_new(array, index, json_null()) < 0 ? -EINVAL : 0;
}

static void sweep(json_t *array)
{
	for (size_t i = json_array_size(array); i > 0; i--)
		if (json_is_null(json_array_get(array, i - 1)))
			(void)json_array_remove(array, i - 1);
}

static void drop_string(json_t *array, const char *word)
{
	for (size_t i = json_array_size(array); i > 0; i--) {
		const char *item = json_string_value(json_array_get(array, i - 1));

		if (item && str_eq(item, word))
			(void)json_array_remove(array, i - 1);
	}
}

/* The array of an object, made when it is not there. */
static json_t *array_of(json_t *object, const char *name)
{
	json_t *array = json_object_get(object, name);

	if (!json_is_array(array) && json_object_set_new(object, name, json_array()) == 0)
		array = json_object_get(object, name);
	return array;
}

static int set_new(json_t *object, const char *name, json_t *value)
{
	return json_object_set_new(object, name, value) < 0 ? -ENOMEM : 0;
}

static int append_new(json_t *array, json_t *value)
{
	return json_array_append_new(array, value) < 0 ? -ENOMEM : 0;
}

static int narrow_capability(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	json_t *sets = json_object_get(to->process, "capabilities");
	json_t *set = json_object_get(sets, to->facts->capabilities[finding->part].name);

	for (size_t i = json_array_size(set); i > 0; i--) {
		const char *name = json_string_value(json_array_get(set, i - 1));

		if (name && spec_capability_number(name) == (int)finding->number)
			(void)json_array_remove(set, i - 1);
	}
	return 0;
}

/* A namespace of its own instead of the host's or another's. */
static int narrow_namespace(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	const char *name = runtime_ceiling_namespace_name((enum runtime_ceiling_namespace)finding->part);
	json_t *list = array_of(to->linux_, "namespaces");

	for (size_t i = 0; i < json_array_size(list); i++) {
		json_t *item = json_array_get(list, i);
		const char *type = json_string_value(json_object_get(item, "type"));

		if (type && str_eq(type, name)) {
			(void)json_object_del(item, "path");
			return 0;
		}
	}
	return append_new(list, json_build("{s:s}", "type", name));
}

static int narrow_source(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	return drop(json_object_get(to->config, "mounts"), finding->index);
}

/* NULL when the mount is dropped already. */
static json_t *options_of(const struct narrowing *to, size_t index)
{
	json_t *mount = json_array_get(json_object_get(to->config, "mounts"), index);

	return json_is_object(mount) ? array_of(mount, "options") : NULL;
}

static int narrow_writable(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	json_t *options = options_of(to, finding->index);

	drop_string(options, "rw");
	return options ? append_new(options, json_string("ro")) : 0;
}

static int narrow_propagation(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	static const char *const words[] = {"private", "rprivate", "slave", "rslave", "shared", "rshared"};
	json_t *options = options_of(to, finding->index);

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		drop_string(options, words[i]);
	return options && finding->number == RUNTIME_CEILING_SLAVE ? append_new(options, json_string("rslave")) : 0;
}

static int narrow_root_propagation(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	return set_new(to->linux_, "rootfsPropagation",
		       json_string(finding->number == RUNTIME_CEILING_SLAVE ? "rslave" : "rprivate"));
}

static int narrow_node(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	return drop(json_object_get(to->linux_, "devices"), finding->index);
}

static json_t *resources_of(const struct narrowing *to)
{
	return bounds_defaults_object(to->linux_, "resources");
}

static int narrow_device(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	return drop(json_object_get(resources_of(to), "devices"), finding->index);
}

static json_t *calls_of(const struct narrowing *to)
{
	return array_of(json_object_get(to->linux_, "seccomp"), "syscalls");
}

/* The call leaves the rule that permits it; a profile that permits by default gets a rule that does not. */
static int narrow_call(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	if (finding->index != SIZE_MAX) {
		drop_string(json_object_get(json_array_get(calls_of(to), finding->index), "names"), finding->word);
		return 0;
	}
	return append_new(calls_of(to), json_build("{s:[s], s:s, s:i}", "names", finding->word, "action",
						   "SCMP_ACT_ERRNO", "errnoRet", EPERM));
}

/* Whether a rule says of the call what happens in any case. */
static bool is_ruled(const struct runtime_ceiling_facts *facts, const char *name)
{
	for (size_t i = 0; i < facts->call_count; i++)
		for (size_t j = 0; !facts->calls[i].conditional && j < facts->calls[i].names.count; j++)
			if (str_eq(facts->calls[i].names.items[j], name))
				return true;
	return false;
}

/* What is left to the default, of a list. */
static json_t *unruled(const struct runtime_ceiling_facts *facts, const json_t *list)
{
	json_t *names = json_array();

	for (size_t i = 0; names && i < json_array_size(list); i++) {
		json_t *name = json_array_get(list, i);

		if (!is_ruled(facts, json_string_value(name)) && json_array_append(names, name) < 0) {
			json_decref(names);
			names = NULL;
		}
	}
	return names;
}

/* What was done with everything is done with what the list has and the profile does not rule; the rest is refused. */
static int narrow_calls_by_default(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	json_t *profile = json_object_get(to->linux_, "seccomp"), *number = json_object_get(profile, "defaultErrnoRet");
	json_t *rule = json_build("{s:o, s:O}", "names", unruled(to->facts, finding->list), "action",
				  json_object_get(profile, "defaultAction"));

	if (!rule || (number && json_object_set(rule, "errnoRet", number) < 0)) {
		json_decref(rule);
		return -ENOMEM;
	}
	if (json_array_insert_new(calls_of(to), 0, rule) < 0 ||
	    json_object_set_new(profile, "defaultAction", json_string("SCMP_ACT_ERRNO")) < 0)
		return -ENOMEM;
	return set_new(profile, "defaultErrnoRet", json_integer(EPERM));
}

static int narrow_sysctl(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	(void)json_object_del(json_object_get(to->linux_, "sysctl"), finding->word);
	return 0;
}

static int narrow_limit(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	static const char *const groups[] = {"cpu", "memory", "memory", "pids"};
	static const char *const fields[] = {"quota", "limit", "swap", "limit"};
	json_t *group = bounds_defaults_object(resources_of(to), groups[finding->part]);
	int64_t now = json_integer_value(json_object_get(group, fields[finding->part])),
		period = json_integer_value(json_object_get(group, "period")), value = (int64_t)finding->number;
	bool cpu = finding->part == RUNTIME_CEILING_CPU;

	/* Several files may have found it: the strictest stays. */
	if (now > 0 && (cpu ? bounds_defaults_share(now, period) : (uint64_t)now) <= finding->number)
		return 0;
	if (cpu) {
		value = bounds_defaults_quota(finding->number, &period);
		if (set_new(group, "period", json_integer(period)) < 0)
			return -ENOMEM;
	}
	return set_new(group, fields[finding->part], json_integer(value));
}

static int narrow_raw_limit(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	(void)json_object_del(json_object_get(resources_of(to), "unified"), finding->word);
	return 0;
}

static int narrow_rlimit(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	json_t *limit = json_array_get(json_object_get(to->process, "rlimits"), finding->index);
	const struct runtime_ceiling_asked_rlimit *asked = &to->facts->rlimits[finding->index];
	const json_t *now = json_object_get(limit, "hard");
	uint64_t soft = asked->soft < finding->number ? asked->soft : finding->number;

	if (json_is_integer(now) && json_integer_value(now) >= 0 && (uint64_t)json_integer_value(now) < finding->number)
		return 0;
	return set_new(limit, "soft", json_integer((json_int_t)soft)) < 0
		       ? -ENOMEM
		       : set_new(limit, "hard", json_integer((json_int_t)finding->number));
}

static int narrow_no_new_privileges(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	return set_new(to->process, "noNewPrivileges", json_true());
}

static int narrow_root(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	return set_new(json_object_get(to->config, "root"), "readonly", json_true());
}

/* What is refused in either mode. */
static int narrow_nothing(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	return -EINVAL;
}

/* Two files may ask for the same path, and a path cannot be masked twice. */
static int append_once(json_t *array, const char *word)
{
	drop_string(array, word);
	return append_new(array, json_string(word));
}

static int narrow_masked(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	return append_once(array_of(to->linux_, "maskedPaths"), finding->word);
}

static int narrow_readonly(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	return append_once(array_of(to->linux_, "readonlyPaths"), finding->word);
}

static int narrow_hook(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	const struct runtime_ceiling_hook *hook = &to->facts->hooks[finding->index];

	return drop(json_object_get(json_object_get(to->config, "hooks"), hook->phase), hook->index);
}

static int narrow_hook_environment(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	const struct runtime_ceiling_hook *hook = &to->facts->hooks[finding->index];
	json_t *list = json_object_get(json_object_get(to->config, "hooks"), hook->phase);

	drop_string(json_object_get(json_array_get(list, hook->index), "env"), finding->word);
	return 0;
}

static int narrow_annotation(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	(void)json_object_del(json_object_get(to->config, "annotations"), finding->word);
	return 0;
}

/* Without a path of the caller's the runtime makes one of its own. */
static int narrow_cgroups_path(const struct narrowing *to, const struct runtime_ceiling_finding *finding)
{
	(void)json_object_del(to->linux_, "cgroupsPath");
	return 0;
}

static const narrow_fn narrowers[] = {
	[RUNTIME_CEILING_RULE_CAPABILITY] = narrow_capability,
	[RUNTIME_CEILING_RULE_NAMESPACE] = narrow_namespace,
	[RUNTIME_CEILING_RULE_SOURCE] = narrow_source,
	[RUNTIME_CEILING_RULE_WRITABLE] = narrow_writable,
	[RUNTIME_CEILING_RULE_PROPAGATION] = narrow_propagation,
	[RUNTIME_CEILING_RULE_ROOT_PROPAGATION] = narrow_root_propagation,
	[RUNTIME_CEILING_RULE_NODE] = narrow_node,
	[RUNTIME_CEILING_RULE_DEVICE] = narrow_device,
	[RUNTIME_CEILING_RULE_CALL] = narrow_call,
	[RUNTIME_CEILING_RULE_CALLS_BY_DEFAULT] = narrow_calls_by_default,
	[RUNTIME_CEILING_RULE_SYSCTL] = narrow_sysctl,
	[RUNTIME_CEILING_RULE_LIMIT] = narrow_limit,
	[RUNTIME_CEILING_RULE_RAW_LIMIT] = narrow_raw_limit,
	[RUNTIME_CEILING_RULE_RLIMIT] = narrow_rlimit,
	[RUNTIME_CEILING_RULE_NO_NEW_PRIVILEGES] = narrow_no_new_privileges,
	[RUNTIME_CEILING_RULE_ROOT_READ_ONLY] = narrow_root,
	[RUNTIME_CEILING_RULE_ROOT_SOURCE] = narrow_nothing,
	[RUNTIME_CEILING_RULE_TERMINAL] = narrow_nothing,
	[RUNTIME_CEILING_RULE_MASKED_PATH] = narrow_masked,
	[RUNTIME_CEILING_RULE_READONLY_PATH] = narrow_readonly,
	[RUNTIME_CEILING_RULE_HOOK] = narrow_hook,
	[RUNTIME_CEILING_RULE_HOOK_ENVIRONMENT] = narrow_hook_environment,
	[RUNTIME_CEILING_RULE_ANNOTATION] = narrow_annotation,
	[RUNTIME_CEILING_RULE_CGROUPS_PATH] = narrow_cgroups_path,
};

/* Rules of a profile that have lost every name are none. */
static void sweep_calls(json_t *calls)
{
	for (size_t i = json_array_size(calls); i > 0; i--)
		if (json_array_size(json_object_get(json_array_get(calls, i - 1), "names")) == 0)
			(void)json_array_remove(calls, i - 1);
}

static void sweep_all(const struct narrowing *to)
{
	json_t *hooks = json_object_get(to->config, "hooks");
	const char *phase;
	json_t *list;

	sweep(json_object_get(to->config, "mounts"));
	sweep(json_object_get(to->linux_, "devices"));
	sweep(json_object_get(json_object_get(to->linux_, "resources"), "devices"));
	json_object_foreach(hooks, phase, list)
		sweep(list);
	sweep_calls(json_object_get(json_object_get(to->linux_, "seccomp"), "syscalls"));
}

int bounds_narrow_config(json_t *config, const struct runtime_ceiling_facts *facts,
			 const struct runtime_ceiling_findings *findings, struct err *err)
{
	const struct narrowing to = {.config = config,
				     .linux_ = bounds_defaults_object(config, "linux"),
				     .process = bounds_defaults_object(config, "process"),
				     .facts = facts};
	int r = 0;

	/* The one edit that moves the indices of others comes last. */
	for (size_t i = 0; r == 0 && i < findings->count; i++)
		if (findings->items[i].rule != RUNTIME_CEILING_RULE_CALLS_BY_DEFAULT)
			r = narrowers[findings->items[i].rule](&to, &findings->items[i]);
	for (size_t i = 0; r == 0 && i < findings->count; i++)
		if (findings->items[i].rule == RUNTIME_CEILING_RULE_CALLS_BY_DEFAULT)
			r = narrowers[findings->items[i].rule](&to, &findings->items[i]);
	if (r < 0)
		return err_sys(err, r, "config.json: cannot be narrowed");
	sweep_all(&to);
	return 0;
}

void bounds_narrow_process(struct spec_process *process, const struct runtime_ceiling_findings *findings)
{
	for (size_t i = 0; i < findings->count; i++) {
		const struct runtime_ceiling_finding *finding = &findings->items[i];

		if (finding->rule == RUNTIME_CEILING_RULE_CAPABILITY) {
			process->capabilities[finding->part] &= ~(UINT64_C(1) << finding->number);
		} else if (finding->rule == RUNTIME_CEILING_RULE_NO_NEW_PRIVILEGES) {
			process->no_new_privileges = true;
		} else if (finding->rule == RUNTIME_CEILING_RULE_RLIMIT) {
			struct spec_rlimit *limit = &process->rlimits.items[finding->index];

			limit->hard = limit->hard < finding->number ? limit->hard : finding->number;
			limit->soft = limit->soft < limit->hard ? limit->soft : limit->hard;
		}
	}
}

static void narrow_number(struct spec_resources *resources, const struct runtime_ceiling_finding *finding)
{
	struct spec_number *numbers[] = {&resources->cpu_quota, &resources->memory_limit, &resources->memory_swap,
					 &resources->pids_limit};
	struct spec_number *number = numbers[finding->part], *period = &resources->cpu_period;
	bool cpu = finding->part == RUNTIME_CEILING_CPU;
	int64_t value = (int64_t)finding->number;

	if (number->value > 0 &&
	    (cpu ? bounds_defaults_share(number->value, period->value) : (uint64_t)number->value) <= finding->number)
		return;
	if (cpu) {
		value = bounds_defaults_quota(finding->number, &period->value);
		period->present = true;
	}
	*number = (struct spec_number){.present = true, .value = value};
}

static void drop_unified(struct spec_pairs *unified, const char *key)
{
	size_t kept = 0;

	for (size_t i = 0; i < unified->count; i++)
		if (!str_eq(unified->items[i].key, key))
			unified->items[kept++] = unified->items[i];
	unified->count = kept;
}

void bounds_narrow_resources(struct spec_resources *resources, const struct runtime_ceiling_findings *findings)
{
	size_t kept = 0;

	for (size_t i = 0; i < findings->count; i++) {
		const struct runtime_ceiling_finding *finding = &findings->items[i];

		if (finding->rule == RUNTIME_CEILING_RULE_LIMIT)
			narrow_number(resources, finding);
		else if (finding->rule == RUNTIME_CEILING_RULE_RAW_LIMIT)
			drop_unified(&resources->unified, finding->word);
		else if (finding->rule == RUNTIME_CEILING_RULE_DEVICE)
			resources->devices.items[finding->index].access = NULL;
	}
	for (size_t i = 0; i < resources->devices.count; i++)
		if (resources->devices.items[i].access)
			resources->devices.items[kept++] = resources->devices.items[i];
	resources->devices.count = kept;
}
