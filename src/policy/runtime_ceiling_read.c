/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "policy/ceiling.h"
#include "policy/fields.h"
#include "policy/runtime_ceiling.h"

#define LIST_MAX 1024
#define TOP "ceiling"

static const char *const namespace_names[RUNTIME_CEILING_NAMESPACES] = {
	[RUNTIME_CEILING_NETWORK] = "network", [RUNTIME_CEILING_PID] = "pid",       [RUNTIME_CEILING_IPC] = "ipc",
	[RUNTIME_CEILING_UTS] = "uts",         [RUNTIME_CEILING_CGROUP] = "cgroup", [RUNTIME_CEILING_TIME] = "time",
};

static const char *const limit_names[RUNTIME_CEILING_LIMITS] = {
	[RUNTIME_CEILING_CPU] = "cpu",
	[RUNTIME_CEILING_MEMORY] = "memory",
	[RUNTIME_CEILING_SWAP] = "swap",
	[RUNTIME_CEILING_PIDS] = "pids",
};

const char *runtime_ceiling_limit_name(enum runtime_ceiling_limit_kind kind)
{
	return limit_names[kind];
}

const char *runtime_ceiling_namespace_name(enum runtime_ceiling_namespace which)
{
	return namespace_names[which];
}

/* The index of a word; ERR_INVALID quotes it with its path. */
static int read_word(const json_t *value, const char *path, const char *const *words, size_t count, size_t *ret,
		     struct err *err)
{
	const char *word = json_string_value(value);

	for (size_t i = 0; i < count; i++) {
		if (word && str_eq(words[i], word)) {
			*ret = i;
			return 0;
		}
	}
	return err_set(err, ERR_INVALID, "field '%s' cannot be '%.64s'", path, word ? word : "");
}

/* An array of distinct non-empty strings, kept as it is. */
static int read_list(const json_t *array, const char *path, const json_t **ret_list, struct err *err)
{
	struct policy_names names;
	int r = policy_names_read(array, path, &names, err);

	if (r < 0)
		return r;
	policy_names_done(&names);
	*ret_list = array;
	return 0;
}

static int read_absolute(const json_t *array, const char *path, const json_t **ret_list, struct err *err)
{
	int r = read_list(array, path, ret_list, err);

	for (size_t i = 0; r == 0 && i < json_array_size(array); i++)
		if (json_string_value(json_array_get(array, i))[0] != '/')
			return err_set(err, ERR_INVALID, "field '%s[%zu]' is not an absolute path", path, i);
	return r;
}

static int read_capabilities(struct runtime_ceiling *ceiling, const json_t *array, struct err *err)
{
	ceiling->has_capabilities = true;
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *name = json_string_value(json_array_get(array, i));
		int number = name && str_starts(name, "CAP_") ? policy_capability_number(name + strlen("CAP_")) : -1;

		if (number < 0)
			return err_set(err, ERR_INVALID, "field '" TOP ".capabilities[%zu]' is no capability", i);
		ceiling->capabilities |= UINT64_C(1) << number;
	}
	return 0;
}

static int read_namespaces(struct runtime_ceiling *ceiling, const json_t *object, struct err *err)
{
	static const char *const words[] = {"own", "joined", "host"};
	struct policy_field fields[RUNTIME_CEILING_NAMESPACES];
	int r;

	for (size_t i = 0; i < RUNTIME_CEILING_NAMESPACES; i++)
		fields[i] = (struct policy_field){.name = namespace_names[i], .type = POLICY_FIELD_STRING};
	r = policy_fields_check(object, TOP ".namespaces", fields, ARRAY_SIZE(fields), err);
	for (size_t i = 0; r == 0 && i < RUNTIME_CEILING_NAMESPACES; i++) {
		const json_t *value = json_object_get(object, namespace_names[i]);
		size_t which = 0;

		if (!value)
			continue;
		r = read_word(value, TOP ".namespaces", words, ARRAY_SIZE(words), &which, err);
		if (r == 0) {
			ceiling->has_namespace[i] = true;
			ceiling->namespaces[i] = (enum runtime_ceiling_share)which;
		}
	}
	return r;
}

