/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>

#include "base/fdio.h"
#include "base/str.h"
#include "sandbox/cgroup_file.h"

bool cgroup_is_unified(const struct cgroup_hierarchy *hierarchy)
{
	return hierarchy->controllers[0] == '\0';
}

int cgroup_init(struct cgroup *cgroup, const char *path, struct err *err)
{
	memset(cgroup, 0, sizeof(*cgroup));
	cgroup->unified = -1;
	cgroup->only_unified = true;
	while (*path == '/')
		path++;
	if (!*path || str_copy(cgroup->path, sizeof(cgroup->path), path) < 0)
		return err_set(err, ERR_INVALID, "control group path '%.64s' is empty or too long", path);
	for (size_t len = strlen(cgroup->path); cgroup->path[len - 1] == '/'; len--)
		cgroup->path[len - 1] = '\0';
	return cgroup_find(cgroup, err);
}

void cgroup_done(struct cgroup *cgroup)
{
	for (size_t i = 0; i < cgroup->count; i++) {
		(void)close(cgroup->hierarchies[i].mount);
		if (cgroup->hierarchies[i].group >= 0)
			(void)close(cgroup->hierarchies[i].group);
	}
	cgroup->count = 0;
}

int cgroup_open(struct cgroup *cgroup, struct err *err)
{
	cgroup->populated = true;
	for (size_t i = 0; i < cgroup->count; i++) {
		struct cgroup_hierarchy *at = &cgroup->hierarchies[i];

		at->group = openat(at->mount, cgroup->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (at->group < 0 && errno != ENOENT)
			return err_sys(err, -errno, "cannot open control group '%s'", cgroup->path);
	}
	return 0;
}

uint32_t cgroup_made(const struct cgroup *cgroup)
{
	uint32_t made = 0;

	for (size_t i = 0; i < cgroup->count && i < CGROUP_HIERARCHIES_MAX; i++)
		made |= (uint32_t)(cgroup->hierarchies[i].group >= 0) << i;
	return made;
}

int cgroup_enter_legacy(const struct cgroup *cgroup, uint32_t made, struct err *err)
{
	char tasks[CGROUP_PATH_MAX + sizeof("/tasks")];

	(void)snprintf(tasks, sizeof(tasks), "%s/tasks", cgroup->path);
	for (size_t i = 0; i < cgroup->count; i++) {
		const struct cgroup_hierarchy *at = &cgroup->hierarchies[i];
		int r;

		if (cgroup_is_unified(at) || !(made >> i & 1))
			continue;
		r = cgroup_file_write(at->mount, tasks, "0");
		if (r < 0)
			return err_sys(err, r, "cannot enter control group '%s' (%s)", cgroup->path, at->controllers);
	}
	return 0;
}

int cgroup_place_legacy(const struct cgroup *cgroup, pid_t pid, struct err *err)
{
	char number[16];

	(void)snprintf(number, sizeof(number), "%d", (int)pid);
	for (size_t i = 0; i < cgroup->count; i++) {
		const struct cgroup_hierarchy *at = &cgroup->hierarchies[i];
		int r;

		if (cgroup_is_unified(at) || at->group < 0)
			continue;
		r = cgroup_file_write(at->group, "tasks", number);
		if (r < 0 && r != -ESRCH)
			return err_sys(err, r, "control group '%s' (%s) does not take process %d", cgroup->path,
				       at->controllers, (int)pid);
	}
	return 0;
}

int cgroup_unified_fd(const struct cgroup *cgroup)
{
	return cgroup->unified < 0 ? -1 : cgroup->hierarchies[cgroup->unified].group;
}

int cgroup_controller_fd(const struct cgroup *cgroup, const char *controller)
{
	for (size_t i = 0; i < cgroup->count; i++)
		if (cgroup_file_has_word(cgroup->hierarchies[i].controllers, controller))
			return cgroup->hierarchies[i].group;
	return -1;
}

/* Any hierarchy lists the processes; of version 1 one of those that every container is in. */
static const struct cgroup_hierarchy *listing(const struct cgroup *cgroup)
{
	const struct cgroup_hierarchy *found = NULL;

	for (size_t i = 0; i < cgroup->count; i++) {
		const struct cgroup_hierarchy *at = &cgroup->hierarchies[i];

		if (at->group >= 0 && (!found || cgroup_file_has_word(at->controllers, "pids")))
			found = at;
	}
	return found;
}

static int listing_group(const struct cgroup *cgroup)
{
	const struct cgroup_hierarchy *found = listing(cgroup);

	return found ? found->group : -1;
}

static int append_own(int group, pid_t **pids, size_t *count)
{
	CLEANUP_BUF struct buf text = buf_of(4u << 20);
	CLEANUP_CLOSE int fd = openat(group, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char *save = NULL;
	int r;

	if (fd < 0)
		return -errno;
	r = fdio_read_all(fd, &text);
	if (r < 0)
		return r;
	for (char *line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		uint64_t pid;
		pid_t *grown;

		/* 0 stands for a process of another pid namespace: not ours to signal. */
		if (str_parse_u64(line, INT32_MAX, &pid) < 0 || pid == 0)
			continue;
		grown = realloc(*pids, (*count + 1) * sizeof(**pids));
		if (!grown)
			return -ENOMEM;
		*pids = grown;
		(*pids)[(*count)++] = (pid_t)pid;
	}
	return 0;
}

/* Those of the group and of all groups below it. */
static int append_pids(int group, pid_t **pids, size_t *count, int depth)
{
	int fd, r = append_own(group, pids, count);
	struct dirent *entry;
	DIR *entries;

	if (r < 0 || depth == 64)
		return r == -ENODEV ? 0 : r;
	fd = openat(group, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	entries = fd < 0 ? NULL : fdopendir(fd);
	if (!entries) {
		if (fd >= 0)
			(void)close(fd);
		return fd < 0 && errno == ENOENT ? 0 : -ENOMEM;
	}
	while (r == 0 && (entry = readdir(entries))) {
		CLEANUP_CLOSE int below = -1;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.')
			continue;
		below = openat(fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (below >= 0)
			r = append_pids(below, pids, count, depth + 1);
	}
	(void)closedir(entries);
	return r;
}

int cgroup_pids_below(int group, pid_t **ret_pids, size_t *ret_count, struct err *err)
{
	CLEANUP_FREE pid_t *pids = NULL;
	size_t count = 0;
	int r = append_pids(group, &pids, &count, 0);

	/* A group removed since it was opened has no processes. */
	if (r < 0 && r != -ENODEV)
		return err_sys(err, r, "cannot list the processes");
	*ret_pids = take_ptr(pids);
	*ret_count = count;
	return 0;
}

int cgroup_pids(struct cgroup *cgroup, pid_t **ret_pids, size_t *ret_count, struct err *err)
{
	int group = listing_group(cgroup);

	if (group < 0) {
		*ret_pids = NULL;
		*ret_count = 0;
		return 0;
	}
	if (cgroup_pids_below(group, ret_pids, ret_count, err) < 0)
		return err_prefix(err, "control group '%s'", cgroup->path);
	return 0;
}

uint64_t cgroup_oom_kills(struct cgroup *cgroup)
{
	int legacy = cgroup_controller_fd(cgroup, "memory");
	char text[512];
	int r;

	if (legacy >= 0)
		r = cgroup_file_read(legacy, "memory.oom_control", text, sizeof(text));
	else if (cgroup_unified_fd(cgroup) >= 0)
		r = cgroup_file_read(cgroup_unified_fd(cgroup), "memory.events", text, sizeof(text));
	else
		return 0;
	return r < 0 ? 0 : cgroup_file_counter(text, "oom_kill");
}

/* Removes the groups below and then the group itself. Files in it are the kernel's. */
static int remove_below(int parent, const char *name, int depth)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *entries;
	struct dirent *entry;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	entries = fdopendir(fd);
	if (!entries) {
		(void)close(fd);
		return -ENOMEM;
	}
	while (depth < 64 && (entry = readdir(entries)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			(void)remove_below(dirfd(entries), entry->d_name, depth + 1);
	(void)closedir(entries);
	return unlinkat(parent, name, AT_REMOVEDIR) < 0 && errno != ENOENT ? -errno : 0;
}

bool cgroup_remove_empty(const struct cgroup *cgroup)
{
	bool gone = true;

	for (size_t i = 0; i < cgroup->count; i++)
		gone = (unlinkat(cgroup->hierarchies[i].mount, cgroup->path, AT_REMOVEDIR) == 0 || errno == ENOENT) &&
		       gone;
	return gone;
}

void cgroup_leave(const struct cgroup *cgroup)
{
	for (int tries = 0; tries < 2000 && !cgroup_remove_empty(cgroup); tries++)
		(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

int cgroup_remove(struct cgroup *cgroup, struct err *err)
{
	for (size_t i = 0; i < cgroup->count; i++) {
		struct cgroup_hierarchy *at = &cgroup->hierarchies[i];
		int r = -EBUSY;

		if (at->group >= 0)
			(void)close(take_fd(&at->group));
		if (unlinkat(at->mount, cgroup->path, AT_REMOVEDIR) == 0 || errno == ENOENT)
			continue;
		for (int tries = 0; tries < 2000 && r == -EBUSY; tries++) {
			r = remove_below(at->mount, cgroup->path, 0);
			if (r == -EBUSY)
				(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
		}
		if (r < 0)
			return err_sys(err, r, "cannot remove control group '%s'", cgroup->path);
	}
	return 0;
}
