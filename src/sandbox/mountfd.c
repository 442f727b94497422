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

/* What a word does; the names of the specification are the words with an 'r' for "with all mounts below". */
enum word_kind {
	WORD_SET,         /* sets attributes */
	WORD_CLEAR,       /* clears them: of the mount that is named, with 'r' of those below too */
	WORD_PROPAGATION, /* how mounts spread */
	WORD_NOTHING,     /* what is so anyway, or has no meaning for a container */
	WORD_BIND,
	WORD_IDMAP,
	WORD_COPY_UP,
	WORD_REFUSED,
};

struct option_word {
	const char *word;
	enum word_kind kind;
	uint64_t value;
	bool recursive;
};

static const struct option_word words[] = {
	{"async", WORD_NOTHING, 0, false},
	{"atime", WORD_CLEAR, MOUNT_ATTR_NOATIME, false},
	{"bind", WORD_BIND, 0, false},
	{"defaults", WORD_NOTHING, 0, false},
	{"dev", WORD_CLEAR, MOUNT_ATTR_NODEV, false},
	{"diratime", WORD_CLEAR, MOUNT_ATTR_NODIRATIME, false},
	{"exec", WORD_CLEAR, MOUNT_ATTR_NOEXEC, false},
	{"idmap", WORD_IDMAP, 0, false},
	{"loud", WORD_NOTHING, 0, false},
	{"noatime", WORD_SET, MOUNT_ATTR_NOATIME, false},
	{"nodev", WORD_SET, MOUNT_ATTR_NODEV, false},
	{"nodiratime", WORD_SET, MOUNT_ATTR_NODIRATIME, false},
	{"noexec", WORD_SET, MOUNT_ATTR_NOEXEC, false},
	{"noiversion", WORD_NOTHING, 0, false},
	{"nolazytime", WORD_NOTHING, 0, false},
	{"nomand", WORD_NOTHING, 0, false},
	{"norelatime", WORD_NOTHING, 0, false},
	{"nostrictatime", WORD_NOTHING, 0, false},
	{"nosuid", WORD_SET, MOUNT_ATTR_NOSUID, false},
	{"nosymfollow", WORD_SET, MOUNT_ATTR_NOSYMFOLLOW, false},
	{"notmpcopyup", WORD_COPY_UP, 0, false},
	{"private", WORD_PROPAGATION, MS_PRIVATE, false},
	{"ratime", WORD_CLEAR, MOUNT_ATTR_NOATIME, true},
	{"rbind", WORD_BIND, 0, true},
	{"rdev", WORD_CLEAR, MOUNT_ATTR_NODEV, true},
	{"rdiratime", WORD_CLEAR, MOUNT_ATTR_NODIRATIME, true},
	{"relatime", WORD_SET, MOUNT_ATTR_RELATIME, false},
	{"rexec", WORD_CLEAR, MOUNT_ATTR_NOEXEC, true},
	{"ridmap", WORD_IDMAP, 0, true},
	{"rnoatime", WORD_SET, MOUNT_ATTR_NOATIME, true},
	{"rnodev", WORD_SET, MOUNT_ATTR_NODEV, true},
	{"rnodiratime", WORD_SET, MOUNT_ATTR_NODIRATIME, true},
	{"rnoexec", WORD_SET, MOUNT_ATTR_NOEXEC, true},
	{"rnorelatime", WORD_NOTHING, 0, true},
	{"rnostrictatime", WORD_NOTHING, 0, true},
	{"rnosuid", WORD_SET, MOUNT_ATTR_NOSUID, true},
	{"rnosymfollow", WORD_SET, MOUNT_ATTR_NOSYMFOLLOW, true},
	{"ro", WORD_SET, MOUNT_ATTR_RDONLY, false},
	{"rprivate", WORD_PROPAGATION, MS_PRIVATE, true},
	{"rrelatime", WORD_SET, MOUNT_ATTR_RELATIME, true},
	{"rro", WORD_SET, MOUNT_ATTR_RDONLY, true},
	{"rrw", WORD_CLEAR, MOUNT_ATTR_RDONLY, true},
	{"rshared", WORD_PROPAGATION, MS_SHARED, true},
	{"rslave", WORD_PROPAGATION, MS_SLAVE, true},
	{"rstrictatime", WORD_SET, MOUNT_ATTR_STRICTATIME, true},
	{"rsuid", WORD_CLEAR, MOUNT_ATTR_NOSUID, true},
	{"rsymfollow", WORD_CLEAR, MOUNT_ATTR_NOSYMFOLLOW, true},
	{"runbindable", WORD_PROPAGATION, MS_UNBINDABLE, true},
	{"rw", WORD_CLEAR, MOUNT_ATTR_RDONLY, false},
	{"shared", WORD_PROPAGATION, MS_SHARED, false},
	{"silent", WORD_NOTHING, 0, false},
	{"slave", WORD_PROPAGATION, MS_SLAVE, false},
	{"strictatime", WORD_SET, MOUNT_ATTR_STRICTATIME, false},
	{"suid", WORD_CLEAR, MOUNT_ATTR_NOSUID, false},
	{"symfollow", WORD_CLEAR, MOUNT_ATTR_NOSYMFOLLOW, false},
	{"tmpcopyup", WORD_COPY_UP, 1, false},
	{"unbindable", WORD_PROPAGATION, MS_UNBINDABLE, false},
	/* A fresh mount is all a container gets; the kernel has dropped mandatory locks. */
	{"iversion", WORD_REFUSED, 0, false},
	{"mand", WORD_REFUSED, 0, false},
	{"remount", WORD_REFUSED, 0, false},
};

