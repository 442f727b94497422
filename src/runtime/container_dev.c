/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/str.h"
#include "runtime/container.h"
#include "runtime/rootless.h"
#include "sandbox/inroot.h"

static const struct spec_device standard[] = {
	{"/dev/null", 'c', 1, 3, 0666, 0, 0},    {"/dev/zero", 'c', 1, 5, 0666, 0, 0},
	{"/dev/full", 'c', 1, 7, 0666, 0, 0},    {"/dev/random", 'c', 1, 8, 0666, 0, 0},
	{"/dev/urandom", 'c', 1, 9, 0666, 0, 0}, {"/dev/tty", 'c', 5, 0, 0666, 0, 0},
};

static const struct {
	const char *name;
	const char *target;
} links[] = {
	{"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
	{"stderr", "/proc/self/fd/2"}, {"ptmx", "pts/ptmx"},
};

static const char *const folders[] = {"pts", "shm", "mqueue"};

static int give(struct container *container, int dir, const char *name, uint32_t uid, uint32_t gid)
{
	uint32_t outside_uid, outside_gid;
	int r = idmap_find(&container->uids, uid, &outside_uid);

	if (r == 0)
		r = idmap_find(&container->gids, gid, &outside_gid);
	if (r == 0 &&
	    fchownat(dir, name, outside_uid, outside_gid, AT_SYMLINK_NOFOLLOW | (name[0] ? 0 : AT_EMPTY_PATH)) < 0)
		r = -errno;
	return r;
}

/* The folder a device goes into, made on the way; only folders of this very file system. */
static int open_folder_of(struct container *container, const char *path, int *ret_fd, const char **ret_name)
{
	char copy[256], *save = NULL;
	const char *slash = strrchr(path, '/');
	int at = fcntl(container->dev, F_DUPFD_CLOEXEC, 3), r;

	if (at < 0)
		return -errno;
	*ret_name = slash + 1;
	r = (size_t)(slash - path) < sizeof(copy) ? 0 : -ENAMETOOLONG;
	if (r == 0)
		(void)snprintf(copy, sizeof(copy), "%.*s", (int)(slash - path), path);
	for (char *part = r < 0 ? NULL : strtok_r(copy, "/", &save); r == 0 && part;
	     part = strtok_r(NULL, "/", &save)) {
		int next;

		if (mkdirat(at, part, 0755) == 0)
			r = give(container, at, part, 0, 0);
		else if (errno != EEXIST)
			r = -errno;
		next = openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (next < 0 && r == 0)
			r = -errno;
		if (r == 0) {
			(void)close(at);
			at = next;
		} else if (next >= 0) {
			(void)close(next);
		}
	}
	if (r == 0)
		*ret_fd = at;
	else
		(void)close(at);
	return r;
}

static int make_device(struct container *container, const struct spec_device *device)
{
	mode_t type = device->type == 'c' ? S_IFCHR : device->type == 'b' ? S_IFBLK : S_IFIFO;
	const char *name = device->path + strlen("/dev/");
	CLEANUP_CLOSE int folder = -1;
	int at = container->dev, r;

	if (strchr(name, '/')) {
		r = open_folder_of(container, device->path + strlen("/dev"), &folder, &name);
		if (r < 0)
			return r;
		at = folder;
	}
	if (!name[0] || str_eq(name, ".") || str_eq(name, ".."))
		return -EINVAL;
	if (rootless_is() && device->type != 'p')
		return mknodat(at, name, S_IFREG | 0600, 0) < 0 ? -errno : 0;
	if (mknodat(at, name, type | device->mode, makedev(device->major, device->minor)) < 0)
		return -errno;
	return give(container, at, name, device->uid, device->gid);
}

/* Of what every container has the machine's own, which callers list for privileged containers, is not wanted too. */
static bool is_provided(const struct container *container, const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(standard); i++)
		if (str_eq(standard[i].path, path))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(links); i++)
		if (str_starts(path, "/dev/") && str_eq(links[i].name, path + strlen("/dev/")))
			return true;
	return container->console >= 0 && str_eq(path, "/dev/console");
}

static int make_devices(struct container *container, struct err *err)
{
	const struct spec_devices *devices = &container->spec->linux_.devices;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(standard); i++) {
		r = make_device(container, &standard[i]);
		if (r < 0)
			return err_sys(err, r, "cannot make device '%s'", standard[i].path);
	}
	for (size_t i = 0; i < devices->count; i++) {
		const char *path = devices->items[i].path;

		if (is_provided(container, path))
			continue;
		if (!str_starts(path, "/dev/") || strstr(path, "/../") || strstr(path, "//"))
			return err_set(err, ERR_INVALID,
				       "config.json: linux.devices[%zu].path: '%.64s' is not below /dev", i, path);
		r = make_device(container, &devices->items[i]);
		if (r < 0)
			return err_sys(err, r, "config.json: linux.devices[%zu]: cannot make '%.64s'", i, path);
	}
	return 0;
}

static int make_links(struct container *container)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(links); i++)
		if (symlinkat(links[i].target, container->dev, links[i].name) < 0)
			r = -errno;
	/* What the terminal gets bound upon. */
	if (r == 0 && container->console >= 0)
		r = mknodat(container->dev, "console", S_IFREG | 0600, 0) < 0
			    ? -errno
			    : give(container, container->dev, "console", 0, 0);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(folders); i++) {
		if (mkdirat(container->dev, folders[i], 0755) < 0)
			r = -errno;
		else
			r = give(container, container->dev, folders[i], 0, 0);
	}
	return r;
}