static int read_user_ids(struct runtime_ceiling *ceiling, const json_t *object, struct err *err)
{
	const json_t *first = json_object_get(object, "firstId"), *ranges = json_object_get(object, "ranges");
	json_int_t id = json_integer_value(first), count = json_integer_value(ranges);

	if (!first != !ranges)
		return err_set(err, ERR_INVALID, "field '" TOP ".userNamespace': 'firstId' and 'ranges' go together");
	if (!first)
		return 0;
	if (id < RUNTIME_CEILING_IDS || id >= UINT32_MAX)
		return err_set(err, ERR_INVALID, "field '" TOP ".userNamespace.firstId' must be from %d to %u",
			       RUNTIME_CEILING_IDS, UINT32_MAX - 1);
	if (count < 1 || count > (UINT32_MAX - id) / RUNTIME_CEILING_IDS)
		return err_set(err, ERR_INVALID,
			       "field '" TOP ".userNamespace.ranges' must be at least 1 and end below id %u",
			       UINT32_MAX);
	ceiling->has_user_ids = true;
	ceiling->user_first_id = (uint32_t)id;
	ceiling->user_ranges = (uint32_t)count;
	return 0;
}

static int read_user(struct runtime_ceiling *ceiling, const json_t *object, struct err *err)
{
	static const struct policy_field fields[] = {
		{"add", POLICY_FIELD_STRING, false, 0},
		{"demand", POLICY_FIELD_TRUE, false, 0},
		{"firstId", POLICY_FIELD_INTEGER, false, 0},
		{"ranges", POLICY_FIELD_INTEGER, false, 0},
	};
	static const char *const words[] = {"never", "where-possible"};
	const json_t *add = json_object_get(object, "add");
	size_t which = 0;
	int r = policy_fields_check(object, TOP ".userNamespace", fields, ARRAY_SIZE(fields), err);

	if (r == 0 && add) {
		r = read_word(add, TOP ".userNamespace.add", words, ARRAY_SIZE(words), &which, err);
		ceiling->has_user_add = true;
		ceiling->user_add = r == 0 && which == 1;
	}
	ceiling->user_demand = json_is_true(json_object_get(object, "demand"));
	return r == 0 ? read_user_ids(ceiling, object, err) : r;
}

static int read_source(struct runtime_ceiling_source *to, const json_t *object, const char *list, size_t index,
		       struct err *err)
{
	static const struct policy_field fields[] = {
		{"path", POLICY_FIELD_STRING, true, 4095},
		{"readOnly", POLICY_FIELD_TRUE, false, 0},
	};
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), "%s[%zu]", list, index);
	r = policy_fields_check(object, path, fields, ARRAY_SIZE(fields), err);
	if (r < 0)
		return r;
	*to = (struct runtime_ceiling_source){.path = json_string_value(json_object_get(object, "path")),
					      .read_only = json_is_true(json_object_get(object, "readOnly"))};
	if (to->path[0] != '/' || strstr(to->path, "//") || strstr(to->path, "/.."))
		return err_set(err, ERR_INVALID, "field '%s.path' is not a plain absolute path", path);
	return 0;
}

/* The caller frees *ret_sources, also after an error; it is not NULL for an empty list. */
static int read_sources(const json_t *array, const char *list, struct runtime_ceiling_source **ret_sources,
			size_t *ret_count, struct err *err)
{
	struct runtime_ceiling_source *sources = calloc(json_array_size(array) + 1, sizeof(*sources));
	int r = 0;

	if (!sources)
		return err_set(err, -ENOMEM, "out of memory");
	*ret_sources = sources;
	for (; r == 0 && *ret_count < json_array_size(array); (*ret_count)++)
		r = read_source(&sources[*ret_count], json_array_get(array, *ret_count), list, *ret_count, err);
	return r;
}

static int read_root(struct runtime_ceiling *ceiling, const json_t *object, struct err *err)
{
	static const struct policy_field fields[] = {{"sources", POLICY_FIELD_ARRAY, true, LIST_MAX}};
	int r = policy_fields_check(object, TOP ".root", fields, ARRAY_SIZE(fields), err);

	return r == 0 ? read_sources(json_object_get(object, "sources"), TOP ".root.sources", &ceiling->root_sources,
				     &ceiling->root_source_count, err)
		      : r;
}

static int read_mounts(struct runtime_ceiling *ceiling, const json_t *object, struct err *err)
{
	static const struct policy_field fields[] = {
		{"sources", POLICY_FIELD_ARRAY, false, LIST_MAX},
		{"propagation", POLICY_FIELD_STRING, false, 0},
	};
	static const char *const words[] = {"private", "slave", "shared"};
	const json_t *sources = json_object_get(object, "sources"),
		     *propagation = json_object_get(object, "propagation");
	int r = policy_fields_check(object, TOP ".mounts", fields, ARRAY_SIZE(fields), err);

	if (r == 0 && propagation) {
		size_t which = 0;

		r = read_word(propagation, TOP ".mounts.propagation", words, ARRAY_SIZE(words), &which, err);
		ceiling->has_propagation = true;
		ceiling->propagation = r == 0 ? (enum runtime_ceiling_propagation)which : RUNTIME_CEILING_PRIVATE;
	}
	if (r < 0 || !sources)
		return r;
	return read_sources(sources, TOP ".mounts.sources", &ceiling->sources, &ceiling->source_count, err);
}

