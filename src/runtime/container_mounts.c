/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/str.h"
#include "runtime/container.h"
#include "sandbox/inroot.h"
#include "sandbox/landlock.h"
#include "sandbox/sysctls.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

#define IDMAP_ANNOTATION "dev.bulkhead.root.idmap"

static bool is_bind(const struct container_mount *mount)
{
	return mount->options.bind || (mount->spec->type && str_eq(mount->spec->type, "bind"));
}

static const char *type_of(const struct container_mount *mount)
{
	return mount->spec->type ? mount->spec->type : "";
}

/* Whether a destination is this folder, perhaps with slashes behind it. */
static bool is_place(const char *destination, const char *place)
{
	size_t len = strlen(place);

	return str_starts(destination, place) && strspn(destination + len, "/") == strlen(destination + len);
}

static bool is_cgroup(const struct container_mount *mount)
{
	return str_eq(type_of(mount), "cgroup") || str_eq(type_of(mount), "cgroup2");
}

/* What comes from the machine is cut off from what is mounted there later, unless the caller wants to see that. */
static uint64_t inherited_propagation(const struct container *container)
{
	return container->spec->linux_.propagation == SPEC_PROPAGATION_SLAVE ? MS_SLAVE : MS_PRIVATE;
}

/* A restriction goes all the way down; lifting one concerns the mounts that are named, never others below them. */
static int set_bind_options(const struct container *container, const struct container_mount *mount)
{
	const struct mountfd_options *options = &mount->options;
	uint64_t set = options->set, clear = options->clear & ~set, below = options->clear_below & ~set;
	int r;

	if (!mount->file && !(options->clear & MOUNT_ATTR_NODEV))
		set |= MOUNT_ATTR_NODEV;
	r = mountfd_set(mount->fd, true, set, below | (clear & MOUNT_ATTR__ATIME),
			options->propagation ? options->propagation : inherited_propagation(container));
	clear &= ~(below | MOUNT_ATTR__ATIME);
	return r == 0 && clear ? mountfd_set(mount->fd, false, 0, clear, 0) : r;
}

static int open_bind(struct container *container, struct container_mount *mount, struct err *err)
{
	const struct mountfd_options *options = &mount->options;
	struct stat st;
	int r;

	if (mountfd_option_unknown(options))
		return err_set(err, ERR_INVALID, "unknown mount option '%.64s'", mountfd_option_unknown(options));
	/* Through a shared mount, mounts of the container would appear on the host. */
	if (options->propagation == MS_SHARED && container->own[SPEC_NS_USER])
		return err_set(err, ERR_INVALID, "a shared mount does not go with a user namespace");
	if (!mount->spec->source || !mount->spec->source[0])
		return err_set(err, ERR_INVALID, "a bind mount needs a source");
	if (!mount->spec->uid_maps.count != !mount->spec->gid_maps.count)
		return err_set(err, ERR_INVALID, "uidMappings and gidMappings go together");
	r = mountfd_clone(container->bundle, mount->spec->source, options->recursive, &mount->fd);
	if (r < 0)
		return err_sys(err, r, "cannot open source '%s'", mount->spec->source);
	if (fstat(mount->fd, &st) < 0)
		return err_sys(err, -errno, "cannot open source '%s'", mount->spec->source);
	r = bounds_verify_mount(container->bounds, (size_t)(mount - container->mounts), mount->fd, err);
	if (r < 0)
		return r;
	mount->file = !S_ISDIR(st.st_mode);
	r = set_bind_options(container, mount);
	if (r < 0)
		return err_sys(err, r, "cannot set the options of '%s'", mount->spec->source);
	return 0;
}

/* A second procfs or sysfs would show under other names what is masked and write-protected under its own. */
static int check_place(const struct container *container, const struct container_mount *mount, struct err *err)
{
	static const struct {
		const char *type;
		const char *place;
	} rows[] = {{"proc", "/proc"}, {"sysfs", "/sys"}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!str_eq(type_of(mount), rows[i].type))
			continue;
		if (!is_place(mount->spec->destination, rows[i].place))
			return err_set(err, ERR_DENIED, "type '%s' is mounted on '%s' alone, not on '%s'", rows[i].type,
				       rows[i].place, mount->spec->destination);
		for (const struct container_mount *other = container->mounts; other < mount; other++)
			if (!is_bind(other) && str_eq(type_of(other), rows[i].type))
				return err_set(err, ERR_DENIED, "type '%s' is mounted twice", rows[i].type);
	}
	return 0;
}