const char *mountfd_option_name(size_t index)
{
	return index < ARRAY_SIZE(words) && words[index].kind != WORD_REFUSED ? words[index].word : NULL;
}

static const struct option_word *find_word(const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_eq(words[i].word, word))
			return &words[i];
	return NULL;
}

/* A later word wins over an earlier one. The kinds of access times are one field: setting one clears the others. */
static void set_attributes(struct mountfd_options *to, uint64_t value)
{
	uint64_t times = MOUNT_ATTR_NOATIME | MOUNT_ATTR_STRICTATIME | MOUNT_ATTR_RELATIME;

	if (value == MOUNT_ATTR_RELATIME || value & times) {
		to->set &= ~times;
		to->clear |= MOUNT_ATTR__ATIME;
	}
	to->set |= value;
	to->clear &= ~value;
	to->clear_below &= ~value;
}

static void clear_attributes(struct mountfd_options *to, uint64_t value, bool recursive)
{
	to->set &= ~value;
	if (value == MOUNT_ATTR_NOATIME)
		value = MOUNT_ATTR__ATIME;
	to->clear |= value;
	if (recursive)
		to->clear_below |= value;
}

static int read_known(struct mountfd_options *to, const struct option_word *known, struct err *err)
{
	switch (known->kind) {
	case WORD_SET:
		set_attributes(to, known->value);
		return 0;
	case WORD_CLEAR:
		clear_attributes(to, known->value, known->recursive);
		to->exec_asked = to->exec_asked || known->value == MOUNT_ATTR_NOEXEC;
		return 0;
	case WORD_PROPAGATION:
		to->propagation = known->value;
		return 0;
	case WORD_BIND:
		to->bind = true;
		to->recursive = to->recursive || known->recursive;
		return 0;
	case WORD_IDMAP:
		to->idmap = true;
		to->idmap_below = to->idmap_below || known->recursive;
		return 0;
	case WORD_COPY_UP:
		to->copy_up = known->value;
		return 0;
	case WORD_NOTHING:
		return 0;
	case WORD_REFUSED:
		break;
	}
	return err_set(err, ERR_INVALID, "mount option '%s' is not supported", known->word);
}

int mountfd_options_read(struct mountfd_options *to, const struct spec_strings *list, struct err *err)
{
	memset(to, 0, sizeof(*to));
	for (size_t i = 0; i < list->count; i++) {
		const struct option_word *known = find_word(list->items[i]);
		int r = known ? read_known(to, known, err) : 0;

		if (r < 0)
			return r;
		if (!known && to->data_count == ARRAY_SIZE(to->data))
			return err_set(err, ERR_INVALID, "more than %zu options for the file system",
				       ARRAY_SIZE(to->data));
		if (!known)
			to->data[to->data_count++] = list->items[i];
	}
	return 0;
}

const char *mountfd_option_unknown(const struct mountfd_options *options)
{
	static const char *const idle[] = {"gid=", "mode=", "nr_blocks=", "nr_inodes=", "size=", "uid="};

	for (size_t i = 0; i < options->data_count; i++) {
		bool known = false;

		for (size_t k = 0; k < ARRAY_SIZE(idle); k++)
			known = known || str_starts(options->data[i], idle[k]);
		if (!known)
			return options->data[i];
	}
	return NULL;
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

int mountfd_new(const char *type, const char *source, const char *const *data, size_t data_count, uint64_t attributes,
		int *ret_fd, struct err *err)
{
	CLEANUP_CLOSE int fs = fsopen(type, FSOPEN_CLOEXEC);
	int fd;

	if (fs < 0)
		return err_sys(err, -errno, "file system '%s'", type);
	if (fsconfig(fs, FSCONFIG_SET_STRING, "source", source && source[0] ? source : type, 0) < 0)
		return err_sys(err, -errno, "file system '%s': source '%.64s'", type, source ? source : type);
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
