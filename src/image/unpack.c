/* SPDX-License-Identifier: Apache-2.0 */
#include "image/unpack.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "base/fdio.h"
#include "base/str.h"
#include "image/pathset.h"
#include "image/tar.h"

#define BLOCK 4096
#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"
#define FOLDER_BYTES_MAX (8u << 20) /* memory for the times of folders: about 100,000 of them */
#define QUOTE_SIZE 200

struct folder_time {
	char *name;
	struct timespec mtime;
};

struct unpack {
	int root;
	struct unpack_limits limits;
	struct unpack_totals totals;
	struct pathset touched; /* what the layer at hand has made or passed through: whiteouts spare it */
	struct folder_time *folders;
	size_t folder_count, folder_capacity, folder_bytes;
	char parent_name[TAR_NAME_SIZE]; /* of parent */
	int parent;                      /* the folder last worked in, O_PATH; -1: none */
};

int unpack_new(int root, const struct unpack_limits *limits, struct unpack **ret_unpack)
{
	struct unpack *unpack = calloc(1, sizeof(*unpack));

	if (!unpack)
		return -ENOMEM;
	unpack->root = root;
	unpack->limits = *limits;
	unpack->parent = -1;
	/* Folders that no entry announces count too. */
	unpack->touched = pathset_of(limits->entries + TAR_DEPTH_MAX);
	*ret_unpack = unpack;
	return 0;
}

static void forget_parent(struct unpack *unpack)
{
	if (unpack->parent >= 0)
		(void)close(unpack->parent);
	unpack->parent = -1;
}

void unpack_free(struct unpack *unpack)
{
	if (!unpack)
		return;
	for (size_t i = 0; i < unpack->folder_count; i++)
		free(unpack->folders[i].name);
	free(unpack->folders);
	forget_parent(unpack);
	pathset_done(&unpack->touched);
	free(unpack);
}

