/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/landlock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"
#include "sandbox/inroot.h"

/* What the build machine's header may lack, by the ABI that brought it. */
#define FS_TRUNCATE (1ull << 14)  /* 3 */
#define FS_IOCTL_DEV (1ull << 15) /* 5 */
#define SCOPE_ABSTRACT_UNIX 1ull  /* 6 */
#define SCOPE_SIGNAL 2ull         /* 6 */
#define FS_CONNECT (1ull << 16)   /* 9: to the sockets there */

struct ruleset_attr {
	uint64_t handled_fs;
	uint64_t handled_net;
	uint64_t scoped;
};

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | FS_CONNECT)
#define FS_WRITE                                                                                          \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	 LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |       \
	 LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER | FS_TRUNCATE)
#define FS_NEVER (LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
#define FS_OF_FILES                                                                                                \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_READ_FILE | FS_TRUNCATE | \
	 FS_IOCTL_DEV | FS_CONNECT)

struct domain {
	int ruleset;
	int root;
	uint64_t handled;
	struct landlock_mount *mounts; /* copies, their paths without links */
	int *folders;                  /* those of them that are folders, open; else -1 */
	size_t count;
	struct err *err;
};

int landlock_abi(void)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return abi < 0 ? 0 : (int)abi;
}

/* Each ABI's additions are cut when the kernel does not have them. */
static int make_ruleset(int abi, uint64_t *ret_handled)
{
	struct ruleset_attr attr = {.handled_fs = FS_READ | FS_WRITE | FS_NEVER | FS_IOCTL_DEV |
						  LANDLOCK_ACCESS_FS_EXECUTE};
	size_t size = sizeof(attr);
	long fd;

	if (abi < 2)
		attr.handled_fs &= ~LANDLOCK_ACCESS_FS_REFER;
	if (abi < 3)
		attr.handled_fs &= ~FS_TRUNCATE;
	if (abi < 5)
		attr.handled_fs &= ~FS_IOCTL_DEV;
	if (abi < 9)
		attr.handled_fs &= ~FS_CONNECT;
	if (abi < 6)
		size = sizeof(attr.handled_fs);
	else
		attr.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
	fd = syscall(SYS_landlock_create_ruleset, &attr, size, 0);
	*ret_handled = attr.handled_fs;
	return fd < 0 ? -errno : (int)fd;
}

static int grant_fd(struct domain *domain, int fd, uint64_t rights)
{
	struct landlock_path_beneath_attr rule = {.parent_fd = fd};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode))
		return 0;
	if (!S_ISDIR(st.st_mode))
		rights &= FS_OF_FILES;
	rule.allowed_access = rights & domain->handled;
	if (!rule.allowed_access)
		return 0;
	return syscall(SYS_landlock_add_rule, domain->ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

static int grant_path(struct domain *domain, const char *path, uint64_t rights)
{
	CLEANUP_CLOSE int fd = -1;
	int r = inroot_open(domain->root, path, O_PATH, &fd);

	if (r == 0)
		r = grant_fd(domain, fd, rights);
	return r < 0 ? err_sys(domain->err, r, "landlock: '%s'", path) : 0;
}

/* What the walk found by its name: a link, or what became one since, would lead to what the mounts were not asked for. */
static int grant_plain(struct domain *domain, const char *path, uint64_t rights)
{
	CLEANUP_CLOSE int fd = -1;
	int r = inroot_open_plain(domain->root, path, O_PATH, false, &fd);

	if (r == -ELOOP || r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r == 0)
		r = grant_fd(domain, fd, rights);
	return r < 0 ? err_sys(domain->err, r, "landlock: '%s'", path) : 0;
}

/* Whether path is the mount's own, or lies above it. */
static bool leads_to(const char *path, const char *mount)
{
	size_t len = strlen(path);

	if (len == 1)
		return true;
	return strncmp(path, mount, len) == 0 && (mount[len] == '/' || mount[len] == '\0');
}

static bool holds_unexecutable(const struct domain *domain, const char *path)
{
	for (size_t i = 0; i < domain->count; i++)
		if (!domain->mounts[i].executable && leads_to(path, domain->mounts[i].path))
			return true;
	return false;
}

static bool is_unexecutable(const struct domain *domain, const char *path)
{
	for (size_t i = 0; i < domain->count; i++)
		if (!domain->mounts[i].executable && str_eq(path, domain->mounts[i].path))
			return true;
	return false;
}

static int grant_execute_below(struct domain *domain, const char *path, int depth);

/* A rule counts for all that lies below, so execution is granted on the largest trees that hold nothing writable. */
static int grant_execute(struct domain *domain, const char *path, int depth)
{
	if (is_unexecutable(domain, path))
		return 0;
	if (!holds_unexecutable(domain, path))
		return grant_plain(domain, path, LANDLOCK_ACCESS_FS_EXECUTE);
	return grant_execute_below(domain, path, depth);
}

static int grant_execute_below(struct domain *domain, const char *path, int depth)
{
	CLEANUP_CLOSE int fd = -1;
	struct dirent *entry;
	DIR *entries;
	int r = inroot_open_plain(domain->root, path, O_RDONLY | O_DIRECTORY, false, &fd);

	/* What the container's root user may not list, its programs will not be executed from. */
	if (r < 0 || depth > 32)
		return 0;
	entries = fdopendir(fd);
	if (!entries)
		return err_sys(domain->err, -ENOMEM, "landlock: '%s'", path);
	fd = -1;
	while (r == 0 && (entry = readdir(entries))) {
		char child[4096];

		if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, "..") || entry->d_type == DT_LNK)
			continue;
		if (snprintf(child, sizeof(child), "%s/%s", path[1] ? path : "", entry->d_name) < (int)sizeof(child))
			r = grant_execute(domain, child, depth + 1);
	}
	(void)closedir(entries);
	return r;
}

