/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/spec_read.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/un.h>

#include "base/str.h"

static const char *const namespace_names[SPEC_NS_TYPES] = {
	[SPEC_NS_USER] = "user", [SPEC_NS_MOUNT] = "mount", [SPEC_NS_PID] = "pid",       [SPEC_NS_NETWORK] = "network",
	[SPEC_NS_IPC] = "ipc",   [SPEC_NS_UTS] = "uts",     [SPEC_NS_CGROUP] = "cgroup", [SPEC_NS_TIME] = "time",
};

const char *spec_namespace_name(enum spec_namespace_type type)
{
	return namespace_names[type];
}

struct named_namespace {
	size_t type;
	const char *path;
};

static int read_namespace_type(struct spec_reader *reader, const json_t *value, void *to)
{
	return spec_read_word(reader, value, namespace_names, SPEC_NS_TYPES, "namespace", to);
}

static int read_namespace(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"type", read_namespace_type, offsetof(struct named_namespace, type), true},
		{"path", spec_read_path, offsetof(struct named_namespace, path), false},
	};
	json_t *path = json_object_get(value, "path");

	/* Some callers write an empty path for a new namespace. */
	if (json_is_string(path) && json_string_length(path) == 0)
		return spec_read_object(reader, value, fields, 1, to);
	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_namespaces(struct spec_reader *reader, const json_t *value, void *to)
{
	struct spec_namespace *namespaces = to;
	struct {
		struct named_namespace *items;
		size_t count;
	} list = {0};
	int r = spec_read_array(reader, value, sizeof(struct named_namespace), SPEC_NS_TYPES, read_namespace, &list);

	for (size_t i = 0; r == 0 && i < list.count; i++) {
		struct spec_namespace *at = &namespaces[list.items[i].type];

		if (at->wanted)
			return spec_read_fail(reader, ERR_INVALID, "'%s' is given twice",
					      namespace_names[list.items[i].type]);
		*at = (struct spec_namespace){.wanted = true, .path = list.items[i].path};
	}
	return r;
}

static int read_device_type(struct spec_reader *reader, const json_t *value, void *to)
{
	static const char *const words[] = {"c", "u", "b", "p"};
	size_t which;
	int r = spec_read_word(reader, value, words, ARRAY_SIZE(words), "device type", &which);

	if (r == 0)
		*(char *)to = which == 1 ? 'c' : words[which][0];
	return r;
}

static int read_mode(struct spec_reader *reader, const json_t *value, void *to)
{
	int64_t number;
	int r = spec_read_integer(reader, value, 0, UINT32_MAX, &number);

	if (r == 0)
		*(uint32_t *)to = (uint32_t)number & 0777;
	return r;
}

static int read_device(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"type", read_device_type, offsetof(struct spec_device, type), true},
		{"path", spec_read_path, offsetof(struct spec_device, path), true},
		{"major", spec_read_u32, offsetof(struct spec_device, major), false},
		{"minor", spec_read_u32, offsetof(struct spec_device, minor), false},
		{"fileMode", read_mode, offsetof(struct spec_device, mode), false},
		{"uid", spec_read_u32, offsetof(struct spec_device, uid), false},
		{"gid", spec_read_u32, offsetof(struct spec_device, gid), false},
	};
	struct spec_device *device = to;

	device->mode = 0666;
	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_devices(struct spec_reader *reader, const json_t *value, void *to)
{
	return spec_read_array(reader, value, sizeof(struct spec_device), 1024, read_device, to);
}

static int read_action(struct spec_reader *reader, const json_t *value, void *to)
{
	static const char *const words[] = {
		"SCMP_ACT_KILL",  "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP",   "SCMP_ACT_ERRNO",
		"SCMP_ACT_TRACE", "SCMP_ACT_LOG",         "SCMP_ACT_ALLOW",        "SCMP_ACT_NOTIFY",
	};
	static const uint32_t actions[] = {
		SECCOMP_RET_KILL_THREAD, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_KILL_PROCESS,
		SECCOMP_RET_TRAP,        SECCOMP_RET_ERRNO,       SECCOMP_RET_TRACE,
		SECCOMP_RET_LOG,         SECCOMP_RET_ALLOW,       SECCOMP_RET_USER_NOTIF,
	};
	size_t which;
	int r = spec_read_word(reader, value, words, ARRAY_SIZE(words), "action", &which);

	if (r == 0)
		*(uint32_t *)to = actions[which];
	return r;
}

