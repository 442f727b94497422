/* SPDX-License-Identifier: Apache-2.0 */
#include "oci/spec_read.h"

#include <errno.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/resource.h>

#include "base/str.h"

static const char *const capability_names[] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
};

int spec_capability_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(capability_names); i++)
		if (str_eq(capability_names[i], name))
			return (int)i;
	return -1;
}

const char *spec_capability_name(int number)
{
	return number >= 0 && (size_t)number < ARRAY_SIZE(capability_names) ? capability_names[number] : NULL;
}

static int read_capability(struct spec_reader *reader, const json_t *value, void *to)
{
	size_t number;
	int r = spec_read_word(reader, value, capability_names, ARRAY_SIZE(capability_names), "capability", &number);

	if (r == 0)
		*(size_t *)to = number;
	return r;
}

static int read_capability_set(struct spec_reader *reader, const json_t *value, void *to)
{
	struct {
		size_t *items;
		size_t count;
	} numbers = {0};
	int r = spec_read_array(reader, value, sizeof(size_t), 256, read_capability, &numbers);

	for (size_t i = 0; r == 0 && i < numbers.count; i++)
		*(uint64_t *)to |= 1ull << numbers.items[i];
	return r;
}

static int read_capabilities(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"bounding", read_capability_set, SPEC_BOUNDING * sizeof(uint64_t), false},
		{"effective", read_capability_set, SPEC_EFFECTIVE * sizeof(uint64_t), false},
		{"permitted", read_capability_set, SPEC_PERMITTED * sizeof(uint64_t), false},
		{"inheritable", read_capability_set, SPEC_INHERITABLE * sizeof(uint64_t), false},
		{"ambient", read_capability_set, SPEC_AMBIENT * sizeof(uint64_t), false},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static const char *const rlimit_names[] = {
	[RLIMIT_CPU] = "RLIMIT_CPU",           [RLIMIT_FSIZE] = "RLIMIT_FSIZE",
	[RLIMIT_DATA] = "RLIMIT_DATA",         [RLIMIT_STACK] = "RLIMIT_STACK",
	[RLIMIT_CORE] = "RLIMIT_CORE",         [RLIMIT_RSS] = "RLIMIT_RSS",
	[RLIMIT_NPROC] = "RLIMIT_NPROC",       [RLIMIT_NOFILE] = "RLIMIT_NOFILE",
	[RLIMIT_MEMLOCK] = "RLIMIT_MEMLOCK",   [RLIMIT_AS] = "RLIMIT_AS",
	[RLIMIT_LOCKS] = "RLIMIT_LOCKS",       [RLIMIT_SIGPENDING] = "RLIMIT_SIGPENDING",
	[RLIMIT_MSGQUEUE] = "RLIMIT_MSGQUEUE", [RLIMIT_NICE] = "RLIMIT_NICE",
	[RLIMIT_RTPRIO] = "RLIMIT_RTPRIO",     [RLIMIT_RTTIME] = "RLIMIT_RTTIME",
};

int spec_rlimit_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(rlimit_names); i++)
		if (str_eq(rlimit_names[i], name))
			return (int)i;
	return -1;
}

static int read_rlimit_type(struct spec_reader *reader, const json_t *value, void *to)
{
	struct spec_rlimit *limit = to;
	size_t number;
	int r = spec_read_word(reader, value, rlimit_names, ARRAY_SIZE(rlimit_names), "limit", &number);

	if (r < 0)
		return r;
	limit->resource = (int)number;
	limit->name = rlimit_names[number];
	return 0;
}

/* Infinity is 2^64-1, which the decoder's signed integers cannot hold: it comes as a real number. */
static int read_limit_value(struct spec_reader *reader, const json_t *value, void *to)
{
	int64_t number;
	int r;

	if (json_is_real(value) && json_real_value(value) >= 9.2e18 &&
	    json_real_value(value) <= 18446744073709551616.0) {
		*(uint64_t *)to = UINT64_MAX;
		return 0;
	}
	r = spec_read_integer(reader, value, -1, INT64_MAX, &number);
	if (r == 0)
		*(uint64_t *)to = (uint64_t)number;
	return r;
}

