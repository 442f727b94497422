/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/runtime_ceiling.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "policy/ceiling.h"
#include "policy/runtime_ceiling_check.h"

typedef int (*rule_fn)(const struct runtime_ceiling_check *check);

void runtime_ceiling_findings_done(struct runtime_ceiling_findings *findings)
{
	free(findings->items);
	*findings = (struct runtime_ceiling_findings){0};
}

bool runtime_ceiling_matches(const json_t *patterns, const char *string)
{
	for (size_t i = 0; i < json_array_size(patterns); i++)
		if (str_glob(json_string_value(json_array_get(patterns, i)), string))
			return true;
	return false;
}

bool runtime_ceiling_has_word(const json_t *list, const char *word)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (str_eq(json_string_value(json_array_get(list, i)), word))
			return true;
	return false;
}

static int append(struct runtime_ceiling_findings *findings, const struct runtime_ceiling_finding *finding)
{
	struct runtime_ceiling_finding *grown;

	if (findings->count == RUNTIME_CEILING_FINDINGS_MAX)
		return -E2BIG;
	grown = realloc(findings->items, (findings->count + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	findings->items = grown;
	grown[findings->count++] = *finding;
	return 0;
}

int runtime_ceiling_report(const struct runtime_ceiling_check *check, const char *key,
			   struct runtime_ceiling_finding finding, const char *format, ...)
{
	char asked[352];
	va_list args;
	int r;

	va_start(args, format);
	(void)vsnprintf(asked, sizeof(asked), format, args);
	va_end(args);
	if (!check->ceiling->narrow || finding.rule == RUNTIME_CEILING_RULE_TERMINAL ||
	    finding.rule == RUNTIME_CEILING_RULE_ROOT_SOURCE)
		return err_set(check->err, ERR_DENIED, "%s: %s, which is over '%s' of ceiling file '%s'",
			       check->facts->document, asked, key, check->ceiling->file);
	(void)snprintf(finding.sentence, sizeof(finding.sentence),
		       "%.32s: %s, which is over '%.32s' of ceiling file '%.80s'", check->facts->document, asked, key,
		       check->ceiling->file);
	r = append(check->findings, &finding);
	return r < 0 ? err_sys(check->err, r, "%s: cannot be narrowed", check->facts->document) : 0;
}

static int check_capabilities(const struct runtime_ceiling_check *check)
{
	for (size_t i = 0; check->ceiling->has_capabilities && i < check->facts->set_count; i++) {
		const struct runtime_ceiling_set *set = &check->facts->capabilities[i];
		uint64_t over = set->mask & ~check->ceiling->capabilities;

		for (unsigned number = 0; over; number++, over >>= 1) {
			const char *name = policy_capability_name(number);
			int r;

			if (!(over & 1))
				continue;
			r = runtime_ceiling_report(
				check, "capabilities",
				(struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_CAPABILITY,
								 .part = i,
								 .number = number},
				"process.capabilities.%s: asks for CAP_%s", set->name, name ? name : "?");
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int check_namespaces(const struct runtime_ceiling_check *check)
{
	static const char *const words[] = {"a new one", "a joined one", "the host's"};

	for (size_t i = 0; check->facts->has_namespaces && i < RUNTIME_CEILING_NAMESPACES; i++) {
		enum runtime_ceiling_share asked = check->facts->namespaces[i];
		char key[48];
		int r;

		if (!check->ceiling->has_namespace[i] || asked <= check->ceiling->namespaces[i])
			continue;
		(void)snprintf(key, sizeof(key), "namespaces.%s",
			       runtime_ceiling_namespace_name((enum runtime_ceiling_namespace)i));
		r = runtime_ceiling_report(check, key,
					   (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_NAMESPACE,
									    .part = i},
					   "linux.namespaces: the %s namespace is %s",
					   runtime_ceiling_namespace_name((enum runtime_ceiling_namespace)i),
					   words[asked]);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool lies_below(const char *path, const char *folder)
{
	size_t len = strlen(folder);

	while (len > 1 && folder[len - 1] == '/')
		len--;
	if (len == 1)
		return true;
	return strncmp(path, folder, len) == 0 && (path[len] == '/' || !path[len]);
}

/* The rule that lets a source be mounted; of several the one that lets it be written. */
static const struct runtime_ceiling_source *source_for(const struct runtime_ceiling_source *sources, size_t count,
						       const char *path)
{
	const struct runtime_ceiling_source *found = NULL;

	for (size_t i = 0; path && i < count; i++)
		if (lies_below(path, sources[i].path) && (!found || found->read_only))
			found = &sources[i];
	return found;
}

static int check_mount_source(const struct runtime_ceiling_check *check, size_t index)
{
	const struct runtime_ceiling_mount *mount = &check->facts->mounts[index];
	const struct runtime_ceiling_source *source = source_for(check->ceiling->sources, check->ceiling->source_count,
								 mount->source);

	if (!check->ceiling->sources)
		return 0;
	if (!source)
		return runtime_ceiling_report(check, "mounts.sources",
					      (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_SOURCE,
									       .index = index},
					      "mounts[%zu].source: asks for '%.160s' of the host", index,
					      mount->source ? mount->source : "?");
	if (source->read_only && mount->writable)
		return runtime_ceiling_report(check, "mounts.sources",
					      (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_WRITABLE,
									       .index = index},
					      "mounts[%zu].options: asks to write '%.160s' of the host", index,
					      mount->source);
	return 0;
}

static int check_mounts(const struct runtime_ceiling_check *check)
{
	for (size_t i = 0; i < check->facts->mount_count; i++) {
		int r = check->facts->mounts[i].bind ? check_mount_source(check, i) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static const char *propagation_word(enum runtime_ceiling_propagation propagation)
{
	static const char *const words[] = {"private", "slave", "shared"};

	return words[propagation];
}

static int check_propagation(const struct runtime_ceiling_check *check)
{
	const struct runtime_ceiling_facts *facts = check->facts;
	enum runtime_ceiling_propagation most = check->ceiling->propagation;

	for (size_t i = 0; check->ceiling->has_propagation && i < facts->mount_count; i++) {
		int r = facts->mounts[i].propagation <= most
				? 0
				: runtime_ceiling_report(
					  check, "mounts.propagation",
					  (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_PROPAGATION,
									   .index = i,
									   .number = most},
					  "mounts[%zu].options: asks for %s propagation", i,
					  propagation_word(facts->mounts[i].propagation));

		if (r < 0)
			return r;
	}
	if (!check->ceiling->has_propagation || facts->root_propagation <= most)
		return 0;
	return runtime_ceiling_report(check, "mounts.propagation",
				      (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_ROOT_PROPAGATION,
								       .number = most},
				      "linux.rootfsPropagation: asks for %s propagation",
				      propagation_word(facts->root_propagation));
}

/* What every container has anyway: null, zero, full, random, urandom, tty, ptmx and pseudo-terminals. */
static bool is_standard(const struct runtime_ceiling_device *device)
{
	static const struct {
		int64_t major;
		int64_t minor;
	} rows[] = {{1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 2}, {136, -1}};

	for (size_t i = 0; device->type == 'c' && i < ARRAY_SIZE(rows); i++)
		if (device->major == rows[i].major && (rows[i].minor == -1 || device->minor == rows[i].minor))
			return true;
	return false;
}

static bool has_access(const char *most, const char *asked)
{
	for (; *asked; asked++)
		if (!strchr(most, *asked))
			return false;
	return true;
}

static bool device_allowed(const struct runtime_ceiling *ceiling, const struct runtime_ceiling_device *asked)
{
	if (is_standard(asked))
		return true;
	for (size_t i = 0; i < ceiling->device_count; i++) {
		const struct runtime_ceiling_device *row = &ceiling->devices[i];

		if ((row->type == 'a' || row->type == asked->type) &&
		    (row->major == -1 || row->major == asked->major) &&
		    (row->minor == -1 || row->minor == asked->minor) && has_access(row->access, asked->access))
			return true;
	}
	return false;
}

static const char *device_text(char *to, size_t size, const struct runtime_ceiling_device *device)
{
	char major[24] = "*", minor[24] = "*";

	if (device->major >= 0)
		(void)snprintf(major, sizeof(major), "%" PRId64, device->major);
	if (device->minor >= 0)
		(void)snprintf(minor, sizeof(minor), "%" PRId64, device->minor);
	(void)snprintf(to, size, "%c %s:%s %s", device->type, major, minor, device->access);
	return to;
}

static int check_nodes(const struct runtime_ceiling_check *check)
{
	for (size_t i = 0; i < check->facts->node_count; i++) {
		const struct runtime_ceiling_device *node = &check->facts->nodes[i];
		char text[64];
		int r;

		if (device_allowed(check->ceiling, node))
			continue;
		r = runtime_ceiling_report(check, "devices",
					   (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_NODE,
									    .index = i},
					   "linux.devices[%zu]: asks for device '%s'", i,
					   device_text(text, sizeof(text), node));
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_device_rules(const struct runtime_ceiling_check *check)
{
	for (size_t i = 0; i < check->facts->rule_count; i++) {
		const struct runtime_ceiling_device *rule = &check->facts->rules[i];
		char text[64];
		int r;

		if (!rule->access || device_allowed(check->ceiling, rule))
			continue;
		r = runtime_ceiling_report(check, "devices",
					   (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_DEVICE,
									    .index = i},
					   "linux.resources.devices[%zu]: asks for device '%s'", i,
					   device_text(text, sizeof(text), rule));
		if (r < 0)
			return r;
	}
	return 0;
}

/* A device of the host that is mounted is asked for as one that is made. */
static int check_mounted_devices(const struct runtime_ceiling_check *check)
{
	for (size_t i = 0; i < check->facts->mount_count; i++) {
		const struct runtime_ceiling_mount *mount = &check->facts->mounts[i];
		const struct runtime_ceiling_device device = {.type = mount->device,
							      .major = mount->major,
							      .minor = mount->minor,
							      .access = "r"};
		char text[64];
		int r;

		if (!mount->device || device_allowed(check->ceiling, &device))
			continue;
		r = runtime_ceiling_report(check, "devices",
					   (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_SOURCE,
									    .index = i},
					   "mounts[%zu].source: asks for device '%s'", i,
					   device_text(text, sizeof(text), &device));
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_devices(const struct runtime_ceiling_check *check)
{
	int r;

	if (!check->ceiling->devices)
		return 0;
	r = check_nodes(check);
	if (r == 0)
		r = check_device_rules(check);
	return r == 0 ? check_mounted_devices(check) : r;
}

static int check_sysctls(const struct runtime_ceiling_check *check)
{
	for (size_t i = 0; check->ceiling->sysctls && i < check->facts->sysctls.count; i++) {
		const char *name = check->facts->sysctls.items[i];
		int r;

		if (runtime_ceiling_matches(check->ceiling->sysctls, name))
			continue;
		r = runtime_ceiling_report(check, "sysctls",
					   (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_SYSCTL,
									    .word = name},
					   "linux.sysctl: asks to set '%.128s'", name);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_rlimits(const struct runtime_ceiling_check *check)
{
	for (size_t i = 0; i < check->facts->rlimit_count; i++) {
		const struct runtime_ceiling_asked_rlimit *asked = &check->facts->rlimits[i];

		for (size_t j = 0; j < check->ceiling->rlimit_count; j++) {
			const struct runtime_ceiling_rlimit *row = &check->ceiling->rlimits[j];
			uint64_t value = asked->hard > asked->soft ? asked->hard : asked->soft;
			int r;

			if (!str_eq(row->name, asked->name) || value <= row->most)
				continue;
			r = runtime_ceiling_report(check, "rlimits",
						   (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_RLIMIT,
										    .index = i,
										    .number = row->most},
						   "process.rlimits: asks for %s of %" PRIu64 " where %" PRIu64
						   " is the most",
						   asked->name, value, row->most);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int check_process(const struct runtime_ceiling_check *check)
{
	int r = 0;

	if (!check->facts->has_process)
		return 0;
	if (check->ceiling->no_new_privileges && !check->facts->no_new_privileges)
		r = runtime_ceiling_report(check, "noNewPrivileges",
					   (struct runtime_ceiling_finding){
						   .rule = RUNTIME_CEILING_RULE_NO_NEW_PRIVILEGES},
					   "process.noNewPrivileges: is not set");
	if (r == 0 && check->ceiling->no_terminal && check->facts->terminal)
		r = runtime_ceiling_report(check, "terminal",
					   (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_TERMINAL},
					   "process.terminal: asks for a terminal");
	return r;
}

static int report_root(const struct runtime_ceiling_check *check, const char *key)
{
	const char *root = check->facts->root;

	return runtime_ceiling_report(check, key,
				      (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_ROOT_SOURCE},
				      "root.path: asks for '%.160s' of the host", root ? root : "?");
}

/* The root is the host's as a mount's source is. Where nothing is said of roots it is an image, and no system. */
static int check_root_source(const struct runtime_ceiling_check *check)
{
	const struct runtime_ceiling *ceiling = check->ceiling;
	const struct runtime_ceiling_source *source;

	if (!check->facts->has_root)
		return 0;
	if (!ceiling->root_sources)
		return ceiling->sources && check->facts->root_is_system ? report_root(check, "mounts.sources") : 0;
	source = source_for(ceiling->root_sources, ceiling->root_source_count, check->facts->root);
	if (!source)
		return report_root(check, "root.sources");
	if (!source->read_only || !check->facts->root_writable)
		return 0;
	return runtime_ceiling_report(check, "root.sources",
				      (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_ROOT_READ_ONLY},
				      "root.readonly: asks to write '%.160s' of the host", check->facts->root);
}

static int check_root(const struct runtime_ceiling_check *check)
{
	if (!check->facts->has_root || !check->ceiling->root_read_only || check->facts->root_read_only)
		return 0;
	return runtime_ceiling_report(check, "rootReadOnly",
				      (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_ROOT_READ_ONLY},
				      "root.readonly: asks to write the root");
}

static bool words_have(const struct runtime_ceiling_words *words, const char *word)
{
	for (size_t i = 0; i < words->count; i++)
		if (str_eq(words->items[i], word))
			return true;
	return false;
}

static int check_paths(const struct runtime_ceiling_check *check)
{
	const struct {
		const char *key;
		const json_t *least;
		const struct runtime_ceiling_words *asked;
		enum runtime_ceiling_rule rule;
	} rows[] = {
		{"maskedPaths", check->ceiling->masked_paths, &check->facts->masked_paths,
		 RUNTIME_CEILING_RULE_MASKED_PATH},
		{"readonlyPaths", check->ceiling->readonly_paths, &check->facts->readonly_paths,
		 RUNTIME_CEILING_RULE_READONLY_PATH},
	};

	for (size_t i = 0; check->facts->has_root && i < ARRAY_SIZE(rows); i++) {
		for (size_t j = 0; j < json_array_size(rows[i].least); j++) {
			const char *path = json_string_value(json_array_get(rows[i].least, j));
			/* A masked path is write-protected as well. */
			int r = words_have(rows[i].asked, path) || words_have(&check->facts->masked_paths, path)
					? 0
					: runtime_ceiling_report(check, rows[i].key,
								 (struct runtime_ceiling_finding){.rule = rows[i].rule,
												  .word = path},
								 "linux.%s: lacks '%.160s'", rows[i].key, path);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

static bool variable_allowed(const struct runtime_ceiling *ceiling, const char *variable)
{
	char name[256];

	(void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(variable, "="), variable);
	return strcspn(variable, "=") < sizeof(name) && runtime_ceiling_matches(ceiling->hook_environment, name);
}

/* A program that may be run does what its variables have its loader do: where hooks are bounded it has none by itself. */
static int check_hook_environment(const struct runtime_ceiling_check *check, size_t index)
{
	const struct runtime_ceiling_hook *hook = &check->facts->hooks[index];

	for (size_t i = 0; i < hook->env.count; i++) {
		const char *variable = hook->env.items[i];
		int r;

		if (variable_allowed(check->ceiling, variable))
			continue;
		r = runtime_ceiling_report(
			check, check->ceiling->hook_environment ? "hookEnvironment" : "hooks",
			(struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_HOOK_ENVIRONMENT,
							 .index = index,
							 .word = variable},
			"hooks.%s[%zu].env: sets '%.*s'", hook->phase, hook->index,
			(int)(strcspn(variable, "=") < 64 ? strcspn(variable, "=") : 64), variable);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_hooks(const struct runtime_ceiling_check *check)
{
	bool bounded = check->ceiling->hooks || check->ceiling->hook_environment;

	for (size_t i = 0; bounded && i < check->facts->hook_count; i++) {
		const struct runtime_ceiling_hook *hook = &check->facts->hooks[i];
		int r = check_hook_environment(check, i);

		if (r < 0)
			return r;
		if (!check->ceiling->hooks ||
		    (hook->path && runtime_ceiling_has_word(check->ceiling->hooks, hook->path)))
			continue;
		r = runtime_ceiling_report(check, "hooks",
					   (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_HOOK,
									    .index = i},
					   "hooks.%s[%zu].path: asks to run '%.160s'", hook->phase, hook->index,
					   hook->path ? hook->path : "?");
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_annotations(const struct runtime_ceiling_check *check)
{
	for (size_t i = 0; check->ceiling->annotations && i < check->facts->annotations.count; i++) {
		const char *key = check->facts->annotations.items[i];
		int r;

		if (runtime_ceiling_matches(check->ceiling->annotations, key))
			continue;
		r = runtime_ceiling_report(check, "annotations",
					   (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_ANNOTATION,
									    .word = key},
					   "annotations: has '%.160s'", key);
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_cgroups_path(const struct runtime_ceiling_check *check)
{
	const char *path = check->facts->cgroups_path;

	if (!check->ceiling->cgroups_paths || !path || runtime_ceiling_matches(check->ceiling->cgroups_paths, path))
		return 0;
	return runtime_ceiling_report(check, "cgroupsPaths",
				      (struct runtime_ceiling_finding){.rule = RUNTIME_CEILING_RULE_CGROUPS_PATH},
				      "linux.cgroupsPath: asks for '%.160s'", path);
}

int runtime_ceiling_check(const struct runtime_ceiling *ceiling, const struct runtime_ceiling_facts *facts,
			  const struct runtime_ceiling_machine *machine, struct runtime_ceiling_findings *findings,
			  struct err *err)
{
	static const rule_fn rules[] = {
		check_capabilities, check_namespaces,
		check_mounts,       check_propagation,
		check_devices,      runtime_ceiling_check_calls,
		check_sysctls,      runtime_ceiling_check_limits,
		check_rlimits,      check_process,
		check_root_source,  check_root,
		check_paths,        check_hooks,
		check_annotations,  check_cgroups_path,
	};
	const struct runtime_ceiling_check check = {.ceiling = ceiling,
						    .facts = facts,
						    .machine = machine,
						    .findings = findings,
						    .err = err};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		int r = rules[i](&check);

		if (r < 0)
			return r;
	}
	return 0;
}
