/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>

#include "base/fdio.h"
#include "base/str.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_file.h"

#define USUAL "/sys/fs/cgroup"

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

static bool is_known(const struct cgroup *cgroup, const char *controllers)
{
	for (size_t i = 0; i < cgroup->count; i++)
		if (str_eq(cgroup->hierarchies[i].controllers, controllers))
			return true;
	return false;
}

/* controllers: empty for version 2. Takes what is mounted there; 1 when it is that hierarchy, 0 when it is not. */
static int add_hierarchy(struct cgroup *cgroup, const char *mount, const char *controllers)
{
	struct cgroup_hierarchy *at = &cgroup->hierarchies[cgroup->count];
	bool unified = !controllers[0];

	if (cgroup->count == CGROUP_HIERARCHIES_MAX)
		return -E2BIG;
	at->mount = open(mount, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (at->mount < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	if (!is_hierarchy(at->mount, unified))
		return close(at->mount);
	at->group = -1;
	(void)snprintf(at->controllers, sizeof(at->controllers), "%s", controllers);
	if (unified)
		cgroup->unified = (int)cgroup->count;
	else
		cgroup->only_unified = false;
	cgroup->count++;
	return 1;
}

/* One line of mountinfo: "id parent dev root mountpoint options… - type source superoptions". */
static int read_mount_line(struct cgroup *cgroup, char *line)
{
	char controllers[sizeof(cgroup->hierarchies[0].controllers)] = "", *fields[5], *save = NULL,
	     *dash = strstr(line, " - "), *type, *super;

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
	if (super && !str_eq(type, "cgroup2"))
		read_controllers(controllers, sizeof(controllers), super);
	/* The same hierarchy may be mounted in several places: the first one counts. */
	return is_known(cgroup, controllers) ? 0 : add_hierarchy(cgroup, fields[4], controllers);
}

static int find_mounted(struct cgroup *cgroup, struct err *err)
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
	return 0;
}

/* One line of /proc/self/cgroup: "id:controllers:path". 1 when the hierarchy is where everyone mounts it. */
static int find_usual(struct cgroup *cgroup, char *line)
{
	char mount[128], *controllers = strchr(line, ':'), *end = controllers ? strchr(controllers + 1, ':') : NULL;
	int r;

	if (!end)
		return 0;
	*end = '\0';
	controllers++;
	if (controllers[0]) {
		const char *name = str_starts(controllers, "name=") ? controllers + strlen("name=") : controllers;

		(void)snprintf(mount, sizeof(mount), USUAL "/%.64s", name);
		return add_hierarchy(cgroup, mount, controllers);
	}
	r = add_hierarchy(cgroup, USUAL, "");
	if (r == 0)
		r = add_hierarchy(cgroup, USUAL "/unified", "");
	/* Beside version 1 it need not be mounted. */
	return r < 0 ? r : 1;
}

/* Looks where the field mounts them: the table of mounts grows with what the machine runs. False: to be searched for. */
static bool find_all_usual(struct cgroup *cgroup)
{
	CLEANUP_BUF struct buf text = buf_of(65536);
	char *save = NULL;

	if (fdio_read_file(AT_FDCWD, "/proc/self/cgroup", &text, NULL) < 0)
		return false;
	for (char *line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (find_usual(cgroup, line) <= 0)
			return false;
	return cgroup->count > 0;
}

int cgroup_find(struct cgroup *cgroup, struct err *err)
{
	int r = 0;

	if (!find_all_usual(cgroup)) {
		cgroup_done(cgroup);
		cgroup->unified = -1;
		cgroup->only_unified = true;
		r = find_mounted(cgroup, err);
	}
	if (r == 0 && cgroup->count == 0)
		return err_set(err, -ENOENT, "no control groups are mounted on this machine");
	return r;
}
