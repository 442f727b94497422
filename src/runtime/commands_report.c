/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/options.h"
#include "base/str.h"
#include "runtime/commands.h"
#include "runtime/commands_common.h"
#include "runtime/state.h"
#include "runtime/supervise.h"

CLEANUP_DEFINE(json, json_t *, json_decref)

static int print(const json_t *json, size_t flags, struct err *err)
{
	CLEANUP_FREE char *text = json ? json_dumps(json, flags) : NULL;

	if (!text)
		return err_set(err, -ENOMEM, "no memory");
	return puts(text) < 0 || fflush(stdout) != 0 ? err_sys(err, -EIO, "cannot print") : 0;
}

/* Where the root is on the host, as callers of `list` know it. */
static void add_rootfs(json_t *item, const struct state *state)
{
	CLEANUP_SPEC struct spec spec = {0};
	CLEANUP_FREE char *path = NULL;
	struct err ignored;

	if (state_load_spec(state, &spec, &ignored) < 0 || !spec.root_path)
		return;
	path = spec.root_path[0] == '/' ? strdup(spec.root_path) : str_format("%s/%s", state->bundle, spec.root_path);
	if (path)
		(void)json_object_set_new(item, "rootfs", json_string(path));
}

/* A container that vanishes or cannot be read while the list is made is left out. */
static void add_container(json_t *list, int root, const char *id)
{
	struct state state;
	struct err ignored;
	json_t *item;

	if (state_peek(&state, root, id, &ignored) == 0) {
		item = state_to_json(&state, commands_status(&state));
		add_rootfs(item, &state);
		(void)json_array_append_new(list, item);
	}
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

	(void)printf("%-24s %-10s %-10s %-40s %-22s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER");
	json_array_foreach((json_t *)list, index, item) {
		(void)printf("%-24s %-10d %-10s %-40s %-22s %s\n", json_string_value(json_object_get(item, "id")),
			     (int)json_integer_value(json_object_get(item, "pid")),
			     json_string_value(json_object_get(item, "status")),
			     json_string_value(json_object_get(item, "bundle")),
			     json_string_value(json_object_get(item, "created")),
			     json_string_value(json_object_get(item, "owner")));
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

int commands_checkpoint(const struct commands_global *global, int argc, char **argv, int *ret_exit, struct err *err)
{
	return err_set(err, -EOPNOTSUPP,
		       "%s is not supported: images of processes carry mounts and credentials past every check",
		       argv[0]);
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
	return supervise_command(dir, global->ceiling, err);
}