static int open_below(int dir, const char *path, uint64_t flags)
{
	struct open_how how = {
		.flags = flags | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV,
	};
	int fd = (int)syscall(SYS_openat2, dir, *path ? path : ".", &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static int touch_path(struct unpack *unpack, const char *name, size_t len, struct err *err)
{
	int r = pathset_add(&unpack->touched, name, len, NULL);

	if (r == -EFBIG)
		return err_set(err, ERR_TOO_LARGE, "the image has more than %llu entries",
			       (unsigned long long)unpack->limits.entries);
	return r < 0 ? err_sys(err, r, "cannot remember a path") : 0;
}

/* Makes the folders of a name that no entry announced, as the specification allows, and marks all as touched. */
static int make_parents(struct unpack *unpack, const char *parent, struct err *err)
{
	char part[TAR_NAME_SIZE];

	for (const char *end = parent;; end++) {
		size_t len = (size_t)(end - parent);
		int r;

		if (*end != '/' && *end != '\0')
			continue;
		memcpy(part, parent, len);
		part[len] = '\0';
		r = touch_path(unpack, parent, len, err);
		if (r < 0)
			return r;
		r = open_below(unpack->root, part, O_PATH | O_DIRECTORY);
		if (r == -ENOENT) {
			char *slash = strrchr(part, '/');
			CLEANUP_CLOSE int above = -1;

			if (slash)
				*slash = '\0';
			above = open_below(unpack->root, slash ? part : "", O_PATH | O_DIRECTORY);
			if (above < 0)
				return err_sys(err, above, "cannot open the folder above");
			if (mkdirat(above, slash ? slash + 1 : part, 0755) < 0)
				return err_sys(err, -errno, "cannot make the folder above");
			if (fchownat(above, slash ? slash + 1 : part, 0, 0, AT_SYMLINK_NOFOLLOW) < 0)
				return err_sys(err, -errno, "cannot make the folder above");
		} else if (r == -ELOOP || r == -ENOTDIR) {
			return err_set(err, ERR_INVALID, "what is above it is a link or a file");
		} else if (r < 0) {
			return err_sys(err, r, "cannot open the folder above");
		} else {
			(void)close(r);
		}
		if (!*end)
			return 0;
	}
}

/* Opens the folder that the last component of name lies in and yields that component. */
static int open_parent(struct unpack *unpack, const char *name, const char **ret_base, struct err *err)
{
	const char *slash = strrchr(name, '/');
	size_t len = slash ? (size_t)(slash - name) : 0;
	char parent[TAR_NAME_SIZE];
	int r;

	*ret_base = slash ? slash + 1 : name;
	memcpy(parent, name, len);
	parent[len] = '\0';
	if (unpack->parent >= 0 && str_eq(unpack->parent_name, parent))
		return 0;
	forget_parent(unpack);
	if (len) {
		r = make_parents(unpack, parent, err);
		if (r < 0)
			return r;
	}
	r = open_below(unpack->root, parent, O_PATH | O_DIRECTORY);
	if (r < 0)
		return err_sys(err, r, "cannot open the folder above");
	unpack->parent = r;
	memcpy(unpack->parent_name, parent, len + 1);
	return 0;
}

/* Removes base in dir unless this layer made it; of a folder this layer went through, what is older inside. */
static int remove_older(struct unpack *unpack, int dir, const char *base, const char *path, struct err *err);

static int remove_older_inside(struct unpack *unpack, int dir, const char *path, struct err *err)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int r = 0;

	if (!entries) {
		r = -errno;
		if (fd >= 0)
			(void)close(fd);
		return err_sys(err, r, "cannot read a folder");
	}
	while (r == 0 && (entry = readdir(entries))) {
		CLEANUP_FREE char *child = NULL;

		if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
			continue;
		child = str_format("%s%s%s", path, *path ? "/" : "", entry->d_name);
		r = child ? remove_older(unpack, dirfd(entries), entry->d_name, child, err)
			  : err_sys(err, -ENOMEM, "cannot apply a whiteout");
	}
	(void)closedir(entries);
	return r;
}

static int remove_older(struct unpack *unpack, int dir, const char *base, const char *path, struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	bool touched;
	int r = pathset_has(&unpack->touched, path, &touched);

	if (r < 0)
		return err_sys(err, r, "cannot apply a whiteout");
	if (!touched)
		return fdio_remove_tree(dir, base, err);
	fd = openat(dir, base, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOTDIR || errno == ELOOP || errno == ENOENT
			       ? 0
			       : err_sys(err, -errno, "cannot apply a whiteout");
	return remove_older_inside(unpack, fd, path, err);
}

/* Whether the first thing above a whiteout that is no folder was put there by this layer: then nothing older is below. */
static int above_is_new(struct unpack *unpack, const char *parent, struct err *err)
{
	char part[TAR_NAME_SIZE];

	for (const char *end = parent;; end++) {
		size_t len = (size_t)(end - parent);
		bool touched;
		int fd, r;

		if (*end != '/' && *end != '\0')
			continue;
		memcpy(part, parent, len);
		part[len] = '\0';
		fd = open_below(unpack->root, part, O_PATH | O_DIRECTORY);
		if (fd == -ELOOP || fd == -ENOTDIR) {
			r = pathset_has(&unpack->touched, part, &touched);
			if (r < 0)
				return err_sys(err, r, "cannot apply a whiteout");
			return touched ? 0 : err_set(err, ERR_INVALID, "what is above it is a link or a file");
		}
		if (fd >= 0)
			(void)close(fd);
		if (!*end)
			return 0;
	}
}

/* A whiteout does not count as work of the layer on the folder it lies in: the layer may still put another thing there. */
static int apply_whiteout(struct unpack *unpack, const struct tar_entry *entry, struct err *err)
{
	const char *slash = strrchr(entry->name, '/'), *base = slash ? slash + 1 : entry->name;
	const char *hidden = base + strlen(WHITEOUT);
	size_t len = slash ? (size_t)(slash - entry->name) : 0;
	CLEANUP_FREE char *path = NULL;
	CLEANUP_CLOSE int dir = -1;
	char parent[TAR_NAME_SIZE];

	if (entry->type != TAR_FILE || entry->size)
		return err_set(err, ERR_INVALID, "a whiteout is not an empty file");
	if (!str_eq(base, OPAQUE) &&
	    (!*hidden || str_eq(hidden, ".") || str_eq(hidden, "..") || str_starts(hidden, WHITEOUT)))
		return err_set(err, ERR_INVALID, "it is an unknown kind of whiteout");
	memcpy(parent, entry->name, len);
	parent[len] = '\0';
	dir = open_below(unpack->root, parent, O_PATH | O_DIRECTORY);
	if (dir == -ENOENT)
		return 0;
	if (dir == -ELOOP || dir == -ENOTDIR)
		return above_is_new(unpack, parent, err);
	if (dir < 0)
		return err_sys(err, dir, "cannot open the folder above");
	if (str_eq(base, OPAQUE))
		return remove_older_inside(unpack, dir, parent, err);
	path = str_format("%s%s%s", parent, *parent ? "/" : "", hidden);
	if (!path)
		return err_sys(err, -ENOMEM, "cannot apply a whiteout");
	return remove_older(unpack, dir, hidden, path, err);
}

/* Makes way for the entry: what older layers have there goes, unless both are folders; what this layer has there stays. */
static int clear_place(struct unpack *unpack, const struct tar_entry *entry, const char *base, bool *ret_exists,
		       struct err *err)
{
	bool touched, folder;
	struct stat st;
	int r = pathset_has(&unpack->touched, entry->name, &touched);

	*ret_exists = false;
	if (r < 0)
		return err_sys(err, r, "cannot make way");
	if (fstatat(unpack->parent, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : err_sys(err, -errno, "cannot make way");
	folder = S_ISDIR(st.st_mode) && entry->type == TAR_FOLDER;
	if (folder) {
		*ret_exists = true;
		return 0;
	}
	if (touched)
		return err_set(err, ERR_INVALID, "the layer has the name twice");
	return fdio_remove_tree(unpack->parent, base, err);
}

static int set_xattrs(int fd, const struct tar_entry *entry, struct err *err)
{
	for (size_t i = 0; i < entry->xattr_count; i++) {
		const struct tar_xattr *xattr = &entry->xattrs[i];

		if (!str_starts(xattr->name, "user."))
			continue;
		if (str_starts(xattr->name, "user.overlay."))
			return err_set(err, ERR_INVALID, "the extended attribute '%.64s' is overlayfs' own",
				       xattr->name);
		if (fsetxattr(fd, xattr->name, xattr->value, xattr->len, 0) < 0)
			return err_sys(err, -errno, "cannot set the extended attribute '%.64s'", xattr->name);
	}
	return 0;
}

static int set_metadata(int fd, const struct tar_entry *entry, mode_t mode, struct err *err)
{
	const struct timespec times[2] = {entry->mtime, entry->mtime};

	/* The mode comes after the owner, whose change clears bits of it. */
	if (fchown(fd, entry->uid, entry->gid) < 0)
		return err_sys(err, -errno, "cannot set the owner");
	if (fchmod(fd, mode) < 0)
		return err_sys(err, -errno, "cannot set the mode");
	if (futimens(fd, times) < 0)
		return err_sys(err, -errno, "cannot set the time");
	return set_xattrs(fd, entry, err);
}

static int account(struct unpack *unpack, uint64_t bytes, struct err *err)
{
	uint64_t rounded = bytes + (-bytes & (BLOCK - 1));

	if (unpack->limits.bytes - unpack->totals.bytes < rounded)
		return err_set(err, ERR_TOO_LARGE, "the image has more than %llu bytes",
			       (unsigned long long)unpack->limits.bytes);
	unpack->totals.bytes += rounded;
	return 0;
}

static int make_file(struct unpack *unpack, struct tar *tar, const struct tar_entry *entry, const char *base,
		     struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	const char *bytes;
	size_t len;
	int r = account(unpack, entry->size, err);

	if (r < 0)
		return r;
	fd = openat(unpack->parent, base, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, -errno, "cannot make the file");
	while ((r = tar_data(tar, &bytes, &len, err)) > 0) {
		r = fdio_write_all(fd, bytes, len);
		if (r < 0)
			return err_sys(err, r, "cannot write the file");
	}
	return r < 0 ? r : set_metadata(fd, entry, entry->mode & ~(mode_t)(S_ISUID | S_ISGID), err);
}

static int make_link(struct unpack *unpack, const struct tar_entry *entry, const char *base, struct err *err)
{
	const char *slash = strrchr(entry->target, '/'), *target = slash ? slash + 1 : entry->target;
	char parent[TAR_NAME_SIZE] = "";
	CLEANUP_CLOSE int dir = -1;

	if (slash)
		memcpy(parent, entry->target, (size_t)(slash - entry->target));
	parent[slash ? slash - entry->target : 0] = '\0';
	dir = open_below(unpack->root, parent, O_PATH | O_DIRECTORY);
	if (dir < 0)
		return dir == -ELOOP || dir == -ENOTDIR || dir == -ENOENT
			       ? err_set(err, ERR_INVALID, "the hard link's target is not there")
			       : err_sys(err, dir, "cannot make the hard link");
	if (linkat(dir, target, unpack->parent, base, 0) == 0)
		return 0;
	if (errno == ENOENT)
		return err_set(err, ERR_INVALID, "the hard link's target is not there");
	if (errno == EPERM)
		return err_set(err, ERR_INVALID, "the hard link's target is a folder");
	return err_sys(err, -errno, "cannot make the hard link");
}

static int make_symlink(struct unpack *unpack, const struct tar_entry *entry, const char *base, struct err *err)
{
	const struct timespec times[2] = {entry->mtime, entry->mtime};

	if (symlinkat(entry->target, unpack->parent, base) < 0 ||
	    fchownat(unpack->parent, base, entry->uid, entry->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    utimensat(unpack->parent, base, times, AT_SYMLINK_NOFOLLOW) < 0)
		return err_sys(err, -errno, "cannot make the symbolic link");
	return 0;
}

/* Files made inside later change a folder's time, so it is set when all is there. */
static int remember_time(struct unpack *unpack, const struct tar_entry *entry, struct err *err)
{
	struct folder_time *folders = unpack->folders;
	size_t len = strlen(entry->name) + 64;

	if (unpack->folder_bytes + len > FOLDER_BYTES_MAX)
		return err_set(err, ERR_TOO_LARGE, "the image has more folders than %u bytes can hold",
			       FOLDER_BYTES_MAX);
	if (unpack->folder_count == unpack->folder_capacity) {
		size_t capacity = unpack->folder_capacity ? unpack->folder_capacity * 2 : 256;

		folders = reallocarray(folders, capacity, sizeof(*folders));
		if (!folders)
			return err_sys(err, -ENOMEM, "cannot remember a folder");
		unpack->folders = folders;
		unpack->folder_capacity = capacity;
	}
	folders[unpack->folder_count].name = strdup(entry->name);
	if (!folders[unpack->folder_count].name)
		return err_sys(err, -ENOMEM, "cannot remember a folder");
	folders[unpack->folder_count++].mtime = entry->mtime;
	unpack->folder_bytes += len;
	return 0;
}

static int make_folder(struct unpack *unpack, const struct tar_entry *entry, const char *base, bool exists,
		       struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	int r = exists ? 0 : account(unpack, BLOCK, err);

	if (r < 0)
		return r;
	if (!exists && mkdirat(unpack->parent, base, 0700) < 0)
		return err_sys(err, -errno, "cannot make the folder");
	fd = openat(unpack->parent, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, -errno, "cannot open the folder");
	r = set_metadata(fd, entry, entry->mode, err);
	return r < 0 ? r : remember_time(unpack, entry, err);
}

static int make_entry(struct unpack *unpack, struct tar *tar, const struct tar_entry *entry, const char *base,
		      struct err *err)
{
	bool exists;
	int r = clear_place(unpack, entry, base, &exists, err);

	if (r == 0)
		r = touch_path(unpack, entry->name, strlen(entry->name), err);
	if (r < 0)
		return r;
	switch (entry->type) {
	case TAR_FILE:
		return make_file(unpack, tar, entry, base, err);
	case TAR_LINK:
		return make_link(unpack, entry, base, err);
	case TAR_SYMLINK:
		return make_symlink(unpack, entry, base, err);
	case TAR_FOLDER:
		return make_folder(unpack, entry, base, exists, err);
	}
	return err_set(err, ERR_INVALID, "it is of an unknown type");
}

/* Whether a component before the last one is a whiteout: nothing lies below such. */
static bool below_whiteout(const char *name)
{
	for (const char *at = name; (at = strstr(at, WHITEOUT)); at++)
		if ((at == name || at[-1] == '/') && strchr(at, '/'))
			return true;
	return false;
}

static int apply_entry(struct unpack *unpack, struct tar *tar, const struct tar_entry *entry, struct err *err)
{
	const char *base;
	int r;

	if (++unpack->totals.entries > unpack->limits.entries)
		return err_set(err, ERR_TOO_LARGE, "the image has more than %llu entries",
			       (unsigned long long)unpack->limits.entries);
	if (!entry->name[0]) {
		r = set_metadata(unpack->root, entry, entry->mode, err);
		return r < 0 ? r : remember_time(unpack, entry, err);
	}
	if (below_whiteout(entry->name))
		return err_set(err, ERR_INVALID, "it lies below a whiteout");
	base = strrchr(entry->name, '/');
	if (str_starts(base ? base + 1 : entry->name, WHITEOUT))
		return apply_whiteout(unpack, entry, err);
	r = open_parent(unpack, entry->name, &base, err);
	if (r < 0)
		return r;
	return make_entry(unpack, tar, entry, base, err);
}

int unpack_layer(struct unpack *unpack, source_fn source, void *user, struct err *err)
{
	CLEANUP(cleanup_tar) struct tar *tar = NULL;
	const struct tar_entry *entry;
	char quoted[QUOTE_SIZE];
	int r = tar_new(source, user, &tar);

	if (r < 0)
		return err_sys(err, r, "cannot unpack");
	pathset_done(&unpack->touched);
	while ((r = tar_next(tar, &entry, err)) > 0) {
		struct err inner = {0};

		r = apply_entry(unpack, tar, entry, &inner);
		if (r < 0) {
			*err = inner;
			/* What the reader says names the entry already. */
			return str_starts(inner.msg, "entry ")
				       ? r
				       : err_prefix(err, "entry '%s'", tar_quote(quoted, sizeof(quoted), entry->name));
		}
	}
	forget_parent(unpack);
	return r;
}

int unpack_finish(struct unpack *unpack, struct unpack_totals *ret_totals, struct err *err)
{
	for (size_t i = 0; i < unpack->folder_count; i++) {
		const struct folder_time *folder = &unpack->folders[i];
		const struct timespec times[2] = {folder->mtime, folder->mtime};
		CLEANUP_CLOSE int fd = open_below(unpack->root, folder->name, O_RDONLY | O_DIRECTORY);

		/* A later layer may have taken the folder away. */
		if (fd < 0)
			continue;
		if (futimens(fd, times) < 0)
			return err_sys(err, -errno, "cannot set the time of folder '%s'", folder->name);
	}
	*ret_totals = unpack->totals;
	return 0;
}
