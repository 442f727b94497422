/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>

#include "base/fdio.h"
#include "base/str.h"
#include "sandbox/cgroup_file.h"

static bool is_unified(const struct cgroup_hierarchy *hierarchy)
{
	return hierarchy->controllers[0] == '\0';
}

/* Of a version 1 mount's super options only controllers and the name tell hierarchies apart. */
static void read_controllers(char *to, size_t size, char *options)
{
	static const char *const noise[] = {"rw", "ro", "xattr", "clone_children", "noprefix", "cpuset_v2_mode"};
	char *save = NULL;

	to[0] = '\0';
	for (char *word = strtok_r(options, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		bool skip = str_starts(word, "release_agent=");
		size_t used = strlen(to);

		for (size_t i = 0; i < ARRAY_SIZE(noise); i++)
			skip = skip || str_eq(noise[i], word);
		if (!skip)
			(void)snprintf(to + used, size - used, "%s%s", used ? "," : "", word);
	}
}

/* Something else may have been mounted over a hierarchy since. */
static bool is_hierarchy(int fd, bool unified)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == (unified ? CGROUP2_SUPER_MAGIC : CGROUP_SUPER_MAGIC);
}

static int add_hierarchy(struct cgroup *cgroup, const char *mount, bool unified, char *options)
{
	struct cgroup_hierarchy *at = &cgroup->hierarchies[cgroup->count];
	char controllers[sizeof(at->controllers)] = "";

	if (cgroup->count == CGROUP_HIERARCHIES_MAX)
		return -E2BIG;
	if (!unified)
		read_controllers(controllers, sizeof(controllers), options);
	/* The same hierarchy may be mounted in several places: the first one counts. */
	for (size_t i = 0; i < cgroup->count; i++)
		if (str_eq(cgroup->hierarchies[i].controllers, controllers))
			return 0;
	at->mount = open(mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at->mount < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if (!is_hierarchy(at->mount, unified))
		return close(at->mount);
	at->group = -1;
	memcpy(at->controllers, controllers, sizeof(controllers));
	if (unified)
		cgroup->unified = (int)cgroup->count;
	else
		cgroup->only_unified = false;
	cgroup->count++;
	return 0;
}

/* One line of mountinfo: "id parent dev root mountpoint options… - type source superoptions". */
static int read_mount_line(struct cgroup *cgroup, char *line)
{
	char *fields[5], *save = NULL, *dash = strstr(line, " - "), *type, *super;

	if (!dash || (!str_starts(dash + 3, "cgroup ") && !str_starts(dash + 3, "cgroup2 ")))
		return 0;
	*dash = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		fields[i] = strtok_r(i ? NULL : line, " ", &save);
		if (!fields[i])
			return 0;
	}
	type = strtok_r(dash + 3, " ", &save);
	(void)strtok_r(NULL, " ", &save);
	super = strtok_r(NULL, " ", &save);
	return add_hierarchy(cgroup, fields[4], str_eq(type, "cgroup2"), super ? super : type + strlen(type));
}

