/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup_limit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/str.h"
#include "sandbox/cgroup_file.h"

int cgroup_limit_put_next(struct cgroup_limit_target *to, const char *field, const char *controller, const char *file,
			  const char *value, int *fd)
{
	int group = cgroup_unified_fd(to->cgroup);
	int r = controller ? cgroup_controller_make(to->cgroup, controller, &group, to->err) : 0;

	if (r < 0)
		return err_prefix(to->err, "config.json: linux.resources.%s", field);
	if (group < 0)
		return err_set(to->err, -EOPNOTSUPP,
			       "config.json: linux.resources.%s: this machine has no '%s' controller", field,
			       controller ? controller : "unified");
	if (*fd < 0)
		*fd = openat(group, file, O_WRONLY | O_CLOEXEC);
	if (*fd < 0 || write(*fd, value, strlen(value)) < 0)
		return err_sys(to->err, -errno,
			       "config.json: linux.resources.%s: cannot write '%.64s' to '%s' of control group '%s'",
			       field, value, file, to->cgroup->path);
	return 0;
}

int cgroup_limit_put(struct cgroup_limit_target *to, const char *field, const char *controller, const char *file,
		     const char *value)
{
	CLEANUP_CLOSE int fd = -1;

	return cgroup_limit_put_next(to, field, controller, file, value, &fd);
}

int cgroup_limit_put_number(struct cgroup_limit_target *to, const char *field, const char *controller, const char *file,
			    const struct spec_number *number)
{
	char value[32];

	if (!number->present)
		return 0;
	(void)snprintf(value, sizeof(value), "%" PRId64, number->value);
	return cgroup_limit_put(to, field, controller, file, value);
}

/* Version 2 has the word "max" where version 1 has -1. */
static int put_max(struct cgroup_limit_target *to, const char *field, const char *file,
		   const struct spec_number *number)
{
	if (number->present && number->value == -1)
		return cgroup_limit_put(to, field, NULL, file, "max");
	return cgroup_limit_put_number(to, field, NULL, file, number);
}

int cgroup_limit_refuse(struct cgroup_limit_target *to, const char *field, int version)
{
	return err_set(
		to->err, -EOPNOTSUPP,
		"config.json: linux.resources.%s: version %d of control groups, which this machine has, knows no such "
		"limit",
		field, version);
}

static bool wants_cpu(const struct spec_resources *res)
{
	return res->cpu_shares.present || res->cpu_quota.present || res->cpu_period.present || res->cpu_burst.present ||
	       res->cpu_idle.present || res->cpu_rt_runtime.present || res->cpu_rt_period.present;
}

/*
 * Memory that is limited is not had again as swap, unless the caller says how much of it. Memory without a limit is one
 * of swap without a limit: version 1 takes no other.
 */
static struct spec_number swap_limit(const struct spec_resources *res)
{
	return res->memory_swap.present || res->memory_limit.value == 0 ? res->memory_swap : res->memory_limit;
}

/* A group that this process made, and nothing limits yet. */
static bool is_new(const struct cgroup *cgroup, const char *controller)
{
	for (size_t i = 0; i < cgroup->count; i++)
		if (cgroup_file_has_word(cgroup->hierarchies[i].controllers, controller))
			return !cgroup->populated && !cgroup->hierarchies[i].found;
	return false;
}

static int limit_legacy_memory(struct cgroup_limit_target *to, const struct spec_resources *res)
{
	int group = cgroup_controller_fd(to->cgroup, "memory");
	const struct spec_number both = swap_limit(res);
	bool swap = both.present && group >= 0;

	/* A kernel without swap accounting has no such file; the memory limit holds all the same. */
	if (swap && faccessat(group, "memory.memsw.limit_in_bytes", F_OK, 0) < 0)
		swap = false;
	/* Growing wants memory+swap first, shrinking wants memory first: one of the two orders works. */
	if (res->memory_limit.present && swap && !is_new(to->cgroup, "memory")) {
		char value[32];

		(void)snprintf(value, sizeof(value), "%" PRId64, both.value);
		(void)cgroup_file_write(group, "memory.memsw.limit_in_bytes", value);
	}
	TRY(cgroup_limit_put_number(to, "memory.limit", "memory", "memory.limit_in_bytes", &res->memory_limit));
	if (swap)
		TRY(cgroup_limit_put_number(to, "memory.swap", "memory", "memory.memsw.limit_in_bytes", &both));
	TRY(cgroup_limit_put_number(to, "memory.reservation", "memory", "memory.soft_limit_in_bytes",
				    &res->memory_reservation));
	if (res->memory_swappiness.present && res->memory_swappiness.value >= 0)
		TRY(cgroup_limit_put_number(to, "memory.swappiness", "memory", "memory.swappiness",
					    &res->memory_swappiness));
	return res->disable_oom_killer
		       ? cgroup_limit_put(to, "memory.disableOOMKiller", "memory", "memory.oom_control", "1")
		       : 0;
}

