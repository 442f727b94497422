/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/executable.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/str.h"
#include "runtime/rootless.h"
#include "sandbox/landlock.h"
#include "sandbox/mountfd.h"

#define AGAIN "BULKHEAD_PROTECTED=1"

static int is_protected(void)
{
	CLEANUP_CLOSE int fd = open("/proc/self/exe", O_PATH | O_CLOEXEC);
	struct statvfs fs;

	if (fd < 0 || fstatvfs(fd, &fs) < 0)
		return -errno;
	return (fs.f_flag & ST_RDONLY) != 0;
}

/* The environment with the mark that this is the second time. */
static char **marked_environment(void)
{
	size_t count = 0;
	char **marked;

	while (environ[count])
		count++;
	marked = calloc(count + 2, sizeof(*marked));
	if (!marked)
		return NULL;
	memcpy(marked, environ, count * sizeof(*marked));
	marked[count] = (char *)AGAIN;
	return marked;
}

/* His rights do not outlast an execution. */
static int protect_by_landlock(struct err *err)
{
	if (landlock_abi() > 0)
		return 0;
	(void)err_set(err, ERR_DENIED, "the runtime's own program cannot be write-protected by an ordinary user");
	return err_hint(err, "a program that belongs to the machine's root is out of the container's reach");
}

int executable_protect(char *const *argv, struct err *err)
{
	CLEANUP_FREE char **environment = NULL;
	CLEANUP_CLOSE int fd = -1;
	int r = is_protected();

	if (r < 0)
		return err_sys(err, r, "cannot look at the runtime's own program");
	if (r > 0)
		return unsetenv("BULKHEAD_PROTECTED") < 0 ? err_sys(err, -errno, "cannot clear the environment") : 0;
	if (!argv)
		return err_set(err, ERR_INVALID, "config.json: linux.namespaces: a user namespace is needed");
	if (rootless_is_plain())
		return protect_by_landlock(err);
	if (getenv("BULKHEAD_PROTECTED"))
		return err_set(err, ERR_DENIED, "the runtime's own program cannot be write-protected");
	r = mountfd_clone(AT_FDCWD, "/proc/self/exe", false, &fd);
	if (r == 0)
		r = mountfd_set(fd, false, MOUNT_ATTR_RDONLY, 0, 0);
	environment = r == 0 ? marked_environment() : NULL;
	if (r == 0 && !environment)
		r = -ENOMEM;
	if (r == 0) {
		(void)execveat(fd, "", argv, environment, AT_EMPTY_PATH);
		r = -errno;
	}
	return err_sys(err, r, "cannot write-protect the runtime's own program");
}

bool executable_is_exposed(const struct idmap *uids, const struct idmap *gids)
{
	struct stat st;

	return stat("/proc/self/exe", &st) < 0 || idmap_has(uids, st.st_uid) || idmap_has(gids, st.st_gid) ||
	       (st.st_mode & S_IWOTH);
}
