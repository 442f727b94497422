/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/bounds_facts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/str.h"
#include "runtime/bounds_defaults.h"
#include "runtime/container.h"
#include "sandbox/mountfd.h"

static const char *const set_names[SPEC_CAPABILITY_SETS] = {
	[SPEC_BOUNDING] = "bounding",       [SPEC_EFFECTIVE] = "effective", [SPEC_PERMITTED] = "permitted",
	[SPEC_INHERITABLE] = "inheritable", [SPEC_AMBIENT] = "ambient",
};

enum spec_namespace_type bounds_namespace_type(enum runtime_ceiling_namespace which)
{
	static const enum spec_namespace_type types[RUNTIME_CEILING_NAMESPACES] = {
		[RUNTIME_CEILING_NETWORK] = SPEC_NS_NETWORK, [RUNTIME_CEILING_PID] = SPEC_NS_PID,
		[RUNTIME_CEILING_IPC] = SPEC_NS_IPC,         [RUNTIME_CEILING_UTS] = SPEC_NS_UTS,
		[RUNTIME_CEILING_CGROUP] = SPEC_NS_CGROUP,   [RUNTIME_CEILING_TIME] = SPEC_NS_TIME,
	};

	return types[which];
}

void bounds_facts_done(struct bounds_facts *facts)
{
	for (size_t i = 0; i < facts->block_count; i++)
		free(facts->blocks[i]);
	free(facts->blocks);
	*facts = (struct bounds_facts){0};
}

void *bounds_facts_keep(struct bounds_facts *facts, void *block)
{
	void **grown = block ? realloc(facts->blocks, (facts->block_count + 1) * sizeof(*grown)) : NULL;

	if (!grown) {
		free(block);
		return NULL;
	}
	facts->blocks = grown;
	grown[facts->block_count++] = block;
	return block;
}

static void *keep_array(struct bounds_facts *facts, size_t count, size_t size)
{
	return bounds_facts_keep(facts, calloc(count + 1, size));
}

/* The path of what a descriptor stands for, NULL when it has none. */
static const char *path_of(struct bounds_facts *facts, int fd, const struct stat *st)
{
	char link[64], path[4096];
	ssize_t len;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path));
	if (len <= 0 || (size_t)len >= sizeof(path) || path[0] != '/' || st->st_nlink == 0)
		return NULL;
	path[len] = '\0';
	return bounds_facts_keep(facts, strdup(path));
}

static enum runtime_ceiling_propagation propagation_of(const struct mountfd_options *options)
{
	if (options->propagation == MS_SHARED)
		return RUNTIME_CEILING_SHARED;
	return options->propagation == MS_SLAVE ? RUNTIME_CEILING_SLAVE : RUNTIME_CEILING_PRIVATE;
}

static int judge_source(struct bounds_facts *facts, struct runtime_ceiling_mount *to, const char *source, int bundle,
			struct bounds_identity *identity, struct err *err)
{
	CLEANUP_CLOSE int fd = openat(bundle, source, O_PATH | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, -errno, "cannot open source '%s'", source);
	*identity = (struct bounds_identity){.judged = true, .dev = st.st_dev, .ino = st.st_ino};
	to->source = path_of(facts, fd, &st);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
		to->device = S_ISCHR(st.st_mode) ? 'c' : 'b';
		to->major = major(st.st_rdev);
		to->minor = minor(st.st_rdev);
	}
	return 0;
}

static int judge_mount(struct bounds_facts *facts, struct runtime_ceiling_mount *to, const struct spec_mount *mount,
		       int bundle, struct bounds_identity *identity, struct err *err)
{
	struct mountfd_options options;
	int r = mountfd_options_read(&options, &mount->options, err);

	if (r < 0)
		return r;
	to->bind = options.bind || (mount->type && str_eq(mount->type, "bind"));
	to->writable = !(options.set & MOUNT_ATTR_RDONLY);
	to->propagation = propagation_of(&options);
	if (!to->bind || !mount->source || !mount->source[0])
		return 0;
	return judge_source(facts, to, mount->source, bundle, identity, err);
}