static void try_quota(const struct cgroup *cgroup, int64_t quota)
{
	int group = cgroup_controller_fd(cgroup, "cpu");
	char value[32];

	(void)snprintf(value, sizeof(value), "%" PRId64, quota);
	if (group >= 0)
		(void)cgroup_file_write(group, "cpu.cfs_quota_us", value);
}

static int limit_legacy_cpu(struct cgroup_limit_target *to, const struct spec_resources *res)
{
	if (res->cpu_shares.value > 0)
		TRY(cgroup_limit_put_number(to, "cpu.shares", "cpu", "cpu.shares", &res->cpu_shares));
	/* A group above may allow one of the two only after the other: one of both orders works, none exceeds both. */
	if (res->cpu_quota.value != 0 && res->cpu_period.value > 0 && !is_new(to->cgroup, "cpu"))
		try_quota(to->cgroup, res->cpu_quota.value);
	if (res->cpu_period.value > 0)
		TRY(cgroup_limit_put_number(to, "cpu.period", "cpu", "cpu.cfs_period_us", &res->cpu_period));
	if (res->cpu_quota.value != 0)
		TRY(cgroup_limit_put_number(to, "cpu.quota", "cpu", "cpu.cfs_quota_us", &res->cpu_quota));
	if (res->cpu_burst.value > 0)
		TRY(cgroup_limit_put_number(to, "cpu.burst", "cpu", "cpu.cfs_burst_us", &res->cpu_burst));
	if (res->cpu_rt_period.value > 0)
		TRY(cgroup_limit_put_number(to, "cpu.realtimePeriod", "cpu", "cpu.rt_period_us", &res->cpu_rt_period));
	if (res->cpu_rt_runtime.value != 0)
		TRY(cgroup_limit_put_number(to, "cpu.realtimeRuntime", "cpu", "cpu.rt_runtime_us",
					    &res->cpu_rt_runtime));
	return cgroup_limit_put_number(to, "cpu.idle", "cpu", "cpu.idle", &res->cpu_idle);
}

static int put_pids(struct cgroup_limit_target *to, const char *controller, const struct spec_number *limit)
{
	/* The specification lets 0 and -1 stand for "no limit". */
	if (limit->present && limit->value <= 0)
		return cgroup_limit_put(to, "pids.limit", controller, "pids.max", "max");
	return cgroup_limit_put_number(to, "pids.limit", controller, "pids.max", limit);
}

static int limit_legacy(struct cgroup_limit_target *to, const struct spec_resources *res)
{
	TRY(limit_legacy_memory(to, res));
	if (wants_cpu(res))
		TRY(limit_legacy_cpu(to, res));
	TRY(put_pids(to, "pids", &res->pids_limit));
	if (res->cpus && res->cpus[0])
		TRY(cgroup_limit_put(to, "cpu.cpus", "cpuset", "cpuset.cpus", res->cpus));
	if (res->mems && res->mems[0])
		TRY(cgroup_limit_put(to, "cpu.mems", "cpuset", "cpuset.mems", res->mems));
	return 0;
}