static int read_rlimit(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"type", read_rlimit_type, 0, true},
		{"soft", read_limit_value, offsetof(struct spec_rlimit, soft), true},
		{"hard", read_limit_value, offsetof(struct spec_rlimit, hard), true},
	};
	const struct spec_rlimit *limit = to;
	int r = spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);

	if (r < 0)
		return r;
	if (limit->soft > limit->hard)
		return spec_read_fail(reader, ERR_INVALID, "soft limit is over the hard limit");
	return 0;
}

static int read_rlimits(struct spec_reader *reader, const json_t *value, void *to)
{
	struct spec_rlimits *limits = to;
	int r = spec_read_array(reader, value, sizeof(struct spec_rlimit), 64, read_rlimit, to);

	for (size_t i = 0; r == 0 && i < limits->count; i++)
		for (size_t k = 0; k < i; k++)
			if (limits->items[i].resource == limits->items[k].resource)
				return spec_read_fail(reader, ERR_INVALID, "'%s' is given twice",
						      limits->items[i].name);
	return r;
}

static int read_umask(struct spec_reader *reader, const json_t *value, void *to)
{
	struct spec_user *user = to;
	int64_t number;
	int r = spec_read_integer(reader, value, 0, 0777, &number);

	if (r < 0)
		return r;
	user->umask = (uint32_t)number;
	user->has_umask = true;
	return 0;
}

static int read_gids(struct spec_reader *reader, const json_t *value, void *to)
{
	return spec_read_array(reader, value, sizeof(uint32_t), 1024, spec_read_u32, to);
}