static int read_errno(struct spec_reader *reader, const json_t *value, void *to)
{
	struct spec_number *number = to;
	int r = spec_read_integer(reader, value, 0, 4095, &number->value);

	number->present = r == 0;
	return r;
}

static int read_operator(struct spec_reader *reader, const json_t *value, void *to)
{
	static const char *const words[] = {
		[SPEC_OP_NE] = "SCMP_CMP_NE",
		[SPEC_OP_LT] = "SCMP_CMP_LT",
		[SPEC_OP_LE] = "SCMP_CMP_LE",
		[SPEC_OP_EQ] = "SCMP_CMP_EQ",
		[SPEC_OP_GE] = "SCMP_CMP_GE",
		[SPEC_OP_GT] = "SCMP_CMP_GT",
		[SPEC_OP_MASKED_EQ] = "SCMP_CMP_MASKED_EQ",
	};
	size_t which;
	int r = spec_read_word(reader, value, words, ARRAY_SIZE(words), "operator", &which);

	if (r == 0)
		*(enum spec_seccomp_op *)to = (enum spec_seccomp_op)which;
	return r;
}

static int read_arg_index(struct spec_reader *reader, const json_t *value, void *to)
{
	int64_t number;
	int r = spec_read_integer(reader, value, 0, 5, &number);

	if (r == 0)
		*(uint32_t *)to = (uint32_t)number;
	return r;
}

/* Values over 2^63 come as real numbers from the decoder and have lost bits: refused rather than guessed. */
static int read_arg_value(struct spec_reader *reader, const json_t *value, void *to)
{
	int64_t number;
	int r = spec_read_integer(reader, value, 0, INT64_MAX, &number);

	if (r == 0)
		*(uint64_t *)to = (uint64_t)number;
	return r;
}

static int read_arg(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"index", read_arg_index, offsetof(struct spec_seccomp_arg, index), true},
		{"value", read_arg_value, offsetof(struct spec_seccomp_arg, value), true},
		{"valueTwo", read_arg_value, offsetof(struct spec_seccomp_arg, value_two), false},
		{"op", read_operator, offsetof(struct spec_seccomp_arg, op), true},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_args(struct spec_reader *reader, const json_t *value, void *to)
{
	return spec_read_array(reader, value, sizeof(struct spec_seccomp_arg), 16, read_arg, to);
}

static int read_rule(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"names", spec_read_strings, offsetof(struct spec_seccomp_rule, names), true},
		{"action", read_action, offsetof(struct spec_seccomp_rule, action), true},
		{"errnoRet", read_errno, offsetof(struct spec_seccomp_rule, errno_ret), false},
		{"args", read_args, offsetof(struct spec_seccomp_rule, args), false},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_rules(struct spec_reader *reader, const json_t *value, void *to)
{
	return spec_read_array(reader, value, sizeof(struct spec_seccomp_rule), 4096, read_rule, to);
}

/* A socket's address. Engines write "" where there is none. */
static int read_listener_path(struct spec_reader *reader, const json_t *value, void *to)
{
	if (json_is_string(value) && json_string_length(value) == 0)
		return 0;
	if (json_string_length(value) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return spec_read_fail(reader, ERR_INVALID, "is longer than a socket's address, 107 bytes");
	return spec_read_path(reader, value, to);
}

static int read_seccomp(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"defaultAction", read_action, offsetof(struct spec_seccomp, default_action), true},
		{"defaultErrnoRet", read_errno, offsetof(struct spec_seccomp, default_errno_ret), false},
		{"architectures", spec_read_strings, offsetof(struct spec_seccomp, architectures), false},
		{"flags", spec_read_strings, offsetof(struct spec_seccomp, flags), false},
		{"syscalls", read_rules, offsetof(struct spec_seccomp, rules), false},
		{"listenerPath", read_listener_path, offsetof(struct spec_seccomp, listener_path), false},
		{"listenerMetadata", spec_read_string, offsetof(struct spec_seccomp, listener_metadata), false},
	};
	struct spec_seccomp *seccomp = to;

	seccomp->present = true;
	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_propagation(struct spec_reader *reader, const json_t *value, void *to)
{
	/* In the order of the enumeration; the words that start with r mean the same for a root. */
	static const char *const words[] = {"", "private",  "slave",  "shared",  "unbindable",
					    "", "rprivate", "rslave", "rshared", "runbindable"};
	size_t which;
	int r = spec_read_word(reader, value, words, ARRAY_SIZE(words), "propagation", &which);

	if (r < 0)
		return r;
	*(enum spec_propagation *)to = (enum spec_propagation)(which % (ARRAY_SIZE(words) / 2));
	return 0;
}