static int open_mount(struct container *container, struct container_mount *mount, struct err *err)
{
	int r;

	if (is_bind(mount))
		return open_bind(container, mount, err);
	r = check_place(container, mount, err);
	if (r < 0)
		return r;
	if (is_cgroup(mount))
		return container_open_groups(container, err);
	if (mount->skipped && !str_eq(type_of(mount), "tmpfs"))
		return err_set(err, ERR_INVALID, "/dev must be a tmpfs");
	return 0;
}

bool container_wants_idmap(const struct spec *spec)
{
	const char *value = spec_annotation(spec, IDMAP_ANNOTATION);

	return value && str_eq(value, "true");
}

static bool wants_idmap(const struct container *container)
{
	return container_wants_idmap(container->spec);
}

/* The caller knows of no user namespace: whatever of the host it mounts belongs to whom it says. */
static bool user_added(const struct container *container)
{
	return container->bounds && container->bounds->user_added;
}

static int open_root(struct container *container, struct err *err)
{
	const char *path = container->spec->root_path;
	struct stat st;
	int r;

	if (!path)
		return err_set(err, ERR_INVALID, "config.json: root: is missing");
	r = mountfd_clone(container->bundle, path, !wants_idmap(container), &container->root);
	if (r < 0)
		return err_sys(err, r, "config.json: root.path: cannot open '%s'", path);
	if (fstat(container->root, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "config.json: root.path: '%s' is not a folder", path);
	r = bounds_verify_root(container->bounds, container->root, err);
	if (r < 0)
		return err_prefix(err, "config.json: root.path");
	/* Devices are in /dev alone, which is the runtime's own. */
	r = mountfd_set(container->root, true, MOUNT_ATTR_NODEV | (wants_idmap(container) ? MOUNT_ATTR_RDONLY : 0), 0,
			inherited_propagation(container));
	if (r < 0)
		return err_sys(err, r, "config.json: root.path: cannot make '%s' private", path);
	if (wants_idmap(container) && !container->own[SPEC_NS_USER])
		return err_set(err, ERR_INVALID, "config.json: annotations.%s: there is no user namespace",
			       IDMAP_ANNOTATION);
	return 0;
}

int container_list_mounts(struct container *container, struct err *err)
{
	const struct spec_mounts *mounts = &container->spec->mounts;

	container->mounts = calloc(mounts->count + 1, sizeof(*container->mounts));
	if (!container->mounts)
		return err_set(err, -ENOMEM, "no memory");
	for (; container->mount_count < mounts->count; container->mount_count++) {
		struct container_mount *mount = &container->mounts[container->mount_count];

		*mount = (struct container_mount){.spec = &mounts->items[container->mount_count], .fd = -1};
		if (mountfd_options_read(&mount->options, &mount->spec->options, err) < 0)
			return err_prefix(err, "config.json: mounts[%zu]", container->mount_count);
		if (is_bind(mount) && user_added(container)) {
			mount->options.idmap = true;
			mount->options.idmap_below = mount->options.idmap_below || mount->options.recursive;
		}
		mount->skipped = !is_bind(mount) && str_eq(mount->spec->destination, "/dev");
		/* The root that is copied at the end would lack them, and show what they cover. */
		if (mount->options.propagation == MS_UNBINDABLE && container_is_guest(container->spec))
			return err_set(err, ERR_INVALID,
				       "config.json: mounts[%zu]: an unbindable mount needs a new mount namespace",
				       container->mount_count);
	}
	return 0;
}

int container_open_mounts(struct container *container, struct err *err)
{
	int r = container_list_mounts(container, err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < container->mount_count; i++)
		if (open_mount(container, &container->mounts[i], err) < 0)
			return err_prefix(err, "config.json: mounts[%zu]", i);
	/* The root comes after the sources of the machine: once it is open nothing is opened by a path any more. */
	r = open_root(container, err);
	return r == 0 ? container_make_dev(container, err) : r;
}

/* The maps of a bind mount: its own, else those of the container. */
static int idmap_bind(const struct container_mount *mount, int user, struct err *err)
{
	const struct spec_mount *spec = mount->spec;
	CLEANUP_CLOSE int own = -1;
	int r;

	if (!is_bind(mount) || (!mount->options.idmap && !spec->uid_maps.count))
		return 0;
	if (spec->uid_maps.count) {
		r = namespaces_make_user(&spec->uid_maps, &spec->gid_maps, &own, err);
		if (r < 0)
			return r;
	} else if (user < 0) {
		return err_set(err, ERR_INVALID, "'idmap' needs a user namespace or uidMappings");
	}
	r = mountfd_idmap(mount->fd, mount->options.idmap_below, own >= 0 ? own : user);
	return r < 0 ? err_sys(err, r, "cannot map the owners of '%s'", spec->source) : 0;
}

int container_map_owners(struct container *container, struct err *err)
{
	CLEANUP_CLOSE int user = -1;
	char path[64];
	int r;

	if (container->own[SPEC_NS_USER]) {
		(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)container->pid);
		user = open(path, O_RDONLY | O_CLOEXEC);
		if (user < 0)
			return err_sys(err, -errno, "cannot open the user namespace");
	}
	if (wants_idmap(container) || user_added(container)) {
		r = mountfd_idmap(container->root, !wants_idmap(container), user);
		if (r < 0)
			return err_sys(err, r, "config.json: annotations.%s: cannot map the owners of '%s'",
				       IDMAP_ANNOTATION, container->spec->root_path);
	}
	for (size_t i = 0; i < container->mount_count; i++)
		if (idmap_bind(&container->mounts[i], user, err) < 0)
			return err_prefix(err, "config.json: mounts[%zu]", i);
	return 0;
}

