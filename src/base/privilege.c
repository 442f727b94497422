/* SPDX-License-Identifier: Apache-2.0 */
#include "base/privilege.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *user;
	uid_t fixed; /* inside systemd's range for dynamic service users, which no distribution hands out by hand */
} parts[] = {
	[PRIVILEGE_CISM] = {"bulkhead-cism", 61901},     [PRIVILEGE_CIR] = {"bulkhead-cir", 61902},
	[PRIVILEGE_INGEST] = {"bulkhead-ingest", 61903}, [PRIVILEGE_KEYS] = {"bulkhead-keys", 61904},
	[PRIVILEGE_VIEW] = {"bulkhead-view", 61905},
};

void privilege_ids(enum privilege_part part, uid_t *ret_uid, gid_t *ret_gid)
{
	const struct passwd *entry = getpwnam(parts[part].user);

	*ret_uid = entry ? entry->pw_uid : parts[part].fixed;
	*ret_gid = entry ? entry->pw_gid : parts[part].fixed;
}

static int clear_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {{0}};

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	return syscall(SYS_capset, &header, none) < 0 ? -errno : 0;
}

int privilege_drop(enum privilege_part part, struct err *err)
{
	uid_t uid;
	gid_t gid;
	int r = 0;

	if (geteuid() == 0) {
		privilege_ids(part, &uid, &gid);
		/* The bounding set can only be emptied before the uid goes; EINVAL comes behind the kernel's last capability. */
		for (unsigned long cap = 0; prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0; cap++)
			continue;
		if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
			return err_sys(err, -errno, "cannot become user '%s'", parts[part].user);
		r = clear_capabilities();
		if (r < 0)
			return err_sys(err, r, "cannot drop the capabilities of '%s'", parts[part].user);
		if (setuid(0) == 0 || setgid(0) == 0)
			return err_set(err, -EPERM, "cannot become user '%s': root could be regained",
				       parts[part].user);
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, -errno, "cannot confine the process of '%s'", parts[part].user);
	return 0;
}
