/* SPDX-License-Identifier: Apache-2.0 */
/* Of the containers that are told the same group one has it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/str.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_file.h"

/* The second is that of users, to whom version 2 groups are delegated. */
static const char *const attributes[] = {"trusted.bulkhead.container", "user.bulkhead.container"};

static bool has_processes(int group)
{
	char pids[64];
	int r = cgroup_file_read(group, "cgroup.procs", pids, sizeof(pids));

	return r == -EFBIG || (r == 0 && pids[0]);
}

static bool has_groups(int group)
{
	int fd = openat(group, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	bool found = false;

	while (entries && !found && (entry = readdir(entries)))
		found = entry->d_type == DT_DIR && entry->d_name[0] != '.';
	if (entries)
		(void)closedir(entries);
	else if (fd >= 0)
		(void)close(fd);
	return found;
}

/* The hierarchy that has the mark: one that every container has a group in. */
static const struct cgroup_hierarchy *marked(const struct cgroup *cgroup)
{
	for (size_t i = 0; i < cgroup->count; i++)
		if (cgroup_file_has_word(cgroup->hierarchies[i].controllers, "pids"))
			return &cgroup->hierarchies[i];
	return cgroup->unified >= 0 ? &cgroup->hierarchies[cgroup->unified] : cgroup->hierarchies;
}

static enum cgroup_claimed compare(int group, const char *owner)
{
	char mark[512];

	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
		ssize_t len = fgetxattr(group, attributes[i], mark, sizeof(mark));

		if (len >= 0)
			return (size_t)len == strlen(owner) && memcmp(mark, owner, (size_t)len) == 0
				       ? CGROUP_CLAIMED
				       : CGROUP_CLAIMED_BY_OTHERS;
	}
	return CGROUP_UNCLAIMED;
}

int cgroup_check_unused(const struct cgroup *cgroup, const char *owner, struct err *err)
{
	for (size_t i = 0; i < cgroup->count; i++) {
		CLEANUP_CLOSE int group = openat(cgroup->hierarchies[i].mount, cgroup->path,
						 O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (group < 0 && errno != ENOENT)
			return err_sys(err, -errno, "cannot open control group '%s'", cgroup->path);
		if (group >= 0 &&
		    (has_processes(group) || has_groups(group) || compare(group, owner) == CGROUP_CLAIMED_BY_OTHERS))
			return err_set(err, ERR_EXISTS, "control group '%s' is in use already", cgroup->path);
	}
	return 0;
}

enum cgroup_claimed cgroup_claimed_by(const struct cgroup *cgroup, const char *owner)
{
	const struct cgroup_hierarchy *at = marked(cgroup);
	CLEANUP_CLOSE int group = -1;

	if (cgroup->count == 0)
		return CGROUP_UNCLAIMED;
	if (at->group >= 0)
		return compare(at->group, owner);
	group = openat(at->mount, cgroup->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return group < 0 ? CGROUP_UNCLAIMED : compare(group, owner);
}

/* 0, -EEXIST, or why there can be no mark. */
static int set_mark(int group, const char *owner)
{
	int r = -EOPNOTSUPP;

	for (size_t i = 0; i < ARRAY_SIZE(attributes); i++) {
		if (fsetxattr(group, attributes[i], owner, strlen(owner), XATTR_CREATE) == 0)
			return 0;
		r = -errno;
		if (r == -EEXIST)
			return r;
	}
	return r;
}

int cgroup_claim(const struct cgroup *cgroup, const char *owner, struct err *err)
{
	const struct cgroup_hierarchy *at = marked(cgroup);
	bool taken;

	if (cgroup->count == 0 || at->group < 0)
		return 0;
	taken = set_mark(at->group, owner) == -EEXIST && compare(at->group, owner) != CGROUP_CLAIMED;
	if (taken || (at->found && (has_processes(at->group) || has_groups(at->group))))
		return err_set(err, ERR_EXISTS, "control group '%s' is in use already", cgroup->path);
	return 0;
}
