/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/capability.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

struct capability_sets capability_compute(const struct capability_sets *asked)
{
	struct capability_sets sets = {.bounding = asked->bounding};

	sets.permitted = asked->permitted & sets.bounding;
	sets.effective = asked->effective & sets.permitted;
	sets.ambient = asked->ambient & sets.permitted;
	return sets;
}

int capability_prepare(const struct capability_sets *sets, struct err *err)
{
	for (int number = 0; number < 64; number++) {
		if ((sets->bounding >> number & 1) || prctl(PR_CAPBSET_DROP, number, 0, 0, 0) == 0)
			continue;
		/* The kernel knows no more of them. */
		if (errno == EINVAL)
			break;
		/* Who may not drop any need not when it is gone already. */
		if (errno != EPERM || prctl(PR_CAPBSET_READ, number, 0, 0, 0) != 0)
			return err_sys(err, -errno, "cannot drop capability %d from the bounding set", number);
	}
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_sys(err, -errno, "cannot clear the ambient capabilities");
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return err_sys(err, -errno, "cannot keep capabilities over the change of user");
	return 0;
}

static int set_capabilities(uint64_t permitted, uint64_t effective, uint64_t inheritable)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {
		{(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
		{(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)},
	};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int lock_securebits(uint32_t uid)
{
	unsigned long bits = SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_NOROOT_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE |
			     SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;

	if (uid != 0)
		bits |= SECBIT_NOROOT;
	return prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0 ? -errno : 0;
}

static int effective_setpcap(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	/* After setresuid the effective set is empty while permitted was kept. */
	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	data[0].effective = data[0].permitted;
	data[1].effective = data[1].permitted;
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

int capability_apply(const struct capability_sets *sets, uint32_t uid, struct err *err)
{
	int r = effective_setpcap();

	/* Ambient wants permitted and inheritable; it is raised while the secure bits still allow it. */
	if (r == 0)
		r = set_capabilities(sets->permitted | 1ull << CAP_SETPCAP, 1ull << CAP_SETPCAP | sets->permitted,
				     sets->ambient);
	for (int number = 0; r == 0 && number <= CAP_LAST_CAP; number++)
		if ((sets->ambient >> number & 1) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, number, 0, 0) < 0)
			r = -errno;
	if (r == 0)
		r = lock_securebits(uid);
	if (r == 0)
		r = set_capabilities(sets->permitted, sets->effective, sets->ambient);
	if (r < 0)
		return err_sys(err, r, "cannot set the capabilities");
	return 0;
}
