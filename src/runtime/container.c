/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/container.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"
#include "sandbox/sysctls.h"

static const struct idmap everything = {.lines = {{0, 0, UINT32_MAX}}, .count = 1};

void container_init(struct container *container, const struct spec *spec, struct state *state)
{
	*container = (struct container){.spec = spec,
					.state = state,
					.bundle = -1,
					.cgroup = {.unified = -1},
					.home = -1,
					.root = -1,
					.dev = -1,
					.filters = -1,
					.listener = -1,
					.spawner = -1,
					.channel = -1,
					.far_end = -1,
					.console = -1};
	container->apparmor = -1;
	for (size_t i = 0; i < SPEC_NS_TYPES; i++)
		container->join[i] = -1;
	for (size_t i = 0; i < CGROUP_HIERARCHIES_MAX; i++)
		container->groups[i] = -1;
}

static void close_if_open(int fd)
{
	if (fd >= 0)
		(void)close(fd);
}

struct cgroup *container_take_groups(struct container *container)
{
	struct cgroup *groups = malloc(sizeof(*groups));

	if (groups) {
		*groups = container->cgroup;
		groups->populated = true;
		container->cgroup.count = 0;
	}
	return groups;
}

void container_done(struct container *container)
{
	for (size_t i = 0; i < SPEC_NS_TYPES; i++)
		close_if_open(container->join[i]);
	for (size_t i = 0; i < container->mount_count; i++)
		close_if_open(container->mounts[i].fd);
	free(container->mounts);
	for (size_t i = 0; i < container->node_count; i++)
		close_if_open(container->nodes[i].fd);
	free(container->nodes);
	for (size_t i = 0; i < CGROUP_HIERARCHIES_MAX; i++)
		close_if_open(container->groups[i]);
	close_if_open(container->home);
	close_if_open(container->root);
	close_if_open(container->dev);
	close_if_open(container->filters);
	close_if_open(container->listener);
	close_if_open(container->spawner);
	close_if_open(container->channel);
	close_if_open(container->console);
	close_if_open(container->bundle);
	cgroup_done(&container->cgroup);
}

/* Whether a namespace to join is the one this process is in, and so perhaps the machine's. */
static bool is_present(int namespace, enum spec_namespace_type type)
{
	static const char *const files[SPEC_NS_TYPES] = {
		[SPEC_NS_USER] = "user",
		[SPEC_NS_MOUNT] = "mnt",
		[SPEC_NS_PID] = "pid_for_children",
		[SPEC_NS_NETWORK] = "net",
		[SPEC_NS_IPC] = "ipc",
		[SPEC_NS_UTS] = "uts",
		[SPEC_NS_CGROUP] = "cgroup",
		[SPEC_NS_TIME] = "time_for_children",
	};
	struct stat joined, present;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", files[type]);
	return fstat(namespace, &joined) < 0 || stat(path, &present) < 0 ||
	       (joined.st_ino == present.st_ino && joined.st_dev == present.st_dev);
}

static int open_joined(struct container *container, struct err *err)
{
	for (size_t i = 0; i < SPEC_NS_TYPES; i++) {
		const struct spec_namespace *namespace = &container->spec->linux_.namespaces[i];
		int r;

		container->own[i] = namespace->wanted;
		if (!namespace->path)
			continue;
		r = namespaces_open((enum spec_namespace_type)i, namespace->path, &container->join[i], err);
		if (r == 0)
			r = bounds_verify_namespace(container->bounds, (enum spec_namespace_type)i, container->join[i],
						    err);
		if (r < 0)
			return err_prefix(err, "config.json: linux.namespaces");
		if (is_present(container->join[i], (enum spec_namespace_type)i))
			container->own[i] = false;
	}
	return 0;
}

/* A new time namespace with other clocks is made beforehand and then joined: they cannot be set from inside. */
static int make_time(struct container *container, struct err *err)
{
	const struct spec_linux *spec = &container->spec->linux_;

	if (!spec->monotonic.present && !spec->boottime.present)
		return 0;
	if (!container_makes(container, SPEC_NS_TIME))
		return err_set(err, ERR_INVALID, "config.json: linux.timeOffsets: need a new time namespace");
	return namespaces_make_time(&spec->monotonic, &spec->boottime, &container->join[SPEC_NS_TIME], err);
}

static int open_user(struct container *container, struct err *err)
{
	const struct spec_linux *spec = &container->spec->linux_;

	if (!container->own[SPEC_NS_USER]) {
		if (spec->uid_maps.count || spec->gid_maps.count)
			return err_set(err, ERR_INVALID, "config.json: linux.uidMappings: there is no user namespace");
		container->uids = container->gids = everything;
		return 0;
	}
	/* A joined one is asked for its maps by a process that is in it. */
	if (container->join[SPEC_NS_USER] >= 0)
		return 0;
	if (spec->uid_maps.count == 0 || spec->gid_maps.count == 0)
		return err_set(err, ERR_INVALID, "config.json: linux.%s: a new user namespace needs it",
			       spec->uid_maps.count ? "gidMappings" : "uidMappings");
	idmap_copy(&container->uids, &spec->uid_maps);
	idmap_copy(&container->gids, &spec->gid_maps);
	return 0;
}

static int check_names(const struct container *container, struct err *err)
{
	const struct spec *spec = container->spec;

	/* In a joined namespace the name belongs to whoever made it. */
	if (spec->hostname && spec->hostname[0] && !container->own[SPEC_NS_UTS])
		return err_set(err, ERR_INVALID, "config.json: hostname: needs a uts namespace");
	if (spec->domainname && spec->domainname[0] && !container->own[SPEC_NS_UTS])
		return err_set(err, ERR_INVALID, "config.json: domainname: needs a uts namespace");
	return sysctls_check(&spec->linux_.sysctl, container->own, "config.json: linux.sysctl", err);
}

int container_check_user(const struct container *container, struct err *err)
{
	const struct spec_user *user = &container->spec->process.user;
	uint32_t outside;

	if (idmap_find(&container->uids, user->uid, &outside) < 0)
		return err_set(err, ERR_INVALID,
			       "config.json: process.user.uid: %u is not mapped in the user namespace", user->uid);
	if (idmap_find(&container->gids, user->gid, &outside) < 0)
		return err_set(err, ERR_INVALID,
			       "config.json: process.user.gid: %u is not mapped in the user namespace", user->gid);
	return 0;
}

int container_open_namespaces(struct container *container, struct err *err)
{
	int r = open_joined(container, err);

	if (r == 0)
		r = container_open_home(container, err);
	if (r == 0)
		r = make_time(container, err);
	if (r == 0)
		r = check_names(container, err);
	if (r == 0)
		r = container_check_ports(container->spec, err);
	if (r == 0)
		r = open_user(container, err);
	return r == 0 && container->join[SPEC_NS_USER] < 0 ? container_check_user(container, err) : r;
}
