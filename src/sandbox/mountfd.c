/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/mountfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "base/str.h"

#ifndef MOUNT_ATTR_NOSYMFOLLOW
#define MOUNT_ATTR_NOSYMFOLLOW 0x00200000
#endif

struct option_word {
	const char *word;
	uint64_t set;
	uint64_t clear;
	uint64_t propagation;
	bool recursive;
};

/* Times are one field of the attributes: setting one clears the field. */
static const struct option_word words[] = {
	{"ro", MOUNT_ATTR_RDONLY, 0, 0, false},
	{"rro", MOUNT_ATTR_RDONLY, 0, 0, false},
	{"rw", 0, MOUNT_ATTR_RDONLY, 0, false},
	{"nosuid", MOUNT_ATTR_NOSUID, 0, 0, false},
	{"suid", 0, MOUNT_ATTR_NOSUID, 0, false},
	{"nodev", MOUNT_ATTR_NODEV, 0, 0, false},
	{"dev", 0, MOUNT_ATTR_NODEV, 0, false},
	{"noexec", MOUNT_ATTR_NOEXEC, 0, 0, false},
	{"exec", 0, MOUNT_ATTR_NOEXEC, 0, false},
	{"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME, 0, false},
	{"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME, 0, false},
	{"relatime", MOUNT_ATTR_RELATIME, MOUNT_ATTR__ATIME, 0, false},
	{"nodiratime", MOUNT_ATTR_NODIRATIME, 0, 0, false},
	{"diratime", 0, MOUNT_ATTR_NODIRATIME, 0, false},
	{"nosymfollow", MOUNT_ATTR_NOSYMFOLLOW, 0, 0, false},
	{"symfollow", 0, MOUNT_ATTR_NOSYMFOLLOW, 0, false},
	{"atime", 0, 0, 0, false},
	{"norelatime", 0, 0, 0, false},
	{"nostrictatime", 0, 0, 0, false},
	{"defaults", 0, 0, 0, false},
	{"async", 0, 0, 0, false},
	/* Copying the image's contents into a fresh tmpfs is a comfort of other engines; an empty one weakens nothing. */
	{"tmpcopyup", 0, 0, 0, false},
	{"notmpcopyup", 0, 0, 0, false},
	{"private", 0, 0, MS_PRIVATE, false},
	{"rprivate", 0, 0, MS_PRIVATE, true},
	{"slave", 0, 0, MS_SLAVE, false},
	{"rslave", 0, 0, MS_SLAVE, true},
};

static const char *const refused[] = {
	"shared", "rshared", "unbindable", "runbindable", "remount",  "mand",
	"sync",   "dirsync", "silent",     "loud",        "iversion",
};

static const struct option_word *find_word(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_eq(words[i].word, word))
			return &words[i];
	return NULL;
}

static int read_word(struct mountfd_options *to, const char *word, struct err *err)
{
	const struct option_word *known = find_word(word);

	if (known) {
		to->set = (to->set & ~known->clear) | known->set;
		to->clear = (to->clear & ~known->set) | known->clear;
		if (known->propagation)
			to->propagation = known->propagation;
		to->exec_asked = to->exec_asked || str_eq(word, "exec");
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (str_eq(refused[i], word))
			return err_set(err, ERR_INVALID, "mount option '%s' is not supported", word);
	if (to->data_count == ARRAY_SIZE(to->data))
		return err_set(err, ERR_INVALID, "more than %zu options for the file system", ARRAY_SIZE(to->data));
	to->data[to->data_count++] = word;
	return 0;
}

int mountfd_options_read(struct mountfd_options *to, const struct spec_strings *list, struct err *err)
{
	memset(to, 0, sizeof(*to));
	for (size_t i = 0; i < list->count; i++) {
		const char *word = list->items[i];
		int r = 0;

		if (str_eq(word, "bind"))
			to->bind = true;
		else if (str_eq(word, "rbind"))
			to->bind = to->recursive = true;
		else if (str_eq(word, "idmap") || str_eq(word, "ridmap"))
			to->idmap = true;
		else
			r = read_word(to, word, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int mountfd_clone(int dir, const char *path, bool recursive, int *ret_fd)
{
	unsigned int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC;
	int fd;

	if (recursive)
		flags |= AT_RECURSIVE;
	if (!path[0])
		flags |= AT_EMPTY_PATH;
	fd = open_tree(dir, path, flags);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static int configure(int fs, const char *word)
{
	char key[64];
	const char *equals = strchr(word, '=');

	if (!equals)
		return fsconfig(fs, FSCONFIG_SET_FLAG, word, NULL, 0) < 0 ? -errno : 0;
	if ((size_t)(equals - word) >= sizeof(key))
		return -EINVAL;
	memcpy(key, word, (size_t)(equals - word));
	key[equals - word] = '\0';
	return fsconfig(fs, FSCONFIG_SET_STRING, key, equals + 1, 0) < 0 ? -errno : 0;
}

int mountfd_new(const char *type, const char *const *data, size_t data_count, uint64_t attributes, int *ret_fd,
		struct err *err)
{
	CLEANUP_CLOSE int fs = fsopen(type, FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return err_sys(err, -errno, "file system '%s'", type);
	for (size_t i = 0; i < data_count; i++) {
		int r = configure(fs, data[i]);

		if (r < 0)
			return err_sys(err, r, "file system '%s': option '%.64s'", type, data[i]);
	}
	if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(err, -errno, "cannot make a file system '%s'", type);
	fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned int)attributes);
	if (fd < 0)
		return err_sys(err, -errno, "cannot mount a file system '%s'", type);
	*ret_fd = fd;
	return 0;
}

int mountfd_set(int fd, bool recursive, uint64_t set, uint64_t clear, uint64_t propagation)
{
	struct mount_attr attr = {.attr_set = set, .attr_clr = clear, .propagation = propagation};

	if (!set && !clear && !propagation)
		return 0;
	/* The time attributes are one field: the kernel wants it cleared whole when any is set. */
	if (set & MOUNT_ATTR__ATIME)
		attr.attr_clr |= MOUNT_ATTR__ATIME;
	return mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr, sizeof(attr)) < 0 ? -errno
													      : 0;
}

int mountfd_idmap(int fd, bool recursive, int user_namespace)
{
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)user_namespace};

	return mount_setattr(fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &attr, sizeof(attr)) < 0 ? -errno
													      : 0;
}

int mountfd_attach(int fd, int target)
{
	return move_mount(fd, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0 ? -errno : 0;
}