/* Version 1 counts memory and swap together, version 2 swap alone. */
static int limit_swap(struct cgroup_limit_target *to, const struct spec_resources *res)
{
	struct spec_number swap = swap_limit(res);
	char ignored[32];

	if (!swap.present)
		return 0;
	/* A kernel without swap accounting has no such file: nothing to do for a limit that nobody asked for. */
	if (!res->memory_swap.present &&
	    cgroup_file_read(cgroup_unified_fd(to->cgroup), "memory.swap.max", ignored, sizeof(ignored)) == -ENOENT)
		return 0;
	if (swap.value > 0) {
		if (!res->memory_limit.present || res->memory_limit.value < 0 || swap.value < res->memory_limit.value)
			return err_set(to->err, ERR_INVALID,
				       "config.json: linux.resources.memory.swap: must be at least memory.limit, which "
				       "must be set");
		swap.value -= res->memory_limit.value;
	}
	return put_max(to, "memory.swap", "memory.swap.max", &swap);
}

/* cpu.weight 1…10000 for shares 2…262144, as the specification's formula has it. */
static int limit_weight(struct cgroup_limit_target *to, const struct spec_number *shares)
{
	struct spec_number weight = {.present = true};
	int64_t value = shares->value;

	if (value <= 0)
		return 0;
	if (value < 2)
		value = 2;
	if (value > 262144)
		value = 262144;
	weight.value = 1 + ((value - 2) * 9999) / 262142;
	return cgroup_limit_put_number(to, "cpu.shares", NULL, "cpu.weight", &weight);
}

static int limit_quota(struct cgroup_limit_target *to, const struct spec_resources *res)
{
	char value[64], quota[32] = "max";

	if (!res->cpu_quota.value && !res->cpu_period.value)
		return 0;
	if (res->cpu_quota.value > 0)
		(void)snprintf(quota, sizeof(quota), "%" PRId64, res->cpu_quota.value);
	(void)snprintf(value, sizeof(value), "%s %" PRId64, quota,
		       res->cpu_period.value > 0 ? res->cpu_period.value : 100000);
	return cgroup_limit_put(to, "cpu.quota", NULL, "cpu.max", value);
}

/* What version 2 has no file for: dropped, the container would behave otherwise than asked. */
static int refuse_legacy(struct cgroup_limit_target *to, const struct spec_resources *res)
{
	if (res->disable_oom_killer)
		return cgroup_limit_refuse(to, "memory.disableOOMKiller", 2);
	if (res->memory_swappiness.present)
		return cgroup_limit_refuse(to, "memory.swappiness", 2);
	if (res->cpu_rt_runtime.value != 0)
		return cgroup_limit_refuse(to, "cpu.realtimeRuntime", 2);
	return res->cpu_rt_period.value != 0 ? cgroup_limit_refuse(to, "cpu.realtimePeriod", 2) : 0;
}

static int limit_unified(struct cgroup_limit_target *to, const struct spec_resources *res)
{
	TRY(refuse_legacy(to, res));
	TRY(put_max(to, "memory.limit", "memory.max", &res->memory_limit));
	TRY(limit_swap(to, res));
	TRY(put_max(to, "memory.reservation", "memory.low", &res->memory_reservation));
	TRY(limit_weight(to, &res->cpu_shares));
	TRY(limit_quota(to, res));
	if (res->cpu_burst.value > 0)
		TRY(cgroup_limit_put_number(to, "cpu.burst", NULL, "cpu.max.burst", &res->cpu_burst));
	TRY(cgroup_limit_put_number(to, "cpu.idle", NULL, "cpu.idle", &res->cpu_idle));
	TRY(put_pids(to, NULL, &res->pids_limit));
	if (res->cpus && res->cpus[0])
		TRY(cgroup_limit_put(to, "cpu.cpus", NULL, "cpuset.cpus", res->cpus));
	if (res->mems && res->mems[0])
		TRY(cgroup_limit_put(to, "cpu.mems", NULL, "cpuset.mems", res->mems));
	return 0;
}

/* The kernel takes one line a write: "io.max" has one for each device. */
static int put_lines(struct cgroup_limit_target *to, const char *field, const char *file, const char *value)
{
	while (true) {
		size_t len = strcspn(value, "\n");
		CLEANUP_FREE char *line = strndup(value, len);

		if (!line)
			return err_set(to->err, -ENOMEM, "no memory");
		TRY(cgroup_limit_put(to, field, NULL, file, line));
		if (!value[len] || !value[len + 1])
			return 0;
		value += len + 1;
	}
}