static int64_t number_or_any(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return value ? json_integer_value(value) : -1;
}

static int read_device(struct runtime_ceiling_device *to, const json_t *object, size_t index, struct err *err)
{
	static const struct policy_field fields[] = {
		{"type", POLICY_FIELD_STRING, true, 1},
		{"major", POLICY_FIELD_INTEGER, false, 0},
		{"minor", POLICY_FIELD_INTEGER, false, 0},
		{"access", POLICY_FIELD_STRING, true, 3},
	};
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), TOP ".devices[%zu]", index);
	r = policy_fields_check(object, path, fields, ARRAY_SIZE(fields), err);
	if (r < 0)
		return r;
	*to = (struct runtime_ceiling_device){.type = json_string_value(json_object_get(object, "type"))[0],
					      .major = number_or_any(object, "major"),
					      .minor = number_or_any(object, "minor"),
					      .access = json_string_value(json_object_get(object, "access"))};
	if (!to->type || !strchr("abc", to->type))
		return err_set(err, ERR_INVALID, "field '%s.type' must be 'a', 'b' or 'c'", path);
	if (to->major > UINT32_MAX || to->minor > UINT32_MAX)
		return err_set(err, ERR_INVALID, "field '%s' has no device number", path);
	if (!to->access[0] || strspn(to->access, "rwm") != strlen(to->access))
		return err_set(err, ERR_INVALID, "field '%s.access' must be of 'rwm'", path);
	return 0;
}

static int read_devices(struct runtime_ceiling *ceiling, const json_t *array, struct err *err)
{
	int r = 0;

	ceiling->devices = calloc(json_array_size(array) + 1, sizeof(*ceiling->devices));
	if (!ceiling->devices)
		return err_set(err, -ENOMEM, "out of memory");
	for (; r == 0 && ceiling->device_count < json_array_size(array); ceiling->device_count++)
		r = read_device(&ceiling->devices[ceiling->device_count], json_array_get(array, ceiling->device_count),
				ceiling->device_count, err);
	return r;
}

static int read_families(struct runtime_ceiling *ceiling, const json_t *array, struct err *err)
{
	static const char *const words[] = {"unix", "inet", "inet6", "netlink", "packet"};

	ceiling->has_families = array != NULL;
	for (size_t i = 0; i < json_array_size(array); i++) {
		size_t which = 0;
		int r = read_word(json_array_get(array, i), TOP ".syscalls.socketFamilies", words, ARRAY_SIZE(words),
				  &which, err);

		if (r < 0)
			return r;
		ceiling->families |= UINT32_C(1) << which;
	}
	return 0;
}

static int read_syscalls(struct runtime_ceiling *ceiling, const json_t *object, struct err *err)
{
	static const struct policy_field fields[] = {
		{"deny", POLICY_FIELD_ARRAY, false, LIST_MAX},
		{"allow", POLICY_FIELD_ARRAY, false, LIST_MAX},
		{"socketFamilies", POLICY_FIELD_ARRAY, false, 64},
	};
	const struct {
		const char *name;
		const json_t **list;
	} lists[] = {
		{"deny", &ceiling->syscalls_deny},
		{"allow", &ceiling->syscalls_allow},
	};
	int r = policy_fields_check(object, TOP ".syscalls", fields, ARRAY_SIZE(fields), err);

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(lists); i++) {
		const json_t *array = json_object_get(object, lists[i].name);
		char path[64];

		(void)snprintf(path, sizeof(path), TOP ".syscalls.%s", lists[i].name);
		if (array)
			r = read_list(array, path, lists[i].list, err);
	}
	return r == 0 ? read_families(ceiling, json_object_get(object, "socketFamilies"), err) : r;
}