/* Kernel file systems must come to lie where they are named: not through a link the image brought. */
static bool is_kernels(const struct container_mount *mount)
{
	static const char *const types[] = {"proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2"};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (str_eq(types[i], type_of(mount)))
			return true;
	return false;
}

static int open_target(struct container *container, const struct container_mount *mount, int *ret_fd, struct err *err)
{
	const char *path = mount->spec->destination;
	CLEANUP_CLOSE int fd = -1;
	int r;

	if (!is_kernels(mount))
		return inroot_open_target(container->root, path, mount->file, ret_fd, err);
	if (inroot_open_plain(container->root, path, O_PATH | O_DIRECTORY, false, ret_fd) == 0)
		return 0;
	r = inroot_open_target(container->root, path, false, &fd, err);
	if (r < 0)
		return r;
	r = inroot_open_plain(container->root, path, O_PATH | O_DIRECTORY, false, ret_fd);
	return r < 0 ? err_sys(err, r, "mount target '%s' of type '%s' must not lead over a link", path, type_of(mount))
		     : 0;
}

/* target: what it will lie over */
static int new_filesystem(const struct container *container, const struct container_mount *mount, uint64_t attributes,
			  int target, int *ret_fd, struct err *err)
{
	const struct mountfd_options *options = &mount->options;
	const char *type = type_of(mount), *source = mount->spec->source;
	uint64_t set = attributes | options->set;
	int r;

	if (str_eq(type, "tmpfs"))
		r = container_make_tmpfs(container, source, options, set, target, ret_fd, err);
	else
		r = mountfd_new(type, source, options->data, options->data_count, set, ret_fd, err);
	if (r == 0 && options->propagation) {
		r = mountfd_set(*ret_fd, false, 0, 0, options->propagation);
		if (r < 0)
			return err_sys(err, r, "file system '%s': propagation", type);
	}
	return r;
}

