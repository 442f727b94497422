/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/str.h"
#include "runtime/commands.h"
#include "runtime/state.h"
#include "runtime/supervise.h"
#include "sandbox/landlock.h"

CLEANUP_DEFINE(json, json_t *, json_decref)

static int print(const json_t *json, size_t flags, struct err *err)
{
	CLEANUP_FREE char *text = json ? json_dumps(json, flags) : NULL;

	if (!text)
		return err_set(err, -ENOMEM, "no memory");
	return puts(text) < 0 || fflush(stdout) != 0 ? err_sys(err, -EIO, "cannot print") : 0;
}

/* A container that vanishes or cannot be read while the list is made is left out. */
static void add_container(json_t *list, int root, const char *id)
{
	struct state state;
	struct err ignored;

	if (state_peek(&state, root, id, &ignored) == 0)
		(void)json_array_append_new(list, state_to_json(&state, state_status_of(&state)));
	state_done(&state);
}

static json_t *read_list(int root)
{
	json_t *list = json_array();
	DIR *entries = fdopendir(root);
	struct dirent *entry;

	while (list && entries && (entry = readdir(entries)))
		if (entry->d_name[0] != '.')
			add_container(list, dirfd(entries), entry->d_name);
	if (entries)
		(void)closedir(entries);
	return list;
}

static void print_table(const json_t *list)
{
	size_t index;
	json_t *item;

	(void)printf("%-24s %-10s %-10s %s\n", "ID", "PID", "STATUS", "BUNDLE");
	json_array_foreach((json_t *)list, index, item) {
		(void)printf("%-24s %-10d %-10s %s\n", json_string_value(json_object_get(item, "id")),
			     (int)json_integer_value(json_object_get(item, "pid")),
			     json_string_value(json_object_get(item, "status")),
			     json_string_value(json_object_get(item, "bundle")));
	}
}

int commands_list(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	const char *format = "table";
	bool quiet = false;
	const struct option_row rows[] = {
		{"format", 'f', "FORMAT", "table or json", &format, NULL},
		{"quiet", 'q', NULL, "only the ids", NULL, &quiet},
	};
	const struct option_command command = {.program = "bulkhead-runtime list",
					       .summary = "Lists the containers.",
					       .rows = rows,
					       .row_count = ARRAY_SIZE(rows)};
	CLEANUP(cleanup_json) json_t *list = NULL;
	size_t index;
	json_t *item;
	int first, root, r = options_parse(&command, argc, argv, &first, err);

	if (r)
		return r;
	if (!str_eq(format, "table") && !str_eq(format, "json"))
		return err_set(err, ERR_INVALID, "unknown format '%s'", format);
	r = state_open_root(global->root, false, &root, err);
	if (r < 0 && r != -ENOENT)
		return r;
	list = r == 0 ? read_list(root) : json_array();
	if (quiet)
		json_array_foreach(list, index, item)
			(void)puts(json_string_value(json_object_get(item, "id")));
	else if (str_eq(format, "json"))
		return print(list, JSON_COMPACT, err);
	else
		print_table(list);
	return 0;
}

static json_t *capability_names(void)
{
	json_t *names = json_array();

	for (int i = 0; spec_capability_name(i); i++)
		(void)json_array_append_new(names, json_string(spec_capability_name(i)));
	return names;
}

static json_t *namespace_names(void)
{
	json_t *names = json_array();

	for (int i = 0; i < SPEC_NS_TYPES; i++)
		(void)json_array_append_new(names, json_string(spec_namespace_name((enum spec_namespace_type)i)));
	return names;
}

int commands_features(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	const struct option_command command = {.program = "bulkhead-runtime features",
					       .summary = "Prints what this runtime can do."};
	CLEANUP(cleanup_json) json_t *json = NULL;
	int first, r = options_parse(&command, argc, argv, &first, err);

	if (r)
		return r;
	json = json_pack("{s:s, s:s, s:[s,s,s,s,s,s], s:{s:o, s:o, s:{s:b, s:b, s:b, s:b}, s:{s:b, "
			 "s:[s,s,s,s,s,s,s,s], s:[s,s,s,s,s,s,s],"
			 " s:[s]}, s:{s:b}, s:{s:b}, s:{s:{s:b}}}, s:{s:s, s:s}}",
			 "ociVersionMin", "1.0.0", "ociVersionMax", "1.2.0", "hooks", "prestart", "createRuntime",
			 "createContainer", "startContainer", "poststart", "poststop", "linux", "namespaces",
			 namespace_names(), "capabilities", capability_names(), "cgroup", "v1", 1, "v2", 1, "systemd",
			 0, "systemdUser", 0, "seccomp", "enabled", 1, "actions", "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO",
			 "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_LOG",
			 "SCMP_ACT_TRACE", "SCMP_ACT_TRAP", "operators", "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE",
			 "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ", "archs", "SCMP_ARCH_X86_64",
			 "apparmor", "enabled", 0, "selinux", "enabled", 0, "mountExtensions", "idmap", "enabled", 1,
			 "annotations", "dev.bulkhead.version", BULKHEAD_VERSION, "dev.bulkhead.landlock",
			 landlock_abi() ? "true" : "false");
	return print(json, JSON_INDENT(2), err);
}

int commands_supervise(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	const char *dir = NULL;
	const struct option_row rows[] = {{"dir", 0, "DIR", "the pod's folder with its pod.json", &dir, NULL}};
	const struct option_command command = {
		.program = "bulkhead-runtime supervise",
		.summary = "Starts the supervisor of one pod in the background.",
		.rows = rows,
		.row_count = ARRAY_SIZE(rows),
	};
	int first, r = options_parse(&command, argc, argv, &first, err);

	if (r)
		return r;
	if (!dir)
		return err_set(err, ERR_INVALID, "supervise: --dir is needed");
	return supervise_command(dir, err);
}
