/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/ceiling.h"

#include <errno.h>

#include "base/str.h"

struct capability {
	const char *name;
	bool forbidden; /* no ceiling may hold it: it is (nearly) the machine */
};

/* By number, as in linux/capability.h. */
static const struct capability capabilities[] = {
	{"CHOWN", false},
	{"DAC_OVERRIDE", false},
	{"DAC_READ_SEARCH", true},
	{"FOWNER", false},
	{"FSETID", false},
	{"KILL", false},
	{"SETGID", false},
	{"SETUID", false},
	{"SETPCAP", false},
	{"LINUX_IMMUTABLE", true},
	{"NET_BIND_SERVICE", false},
	{"NET_BROADCAST", false},
	{"NET_ADMIN", false},
	{"NET_RAW", false},
	{"IPC_LOCK", false},
	{"IPC_OWNER", false},
	{"SYS_MODULE", true},
	{"SYS_RAWIO", true},
	{"SYS_CHROOT", false},
	{"SYS_PTRACE", true},
	{"SYS_PACCT", true},
	{"SYS_ADMIN", true},
	{"SYS_BOOT", true},
	{"SYS_NICE", false},
	{"SYS_RESOURCE", true},
	{"SYS_TIME", true},
	{"SYS_TTY_CONFIG", true},
	{"MKNOD", true},
	{"LEASE", false},
	{"AUDIT_WRITE", false},
	{"AUDIT_CONTROL", true},
	{"SETFCAP", false},
	{"MAC_OVERRIDE", true},
	{"MAC_ADMIN", true},
	{"SYSLOG", true},
	{"WAKE_ALARM", true},
	{"BLOCK_SUSPEND", true},
	{"AUDIT_READ", true},
	{"PERFMON", true},
	{"BPF", true},
	{"CHECKPOINT_RESTORE", true},
};

int policy_capability_number(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(capabilities); i++)
		if (str_eq(capabilities[i].name, name))
			return (int)i;
	return -ENOENT;
}

const char *policy_capability_name(unsigned number)
{
	return number < ARRAY_SIZE(capabilities) ? capabilities[number].name : NULL;
}

int policy_ceiling_add(uint64_t *ceiling, const char *name, struct err *err)
{
	int number = policy_capability_number(name);

	if (number < 0)
		return err_set(err, ERR_INVALID, "unknown capability '%.32s'", name);
	if (capabilities[number].forbidden)
		return err_set(err, ERR_INVALID, "capability '%s' may be in no ceiling", name);
	*ceiling |= UINT64_C(1) << number;
	return 0;
}

static int add_one(const struct policy_domain *domain, const char *container, const char *name, uint64_t *set,
		   struct err *err)
{
	int number = policy_capability_number(name);

	if (number < 0 && !str_eq(name, "ALL"))
		return err_set(err, ERR_INVALID, "container '%s' adds unknown capability '%.32s'", container, name);
	if (number < 0 || !(domain->ceiling & UINT64_C(1) << number)) {
		(void)err_set(err, ERR_DENIED,
			      "container '%s' adds capability '%s', which is over the ceiling of TrustDomain '%s'",
			      container, name, domain->name);
		(void)err_hint(err, "the platform's operator sets spec.ceiling.capabilities of the TrustDomain");
		return ERR_DENIED;
	}
	*set |= UINT64_C(1) << number;
	return 0;
}

int policy_ceiling_compute(const struct policy_domain *domain, const char *container, const char *const *add,
			   size_t add_count, const char *const *drop, size_t drop_count, uint64_t *ret_set,
			   struct err *err)
{
	uint64_t set = 0;

	for (size_t i = 0; i < add_count; i++) {
		int r = add_one(domain, container, add[i], &set, err);

		if (r < 0)
			return r;
	}
	/* As in Kubernetes, "drop: ALL" takes the defaults, not what is added beside it; one name takes just that. */
	for (size_t i = 0; i < drop_count; i++) {
		int number = policy_capability_number(drop[i]);

		if (number < 0 && !str_eq(drop[i], "ALL"))
			return err_set(err, ERR_INVALID, "container '%s' drops unknown capability '%.32s'", container,
				       drop[i]);
		if (number >= 0)
			set &= ~(UINT64_C(1) << number);
	}
	*ret_set = set;
	return 0;
}
