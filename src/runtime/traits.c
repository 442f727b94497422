/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/traits.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"

/* The kernel's struct sched_attr, first version, which the C library does not have everywhere. */
struct attributes {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime;
	uint64_t deadline;
	uint64_t period;
};

static int set_policy(pid_t pid, const struct spec_scheduler *scheduler, struct err *err)
{
	struct attributes attributes = {
		.size = sizeof(attributes),
		.policy = scheduler->policy,
		.flags = scheduler->flags,
		.nice = scheduler->nice,
		.priority = scheduler->priority,
		.runtime = scheduler->runtime,
		.deadline = scheduler->deadline,
		.period = scheduler->period,
	};

	if (!scheduler->present)
		return 0;
	return syscall(SYS_sched_setattr, pid, &attributes, 0) < 0
		       ? err_sys(err, -errno, "config.json: process.scheduler")
		       : 0;
}

int traits_schedule(pid_t pid, const struct spec_process *process, struct err *err)
{
	int r = set_policy(pid, &process->scheduler, err);

	if (r < 0 || !process->io_class)
		return r;
	return syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid,
		       IOPRIO_PRIO_VALUE(process->io_class, process->io_priority)) < 0
		       ? err_sys(err, -errno, "config.json: process.ioPriority")
		       : 0;
}

/* Adds "4" or "0-3" to the set. */
static int add_range(cpu_set_t *set, const char *range, size_t len)
{
	char copy[32], *dash;
	uint64_t first, last;

	if (len == 0 || len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, range, len);
	copy[len] = '\0';
	dash = strchr(copy, '-');
	if (dash)
		*dash = '\0';
	if (str_parse_u64(copy, CPU_SETSIZE - 1, &first) < 0)
		return -EINVAL;
	last = first;
	if (dash && str_parse_u64(dash + 1, CPU_SETSIZE - 1, &last) < 0)
		return -EINVAL;
	if (last < first)
		return -EINVAL;
	for (; first <= last; first++)
		CPU_SET(first, set);
	return 0;
}

int traits_move(pid_t pid, const char *processors, const char *field, struct err *err)
{
	cpu_set_t set;

	if (!processors || !processors[0])
		return 0;
	CPU_ZERO(&set);
	for (const char *at = processors; *at;) {
		size_t len = strcspn(at, ",");

		if (add_range(&set, at, len) < 0)
			return err_set(err, ERR_INVALID, "%s: '%.64s' is no list of processors", field, processors);
		at += len + (at[len] == ',');
	}
	return sched_setaffinity(pid, sizeof(set), &set) < 0 ? err_sys(err, -errno, "%s: '%.64s'", field, processors)
							     : 0;
}

int traits_personate(const struct spec_linux *spec, struct err *err)
{
	if (!spec->has_personality)
		return 0;
	return personality(spec->personality) < 0 ? err_sys(err, -errno, "config.json: linux.personality") : 0;
}

int traits_new_keyring(struct err *err)
{
	/* A kernel without keyrings has nothing to leave behind. */
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		return err_sys(err, -errno, "cannot make a session keyring");
	return 0;
}
