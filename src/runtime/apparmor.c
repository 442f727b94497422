/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/apparmor.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/str.h"
#include "sandbox/inroot.h"

#define FIELD "config.json: process.apparmorProfile"

int apparmor_open(int proc, const char *profile, int *ret_fd, struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	struct statfs fs;

	if (!profile || !profile[0])
		return 0;
	fd = openat(proc, "thread-self/attr/apparmor/exec", O_WRONLY | O_CLOEXEC | O_NOCTTY);
	/* Without AppArmor everything is unconfined. */
	if (fd < 0 && errno == ENOENT && str_eq(profile, "unconfined"))
		return 0;
	if (fd < 0 && errno == ENOENT)
		return err_set(err, -EOPNOTSUPP, FIELD ": '%.128s' cannot be used: this kernel has no AppArmor",
			       profile);
	if (fd < 0)
		return err_sys(err, -errno, FIELD);
	/* Whatever is written goes to the kernel or nowhere. */
	if (fstatfs(fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC)
		return err_set(err, -EMEDIUMTYPE, FIELD ": /proc is not the kernel's");
	*ret_fd = take_fd(&fd);
	return 0;
}

int apparmor_open_inside(int root, const char *profile, int *ret_fd, struct err *err)
{
	CLEANUP_CLOSE int proc = -1, fd = -1;
	struct statfs fs;
	char path[64];
	int r = inroot_open_plain(root, "/proc", O_PATH | O_DIRECTORY, false, &proc);

	(void)snprintf(path, sizeof(path), "%d/attr/apparmor/exec", (int)getpid());
	if (r == 0 && (fstatfs(proc, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC))
		r = -EMEDIUMTYPE;
	if (r == 0)
		r = inroot_open_plain(proc, path, O_WRONLY | O_NOCTTY, true, &fd);
	if (r < 0) {
		(void)err_sys(err, r, FIELD ": '%.128s' cannot be set", profile);
		return err_hint(err, "the container needs a mount of type proc on /proc that can be written to");
	}
	*ret_fd = take_fd(&fd);
	return 0;
}

int apparmor_set(int fd, const char *profile, struct err *err)
{
	char line[4200];
	int r;

	if (fd < 0)
		return 0;
	r = snprintf(line, sizeof(line), "exec %s", profile);
	if ((size_t)r >= sizeof(line))
		return err_set(err, ERR_INVALID, FIELD ": is too long");
	r = fdio_write_all(fd, line, (size_t)r);
	if (r == -ENOENT)
		return err_set(err, ERR_NOT_FOUND, FIELD ": profile '%.128s' is not loaded", profile);
	return r < 0 ? err_sys(err, r, FIELD ": cannot change to profile '%.128s'", profile) : 0;
}
