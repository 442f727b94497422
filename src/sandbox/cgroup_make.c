/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_file.h"

/* A cpuset without processors or memory takes no process: a new one starts with those of the one above. */
static int inherit_cpuset(int parent, int child)
{
	static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char value[1024];
		int r = cgroup_file_read(child, files[i], value, sizeof(value));

		if (r == 0 && value[0] == '\0') {
			r = cgroup_file_read(parent, files[i], value, sizeof(value));
			if (r == 0)
				r = cgroup_file_write(child, files[i], value);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* Those of a version 2 group that may be handed on to the groups below, as words for cgroup.subtree_control. */
static void name_controllers(int group, char *to, size_t size)
{
	static const char *const controllers[] = {"cpu", "memory", "pids", "cpuset", "io", "hugetlb", "rdma", "misc"};
	char present[256], *save = NULL;
	size_t used = 0;

	to[0] = '\0';
	if (cgroup_file_read(group, "cgroup.controllers", present, sizeof(present)) < 0)
		return;
	for (char *word = strtok_r(present, " ", &save); word; word = strtok_r(NULL, " ", &save))
		for (size_t i = 0; i < ARRAY_SIZE(controllers); i++)
			if (str_eq(word, controllers[i]) && used < size)
				used += (size_t)snprintf(to + used, size - used, "%s+%s", used ? " " : "", word);
}

/* Hands the controllers on. When the kernel refuses them together, those it refuses alone stay off. */
static void delegate_controllers(int group)
{
	char words[128], *save = NULL;

	name_controllers(group, words, sizeof(words));
	if (!words[0] || cgroup_file_write(group, "cgroup.subtree_control", words) == 0)
		return;
	for (char *word = strtok_r(words, " ", &save); word; word = strtok_r(NULL, " ", &save))
		(void)cgroup_file_write(group, "cgroup.subtree_control", word);
}

/* Level by level, for what has to be done at each. */
static int make_levels(struct cgroup_hierarchy *hierarchy, const char *path)
{
	char copy[CGROUP_PATH_MAX], *save = NULL;
	bool cpuset = cgroup_file_has_word(hierarchy->controllers, "cpuset");
	CLEANUP_CLOSE int at = openat(hierarchy->mount, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int r = str_copy(copy, sizeof(copy), path);

	if (at < 0)
		return -errno;
	if (r < 0)
		return r;
	for (char *part = strtok_r(copy, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		int next;

		if (cgroup_is_unified(hierarchy))
			delegate_controllers(at);
		hierarchy->found = mkdirat(at, part, 0755) < 0;
		if (hierarchy->found && errno != EEXIST)
			return -errno;
		next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0)
			return -errno;
		r = cpuset ? inherit_cpuset(at, next) : 0;
		(void)close(at);
		at = next;
		if (r < 0)
			return r;
	}
	hierarchy->group = take_fd(&at);
	return 0;
}

static int make_in(struct cgroup_hierarchy *hierarchy, const char *path)
{
	bool each_level = cgroup_is_unified(hierarchy) || cgroup_file_has_word(hierarchy->controllers, "cpuset");

	if (!each_level && mkdirat(hierarchy->mount, path, 0755) == 0) {
		hierarchy->group = openat(hierarchy->mount, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return hierarchy->group < 0 ? -errno : 0;
	}
	return make_levels(hierarchy, path);
}

/*
 * A controller that nothing asks anything of costs a group all the same. Left out are those that neither count nor stop
 * processes, unless a group above is there, whose limits then count for the container too.
 */
static bool is_needed(const struct cgroup *cgroup, const struct cgroup_hierarchy *hierarchy)
{
	static const char *const always[] = {"cpu", "cpuacct", "memory", "pids"};
	char parent[CGROUP_PATH_MAX];
	char *slash;

	if (cgroup_is_unified(hierarchy))
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(always); i++)
		if (cgroup_file_has_word(hierarchy->controllers, always[i]))
			return true;
	/* Version 2's group, where there is one, can be frozen too. */
	if (cgroup->unified < 0 && cgroup_file_has_word(hierarchy->controllers, "freezer"))
		return true;
	(void)snprintf(parent, sizeof(parent), "%s", cgroup->path);
	slash = strrchr(parent, '/');
	if (!slash)
		return false;
	*slash = '\0';
	return faccessat(hierarchy->mount, parent, F_OK, 0) == 0;
}

static int make(struct cgroup *cgroup, struct cgroup_hierarchy *hierarchy, struct err *err)
{
	int r = make_in(hierarchy, cgroup->path);

	return r < 0 ? err_sys(err, r, "cannot make control group '%s' (%s)", cgroup->path,
			       cgroup_is_unified(hierarchy) ? "unified" : hierarchy->controllers)
		     : 0;
}

int cgroup_make(struct cgroup *cgroup, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < cgroup->count; i++)
		if (cgroup->hierarchies[i].group < 0 && is_needed(cgroup, &cgroup->hierarchies[i]))
			r = make(cgroup, &cgroup->hierarchies[i], err);
	return r;
}

int cgroup_make_unified(struct cgroup *cgroup, struct err *err)
{
	return cgroup->unified < 0 ? 0 : make(cgroup, &cgroup->hierarchies[cgroup->unified], err);
}

/* Whether one list holds all of another; both in any order. */
static bool holds_all(const pid_t *pids, size_t count, const pid_t *wanted, size_t wanted_count)
{
	for (size_t i = 0; i < wanted_count; i++) {
		size_t at = 0;

		while (at < count && pids[at] != wanted[i])
			at++;
		if (at == count)
			return false;
	}
	return true;
}

/* The processes in sight, none when all of them are in the group. The caller frees *ret_pids. */
static int list_outside(struct cgroup *cgroup, int group, pid_t **ret_pids, size_t *ret_count, struct err *err)
{
	CLEANUP_FREE pid_t *there = NULL;
	size_t there_count = 0;
	int r = cgroup_pids(cgroup, ret_pids, ret_count, err);

	if (r == 0)
		r = cgroup_pids_below(group, &there, &there_count, err);
	if (r == 0 && holds_all(there, there_count, *ret_pids, *ret_count))
		*ret_count = 0;
	return r;
}

/* Brings those in sight over; *ret_all when there was none to bring. */
static int bring_listed(struct cgroup *cgroup, int group, bool *ret_all, struct err *err)
{
	CLEANUP_FREE pid_t *pids = NULL;
	size_t count = 0;
	int r = list_outside(cgroup, group, &pids, &count, err);

	if (r < 0)
		return r;
	*ret_all = count == 0;
	for (size_t i = 0; i < count; i++) {
		char pid[16];

		(void)snprintf(pid, sizeof(pid), "%d", (int)pids[i]);
		r = cgroup_file_write(group, "cgroup.procs", pid);
		if (r < 0 && r != -ESRCH)
			return err_sys(err, r, "cannot bring process %d to control group '%s'", (int)pids[i],
				       cgroup->path);
	}
	return 0;
}

/* Stopped processes make none meanwhile: once is enough. */
static int bring_all(struct cgroup *cgroup, int group, bool stopped, struct err *err)
{
	for (int tries = 0; tries < 100; tries++) {
		bool all = false;
		int r = bring_listed(cgroup, group, &all, err);

		if (r < 0 || all || stopped)
			return r;
	}
	return err_set(err, -EBUSY, "cannot bring the processes of control group '%s' to a further controller",
		       cgroup->path);
}

/*
 * None may stay outside of the limit. They are stopped meanwhile where that can be done, so that those that fork do not
 * run away from it; where it cannot, it is tried until a listing shows none that is not in.
 */
static int bring_processes(struct cgroup *cgroup, int group, struct err *err)
{
	CLEANUP_FREE pid_t *pids = NULL;
	size_t count = 0;
	struct err ignored;
	bool before, stopped;
	int r = list_outside(cgroup, group, &pids, &count, err), thawed = 0;

	if (r < 0 || count == 0)
		return r;
	before = cgroup_is_frozen(cgroup);
	stopped = before || cgroup_freeze(cgroup, true, &ignored) == 0;
	r = bring_all(cgroup, group, stopped, err);

	if (stopped && !before)
		thawed = cgroup_freeze(cgroup, false, r == 0 ? err : &ignored);
	return r == 0 ? thawed : r;
}

int cgroup_controller_make(struct cgroup *cgroup, const char *controller, int *ret_group, struct err *err)
{
	int r;

	for (size_t i = 0; i < cgroup->count; i++) {
		struct cgroup_hierarchy *at = &cgroup->hierarchies[i];

		if (cgroup_is_unified(at) || !cgroup_file_has_word(at->controllers, controller))
			continue;
		r = at->group < 0 ? make(cgroup, at, err) : 0;
		/* Also to one that was there: whoever made it may not have come to its end. */
		if (r == 0 && cgroup->populated)
			r = bring_processes(cgroup, at->group, err);
		if (r < 0)
			return r;
		*ret_group = at->group;
		return 0;
	}
	*ret_group = -1;
	return 0;
}