static int read_user(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		SPEC_FIELD(struct spec_user, uid, spec_read_u32),
		SPEC_FIELD(struct spec_user, gid, spec_read_u32),
		{"umask", read_umask, 0, false},
		{"additionalGids", read_gids, offsetof(struct spec_user, additional), false},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_args(struct spec_reader *reader, const json_t *value, void *to)
{
	struct spec_strings *args = to;
	int r = spec_read_strings(reader, value, to);

	if (r < 0)
		return r;
	if (args->count == 0 || args->items[0][0] == '\0')
		return spec_read_fail(reader, ERR_INVALID, "names no program");
	return 0;
}

static int read_oom_score_adj(struct spec_reader *reader, const json_t *value, void *to)
{
	struct spec_process *process = to;
	int64_t number;
	int r = spec_read_integer(reader, value, -1000, 1000, &number);

	if (r < 0)
		return r;
	process->oom_score_adj = (int32_t)number;
	process->has_oom_score_adj = true;
	return 0;
}

static int read_console_size(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"width", spec_read_u32, offsetof(struct spec_process, console_width), false},
		{"height", spec_read_u32, offsetof(struct spec_process, console_height), false},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

/* Becomes a word of a line to the kernel. */
static int read_profile(struct spec_reader *reader, const json_t *value, void *to)
{
	int r = spec_read_string(reader, value, to);

	if (r == 0 && (json_string_length(value) > 4095 || strpbrk(json_string_value(value), "\n")))
		return spec_read_fail(reader, ERR_INVALID, "is no profile's name");
	return r;
}

static int read_policy(struct spec_reader *reader, const json_t *value, void *to)
{
	static const char *const words[] = {
		[SCHED_NORMAL] = "SCHED_OTHER", [SCHED_FIFO] = "SCHED_FIFO", [SCHED_RR] = "SCHED_RR",
		[SCHED_BATCH] = "SCHED_BATCH",  [SCHED_IDLE] = "SCHED_IDLE", [SCHED_DEADLINE] = "SCHED_DEADLINE",
	};
	size_t which;
	int r = spec_read_word(reader, value, words, ARRAY_SIZE(words), "policy", &which);

	if (r == 0)
		*(uint32_t *)to = (uint32_t)which;
	return r;
}

static int read_scheduler_flag(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct {
		const char *word;
		uint32_t flag;
	} rows[] = {
		{"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
		{"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
		{"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
		{"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
		{"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
	};
	const char *words[ARRAY_SIZE(rows)];
	size_t which;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		words[i] = rows[i].word;
	r = spec_read_word(reader, value, words, ARRAY_SIZE(words), "flag", &which);
	if (r == 0)
		*(uint32_t *)to = rows[which].flag;
	return r;
}

static int read_scheduler_flags(struct spec_reader *reader, const json_t *value, void *to)
{
	struct {
		uint32_t *items;
		size_t count;
	} flags = {0};
	int r = spec_read_array(reader, value, sizeof(uint32_t), 16, read_scheduler_flag, &flags);

	for (size_t i = 0; r == 0 && i < flags.count; i++)
		*(uint32_t *)to |= flags.items[i];
	return r;
}

static int read_nice(struct spec_reader *reader, const json_t *value, void *to)
{
	int64_t number;
	int r = spec_read_integer(reader, value, -20, 19, &number);

	if (r == 0)
		*(int32_t *)to = (int32_t)number;
	return r;
}

static int read_u64(struct spec_reader *reader, const json_t *value, void *to)
{
	int64_t number;
	int r = spec_read_integer(reader, value, 0, INT64_MAX, &number);

	if (r == 0)
		*(uint64_t *)to = (uint64_t)number;
	return r;
}

static int read_scheduler(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"policy", read_policy, offsetof(struct spec_scheduler, policy), true},
		SPEC_FIELD(struct spec_scheduler, nice, read_nice),
		SPEC_FIELD(struct spec_scheduler, priority, spec_read_u32),
		SPEC_FIELD(struct spec_scheduler, flags, read_scheduler_flags),
		SPEC_FIELD(struct spec_scheduler, runtime, read_u64),
		SPEC_FIELD(struct spec_scheduler, deadline, read_u64),
		SPEC_FIELD(struct spec_scheduler, period, read_u64),
	};
	struct spec_scheduler *scheduler = to;

	scheduler->present = true;
	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_io_class(struct spec_reader *reader, const json_t *value, void *to)
{
	static const char *const words[] = {NULL, "IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"};
	size_t which;
	int r = spec_read_word(reader, value, words, ARRAY_SIZE(words), "class", &which);

	if (r == 0)
		*(uint32_t *)to = (uint32_t)which;
	return r;
}

static int read_io_level(struct spec_reader *reader, const json_t *value, void *to)
{
	int64_t number;
	int r = spec_read_integer(reader, value, 0, 7, &number);

	if (r == 0)
		*(uint32_t *)to = (uint32_t)number;
	return r;
}

static int read_io_priority(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"class", read_io_class, offsetof(struct spec_process, io_class), true},
		{"priority", read_io_level, offsetof(struct spec_process, io_priority), false},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

static int read_affinity(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		{"initial", spec_read_string, offsetof(struct spec_process, affinity_initial), false},
		{"final", spec_read_string, offsetof(struct spec_process, affinity_final), false},
	};

	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}

int spec_process_read(struct spec_reader *reader, const json_t *value, void *to)
{
	static const struct spec_field fields[] = {
		SPEC_FIELD(struct spec_process, terminal, spec_read_bool),
		{"consoleSize", read_console_size, 0, false},
		SPEC_FIELD(struct spec_process, user, read_user),
		{"args", read_args, offsetof(struct spec_process, args), true},
		SPEC_FIELD(struct spec_process, env, spec_read_envs),
		{"cwd", spec_read_path, offsetof(struct spec_process, cwd), true},
		SPEC_FIELD(struct spec_process, capabilities, read_capabilities),
		SPEC_FIELD(struct spec_process, rlimits, read_rlimits),
		{"noNewPrivileges", spec_read_bool, offsetof(struct spec_process, no_new_privileges), false},
		{"oomScoreAdj", read_oom_score_adj, 0, false},
		{"apparmorProfile", read_profile, offsetof(struct spec_process, apparmor_profile), false},
		{"selinuxLabel", spec_read_refuse, 0, false},
		{"scheduler", read_scheduler, offsetof(struct spec_process, scheduler), false},
		{"ioPriority", read_io_priority, 0, false},
		{"execCPUAffinity", read_affinity, 0, false},
	};
	struct spec_process *process = to;

	process->present = true;
	return spec_read_object(reader, value, fields, ARRAY_SIZE(fields), to);
}