/* Of a /dev mount in config.json only the size and the attributes count. */
static const struct container_mount *dev_mount(const struct container *container)
{
	for (size_t i = 0; i < container->mount_count; i++)
		if (container->mounts[i].skipped)
			return &container->mounts[i];
	return NULL;
}

/* The machine's own node of that name, if it is that device. */
static int open_node(struct container *container, const struct spec_device *device)
{
	struct container_node *node = &container->nodes[container->node_count];
	struct stat st;
	int r;

	if (device->type == 'p')
		return 0;
	r = mountfd_clone(AT_FDCWD, device->path, false, &node->fd);
	if (r < 0)
		return r;
	node->path = device->path;
	container->node_count++;
	if (fstat(node->fd, &st) < 0)
		return -errno;
	return (device->type == 'c' ? S_ISCHR(st.st_mode) : S_ISBLK(st.st_mode)) &&
			       st.st_rdev == makedev(device->major, device->minor)
		       ? 0
		       : -ENODEV;
}

/* Device nodes can be made by the machine's superuser alone. */
static int open_nodes(struct container *container, struct err *err)
{
	const struct spec_devices *devices = &container->spec->linux_.devices;
	int r = 0;

	container->nodes = calloc(ARRAY_SIZE(standard) + devices->count, sizeof(*container->nodes));
	if (!container->nodes)
		return err_set(err, -ENOMEM, "no memory");
	for (size_t i = 0; i < ARRAY_SIZE(standard); i++) {
		r = open_node(container, &standard[i]);
		if (r < 0)
			return err_sys(err, r, "cannot open the machine's device '%s'", standard[i].path);
	}
	for (size_t i = 0; i < devices->count; i++) {
		r = is_provided(container, devices->items[i].path) ? 0 : open_node(container, &devices->items[i]);
		if (r < 0)
			return err_sys(err, r, "config.json: linux.devices[%zu]: cannot open the machine's '%.64s'", i,
				       devices->items[i].path);
	}
	return 0;
}

static int attach_nodes(struct container *container)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < container->node_count; i++) {
		CLEANUP_CLOSE int target = -1;

		r = inroot_open_plain(container->dev, container->nodes[i].path + strlen("/dev/"), O_PATH, true,
				      &target);
		if (r == 0)
			r = mountfd_attach(container->nodes[i].fd, target);
	}
	return r;
}

int container_make_dev(struct container *container, struct err *err)
{
	int r = rootless_is() ? open_nodes(container, err) : 0;
	struct mountfd_options options = {.data = {"mode=0755", "size=65536k"}, .data_count = 2};
	const struct container_mount *asked = dev_mount(container);

	for (size_t i = 0; asked && i < asked->options.data_count; i++)
		if (str_starts(asked->options.data[i], "size="))
			options.data[1] = asked->options.data[i];
	if (r < 0)
		return r;
	return container_make_tmpfs(container, asked ? asked->spec->source : NULL, &options,
				    MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, -1, &container->dev, err);
}

/*
 * The parent made /dev before any other file system of the container's, and newer kernels show mounts in the order of
 * their making: a copy made now stands where config.json lists it. Copies are made of what is attached somewhere; the
 * old root's /proc, which nobody needs any more unless hooks are to come, goes away with it.
 */
static int renew_dev(struct container *container)
{
	CLEANUP_CLOSE int place = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC), copy = -1;
	int r = place < 0 ? -errno : mountfd_attach(container->dev, place);

	if (r == 0)
		r = mountfd_clone(container->dev, "", false, &copy);
	if (r < 0)
		return r;
	(void)close(container->dev);
	container->dev = take_fd(&copy);
	return 0;
}

int container_attach_dev(struct container *container, bool renew, struct err *err)
{
	CLEANUP_CLOSE int target = -1, plain = -1;
	int r = inroot_open_target(container->root, "/dev", false, &target, err);

	if (r < 0)
		return r;
	r = inroot_open_plain(container->root, "/dev", O_PATH | O_DIRECTORY, false, &plain);
	if (r == 0 && renew && container->spec->hooks[SPEC_CREATE_CONTAINER].count == 0)
		r = renew_dev(container);
	if (r == 0)
		r = mountfd_attach(container->dev, plain);
	if (r == 0)
		r = attach_nodes(container);
	return r < 0 ? err_sys(err, r, "cannot mount /dev") : 0;
}

static int fill_dev(struct container *container, struct err *err)
{
	int r = give(container, container->dev, "", 0, 0);

	if (r == -ERANGE)
		return err_set(err, ERR_INVALID, "config.json: linux.uidMappings: id 0 is not mapped");
	if (r < 0)
		return err_sys(err, r, "cannot fill /dev");
	r = make_devices(container, err);
	if (r < 0)
		return r;
	r = make_links(container);
	return r < 0 ? err_sys(err, r, "cannot fill /dev") : 0;
}

int container_fill_dev(struct container *container, struct err *err)
{
	/* The modes asked for count. */
	mode_t before = umask(0);
	int r = fill_dev(container, err);

	(void)umask(before);
	return r;
}
