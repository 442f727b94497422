/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/str.h"
#include "runtime/channel.h"
#include "runtime/container.h"
#include "runtime/launch.h"

bool container_makes(const struct container *container, enum spec_namespace_type type)
{
	return container->own[type] && container->join[type] < 0;
}

/*
 * What the process is born in. The rest it makes itself while the parent goes on: a network namespace takes longest of
 * all, and the group that is the root of a control group namespace is not entered yet.
 */
static uint64_t birth_flags(const struct container *container)
{
	static const enum spec_namespace_type types[] = {SPEC_NS_USER, SPEC_NS_MOUNT, SPEC_NS_PID, SPEC_NS_UTS,
							 SPEC_NS_TIME};
	uint64_t flags = 0;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (container_makes(container, types[i]))
			flags |= namespaces_flag(types[i]);
	return flags;
}

static pid_t clone_child(struct container *container, uint64_t flags)
{
	pid_t pid = namespaces_clone(birth_flags(container) | flags, cgroup_unified_fd(&container->cgroup));

	if (pid == 0)
		container_child(container);
	return pid;
}

/* The user namespace comes last: it takes the right to join the others. */
static int join(const struct container *container, struct err *err)
{
	static const enum spec_namespace_type order[] = {
		SPEC_NS_NETWORK, SPEC_NS_IPC, SPEC_NS_UTS, SPEC_NS_CGROUP, SPEC_NS_PID, SPEC_NS_USER,
	};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		if (container->join[order[i]] >= 0 &&
		    setns(container->join[order[i]], (int)namespaces_flag(order[i])) < 0)
			return err_sys(err, -errno, "cannot join the %s namespace", spec_namespace_name(order[i]));
	/* Changing the user namespace may have changed it. */
	return prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ? err_sys(err, -errno, "cannot become non-dumpable") : 0;
}

/*
 * The stage: a process between the parent and the container that joins namespaces, as the parent could not come back from
 * a user namespace. It borrows the parent's memory (vfork), which so stands still; never dumpable and in the machine's
 * pid namespace, it can be reached by none of those it joins.
 */
static pid_t clone_through_stage(struct container *container, struct err *err)
{
	volatile pid_t pid = -ECHILD;
	pid_t stage = vfork();

	if (stage == 0) {
		pid = join(container, err);
		if (pid == 0)
			pid = clone_child(container, CLONE_PARENT);
		_exit(0);
	}
	if (stage < 0)
		return err_sys(err, -errno, "cannot make a process");
	while (waitpid(stage, NULL, 0) < 0 && errno == EINTR)
		;
	if (pid < 0 && !err->code)
		return err_sys(err, pid, "cannot make the container's namespaces");
	return pid;
}

static pid_t make_process(struct container *container, struct err *err)
{
	bool stage = false;
	pid_t pid;

	for (size_t i = 0; i < SPEC_NS_TYPES; i++)
		stage = stage || (i != SPEC_NS_TIME && container->join[i] >= 0);
	if (stage)
		return clone_through_stage(container, err);
	pid = clone_child(container, 0);
	return pid < 0 ? err_sys(err, pid, "cannot make the container's namespaces") : pid;
}

/* A process that borrows memory can join no time namespace: the parent goes there and comes back. */
static pid_t make_process_in_time(struct container *container, struct err *err)
{
	CLEANUP_CLOSE int own = open("/proc/self/ns/time", O_RDONLY | O_CLOEXEC);
	int type = (int)namespaces_flag(SPEC_NS_TIME);
	pid_t pid;

	if (container->join[SPEC_NS_TIME] < 0)
		return make_process(container, err);
	if (own < 0 || setns(container->join[SPEC_NS_TIME], type) < 0)
		return err_sys(err, -errno, "cannot join the time namespace");
	pid = make_process(container, err);
	if (setns(own, type) == 0)
		return pid;
	if (pid > 0)
		container->pid = pid;
	return err_sys(err, -errno, "cannot leave the time namespace");
}

/* Ids inside and outside, which an own user namespace is told and a joined one tells. */
static int settle_ids(struct container *container, struct err *err)
{
	const struct spec_linux *spec = &container->spec->linux_;
	int r;

	if (container_makes(container, SPEC_NS_USER))
		return namespaces_write_maps(container->pid, &spec->uid_maps, &spec->gid_maps, err);
	if (!container->own[SPEC_NS_USER])
		return 0;
	r = namespaces_read_maps(container->pid, &container->uids, &container->gids, err);
	return r == 0 ? container_check_user(container, err) : r;
}

/*
 * Groups of version 1 can be made while the process makes its namespaces. Not those of version 2, which it is born into
 * and under whose limits it has to be, and not those it sees without a namespace for them: these views are opened here.
 */
static bool wants_groups_first(const struct container *container)
{
	return container->cgroup.only_unified || !container->own[SPEC_NS_CGROUP];
}

/* What is another's is not to be taken away with what this container leaves. */
static int claim_groups(struct container *container, struct err *err)
{
	char owner[STATE_OWNER_MAX];
	int r;

	state_owner(container->state, owner);
	r = cgroup_claim(&container->cgroup, owner, err);
	if (r == 0)
		return 0;
	container->state->cgroup[0] = '\0';
	return err_prefix(err, "config.json: linux.cgroupsPath");
}

static int make_groups(struct container *container, struct err *err)
{
	int r;

	/* Without the right to make any there are none, and nothing was asked of them. */
	if (container->cgroup.count == 0)
		return 0;
	r = cgroup_make(&container->cgroup, err);
	if (r == 0)
		r = claim_groups(container, err);
	return r == 0 ? cgroup_limit(&container->cgroup, &container->spec->linux_.resources, err) : r;
}

int container_make_groups(struct container *container, struct err *err)
{
	return wants_groups_first(container) ? make_groups(container, err)
					     : cgroup_make_unified(&container->cgroup, err);
}

static int give_groups(struct container *container, struct err *err)
{
	struct cgroup *cgroup = &container->cgroup;
	int r = wants_groups_first(container) ? 0 : make_groups(container, err);

	if (r < 0)
		return r;
	return channel_send(container->channel, CHANNEL_GROUPS, (int32_t)cgroup_made(cgroup)) < 0
		       ? err_set(err, -ECONNRESET, "the container's process ended before it was ready")
		       : 0;
}

int container_spawn(struct container *container, struct err *err)
{
	int ends[2], r = channel_pair(ends, err);
	pid_t pid;

	if (r < 0)
		return r;
	container->channel = ends[0];
	container->far_end = ends[1];
	pid = make_process_in_time(container, err);
	(void)close(take_fd(&container->far_end));
	if (pid < 0)
		return pid;
	container->pid = pid;
	r = settle_ids(container, err);
	if (r == 0)
		r = give_groups(container, err);
	if (r == 0)
		r = launch_prepare(pid, -1, &container->spec->process, err);
	if (r == 0)
		r = container_map_owners(container, err);
	return r == 0 ? container_fill_dev(container, err) : r;
}