static int add_root(struct bounds_facts *facts, struct bounds *bounds, int bundle, const struct spec *spec,
		    struct err *err)
{
	struct runtime_ceiling_mount root = {0};
	int r;

	/* A missing one is for create to complain of. */
	if (!spec->root_path)
		return 0;
	r = judge_source(facts, &root, spec->root_path, bundle, &bounds->root, err);
	if (r < 0)
		return err_set(err, r, "config.json: root.path: cannot open '%s'", spec->root_path);
	facts->facts.root = root.source;
	facts->facts.root_is_system = bounds_root_is_system(&bounds->root, root.source);
	/* An image's folder is never written, whatever is laid over it. */
	facts->facts.root_writable = !spec->root_readonly && !container_wants_idmap(spec);
	return 0;
}

static int add_mounts(struct bounds_facts *facts, struct bounds *bounds, int bundle, const struct spec *spec,
		      struct err *err)
{
	struct runtime_ceiling_mount *mounts = keep_array(facts, spec->mounts.count, sizeof(*mounts));

	free(bounds->mounts);
	bounds->mount_count = 0;
	bounds->mounts = calloc(spec->mounts.count + 1, sizeof(*bounds->mounts));
	if (!mounts || !bounds->mounts)
		return err_set(err, -ENOMEM, "no memory");
	bounds->mount_count = spec->mounts.count;
	for (size_t i = 0; i < spec->mounts.count; i++)
		if (judge_mount(facts, &mounts[i], &spec->mounts.items[i], bundle, &bounds->mounts[i], err) < 0)
			return err_prefix(err, "config.json: mounts[%zu]", i);
	facts->facts.mounts = mounts;
	facts->facts.mount_count = spec->mounts.count;
	facts->facts.root_propagation = spec->linux_.propagation == SPEC_PROPAGATION_SHARED  ? RUNTIME_CEILING_SHARED
					: spec->linux_.propagation == SPEC_PROPAGATION_SLAVE ? RUNTIME_CEILING_SLAVE
											     : RUNTIME_CEILING_PRIVATE;
	return 0;
}

bool bounds_is_host_namespace(const struct stat *namespace, enum spec_namespace_type type)
{
	static const char *const files[SPEC_NS_TYPES] = {
		[SPEC_NS_USER] = "user",     [SPEC_NS_MOUNT] = "mnt", [SPEC_NS_PID] = "pid",
		[SPEC_NS_NETWORK] = "net",   [SPEC_NS_IPC] = "ipc",   [SPEC_NS_UTS] = "uts",
		[SPEC_NS_CGROUP] = "cgroup", [SPEC_NS_TIME] = "time",
	};
	static const char *const processes[] = {"self", "1"};

	for (size_t i = 0; i < ARRAY_SIZE(processes); i++) {
		struct stat st;
		char path[64];

		(void)snprintf(path, sizeof(path), "/proc/%s/ns/%s", processes[i], files[type]);
		if (stat(path, &st) == 0 && st.st_ino == namespace->st_ino && st.st_dev == namespace->st_dev)
			return true;
	}
	return false;
}

static int add_namespaces(struct bounds_facts *facts, struct bounds *bounds, const struct spec *spec, struct err *err)
{
	facts->facts.has_namespaces = true;
	for (size_t i = 0; i < RUNTIME_CEILING_NAMESPACES; i++) {
		enum spec_namespace_type type = bounds_namespace_type((enum runtime_ceiling_namespace)i);
		const struct spec_namespace *asked = &spec->linux_.namespaces[type];
		struct stat st;

		facts->facts.namespaces[i] = asked->wanted ? RUNTIME_CEILING_OWN : RUNTIME_CEILING_HOST;
		if (!asked->path)
			continue;
		if (stat(asked->path, &st) < 0)
			return err_sys(err, -errno, "config.json: linux.namespaces: cannot open %s namespace '%s'",
				       spec_namespace_name(type), asked->path);
		bounds->namespaces[type] = (struct bounds_identity){.judged = true, .dev = st.st_dev, .ino = st.st_ino};
		facts->facts.namespaces[i] = bounds_is_host_namespace(&st, type) ? RUNTIME_CEILING_HOST
										 : RUNTIME_CEILING_JOINED;
	}
	return 0;
}