static int make_filesystem(const struct container *container, const struct container_mount *mount, int target,
			   int *ret_fd, struct err *err)
{
	static const struct {
		const char *type;
		uint64_t attributes; /* always set, whatever the options say */
	} rows[] = {
		{"proc", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC},
		{"sysfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY},
		{"devpts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC},
		{"mqueue", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC},
		{"tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV},
	};
	const char *type = type_of(mount);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (str_eq(rows[i].type, type))
			return new_filesystem(container, mount, rows[i].attributes, target, ret_fd, err);
	return err_set(err, ERR_INVALID, "file system type '%.64s' is not supported", type);
}

static int attach_mount(struct container *container, struct container_mount *mount, struct err *err)
{
	CLEANUP_CLOSE int target = -1, made = -1;
	int r = open_target(container, mount, &target, err);

	if (r < 0)
		return r;
	if (is_cgroup(mount))
		return container_attach_groups(container, target, err);
	if (mount->fd < 0)
		r = make_filesystem(container, mount, target, &made, err);
	if (r < 0)
		return r;
	r = mountfd_attach(mount->fd < 0 ? made : mount->fd, target);
	return r < 0 ? err_sys(err, r, "cannot mount on '%s'", mount->spec->destination) : 0;
}

/* Whether a path lies on a mount that config.json lists before it, or on /dev. */
static bool is_below_mount(const struct container *container, const char *path, size_t before)
{
	if (str_starts(path, "/dev/"))
		return true;
	for (size_t i = 0; i < before; i++) {
		const char *mount = container->mounts[i].spec->destination;
		size_t len = strlen(mount);

		if (strncmp(path, mount, len) == 0 && path[len] == '/')
			return true;
	}
	return false;
}

static bool lacks_target(const struct container *container)
{
	for (size_t i = 0; i < container->mount_count; i++) {
		const char *path = container->mounts[i].spec->destination;
		CLEANUP_CLOSE int fd = -1;

		if (!is_below_mount(container, path, i) && inroot_open(container->root, path, O_PATH, &fd) == -ENOENT)
			return true;
	}
	return false;
}

/* The layer that takes the writes: a tmpfs of the container's own, counted against its memory. */
static int make_upper(const struct container *container, int *ret_fd, int *ret_upper, int *ret_work, struct err *err)
{
	static const struct mountfd_options options = {.data = {"mode=0700"}, .data_count = 1};
	int r = container_make_tmpfs(container, NULL, &options, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, -1, ret_fd, err);

	if (r < 0)
		return r;
	if (mkdirat(*ret_fd, "upper", 0755) < 0 || mkdirat(*ret_fd, "work", 0700) < 0)
		return err_sys(err, -errno, "root layer");
	*ret_upper = openat(*ret_fd, "upper", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	*ret_work = openat(*ret_fd, "work", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return *ret_upper < 0 || *ret_work < 0 ? err_sys(err, -errno, "root layer") : 0;
}

static int make_overlay(int lower, int upper, int work, int *ret_fd)
{
	CLEANUP_CLOSE int fs = fsopen("overlay", FSOPEN_CLOEXEC);

	if (fs < 0)
		return -errno;
	if (fsconfig(fs, FSCONFIG_SET_FD, "lowerdir+", NULL, lower) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_FD, "upperdir", NULL, upper) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_FD, "workdir", NULL, work) < 0 ||
	    fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	*ret_fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID);
	return *ret_fd < 0 ? -errno : 0;
}

/* Detaches a mount of this namespace again. */
static int take_away(int mount)
{
	return fchdir(mount) < 0 || umount2(".", MNT_DETACH) < 0 ? -errno : 0;
}

/*
 * An image's folder is shared and never written. A container that may write to its root, or has mounts onto what the
 * image lacks, gets a layer of memory over it.
 */
static int cover_root(struct container *container, int top, struct err *err)
{
	CLEANUP_CLOSE int memory = -1, upper = -1, work = -1, overlay = -1;
	int r = make_upper(container, &memory, &upper, &work, err);

	if (r < 0)
		return r;
	/* Layers must be attached while the overlay is made; it keeps its own hold on them. */
	r = mountfd_attach(memory, top);
	if (r == 0)
		r = make_overlay(container->root, upper, work, &overlay);
	if (r == 0)
		r = take_away(memory);
	if (r == 0)
		r = take_away(container->root);
	if (r == 0)
		r = mountfd_attach(overlay, top);
	if (r < 0) {
		(void)err_sys(err, r, "cannot lay memory over the root");
		return err_hint(err, "a kernel before 6.13 cannot: give the image the folders its mounts go onto, and "
				     "a read-only root");
	}
	(void)close(container->root);
	container->root = take_fd(&overlay);
	return 0;
}

static int attach_root(struct container *container, struct err *err)
{
	CLEANUP_CLOSE int top = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (top < 0)
		return err_sys(err, -errno, "cannot open the root");
	r = mountfd_set(top, true, 0, 0, inherited_propagation(container));
	if (r == 0)
		r = mountfd_attach(container->root, top);
	if (r < 0)
		return err_sys(err, r, "cannot attach the root");
	if (wants_idmap(container) && (!container->spec->root_readonly || lacks_target(container)))
		return cover_root(container, top, err);
	return 0;
}

int container_attach_mounts(struct container *container, struct err *err)
{
	int r = attach_root(container, err);
	bool listed = false;

	for (size_t i = 0; i < container->mount_count; i++)
		listed = listed || container->mounts[i].skipped;
	if (r == 0 && !listed)
		r = container_attach_dev(container, false, err);
	for (size_t i = 0; r == 0 && i < container->mount_count; i++) {
		struct container_mount *mount = &container->mounts[i];

		r = mount->skipped ? container_attach_dev(container, i > 0, err) : attach_mount(container, mount, err);
		if (r < 0)
			return err_prefix(err, "config.json: mounts[%zu]", i);
	}
	return r;
}

static int become_root(struct container *container, struct err *err)
{
	if (fchdir(container->root) < 0)
		return err_sys(err, -errno, "cannot enter the root");
	/* The old root ends up on top of the new one, from where it is taken away. */
	if (syscall(SYS_pivot_root, ".", ".") < 0)
		return err_sys(err, -errno, "cannot make it the root");
	if (umount2(".", MNT_DETACH) < 0)
		return err_sys(err, -errno, "cannot leave the old root");
	if (chdir("/") < 0)
		return err_sys(err, -errno, "cannot enter the root");
	return 0;
}

/* A path below /proc or /sys must be the kernel's own, or the protection would fall on something else. */
static int check_filesystem(int fd, const char *path)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) < 0)
		return -errno;
	if (str_starts(path, "/proc/") && fs.f_type != PROC_SUPER_MAGIC)
		return -EMEDIUMTYPE;
	if (str_starts(path, "/sys/") && fs.f_type != SYSFS_MAGIC && !str_starts(path, "/sys/fs/cgroup"))
		return -EMEDIUMTYPE;
	return 0;
}

