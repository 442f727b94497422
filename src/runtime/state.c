/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/pidfd.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/json_build.h"
#include "base/str.h"
#include "runtime/state_file.h"

const char *state_status_name(enum state_status status)
{
	switch (status) {
	case STATE_CREATING:
		return "creating";
	case STATE_CREATED:
		return "created";
	case STATE_RUNNING:
		return "running";
	case STATE_PAUSED:
		return "paused";
	case STATE_STOPPED:
		return "stopped";
	}
	return "stopped";
}

/* What others may write can make this process end and remove what they like. */
static int check_owner(const struct stat *st, const char *name, int code, struct err *err)
{
	if (st->st_uid != geteuid())
		return err_set(err, code, "'%s' belongs to user %u, not to user %u", name, (unsigned int)st->st_uid,
			       (unsigned int)geteuid());
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return err_set(err, code, "'%s' may be written to by others: its mode is %04o", name,
			       (unsigned int)st->st_mode & 07777);
	return 0;
}

static int open_own(int dir, const char *path, int *ret_fd, struct err *err)
{
	CLEANUP_CLOSE int fd = -1;
	struct stat st;
	int r = fdio_open_dir(dir, path, &fd, err);

	if (r == 0 && fstat(fd, &st) < 0)
		r = err_sys(err, -errno, "cannot look at '%s'", path);
	if (r == 0)
		r = check_owner(&st, path, ERR_DENIED, err);
	if (r == 0)
		*ret_fd = take_fd(&fd);
	return r;
}

int state_open_root(const char *path, bool make, int *ret_fd, struct err *err)
{
	struct err missing;
	int r = open_own(AT_FDCWD, path, ret_fd, make ? &missing : err);

	if (r == 0 || !make)
		return r;
	/* Usually it is there. */
	r = fdio_mkdir_all(AT_FDCWD, path, 0700, err);
	return r == 0 ? open_own(AT_FDCWD, path, ret_fd, err) : r;
}

int state_check_id(const char *id, struct err *err)
{
	size_t len = strlen(id);

	if (len == 0 || len > STATE_ID_MAX)
		return err_set(err, ERR_INVALID, "container id must have 1 to %d bytes", STATE_ID_MAX);
	for (const char *at = id; *at; at++)
		if (!(*at >= 'a' && *at <= 'z') && !(*at >= 'A' && *at <= 'Z') && !(*at >= '0' && *at <= '9') &&
		    !strchr("_+-.", *at))
			return err_set(err, ERR_INVALID,
				       "container id '%.64s' may only have letters, digits and '_+-.'", id);
	if (id[0] == '.')
		return err_set(err, ERR_INVALID, "container id '%.64s' may not begin with '.'", id);
	return 0;
}