static int limit_raw(struct cgroup_limit_target *to, const struct spec_pairs *unified)
{
	for (size_t i = 0; i < unified->count; i++) {
		char field[80];

		(void)snprintf(field, sizeof(field), "unified.%.64s", unified->items[i].key);
		TRY(put_lines(to, field, unified->items[i].key, unified->items[i].value));
	}
	return 0;
}

/* A limit below what is used would have the kernel kill at once. */
static int check_memory(struct cgroup_limit_target *to, const struct spec_resources *res)
{
	bool only = to->cgroup->only_unified;
	int group = only ? cgroup_unified_fd(to->cgroup) : cgroup_controller_fd(to->cgroup, "memory");
	char value[32];
	int64_t used;

	if (!res->memory_check || !res->memory_limit.present || res->memory_limit.value < 0 || group < 0 ||
	    cgroup_file_read(group, only ? "memory.current" : "memory.usage_in_bytes", value, sizeof(value)) < 0 ||
	    str_parse_i64(value, 0, INT64_MAX, &used) < 0 || used <= res->memory_limit.value)
		return 0;
	return err_set(to->err, ERR_INVALID,
		       "config.json: linux.resources.memory.limit: %" PRId64 " is less than the %" PRId64
		       " bytes in use, and checkBeforeUpdate is set",
		       res->memory_limit.value, used);
}

/* What the group has: version 1 says -1 where version 2 says "max". */
static int read_quota(const struct cgroup *cgroup, int64_t *ret_quota, int64_t *ret_period)
{
	int group = cgroup->only_unified ? cgroup_unified_fd(cgroup) : cgroup_controller_fd(cgroup, "cpu");
	char quota[64], period[32], *space;
	int r = group < 0 ? -ENOENT : 0;

	if (r == 0 && cgroup->only_unified) {
		r = cgroup_file_read(group, "cpu.max", quota, sizeof(quota));
		space = r == 0 ? strchr(quota, ' ') : NULL;
		if (!space)
			return -EINVAL;
		*space = '\0';
		r = str_copy(period, sizeof(period), space + 1);
	} else if (r == 0) {
		r = cgroup_file_read(group, "cpu.cfs_quota_us", quota, sizeof(quota));
		if (r == 0)
			r = cgroup_file_read(group, "cpu.cfs_period_us", period, sizeof(period));
	}
	if (r < 0)
		return r;
	if (str_parse_i64(str_eq(quota, "max") ? "-1" : quota, -1, INT64_MAX, ret_quota) < 0 ||
	    str_parse_i64(period, 1, INT64_MAX, ret_period) < 0)
		return -EINVAL;
	return 0;
}

void cgroup_complete_quota(const struct cgroup *cgroup, struct spec_resources *resources)
{
	struct spec_number *quota = &resources->cpu_quota, *period = &resources->cpu_period;
	struct spec_number own_quota = {.present = true}, own_period = {.present = true};

	if (quota->present == period->present || read_quota(cgroup, &own_quota.value, &own_period.value) < 0)
		return;
	if (!quota->present)
		*quota = own_quota;
	else
		*period = own_period;
}

int cgroup_change(struct cgroup *cgroup, const struct spec_resources *resources, struct err *err)
{
	struct cgroup_limit_target to = {.cgroup = cgroup, .err = err};

	TRY(check_memory(&to, resources));
	if (cgroup->only_unified)
		TRY(limit_unified(&to, resources));
	else
		TRY(limit_legacy(&to, resources));
	TRY(cgroup_limit_io(&to, resources));
	if (resources->devices.count)
		TRY(cgroup_limit_devices(&to, &resources->devices));
	return limit_raw(&to, &resources->unified);
}

int cgroup_limit(struct cgroup *cgroup, const struct spec_resources *resources, struct err *err)
{
	struct cgroup_limit_target to = {.cgroup = cgroup, .err = err};

	if (resources->devices.count == 0)
		TRY(cgroup_limit_devices(&to, &resources->devices));
	return cgroup_change(cgroup, resources, err);
}