static int grant_mounts(struct domain *domain)
{
	for (size_t i = 0; i < domain->count; i++) {
		const struct landlock_mount *mount = &domain->mounts[i];
		uint64_t rights = FS_READ;
		int r;

		if (mount->writable)
			rights |= FS_WRITE;
		if (mount->executable)
			rights |= LANDLOCK_ACCESS_FS_EXECUTE;
		if (mount->devices)
			rights |= FS_IOCTL_DEV;
		if (domain->folders[i] < 0)
			r = grant_path(domain, mount->path, rights);
		else
			r = grant_fd(domain, domain->folders[i], rights);
		if (r < 0)
			return domain->folders[i] < 0 ? r : err_sys(domain->err, r, "landlock: '%s'", mount->path);
	}
	return 0;
}

static int fill(struct domain *domain, bool root_writable)
{
	int r;

	if (root_writable)
		r = grant_path(domain, "/", FS_READ | FS_WRITE | LANDLOCK_ACCESS_FS_EXECUTE);
	else
		r = grant_path(domain, "/", FS_READ);
	if (r == 0 && !root_writable)
		r = grant_execute(domain, "/", 0);
	return r == 0 ? grant_mounts(domain) : r;
}

/* The path of a folder as the kernel sees it, and the folder open. Changes the working folder. */
static char *real_path(int root, const char *path, int *ret_folder)
{
	CLEANUP_CLOSE int fd = -1;
	char where[4096], *copy;

	if (inroot_open(root, path, O_PATH | O_DIRECTORY, &fd) < 0 || fchdir(fd) < 0 || !getcwd(where, sizeof(where)))
		return NULL;
	copy = strdup(where);
	if (copy)
		*ret_folder = take_fd(&fd);
	return copy;
}

/* A mount's path may lead over links of the image, whereas rules go by where things are. */
static char *real_target(int root, const char *path, int *ret_folder)
{
	CLEANUP_FREE char *copy = NULL, *folder = NULL;
	CLEANUP_CLOSE int above = -1;
	char *slash, *whole = real_path(root, path, ret_folder);

	if (whole)
		return whole;
	copy = strdup(path);
	slash = copy ? strrchr(copy, '/') : NULL;
	if (!slash)
		return NULL;
	*slash = '\0';
	folder = real_path(root, copy[0] ? copy : "/", &above);
	return folder ? str_format("%s/%s", folder[1] ? folder : "", slash + 1) : NULL;
}

static int resolve(struct domain *domain, const struct landlock_mount *mounts, size_t count)
{
	CLEANUP_CLOSE int back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	domain->mounts = calloc(count + 1, sizeof(*domain->mounts));
	domain->folders = calloc(count + 1, sizeof(*domain->folders));
	if (!domain->mounts || !domain->folders || back < 0)
		return err_sys(domain->err, -ENOMEM, "landlock");
	for (; domain->count < count; domain->count++) {
		struct landlock_mount *at = &domain->mounts[domain->count];

		*at = mounts[domain->count];
		domain->folders[domain->count] = -1;
		at->path = real_target(domain->root, at->path, &domain->folders[domain->count]);
		if (!at->path)
			return err_set(domain->err, -ENOENT, "landlock: '%s' cannot be resolved",
				       mounts[domain->count].path);
	}
	return fchdir(back) < 0 ? err_sys(domain->err, -errno, "landlock") : 0;
}

static void free_mounts(struct domain *domain)
{
	for (size_t i = 0; i < domain->count; i++) {
		free((char *)domain->mounts[i].path);
		if (domain->folders[i] >= 0)
			(void)close(domain->folders[i]);
	}
	free(domain->mounts);
	free(domain->folders);
}

int landlock_confine(int root, bool root_writable, const struct landlock_mount *mounts, size_t count, struct err *err)
{
	struct domain domain = {.ruleset = -1, .root = root, .err = err};
	int abi = landlock_abi(), r;

	if (abi == 0)
		return 0;
	domain.ruleset = make_ruleset(abi, &domain.handled);
	if (domain.ruleset < 0)
		return err_sys(err, domain.ruleset, "landlock: cannot make a ruleset");
	r = resolve(&domain, mounts, count);
	if (r == 0)
		r = fill(&domain, root_writable);
	if (r == 0 && syscall(SYS_landlock_restrict_self, domain.ruleset, 0) < 0)
		r = err_sys(err, -errno, "landlock: cannot confine");
	free_mounts(&domain);
	(void)close(domain.ruleset);
	return r;
}