static int add_nodes(struct bounds_facts *facts, const struct spec_devices *devices, struct err *err)
{
	struct runtime_ceiling_device *nodes = keep_array(facts, devices->count, sizeof(*nodes));
	size_t count = 0;

	if (!nodes)
		return err_set(err, -ENOMEM, "no memory");
	/* The index counts: a pipe stands as what everybody may have. */
	for (; count < devices->count; count++) {
		const struct spec_device *device = &devices->items[count];

		nodes[count] =
			device->type == 'p'
				? (struct runtime_ceiling_device){.type = 'c', .major = 1, .minor = 3, .access = ""}
				: (struct runtime_ceiling_device){.type = device->type,
								  .major = device->major,
								  .minor = device->minor,
								  .access = ""};
	}
	facts->facts.nodes = nodes;
	facts->facts.node_count = count;
	return 0;
}

/* Whether a rule lets the call happen: a listener may answer that it shall go on. */
static bool permits(uint32_t action)
{
	return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG || action == SECCOMP_RET_TRACE ||
	       action == SECCOMP_RET_USER_NOTIF;
}

static int add_profile(struct bounds_facts *facts, const struct spec_seccomp *profile, struct err *err)
{
	struct runtime_ceiling_rule_call *calls = keep_array(facts, profile->rules.count, sizeof(*calls));

	if (!calls)
		return err_set(err, -ENOMEM, "no memory");
	for (size_t i = 0; i < profile->rules.count; i++) {
		const struct spec_seccomp_rule *rule = &profile->rules.items[i];

		calls[i] = (struct runtime_ceiling_rule_call){.names = {.items = rule->names.items,
									.count = rule->names.count},
							      .permits = permits(rule->action),
							      .conditional = rule->args.count != 0};
	}
	facts->facts.has_profile = profile->present;
	facts->facts.profile_permits = permits(profile->default_action);
	facts->facts.calls = calls;
	facts->facts.call_count = profile->rules.count;
	return 0;
}

static int add_keys(struct bounds_facts *facts, const struct spec_pairs *pairs, struct runtime_ceiling_words *to,
		    struct err *err)
{
	const char **keys = keep_array(facts, pairs->count, sizeof(*keys));

	if (!keys)
		return err_set(err, -ENOMEM, "no memory");
	for (size_t i = 0; i < pairs->count; i++)
		keys[i] = pairs->items[i].key;
	*to = (struct runtime_ceiling_words){.items = keys, .count = pairs->count};
	return 0;
}

int bounds_facts_add_process(struct bounds_facts *facts, const struct spec_process *process, struct err *err)
{
	struct runtime_ceiling_asked_rlimit *limits = keep_array(facts, process->rlimits.count, sizeof(*limits));

	if (!limits)
		return err_set(err, -ENOMEM, "no memory");
	for (size_t i = 0; i < process->rlimits.count; i++)
		limits[i] = (struct runtime_ceiling_asked_rlimit){.name = process->rlimits.items[i].name,
								  .soft = process->rlimits.items[i].soft,
								  .hard = process->rlimits.items[i].hard};
	facts->facts.rlimits = limits;
	facts->facts.rlimit_count = process->rlimits.count;
	for (size_t i = 0; i < SPEC_CAPABILITY_SETS; i++)
		facts->facts.capabilities[i] = (struct runtime_ceiling_set){.name = set_names[i],
									    .mask = process->capabilities[i]};
	facts->facts.set_count = SPEC_CAPABILITY_SETS;
	facts->facts.has_process = true;
	facts->facts.no_new_privileges = process->no_new_privileges;
	facts->facts.terminal = process->terminal;
	return 0;
}

/* A limit of processes that is 0 is none; with the others 0 is not set. */
static struct runtime_ceiling_asked_limit limit_of(const struct spec_number *number)
{
	return (struct runtime_ceiling_asked_limit){.present = number->present,
						    .unlimited = number->present && number->value <= 0,
						    .value = number->present ? (uint64_t)number->value : 0};
}