static int find_hierarchies(struct cgroup *cgroup, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(4u << 20);
	char *save = NULL;
	int r = fdio_read_file(AT_FDCWD, "/proc/self/mountinfo", &text, err);

	if (r < 0)
		return r;
	for (char *line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		r = read_mount_line(cgroup, line);
		if (r < 0)
			return err_sys(err, r, "cannot open the control groups");
	}
	if (cgroup->count == 0)
		return err_set(err, -ENOENT, "no control groups are mounted on this machine");
	return 0;
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
	return find_hierarchies(cgroup, err);
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

/* Hands the controllers of a version 2 group on to those below it. Those the kernel refuses stay off. */
static void delegate_controllers(int group)
{
	static const char *const controllers[] = {"cpu", "memory", "pids", "cpuset", "io", "hugetlb"};

	for (size_t i = 0; i < ARRAY_SIZE(controllers); i++) {
		char word[16];

		(void)snprintf(word, sizeof(word), "+%s", controllers[i]);
		(void)cgroup_file_write(group, "cgroup.subtree_control", word);
	}
}

static int make_in(struct cgroup_hierarchy *hierarchy, const char *path)
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

		if (is_unified(hierarchy))
			delegate_controllers(at);
		if (mkdirat(at, part, 0755) < 0 && errno != EEXIST)
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

int cgroup_check_unused(const struct cgroup *cgroup, struct err *err)
{
	for (size_t i = 0; i < cgroup->count; i++) {
		CLEANUP_CLOSE int group = openat(cgroup->hierarchies[i].mount, cgroup->path,
						 O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (group < 0 && errno != ENOENT)
			return err_sys(err, -errno, "cannot open control group '%s'", cgroup->path);
		if (group >= 0 && (has_processes(group) || has_groups(group)))
			return err_set(err, ERR_EXISTS, "control group '%s' is in use already", cgroup->path);
	}
	return 0;
}

int cgroup_make(struct cgroup *cgroup, struct err *err)
{
	for (size_t i = 0; i < cgroup->count; i++) {
		int r = make_in(&cgroup->hierarchies[i], cgroup->path);

		if (r < 0)
			return err_sys(err, r, "cannot make control group '%s' (%s)", cgroup->path,
				       is_unified(&cgroup->hierarchies[i]) ? "unified"
									   : cgroup->hierarchies[i].controllers);
	}
	return 0;
}

int cgroup_open(struct cgroup *cgroup, struct err *err)
{
	for (size_t i = 0; i < cgroup->count; i++) {
		struct cgroup_hierarchy *at = &cgroup->hierarchies[i];

		at->group = openat(at->mount, cgroup->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (at->group < 0 && errno != ENOENT)
			return err_sys(err, -errno, "cannot open control group '%s'", cgroup->path);
	}
	return 0;
}

int cgroup_enter_legacy(const struct cgroup *cgroup, struct err *err)
{
	for (size_t i = 0; i < cgroup->count; i++) {
		int r;

		if (is_unified(&cgroup->hierarchies[i]) || cgroup->hierarchies[i].group < 0)
			continue;
		r = cgroup_file_write(cgroup->hierarchies[i].group, "tasks", "0");
		if (r < 0)
			return err_sys(err, r, "cannot enter control group '%s' (%s)", cgroup->path,
				       cgroup->hierarchies[i].controllers);
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

/* Any hierarchy lists the processes: a version 1 controller's is preferred, for all of them are entered. */
static int listing_group(const struct cgroup *cgroup)
{
	for (size_t i = 0; i < cgroup->count; i++)
		if (cgroup->hierarchies[i].group >= 0)
			return cgroup->hierarchies[i].group;
	return -1;
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

int cgroup_pids(struct cgroup *cgroup, pid_t **ret_pids, size_t *ret_count, struct err *err)
{
	CLEANUP_FREE pid_t *pids = NULL;
	size_t count = 0;
	int group = listing_group(cgroup);
	int r = group < 0 ? 0 : append_pids(group, &pids, &count, 0);

	/* A group removed since it was opened has no processes. */
	if (r < 0 && r != -ENODEV)
		return err_sys(err, r, "cannot list the processes of control group '%s'", cgroup->path);
	*ret_pids = take_ptr(pids);
	*ret_count = count;
	return 0;
}

int cgroup_kill(struct cgroup *cgroup, int signal, struct err *err)
{
	int unified = cgroup_unified_fd(cgroup);

	if (signal == SIGKILL && unified >= 0 && cgroup_file_write(unified, "cgroup.kill", "1") == 0 &&
	    cgroup->only_unified)
		return 0;
	/* A fork in between hides from one listing: those killed make no more, so the second or third finds the rest. */
	for (int round = 0; round < (signal == SIGKILL ? 16 : 1); round++) {
		CLEANUP_FREE pid_t *pids = NULL;
		size_t count;
		int r = cgroup_pids(cgroup, &pids, &count, err);

		if (r < 0)
			return r;
		for (size_t i = 0; i < count; i++)
			if (kill(pids[i], signal) < 0 && errno != ESRCH)
				return err_sys(err, -errno, "cannot signal process %d", (int)pids[i]);
		if (signal == SIGKILL && cgroup_is_frozen(cgroup)) {
			r = cgroup_freeze(cgroup, false, err);
			if (r < 0)
				return r;
		}
		if (count == 0)
			break;
	}
	return 0;
}

bool cgroup_is_frozen(struct cgroup *cgroup)
{
	int legacy = cgroup_controller_fd(cgroup, "freezer");
	char value[32] = "";

	if (legacy >= 0)
		return cgroup_file_read(legacy, "freezer.state", value, sizeof(value)) == 0 && !str_eq(value, "THAWED");
	return cgroup_unified_fd(cgroup) >= 0 &&
	       cgroup_file_read(cgroup_unified_fd(cgroup), "cgroup.freeze", value, sizeof(value)) == 0 &&
	       str_eq(value, "1");
}

static bool freeze_reached(int legacy, int unified, bool frozen)
{
	char value[256] = "";

	if (legacy >= 0)
		return cgroup_file_read(legacy, "freezer.state", value, sizeof(value)) == 0 &&
		       str_eq(value, frozen ? "FROZEN" : "THAWED");
	return cgroup_file_read(unified, "cgroup.events", value, sizeof(value)) == 0 &&
	       strstr(value, frozen ? "frozen 1" : "frozen 0");
}

int cgroup_freeze(struct cgroup *cgroup, bool frozen, struct err *err)
{
	int legacy = cgroup_controller_fd(cgroup, "freezer"), unified = cgroup_unified_fd(cgroup);
	int r;

	if (legacy < 0 && unified < 0)
		return err_set(err, -EOPNOTSUPP, "control group '%s' cannot be frozen: no freezer", cgroup->path);
	for (int tries = 0; tries < 2000; tries++) {
		/* Version 1 may stay on its way while processes fork: asking again moves it on. */
		r = legacy >= 0 ? cgroup_file_write(legacy, "freezer.state", frozen ? "FROZEN" : "THAWED")
				: cgroup_file_write(unified, "cgroup.freeze", frozen ? "1" : "0");
		if (r < 0)
			return err_sys(err, r, "cannot freeze or thaw control group '%s'", cgroup->path);
		if (freeze_reached(legacy, unified, frozen))
			return 0;
		(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	return err_set(err, -ETIMEDOUT, "control group '%s' does not %s", cgroup->path, frozen ? "freeze" : "thaw");
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