/* With a slash behind it a file would be none, and pass for one that is not there. */
static int open_protected(struct container *container, const char *path, int *ret_fd)
{
	CLEANUP_FREE char *plain = strdup(path);
	size_t len = strlen(path);
	int r;

	if (!plain)
		return -ENOMEM;
	while (len > 1 && plain[len - 1] == '/')
		plain[--len] = '\0';
	r = inroot_open(container->root, plain, O_PATH, ret_fd);
	return r < 0 ? r : check_filesystem(*ret_fd, plain + strspn(plain, "/") - 1);
}

static int clone_null(struct container *container, int *ret_fd)
{
	struct stat st;
	int r = mountfd_clone(container->dev, "null", false, ret_fd);

	if (r < 0)
		return r;
	if (fstat(*ret_fd, &st) < 0)
		return -errno;
	return S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3) ? 0 : -EMEDIUMTYPE;
}

static int mask_path(struct container *container, const char *path, int *empty, struct err *err)
{
	CLEANUP_CLOSE int target = -1, cover = -1;
	struct stat st;
	int r = open_protected(container, path, &target);

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r == 0 && fstat(target, &st) < 0)
		r = -errno;
	if (r < 0)
		return err_sys(err, r, "cannot mask '%s'", path);
	if (!S_ISDIR(st.st_mode)) {
		r = clone_null(container, &cover);
	} else if (*empty < 0) {
		r = mountfd_new("tmpfs", NULL, NULL, 0,
				MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, empty,
				err);
		if (r < 0)
			return r;
		cover = fcntl(*empty, F_DUPFD_CLOEXEC, 3);
	} else {
		r = mountfd_clone(*empty, "", false, &cover);
	}
	if (r == 0)
		r = mountfd_attach(cover, target);
	return r < 0 ? err_sys(err, r, "cannot mask '%s'", path) : 0;
}