static struct runtime_ceiling_asked_limit cpu_of(const struct spec_resources *resources)
{
	struct runtime_ceiling_asked_limit limit = limit_of(&resources->cpu_quota);

	if (limit.present && !limit.unlimited)
		limit.value = bounds_defaults_share(resources->cpu_quota.value, resources->cpu_period.value);
	return limit;
}

static bool is_raw(const struct spec_pairs *unified, const char *key)
{
	for (size_t i = 0; i < unified->count; i++)
		if (str_eq(unified->items[i].key, key))
			return true;
	return false;
}

static int add_device_rules(struct bounds_facts *facts, const struct spec_device_rules *asked, struct err *err)
{
	struct runtime_ceiling_device *rules = keep_array(facts, asked->count, sizeof(*rules));

	if (!rules)
		return err_set(err, -ENOMEM, "no memory");
	for (size_t i = 0; i < asked->count; i++) {
		const struct spec_device_rule *rule = &asked->items[i];

		rules[i] = (struct runtime_ceiling_device){.type = rule->type,
							   .major = rule->major,
							   .minor = rule->minor,
							   .access = rule->allow ? rule->access : NULL};
	}
	facts->facts.rules = rules;
	facts->facts.rule_count = asked->count;
	return 0;
}

int bounds_facts_add_resources(struct bounds_facts *facts, const struct spec_resources *resources, struct err *err)
{
	struct runtime_ceiling_asked_limit *limits = facts->facts.limits;

	facts->facts.has_limits = true;
	limits[RUNTIME_CEILING_CPU] = cpu_of(resources);
	limits[RUNTIME_CEILING_MEMORY] = limit_of(&resources->memory_limit);
	limits[RUNTIME_CEILING_SWAP] = limit_of(&resources->memory_swap);
	limits[RUNTIME_CEILING_PIDS] = limit_of(&resources->pids_limit);
	limits[RUNTIME_CEILING_CPU].raw = is_raw(&resources->unified, "cpu.max");
	limits[RUNTIME_CEILING_MEMORY].raw = is_raw(&resources->unified, "memory.max");
	limits[RUNTIME_CEILING_SWAP].raw = is_raw(&resources->unified, "memory.swap.max");
	limits[RUNTIME_CEILING_PIDS].raw = is_raw(&resources->unified, "pids.max");
	return add_device_rules(facts, &resources->devices, err);
}

int bounds_facts_of_spec(struct bounds_facts *facts, struct bounds *bounds, int bundle, const struct spec *spec,
			 struct err *err)
{
	struct runtime_ceiling_facts *to = &facts->facts;
	const struct spec_linux *linux_ = &spec->linux_;
	int r;

	*facts = (struct bounds_facts){.facts = {.document = "config.json", .has_root = true}};
	r = bounds_facts_add_process(facts, &spec->process, err);
	if (r == 0)
		r = bounds_facts_add_resources(facts, &linux_->resources, err);
	if (r == 0)
		r = add_namespaces(facts, bounds, spec, err);
	if (r == 0)
		r = add_root(facts, bounds, bundle, spec, err);
	if (r == 0)
		r = add_mounts(facts, bounds, bundle, spec, err);
	if (r == 0)
		r = add_nodes(facts, &linux_->devices, err);
	if (r == 0)
		r = add_profile(facts, &linux_->seccomp, err);
	if (r == 0)
		r = bounds_facts_add_hooks(facts, spec, err);
	if (r == 0)
		r = add_keys(facts, &linux_->sysctl, &to->sysctls, err);
	if (r == 0)
		r = add_keys(facts, &spec->annotations, &to->annotations, err);
	to->all_limits = true;
	to->root_read_only = spec->root_readonly;
	to->masked_paths = (struct runtime_ceiling_words){linux_->masked_paths.items, linux_->masked_paths.count};
	to->readonly_paths = (struct runtime_ceiling_words){linux_->readonly_paths.items, linux_->readonly_paths.count};
	to->cgroups_path = linux_->cgroups_path && linux_->cgroups_path[0] ? linux_->cgroups_path : NULL;
	return r;
}