int state_lock(struct state *state, struct err *err)
{
	struct stat by_fd, by_name;

	while (flock(state->dir, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_sys(err, -errno, "container '%s': cannot lock its state", state->id);
	/* Whoever held the lock may have deleted the container. */
	if (fstat(state->dir, &by_fd) < 0 || fstatat(state->root, state->id, &by_name, AT_SYMLINK_NOFOLLOW) < 0 ||
	    by_fd.st_ino != by_name.st_ino) {
		state->gone = true;
		return err_set(err, ERR_NOT_FOUND, "container '%s' does not exist", state->id);
	}
	return 0;
}

void state_unlock(struct state *state)
{
	(void)flock(state->dir, LOCK_UN);
}

static int open_folder(struct state *state, struct err *err)
{
	int r = open_own(state->root, state->id, &state->dir, err);

	if (r == -ENOENT)
		return err_set(err, ERR_NOT_FOUND, "container '%s' does not exist", state->id);
	return r < 0 ? err_prefix(err, "container '%s'", state->id) : 0;
}

static int begin(struct state *state, int root, const char *id, struct err *err)
{
	int r = state_check_id(id, err);

	*state = (struct state){.root = -1, .dir = -1};
	if (r < 0)
		return r;
	(void)snprintf(state->id, sizeof(state->id), "%s", id);
	state->root = fcntl(root, F_DUPFD_CLOEXEC, 3);
	return state->root < 0 ? err_sys(err, -errno, "container '%s'", id) : 0;
}

int state_new(struct state *state, int root, const char *id, struct err *err)
{
	int r = begin(state, root, id, err);

	if (r < 0)
		return r;
	if (mkdirat(state->root, id, 0700) < 0)
		return errno == EEXIST ? err_set(err, ERR_EXISTS, "container '%s' exists already", id)
				       : err_sys(err, -errno, "container '%s': cannot make its state", id);
	clock_format(state->created, clock_wall_ms());
	r = open_folder(state, err);
	return r == 0 ? state_lock(state, err) : r;
}

/* A file of the container's folder, which nobody but the caller could have written. */
static int read_own(const struct state *state, const char *name, struct buf *text, struct err *err)
{
	CLEANUP_CLOSE int fd = openat(state->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0 && errno == ELOOP)
		return err_set(err, ERR_CORRUPT, "'%s' is a symbolic link", name);
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_sys(err, -errno, "cannot open '%s'", name);
	if (!S_ISREG(st.st_mode))
		return err_set(err, ERR_CORRUPT, "'%s' is not a regular file", name);
	r = check_owner(&st, name, ERR_CORRUPT, err);
	if (r < 0)
		return r;
	r = fdio_read_all(fd, text);
	if (r == -EFBIG)
		return err_set(err, ERR_CORRUPT, "'%s' is larger than %zu bytes", name, text->max);
	return r < 0 ? err_sys(err, r, "cannot read '%s'", name) : 0;
}

static int load(struct state *state, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(SPEC_BYTES_MAX);
	int r = read_own(state, "state.json", &text, err);

	if (r == 0)
		r = state_file_parse(text.data, text.len, state, err);
	if (r == 0)
		return 0;
	(void)err_prefix(err, "container '%s'", state->id);
	return err_hint(err, "'delete --force' takes away what can be found of it");
}

/* What is known when state.json is damaged: the control group, by the configuration kept beside it. */
static int recover(struct state *state, struct err *err)
{
	CLEANUP_SPEC struct spec spec = {0};
	struct err unreadable;
	int r;

	json_decref(state->annotations);
	state->annotations = NULL;
	state->pid = 0;
	state->hooks = ~0u;
	state->recovered = true;
	state->bundle[0] = '\0';
	r = state_load_spec(state, &spec, &unreadable);
	if (r == 0)
		r = state_group_path(state, &spec, &unreadable);
	if (r < 0)
		return err_set(err, r, "container '%s': neither state.json nor config.json tell what it is: %s",
			       state->id, unreadable.msg);
	return 0;
}

int state_group_path(struct state *state, const struct spec *spec, struct err *err)
{
	const char *path = spec->linux_.cgroups_path;
	CLEANUP_FREE char *own = str_format("/bulkhead-%s", state->id);

	if (!own)
		return err_set(err, -ENOMEM, "no memory");
	if (!path || !path[0])
		path = own;
	return str_copy(state->cgroup, sizeof(state->cgroup), path) < 0 ? err_set(err, ERR_INVALID, "is too long") : 0;
}

void state_owner(const struct state *state, char to[STATE_OWNER_MAX])
{
	struct stat st = {0};

	(void)fstat(state->dir, &st);
	(void)snprintf(to, STATE_OWNER_MAX, "%llx:%llx %s", (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino, state->id);
}

int state_load(struct state *state, int root, const char *id, bool *ret_broken, struct err *err)
{
	int r = begin(state, root, id, err);

	if (r == 0)
		r = open_folder(state, err);
	if (r == 0)
		r = state_lock(state, err);
	if (r < 0)
		return r;
	r = load(state, err);
	if (!ret_broken || (r != ERR_CORRUPT && r != -ENOENT))
		return r;
	*ret_broken = true;
	/* Nothing is made before state.json is there. */
	return r == ERR_CORRUPT ? recover(state, err) : 0;
}

int state_peek(struct state *state, int root, const char *id, struct err *err)
{
	int r = begin(state, root, id, err);

	if (r == 0)
		r = open_folder(state, err);
	return r == 0 ? load(state, err) : r;
}

int state_write_file(const struct state *state, const char *name, const void *bytes, size_t len, struct err *err)
{
	static const char temporary[] = ".new";
	CLEANUP_CLOSE int fd = openat(state->dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
				      0600);
	int r = fd < 0 ? -errno : fdio_write_all(fd, bytes, len);

	if (r == 0 && renameat(state->dir, temporary, state->dir, name) < 0)
		r = -errno;
	return r < 0 ? err_sys(err, r, "container '%s': cannot write '%s'", state->id, name) : 0;
}

int state_save(const struct state *state, struct err *err)
{
	CLEANUP_FREE char *text = state_file_format(state);

	if (!text)
		return err_set(err, ERR_INVALID, "container '%s': its state cannot be written as JSON", state->id);
	return state_write_file(state, "state.json", text, strlen(text), err);
}

void state_done(struct state *state)
{
	if (state->dir >= 0)
		(void)close(take_fd(&state->dir));
	if (state->root >= 0)
		(void)close(take_fd(&state->root));
	json_decref(state->annotations);
	state->annotations = NULL;
	if (state->groups)
		cgroup_done(state->groups);
	free(state->groups);
	state->groups = NULL;
}

int state_remove(struct state *state, struct err *err)
{
	static const char *const files[] = {"config.json", STATE_SOCKET, STATE_STARTING, "spawner", "state.json"};

	/* What is usually there, by name; else whatever there is. */
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		(void)unlinkat(state->dir, files[i], 0);
	if (unlinkat(state->root, state->id, AT_REMOVEDIR) == 0)
		return 0;
	return fdio_remove_tree(state->root, state->id, err);
}

int state_process_start(pid_t pid, uint64_t *ret_start)
{
	CLEANUP_BUF struct buf text = buf_of(4096);
	char path[64], *at, *save = NULL;
	uint64_t threads;
	bool ended;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	if (fdio_read_file(AT_FDCWD, path, &text, NULL) < 0)
		return -ESRCH;
	/* The command name may hold anything: what follows begins behind the last parenthesis. */
	at = strrchr(text.data, ')');
	if (!at)
		return -ESRCH;
	at = strtok_r(at + 1, " ", &save);
	if (!at || at[0] == 'X')
		return -ESRCH;
	ended = at[0] == 'Z';
	for (int field = 3; at && field < 22; field++) {
		at = strtok_r(NULL, " ", &save);
		/* Field 20 counts the threads: a main thread that ended before the others is a zombie, the process lives. */
		if (ended && field + 1 == 20 && (!at || str_parse_u64(at, INT64_MAX, &threads) < 0 || threads <= 1))
			return -ESRCH;
	}
	return at && str_parse_u64(at, INT64_MAX, ret_start) == 0 ? 0 : -ESRCH;
}

int state_open_process(const struct state *state, int *ret_pidfd)
{
	CLEANUP_CLOSE int pidfd = pidfd_open(state->pid, 0);
	uint64_t start;

	if (pidfd < 0)
		return -errno;
	/* Asked after the number was resolved: who has it now had it then. */
	if (state_process_start(state->pid, &start) < 0 || start != state->start_time)
		return -ESRCH;
	*ret_pidfd = take_fd(&pidfd);
	return 0;
}

int state_signal(const struct state *state, int number)
{
	CLEANUP_CLOSE int pidfd = -1;
	int r = state_open_process(state, &pidfd);

	if (r < 0)
		return r;
	return pidfd_send_signal(pidfd, number, NULL, 0) < 0 ? -errno : 0;
}

static bool has_file(const struct state *state, const char *name)
{
	return faccessat(state->dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

enum state_status state_status_of(const struct state *state)
{
	uint64_t start;

	if (state->pid == 0)
		return STATE_CREATING;
	if (state_process_start(state->pid, &start) < 0 || start != state->start_time)
		return STATE_STOPPED;
	return has_file(state, STATE_SOCKET) || has_file(state, STATE_STARTING) ? STATE_CREATED : STATE_RUNNING;
}

json_t *state_to_json(const struct state *state, enum state_status status)
{
	json_t *json = json_build("{s:s, s:s, s:s, s:s, s:s, s:s, s:O*}", "ociVersion", "1.2.0", "id", state->id,
				  "status", state_status_name(status), "bundle", state->bundle, "created",
				  state->created, "owner", "root", "annotations", state->annotations);

	if (json && status != STATE_STOPPED && status != STATE_CREATING)
		(void)json_object_set_new(json, "pid", json_integer(state->pid));
	return json;
}

bool state_has_hooks(const struct state *state, enum spec_hook_phase phase)
{
	return (state->hooks >> phase & 1) != 0;
}

int state_load_spec(const struct state *state, struct spec *ret_spec, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(SPEC_BYTES_MAX);
	int r = read_own(state, "config.json", &text, err);

	return r < 0 ? r : spec_parse(ret_spec, text.data, text.len, err);
}
