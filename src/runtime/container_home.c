/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Containers in the mount namespace of the runtime or of others. Nothing is mounted there: the container is built in a
 * namespace of its own like any other, then a detached copy of its whole tree becomes the root of its process, which
 * moves. The copy belongs to no namespace and lives as long as a process has its root in it. What keeps the process from
 * the other root of its namespace is that it takes CAP_SYS_ADMIN to enter the namespace again, and Landlock behind that.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <unistd.h>

#include "base/str.h"
#include "runtime/container.h"
#include "runtime/rootless.h"
#include "sandbox/landlock.h"
#include "sandbox/mountfd.h"

bool container_is_guest(const struct spec *spec)
{
	const struct spec_namespace *mount = &spec->linux_.namespaces[SPEC_NS_MOUNT];

	return !mount->wanted || mount->path;
}

int container_check_guest(const struct spec_process *process, struct err *err)
{
	for (size_t i = 0; i < SPEC_CAPABILITY_SETS; i++)
		if (process->capabilities[i] & (UINT64_C(1) << CAP_SYS_ADMIN))
			return err_set(
				err, ERR_INVALID,
				"config.json: linux.namespaces: with CAP_SYS_ADMIN a new mount namespace is needed");
	return 0;
}

static int check(const struct container *container, struct err *err)
{
	const char *without = NULL;

	if (container->own[SPEC_NS_USER])
		without = "with a user namespace";
	else if (rootless_is())
		without = "for an ordinary user";
	else if (container->bounds && container->bounds->count)
		without = "under a ceiling";
	else if (landlock_abi() <= 0)
		without = "without Landlock";
	else if (container->spec->linux_.propagation > SPEC_PROPAGATION_SLAVE)
		without = "with this rootfsPropagation";
	if (without)
		return err_set(err, ERR_INVALID, "config.json: linux.namespaces: %s a new mount namespace is needed",
			       without);
	return container_check_guest(&container->spec->process, err);
}

int container_open_home(struct container *container, struct err *err)
{
	int *joined = &container->join[SPEC_NS_MOUNT];
	int r;

	if (!container_is_guest(container->spec))
		return 0;
	r = check(container, err);
	if (r < 0)
		return r;
	container->home = *joined >= 0 ? take_fd(joined) : open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (container->home < 0)
		return err_sys(err, -errno, "cannot open the mount namespace");
	container->own[SPEC_NS_MOUNT] = true;
	return 0;
}

int container_become_root(int root, struct err *err)
{
	if (fchdir(root) < 0 || chroot(".") < 0)
		return err_sys(err, -errno, "cannot enter the root");
	return 0;
}

int container_go_home(struct container *container, struct err *err)
{
	CLEANUP_CLOSE int home = take_fd(&container->home), tree = -1;
	int r;

	if (home < 0)
		return 0;
	r = mountfd_clone(container->root, "", true, &tree);
	if (r < 0)
		return err_sys(err, r, "cannot copy the root");
	if (setns(home, CLONE_NEWNS) < 0)
		return err_sys(err, -errno, "cannot join the mount namespace");
	r = container_become_root(tree, err);
	if (r < 0)
		return r;
	(void)close(container->root);
	container->root = take_fd(&tree);
	return 0;
}
