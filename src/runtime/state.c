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
#include "base/str.h"

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

int state_open_root(const char *path, bool make, int *ret_fd, struct err *err)
{
	if (make) {
		int r = fdio_mkdir_all(AT_FDCWD, path, 0700, err);

		if (r < 0)
			return r;
	}
	return fdio_open_dir(AT_FDCWD, path, ret_fd, err);
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
	    by_fd.st_ino != by_name.st_ino)
		return err_set(err, ERR_NOT_FOUND, "container '%s' does not exist", state->id);
	return 0;
}

void state_unlock(struct state *state)
{
	(void)flock(state->dir, LOCK_UN);
}

static int open_folder(struct state *state, struct err *err)
{
	int r = fdio_open_dir(state->root, state->id, &state->dir, NULL);

	if (r == -ENOENT)
		return err_set(err, ERR_NOT_FOUND, "container '%s' does not exist", state->id);
	if (r < 0)
		return err_sys(err, r, "container '%s': cannot open its state", state->id);
	return 0;
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

static int copy_string(char *to, size_t size, const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value ? str_copy(to, size, value) : -EINVAL;
}

static int read_json(struct state *state, const json_t *json)
{
	json_t *annotations = json_object_get(json, "annotations");
	const json_t *pid = json_object_get(json, "pid"), *start = json_object_get(json, "startTime");
	const json_t *hooks = json_object_get(json, "hooks");

	if (!json_is_integer(pid) || json_integer_value(pid) < 0 || json_integer_value(pid) > INT32_MAX ||
	    !json_is_integer(start) || json_integer_value(start) < 0)
		return -EINVAL;
	state->pid = (pid_t)json_integer_value(pid);
	state->start_time = (uint64_t)json_integer_value(start);
	state->hooks = json_is_integer(hooks) ? (unsigned int)json_integer_value(hooks) : ~0u;
	if (json_is_object(annotations))
		state->annotations = json_incref(annotations);
	if (copy_string(state->bundle, sizeof(state->bundle), json, "bundle") < 0 ||
	    copy_string(state->cgroup, sizeof(state->cgroup), json, "cgroup") < 0)
		return -EINVAL;
	return copy_string(state->created, sizeof(state->created), json, "created");
}

static int load(struct state *state, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(SPEC_BYTES_MAX);
	json_error_t problem;
	json_t *json;
	int r = fdio_read_file(state->dir, "state.json", &text, err);
	json = r < 0 ? NULL : json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, &problem);
	r = json ? read_json(state, json) : ERR_CORRUPT;
	json_decref(json);
	return r < 0 ? err_set(err, ERR_CORRUPT, "container '%s': its state cannot be read", state->id) : 0;
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
	if (r < 0 && ret_broken) {
		state->pid = 0;
		*ret_broken = true;
		return 0;
	}
	return r;
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
	CLEANUP_FREE char *text = NULL;
	json_t *json = json_pack("{s:i, s:s, s:i, s:I, s:s, s:s, s:s, s:i, s:O*}", "version", 1, "id", state->id, "pid",
				 (int)state->pid, "startTime", (json_int_t)state->start_time, "bundle", state->bundle,
				 "cgroup", state->cgroup, "created", state->created, "hooks", (int)state->hooks,
				 "annotations", state->annotations);

	if (json)
		text = json_dumps(json, JSON_COMPACT);
	json_decref(json);
	if (!text)
		return err_set(err, -ENOMEM, "container '%s': no memory", state->id);
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
}

int state_remove(struct state *state, struct err *err)
{
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

int state_signal(const struct state *state, int number)
{
	CLEANUP_CLOSE int pidfd = pidfd_open(state->pid, 0);
	uint64_t start;

	if (pidfd < 0)
		return -errno;
	if (state_process_start(state->pid, &start) < 0 || start != state->start_time)
		return -ESRCH;
	return pidfd_send_signal(pidfd, number, NULL, 0) < 0 ? -errno : 0;
}

enum state_status state_status_of(const struct state *state)
{
	uint64_t start;

	if (state->pid == 0)
		return STATE_CREATING;
	if (state_process_start(state->pid, &start) < 0 || start != state->start_time)
		return STATE_STOPPED;
	return faccessat(state->dir, STATE_SOCKET, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? STATE_CREATED : STATE_RUNNING;
}

json_t *state_to_json(const struct state *state, enum state_status status)
{
	json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:O*}", "ociVersion", "1.2.0", "id", state->id,
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
	int r = fdio_read_file(state->dir, "config.json", &text, err);

	return r < 0 ? r : spec_parse(ret_spec, text.data, text.len, err);
}
