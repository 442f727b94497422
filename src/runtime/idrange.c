/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/idrange.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/str.h"

#define NOTE "idrange" /* in the container's folder: which range it has */

/* "NAME:FIRST:COUNT"; the first line of the name counts. */
static int read_line(char *line, const char *name, uint32_t *ret_first, uint32_t *ret_count)
{
	char *save = NULL, *owner = strtok_r(line, ":", &save), *first = strtok_r(NULL, ":", &save),
	     *count = strtok_r(NULL, ":", &save);
	uint64_t number, size;

	if (!owner || !first || !count || !str_eq(owner, name))
		return -ENOENT;
	if (str_parse_u64(first, UINT32_MAX - 1, &number) < 0 || str_parse_u64(count, UINT32_MAX, &size) < 0)
		return -ENOENT;
	if (number < IDRANGE_IDS || number + size > UINT32_MAX)
		return -ENOENT;
	*ret_first = (uint32_t)number;
	*ret_count = (uint32_t)(size / IDRANGE_IDS);
	return *ret_count ? 0 : -ENOENT;
}

static int read_subordinate(const char *path, const char *name, uint32_t *ret_first, uint32_t *ret_count)
{
	CLEANUP_BUF struct buf text = buf_of(1u << 20);
	char *save = NULL;
	int r = fdio_read_file(AT_FDCWD, path, &text, NULL);

	if (r < 0 || !text.len)
		return -ENOENT;
	for (char *line = strtok_r(text.data, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (read_line(line, name, ret_first, ret_count) == 0)
			return 0;
	return -ENOENT;
}

int idrange_subordinate(const char *name, struct idrange_pool *ret_pool)
{
	struct idrange_pool pool;
	uint32_t gids;
	int r = read_subordinate("/etc/subuid", name, &pool.first_uid, &pool.count);

	if (r == 0)
		r = read_subordinate("/etc/subgid", name, &pool.first_gid, &gids);
	if (r < 0)
		return r;
	pool.count = pool.count < gids ? pool.count : gids;
	*ret_pool = pool;
	return 0;
}

/*
 * To whom a range was given: the very folder, not a later one of its name, and a process for where the folder is not in
 * sight: first the one that makes the container, then the container's.
 */
struct holder {
	uint64_t device;
	uint64_t inode;
	char path[4096];
	uint64_t pid; /* 0: not known */
	uint64_t start;
	uint64_t pids; /* the pid namespace of that number */
};

static uint64_t pid_namespace(void)
{
	struct stat st;

	return stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

/* The second line, which a note of another version may lack. */
static void read_process(struct holder *to, char *line)
{
	const char *pid = line ? strtok_r(line, " \n", &line) : NULL,
		   *start = pid ? strtok_r(NULL, " \n", &line) : NULL,
		   *pids = start ? strtok_r(NULL, " \n", &line) : NULL;

	if (!pids || str_parse_u64(pid, INT32_MAX, &to->pid) < 0 || str_parse_u64(start, UINT64_MAX, &to->start) < 0 ||
	    str_parse_u64(pids, UINT64_MAX, &to->pids) < 0)
		to->pid = 0;
}

/* What cannot be told from here is so. */
static bool may_live(const struct holder *holder)
{
	uint64_t start;

	if (!holder->pid)
		return false;
	if (holder->pids != pid_namespace())
		return true;
	return state_process_start((pid_t)holder->pid, &start) == 0 && start == holder->start;
}

/* -EINVAL for one that was never finished: it was made under the lock, so nobody is at it. */
static int read_holder(int folder, const char *name, struct holder *to)
{
	CLEANUP_BUF struct buf text = buf_of(8192);
	char *save = NULL, *device, *inode, *path;
	int r = fdio_read_file(folder, name, &text, NULL);

	if (r < 0 || !text.len)
		return r < 0 ? r : -EINVAL;
	device = strtok_r(text.data, " ", &save);
	inode = strtok_r(NULL, " ", &save);
	path = strtok_r(NULL, "\n", &save);
	if (!device || !inode || !path || str_parse_u64(device, UINT64_MAX, &to->device) < 0 ||
	    str_parse_u64(inode, UINT64_MAX, &to->inode) < 0 || str_copy(to->path, sizeof(to->path), path) < 0)
		return -EINVAL;
	read_process(to, save);
	return 0;
}

static bool is_held(int folder, const char *name)
{
	struct holder holder = {0};
	struct stat st;
	int r = read_holder(folder, name, &holder);

	if (r < 0)
		return r != -EINVAL;
	if (stat(holder.path, &st) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			return true;
	} else if (st.st_dev == holder.device && st.st_ino == holder.inode) {
		return true;
	}
	/* Another mount namespace may have nothing there, or something else. */
	return may_live(&holder);
}

struct taken {
	uint32_t *items;
	size_t count;
};

static int add_taken(struct taken *taken, uint32_t first)
{
	uint32_t *grown = realloc(taken->items, (taken->count + 1) * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	taken->items = grown;
	grown[taken->count++] = first;
	return 0;
}

/* The ranges in use; what is left of containers that are gone is removed on the way. */
static int list_taken(int folder, struct taken *taken)
{
	DIR *entries = fdopendir(fcntl(folder, F_DUPFD_CLOEXEC, 3));
	struct dirent *entry;
	int r = entries ? 0 : -errno;

	while (r == 0) {
		uint64_t first;

		errno = 0;
		entry = readdir(entries);
		if (!entry) {
			r = -errno;
			break;
		}
		if (str_parse_u64(entry->d_name, UINT32_MAX, &first) < 0)
			continue;
		if (is_held(folder, entry->d_name))
			r = add_taken(taken, (uint32_t)first);
		else if (unlinkat(folder, entry->d_name, 0) < 0)
			r = -errno;
	}
	if (entries)
		(void)closedir(entries);
	return r;
}

static bool is_free(const struct taken *taken, uint32_t first)
{
	for (size_t i = 0; i < taken->count; i++)
		if ((first > taken->items[i] ? first - taken->items[i] : taken->items[i] - first) < IDRANGE_IDS)
			return false;
	return true;
}

static int open_folder(bool make, int *ret_fd)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	int r = make ? fdio_mkdir_all(AT_FDCWD, IDRANGE_FOLDER, 0700, NULL) : 0;

	if (r == 0)
		r = fdio_open_dir(AT_FDCWD, IDRANGE_FOLDER, &fd, NULL);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return -EPERM;
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return -errno;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int write_note(int folder, const char *name, const char *text)
{
	CLEANUP_CLOSE int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fdio_write_all(fd, text, strlen(text));
}

/* What a note says of a container and a process. */
static int describe(const struct state *state, pid_t pid, uint64_t start, char *text, size_t size)
{
	char link[64], path[4096];
	struct stat st;
	ssize_t len;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", state->dir);
	len = readlink(link, path, sizeof(path) - 1);
	if (len < 0 || fstat(state->dir, &st) < 0)
		return -errno;
	path[len] = '\0';
	(void)snprintf(text, size, "%" PRIu64 " %" PRIu64 " %s\n%d %" PRIu64 " %" PRIu64 "\n", (uint64_t)st.st_dev,
		       (uint64_t)st.st_ino, path, (int)pid, start, pid_namespace());
	return 0;
}

/* First in the container's folder, so that whoever removes that can find it. */
static int note(int folder, const struct state *state, uint32_t first)
{
	char name[16], text[4300];
	uint64_t start;
	int r = state_process_start(getpid(), &start);

	if (r == 0)
		r = describe(state, getpid(), start, text, sizeof(text));
	if (r < 0)
		return r;
	(void)snprintf(name, sizeof(name), "%u", first);
	r = write_note(state->dir, NOTE, name);
	return r == 0 ? write_note(folder, name, text) : r;
}

static int take(int folder, const struct idrange_pool *pool, const struct state *state, uint32_t *ret_index)
{
	struct taken taken = {0};
	int r = list_taken(folder, &taken);
	uint32_t index = 0;

	while (r == 0 && index < pool->count && !is_free(&taken, pool->first_uid + index * IDRANGE_IDS))
		index++;
	free(taken.items);
	if (r == 0 && index == pool->count)
		return -EUSERS;
	if (r == 0)
		r = note(folder, state, pool->first_uid + index * IDRANGE_IDS);
	if (r == 0)
		*ret_index = index;
	return r;
}

int idrange_take(const struct idrange_pool *pool, const struct state *state, uint32_t *ret_uid, uint32_t *ret_gid,
		 struct err *err)
{
	CLEANUP_CLOSE int folder = -1;
	uint32_t index;
	int r = open_folder(true, &folder);

	if (r == 0)
		r = take(folder, pool, state, &index);
	if (r == -EUSERS)
		return err_set(err, r, "all %u ranges of ids are in use", pool->count);
	if (r < 0)
		return err_sys(err, r, "cannot take a range of ids in '%s'", IDRANGE_FOLDER);
	*ret_uid = pool->first_uid + index * IDRANGE_IDS;
	*ret_gid = pool->first_gid + index * IDRANGE_IDS;
	return 0;
}

/* The name of the container's range; -ENOENT when it has none. */
static int own_name(const struct state *state, struct buf *name)
{
	uint64_t first;
	int r = faccessat(state->dir, NOTE, F_OK, 0) < 0 ? -ENOENT : fdio_read_file(state->dir, NOTE, name, NULL);

	return r < 0 || (name->len && str_parse_u64(name->data, UINT32_MAX, &first) == 0) ? r : -EINVAL;
}

int idrange_note_process(const struct state *state, struct err *err)
{
	CLEANUP_BUF struct buf name = buf_of(16);
	CLEANUP_CLOSE int folder = -1;
	char text[4300];
	int r = own_name(state, &name);

	if (r == 0)
		r = describe(state, state->pid, state->start_time, text, sizeof(text));
	if (r == 0)
		r = open_folder(false, &folder);
	if (r == 0)
		r = fdio_replace_file(folder, name.data, text, strlen(text), 0600, NULL);
	return r < 0 ? err_sys(err, r, "cannot note the process of a range of ids in '%s'", IDRANGE_FOLDER) : 0;
}

/* What was noted first may never have been taken, and be another's since. */
void idrange_release(const struct state *state)
{
	CLEANUP_BUF struct buf name = buf_of(16);
	CLEANUP_CLOSE int folder = -1;
	struct holder holder = {0};
	struct stat st;

	if (own_name(state, &name) < 0 || open_folder(false, &folder) < 0)
		return;
	if (fstat(state->dir, &st) == 0 && read_holder(folder, name.data, &holder) == 0 && holder.device == st.st_dev &&
	    holder.inode == st.st_ino)
		(void)unlinkat(folder, name.data, 0);
}