static int protect_path(struct container *container, const char *path, struct err *err)
{
	CLEANUP_CLOSE int target = -1, copy = -1;
	int r = open_protected(container, path, &target);

	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r == 0)
		r = mountfd_clone(target, "", true, &copy);
	if (r == 0)
		r = mountfd_set(copy, true, MOUNT_ATTR_RDONLY, 0, 0);
	if (r == 0)
		r = mountfd_attach(copy, target);
	return r < 0 ? err_sys(err, r, "cannot write-protect '%s'", path) : 0;
}

static int write_sysctls(struct container *container, struct err *err)
{
	CLEANUP_CLOSE int proc = -1;
	struct statfs fs;
	int r;

	if (container->spec->linux_.sysctl.count == 0)
		return 0;
	r = inroot_open_plain(container->root, "/proc", O_PATH | O_DIRECTORY, false, &proc);
	if (r == 0 && (fstatfs(proc, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC))
		r = -EMEDIUMTYPE;
	if (r < 0)
		return err_sys(err, r, "config.json: linux.sysctl: no procfs at /proc");
	return sysctls_write(proc, &container->spec->linux_.sysctl, "config.json: linux.sysctl", err);
}

static int finish_root(struct container *container, struct err *err)
{
	enum spec_propagation asked = container->spec->linux_.propagation;
	uint64_t propagation = asked == SPEC_PROPAGATION_SHARED ? MS_SHARED : MS_UNBINDABLE;
	int r = 0;

	if (asked == SPEC_PROPAGATION_SHARED || asked == SPEC_PROPAGATION_UNBINDABLE)
		r = mountfd_set(container->root, false, 0, 0, propagation);
	if (r < 0)
		return err_sys(err, r, "config.json: linux.rootfsPropagation");
	if (container->spec->root_readonly)
		r = mountfd_set(container->root, false, MOUNT_ATTR_RDONLY, 0, 0);
	return r < 0 ? err_sys(err, r, "cannot write-protect the root") : 0;
}

int container_seal_root(struct container *container, struct err *err)
{
	const struct spec_linux *spec = &container->spec->linux_;
	CLEANUP_CLOSE int empty = -1;
	int r = become_root(container, err);

	if (r == 0)
		r = write_sysctls(container, err);
	for (size_t i = 0; r == 0 && i < spec->masked_paths.count; i++)
		r = mask_path(container, spec->masked_paths.items[i], &empty, err);
	for (size_t i = 0; r == 0 && i < spec->readonly_paths.count; i++)
		r = protect_path(container, spec->readonly_paths.items[i], err);
	return r == 0 ? finish_root(container, err) : r;
}

/* What the mount lets be done, as Landlock shall see it. */
static struct landlock_mount describe(const struct container_mount *mount)
{
	bool kernel = str_eq(type_of(mount), "proc") || str_eq(type_of(mount), "sysfs") || is_cgroup(mount);
	bool writable = !(mount->options.set & MOUNT_ATTR_RDONLY) && (!kernel || str_eq(type_of(mount), "proc"));
	bool noexec = kernel || (mount->options.set & MOUNT_ATTR_NOEXEC);

	return (struct landlock_mount){
		.path = mount->spec->destination,
		.writable = writable,
		.executable = !noexec && (!writable || mount->options.exec_asked),
		.devices = str_starts(mount->spec->destination, "/dev/") &&
			   (mount->file || str_eq(type_of(mount), "devpts")),
	};
}

int container_confine(const struct container *container, struct err *err)
{
	CLEANUP_FREE struct landlock_mount *mounts = calloc(container->mount_count + 1, sizeof(*mounts));
	size_t count = 0;
	int r;

	if (!mounts)
		return err_set(err, -ENOMEM, "landlock: no memory");
	mounts[count++] = (struct landlock_mount){.path = "/dev", .writable = true, .devices = true};
	for (size_t i = 0; i < container->mount_count; i++)
		if (!container->mounts[i].skipped)
			mounts[count++] = describe(&container->mounts[i]);
	r = landlock_confine(container->root, !container->spec->root_readonly, mounts, count, err);
	return r == 0 ? container_confine_ports(container->spec, err) : r;
}