/* A number, or a share of the machine in percent. */
static int read_amount(const json_t *object, const char *path, const char *plain, const char *percent, bool *ret_has,
		       bool *ret_percent, uint64_t *ret_value, struct err *err)
{
	const json_t *number = json_object_get(object, plain), *share = json_object_get(object, percent);

	if (!number && !share)
		return 0;
	if (number && share)
		return err_set(err, ERR_INVALID, "field '%s' has both '%s' and '%s'", path, plain, percent);
	*ret_has = true;
	*ret_percent = share != NULL;
	*ret_value = (uint64_t)json_integer_value(number ? number : share);
	if (*ret_value == 0 || (share && *ret_value > 100))
		return err_set(err, ERR_INVALID, "field '%s.%s' must be %s", path, number ? plain : percent,
			       number ? "at least 1" : "from 1 to 100");
	return 0;
}

static int read_limit(struct runtime_ceiling_limit *to, const json_t *object, const char *name, struct err *err)
{
	static const struct policy_field fields[] = {
		{"default", POLICY_FIELD_INTEGER, false, 0},
		{"defaultPercent", POLICY_FIELD_INTEGER, false, 0},
		{"most", POLICY_FIELD_INTEGER, false, 0},
		{"mostPercent", POLICY_FIELD_INTEGER, false, 0},
	};
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), TOP ".limits.%s", name);
	r = policy_fields_check(object, path, fields, ARRAY_SIZE(fields), err);
	if (r == 0)
		r = read_amount(object, path, "default", "defaultPercent", &to->has_default, &to->default_percent,
				&to->value, err);
	return r == 0 ? read_amount(object, path, "most", "mostPercent", &to->has_most, &to->most_percent, &to->most,
				    err)
		      : r;
}

static int read_limits(struct runtime_ceiling *ceiling, const json_t *object, struct err *err)
{
	struct policy_field fields[RUNTIME_CEILING_LIMITS];
	int r;

	for (size_t i = 0; i < RUNTIME_CEILING_LIMITS; i++)
		fields[i] = (struct policy_field){.name = limit_names[i], .type = POLICY_FIELD_OBJECT};
	r = policy_fields_check(object, TOP ".limits", fields, ARRAY_SIZE(fields), err);
	for (size_t i = 0; r == 0 && i < RUNTIME_CEILING_LIMITS; i++) {
		const json_t *limit = json_object_get(object, limit_names[i]);

		if (limit)
			r = read_limit(&ceiling->limits[i], limit, limit_names[i], err);
	}
	return r;
}

static int read_rlimits(struct runtime_ceiling *ceiling, const json_t *object, struct err *err)
{
	static const char *const known[] = {
		"RLIMIT_AS",     "RLIMIT_CORE",   "RLIMIT_CPU",        "RLIMIT_DATA",
		"RLIMIT_FSIZE",  "RLIMIT_LOCKS",  "RLIMIT_MEMLOCK",    "RLIMIT_MSGQUEUE",
		"RLIMIT_NICE",   "RLIMIT_NOFILE", "RLIMIT_NPROC",      "RLIMIT_RSS",
		"RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK",
	};
	struct policy_field fields[ARRAY_SIZE(known)];
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		fields[i] = (struct policy_field){.name = known[i], .type = POLICY_FIELD_INTEGER};
	r = policy_fields_check(object, TOP ".rlimits", fields, ARRAY_SIZE(fields), err);
	if (r < 0)
		return r;
	ceiling->rlimits = calloc(ARRAY_SIZE(known), sizeof(*ceiling->rlimits));
	if (!ceiling->rlimits)
		return err_set(err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		const json_t *value = json_object_get(object, known[i]);

		if (value)
			ceiling->rlimits[ceiling->rlimit_count++] =
				(struct runtime_ceiling_rlimit){.name = known[i],
								.most = (uint64_t)json_integer_value(value)};
	}
	return 0;
}