static int read_domain(struct spec_reader *reader, const json_t *value, void *to)
{
	static const char *const words[] = {"LINUX", "LINUX32"};
	static const uint32_t domains[] = {PER_LINUX, PER_LINUX32};
	size_t which;
	int r = spec_read_word(reader, value, words, ARRAY_SIZE(words), "domain", &which);

	if (r == 0)
		*(uint32_t *)to = domains[which];
	return r;
}

static int read_personality(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"domain", read_domain, offsetof(struct spec_linux, personality), true},
		/* They would switch protections of the address space off. */
		{"flags", spec_read_refuse, 0, false},
	};
	struct spec_linux *spec = to;

	spec->has_personality = true;
	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_seconds(struct spec_reader *reader, const json_t *value, void *to)
{
	return spec_read_integer(reader, value, INT32_MIN, INT32_MAX, to);
}

static int read_nanoseconds(struct spec_reader *reader, const json_t *value, void *to)
{
	int64_t number;
	int r = spec_read_integer(reader, value, 0, 999999999, &number);

	if (r == 0)
		*(uint32_t *)to = (uint32_t)number;
	return r;
}

static int read_time_offset(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"secs", read_seconds, offsetof(struct spec_time_offset, seconds), false},
		{"nanosecs", read_nanoseconds, offsetof(struct spec_time_offset, nanoseconds), false},
	};
	struct spec_time_offset *offset = to;

	offset->present = true;
	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_time_offsets(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"monotonic", read_time_offset, offsetof(struct spec_linux, monotonic), false},
		{"boottime", read_time_offset, offsetof(struct spec_linux, boottime), false},
	};
	const char *name;
	json_t *member;

	if (json_is_object(value))
		json_object_foreach((json_t *)value, name, member)
			if (!str_eq(name, "monotonic") && !str_eq(name, "boottime"))
				return spec_read_fail(reader, ERR_INVALID, "unknown clock '%.32s'", name);
	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_cgroups_path(struct spec_reader *reader, const json_t *value, void *to)
{
	int r = spec_read_string(reader, value, to);
	const char *path = json_string_value(value);

	if (r < 0)
		return r;
	if (strchr(path, ':'))
		return spec_read_fail(reader, ERR_INVALID, "'%.64s' is for the systemd driver, which is not supported",
				      path);
	for (const char *at = path; at; at = strchr(at, '/')) {
		at += *at == '/';
		if (str_starts(at, "..") && (at[2] == '/' || !at[2]))
			return spec_read_fail(reader, ERR_INVALID, "must not contain '..'");
		/* Another name of the group above, which may be that of the whole machine. */
		if (at[0] == '.' && (at[1] == '/' || !at[1]))
			return spec_read_fail(reader, ERR_INVALID, "must not contain '.'");
	}
	if (json_string_length(value) > 1024)
		return spec_read_fail(reader, ERR_INVALID, "is longer than 1024 bytes");
	return 0;
}

int spec_linux_read(struct spec_reader *reader, const json_t *value, void *to_linux)
{
	static const struct spec_field fields[] = {
		{"namespaces", read_namespaces, offsetof(struct spec_linux, namespaces), false},
		{"uidMappings", spec_read_idmaps, offsetof(struct spec_linux, uid_maps), false},
		{"gidMappings", spec_read_idmaps, offsetof(struct spec_linux, gid_maps), false},
		{"devices", read_devices, offsetof(struct spec_linux, devices), false},
		{"cgroupsPath", read_cgroups_path, offsetof(struct spec_linux, cgroups_path), false},
		{"resources", spec_linux_read_resources, offsetof(struct spec_linux, resources), false},
		{"sysctl", spec_read_pairs, offsetof(struct spec_linux, sysctl), false},
		{"seccomp", read_seccomp, offsetof(struct spec_linux, seccomp), false},
		{"rootfsPropagation", read_propagation, offsetof(struct spec_linux, propagation), false},
		{"maskedPaths", spec_read_paths, offsetof(struct spec_linux, masked_paths), false},
		{"readonlyPaths", spec_read_paths, offsetof(struct spec_linux, readonly_paths), false},
		{"mountLabel", spec_read_refuse, 0, false},
		{"intelRdt", spec_read_refuse, 0, false},
		{"personality", read_personality, 0, false},
		{"timeOffsets", read_time_offsets, 0, false},
		{"memoryPolicy", spec_read_refuse, 0, false},
		{"netDevices", spec_read_refuse, 0, false},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to_linux);
}
