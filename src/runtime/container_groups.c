/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/str.h"
#include "runtime/container.h"
#include "sandbox/inroot.h"

#define ATTRIBUTES (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY)

int container_open_groups(struct container *container, struct err *err)
{
	for (size_t i = 0; !container->own[SPEC_NS_CGROUP] && i < container->cgroup.count; i++) {
		int r;

		/* Where it has no group of its own it would be shown the machine's. */
		if (container->cgroup.hierarchies[i].group < 0)
			continue;
		r = container->groups[i] >= 0
			    ? 0
			    : mountfd_clone(container->cgroup.hierarchies[i].group, "", false, &container->groups[i]);

		if (r == 0)
			r = mountfd_set(container->groups[i], false, ATTRIBUTES, 0, MS_PRIVATE);
		if (r < 0)
			return err_sys(err, r, "cannot open the container's control groups");
	}
	return 0;
}

/* A mount of a version 1 hierarchy names its controllers; a named one says that it has none. */
static int make_legacy(const char *controllers, int *ret_fd, struct err *err)
{
	char words[64], *save = NULL;
	const char *data[8];
	size_t count = 0;

	(void)snprintf(words, sizeof(words), "%s", controllers);
	for (char *word = strtok_r(words, ",", &save); word && count < ARRAY_SIZE(data) - 1;
	     word = strtok_r(NULL, ",", &save))
		data[count++] = word;
	if (str_starts(controllers, "name="))
		data[count++] = "none";
	return mountfd_new("cgroup", NULL, data, count, ATTRIBUTES, ret_fd, err);
}

static int open_group(struct container *container, size_t index, int *ret_fd, struct err *err)
{
	const struct cgroup_hierarchy *hierarchy = &container->cgroup.hierarchies[index];

	if (!container->own[SPEC_NS_CGROUP]) {
		*ret_fd = take_fd(&container->groups[index]);
		return *ret_fd < 0 ? err_set(err, ERR_INVALID, "control groups are mounted twice") : 0;
	}
	if ((int)index == container->cgroup.unified)
		return mountfd_new("cgroup2", NULL, NULL, 0, ATTRIBUTES, ret_fd, err);
	return make_legacy(hierarchy->controllers, ret_fd, err);
}

/* Programs look for a controller by its own name: links to where it is together with others. */
static int link_controllers(const char *controllers, int dir, struct err *err)
{
	char words[64], *save = NULL;

	if (!strchr(controllers, ',') || str_starts(controllers, "name="))
		return 0;
	(void)snprintf(words, sizeof(words), "%s", controllers);
	for (char *word = strtok_r(words, ",", &save); word; word = strtok_r(NULL, ",", &save))
		if (symlinkat(controllers, dir, word) < 0)
			return err_sys(err, -errno, "control group link '%s'", word);
	return 0;
}

/* One hierarchy inside of the tmpfs at dir. */
static int attach_group(struct container *container, size_t index, int dir, struct err *err)
{
	const char *controllers = container->cgroup.hierarchies[index].controllers;
	const char *name = str_starts(controllers, "name=") ? controllers + strlen("name=") : controllers;
	CLEANUP_CLOSE int fd = -1, target = -1;
	int r = open_group(container, index, &fd, err);

	if (r < 0)
		return r;
	if (!name[0])
		name = "unified";
	if (mkdirat(dir, name, 0555) < 0)
		return err_sys(err, -errno, "control group folder '%s'", name);
	r = inroot_open_plain(dir, name, O_PATH | O_DIRECTORY, true, &target);
	if (r == 0)
		r = mountfd_attach(fd, target);
	return r < 0 ? err_sys(err, r, "control group folder '%s'", name) : link_controllers(controllers, dir, err);
}

static int attach_unified(struct container *container, int target, struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	int r = open_group(container, (size_t)container->cgroup.unified, &fd, err);

	if (r < 0)
		return r;
	r = mountfd_attach(fd, target);
	return r < 0 ? err_sys(err, r, "cannot mount control groups") : 0;
}

int container_attach_groups(struct container *container, int target, struct err *err)
{
	static const char *const data[] = {"mode=0755", "size=64k"};
	CLEANUP_CLOSE int fd = -1;
	int r;

	if (container->cgroup.only_unified)
		return attach_unified(container, target, err);
	r = mountfd_new("tmpfs", NULL, data, ARRAY_SIZE(data), ATTRIBUTES & ~(uint64_t)MOUNT_ATTR_RDONLY, &fd, err);
	if (r < 0)
		return r;
	r = mountfd_attach(fd, target);
	if (r < 0)
		return err_sys(err, r, "cannot mount control groups");
	for (size_t i = 0; r == 0 && i < container->cgroup.count; i++)
		if (container->groups_made >> i & 1)
			r = attach_group(container, i, fd, err);
	if (r == 0) {
		r = mountfd_set(fd, false, MOUNT_ATTR_RDONLY, 0, 0);
		if (r < 0)
			return err_sys(err, r, "cannot write-protect the control groups");
	}
	return r;
}