static int read_groups(struct runtime_ceiling *ceiling, struct err *err)
{
	const struct {
		const char *name;
		int (*read)(struct runtime_ceiling *ceiling, const json_t *value, struct err *err);
	} rows[] = {
		{"capabilities", read_capabilities},
		{"namespaces", read_namespaces},
		{"userNamespace", read_user},
		{"mounts", read_mounts},
		{"root", read_root},
		{"devices", read_devices},
		{"syscalls", read_syscalls},
		{"limits", read_limits},
		{"rlimits", read_rlimits},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const json_t *value = json_object_get(ceiling->json, rows[i].name);
		int r = value ? rows[i].read(ceiling, value, err) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

static int read_lists(struct runtime_ceiling *ceiling, struct err *err)
{
	const struct {
		const char *name;
		const json_t **list;
		bool absolute;
	} rows[] = {
		{"sysctls", &ceiling->sysctls, false},
		{"maskedPaths", &ceiling->masked_paths, true},
		{"readonlyPaths", &ceiling->readonly_paths, true},
		{"hooks", &ceiling->hooks, true},
		{"hookEnvironment", &ceiling->hook_environment, false},
		{"annotations", &ceiling->annotations, false},
		{"cgroupsPaths", &ceiling->cgroups_paths, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const json_t *value = json_object_get(ceiling->json, rows[i].name);
		char path[64];
		int r;

		if (!value)
			continue;
		(void)snprintf(path, sizeof(path), TOP ".%s", rows[i].name);
		r = rows[i].absolute ? read_absolute(value, path, rows[i].list, err)
				     : read_list(value, path, rows[i].list, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_switches(struct runtime_ceiling *ceiling, struct err *err)
{
	static const char *const modes[] = {"refuse", "narrow"};
	const json_t *mode = json_object_get(ceiling->json, "mode");
	size_t which = 0;
	int r = mode ? read_word(mode, TOP ".mode", modes, ARRAY_SIZE(modes), &which, err) : 0;

	ceiling->narrow = which == 1;
	ceiling->no_new_privileges = json_is_true(json_object_get(ceiling->json, "noNewPrivileges"));
	ceiling->root_read_only = json_is_true(json_object_get(ceiling->json, "rootReadOnly"));
	ceiling->no_terminal = json_is_false(json_object_get(ceiling->json, "terminal"));
	return r;
}

static int read_file(struct runtime_ceiling *ceiling, const char *bytes, size_t len, struct err *err)
{
	static const struct policy_field fields[] = {
		{"mode", POLICY_FIELD_STRING, false, 0},
		{"capabilities", POLICY_FIELD_ARRAY, false, 64},
		{"namespaces", POLICY_FIELD_OBJECT, false, 0},
		{"userNamespace", POLICY_FIELD_OBJECT, false, 0},
		{"mounts", POLICY_FIELD_OBJECT, false, 0},
		{"root", POLICY_FIELD_OBJECT, false, 0},
		{"devices", POLICY_FIELD_ARRAY, false, LIST_MAX},
		{"syscalls", POLICY_FIELD_OBJECT, false, 0},
		{"sysctls", POLICY_FIELD_ARRAY, false, LIST_MAX},
		{"limits", POLICY_FIELD_OBJECT, false, 0},
		{"rlimits", POLICY_FIELD_OBJECT, false, 0},
		{"noNewPrivileges", POLICY_FIELD_TRUE, false, 0},
		{"rootReadOnly", POLICY_FIELD_TRUE, false, 0},
		{"terminal", POLICY_FIELD_TRUE, false, 0},
		{"maskedPaths", POLICY_FIELD_ARRAY, false, LIST_MAX},
		{"readonlyPaths", POLICY_FIELD_ARRAY, false, LIST_MAX},
		{"hooks", POLICY_FIELD_ARRAY, false, LIST_MAX},
		{"hookEnvironment", POLICY_FIELD_ARRAY, false, LIST_MAX},
		{"annotations", POLICY_FIELD_ARRAY, false, LIST_MAX},
		{"cgroupsPaths", POLICY_FIELD_ARRAY, false, LIST_MAX},
	};
	int r;

	if (len > RUNTIME_CEILING_BYTES_MAX)
		return err_set(err, ERR_TOO_LARGE, "is larger than %u bytes", RUNTIME_CEILING_BYTES_MAX);
	r = policy_fields_load("it", bytes, len, &ceiling->json, err);
	if (r == 0)
		r = policy_fields_check(ceiling->json, TOP, fields, ARRAY_SIZE(fields), err);
	if (r == 0)
		r = read_switches(ceiling, err);
	if (r == 0)
		r = read_groups(ceiling, err);
	return r == 0 ? read_lists(ceiling, err) : r;
}

int runtime_ceiling_parse(struct runtime_ceiling *ceiling, const char *file, const char *bytes, size_t len,
			  struct err *err)
{
	*ceiling = (struct runtime_ceiling){0};
	(void)snprintf(ceiling->file, sizeof(ceiling->file), "%s", file);
	if (read_file(ceiling, bytes, len, err) < 0)
		return err_prefix(err, "ceiling file '%s'", ceiling->file);
	return 0;
}

void runtime_ceiling_done(struct runtime_ceiling *ceiling)
{
	free(ceiling->sources);
	free(ceiling->root_sources);
	free(ceiling->devices);
	free(ceiling->rlimits);
	json_decref(ceiling->json);
	*ceiling = (struct runtime_ceiling){0};
}
