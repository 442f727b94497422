/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/rootless.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fdio.h"
#include "base/proc.h"
#include "base/str.h"

#define LINES_MAX 64

bool rootless_knows_superuser(void)
{
	CLEANUP_BUF struct buf text = buf_of(4096);
	char *save = NULL, *words[3] = {NULL};

	if (fdio_read_file(AT_FDCWD, "/proc/self/uid_map", &text, NULL) < 0 || !text.len)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		words[i] = strtok_r(i ? NULL : text.data, " \n", &save);
	return words[2] && str_eq(words[0], "0") && str_eq(words[1], "0") && str_eq(words[2], "4294967295");
}

bool rootless_is(void)
{
	static int known = -1;

	if (known < 0)
		known = geteuid() != 0 || !rootless_knows_superuser();
	return known;
}

bool rootless_is_plain(void)
{
	return geteuid() != 0;
}

int rootless_state_root(char *to, size_t size, struct err *err)
{
	const char *folder = getenv("XDG_RUNTIME_DIR");

	if (!folder || folder[0] != '/')
		return err_set(err, ERR_INVALID,
			       "XDG_RUNTIME_DIR is not set: --root must say where the containers' state lies");
	return snprintf(to, size, "%s/bulkhead-runtime", folder) < (int)size
		       ? 0
		       : err_set(err, ERR_INVALID, "XDG_RUNTIME_DIR is too long");
}

struct lines {
	uint32_t first[LINES_MAX];
	uint32_t count[LINES_MAX];
	size_t used;
};

static bool has_id(const struct lines *lines, uint32_t id)
{
	for (size_t i = 0; i < lines->used; i++)
		if (id >= lines->first[i] && id - lines->first[i] < lines->count[i])
			return true;
	return false;
}

/* Every outer id of the map, each as itself, and the own one. */
static int list_ids(struct lines *to, const struct spec_idmaps *maps, uint32_t own, const char *field, struct err *err)
{
	if (maps->count > LINES_MAX - 1)
		return err_set(err, ERR_INVALID, "config.json: linux.%s: has more than %d lines", field, LINES_MAX - 1);
	for (size_t i = 0; i < maps->count; i++) {
		to->first[to->used] = maps->items[i].host;
		to->count[to->used++] = maps->items[i].size;
	}
	if (!has_id(to, own)) {
		to->first[to->used] = own;
		to->count[to->used++] = 1;
	}
	return 0;
}

static bool is_single(const struct lines *lines, uint32_t own)
{
	return lines->used == 1 && lines->first[0] == own && lines->count[0] == 1;
}

static int write_file(const char *path, const char *text)
{
	CLEANUP_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

/* What everybody may do: the own id alone, and groups that stay as they are. */
static int map_single(uint32_t uid, uint32_t gid, struct err *err)
{
	char uids[64], gids[64];
	int r = write_file("/proc/self/setgroups", "deny");

	(void)snprintf(uids, sizeof(uids), "%u %u 1\n", uid, uid);
	(void)snprintf(gids, sizeof(gids), "%u %u 1\n", gid, gid);
	if (r == 0)
		r = write_file("/proc/self/uid_map", uids);
	if (r == 0)
		r = write_file("/proc/self/gid_map", gids);
	return r < 0 ? err_sys(err, r, "cannot map the own ids in a user namespace") : 0;
}

static int run_mapper(const char *program, pid_t pid, const struct lines *lines, struct err *err)
{
	static char words[3 * LINES_MAX + 1][16];
	const char *argv[3 * LINES_MAX + 3] = {program, words[0]};
	size_t used = 1;

	(void)snprintf(words[0], sizeof(words[0]), "%d", (int)pid);
	for (size_t i = 0; i < lines->used; i++) {
		const uint32_t numbers[] = {lines->first[i], lines->first[i], lines->count[i]};

		for (size_t j = 0; j < ARRAY_SIZE(numbers); j++) {
			(void)snprintf(words[used], sizeof(words[used]), "%u", numbers[j]);
			argv[used + 1] = words[used];
			used++;
		}
	}
	return proc_run(program, argv, NULL, NULL, NULL, 10000, err);
}

/* The mappers work for a process of the same user outside of the namespace: a child from before it. */
static _Noreturn void map_from_outside(pid_t pid, int go, int answer, const struct lines *uids,
				       const struct lines *gids)
{
	struct err err = {0};
	char byte;
	int r;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	r = fdio_read_exact(go, &byte, 1);
	if (r == 0)
		r = run_mapper("/usr/bin/newuidmap", pid, uids, &err);
	if (r == 0)
		r = run_mapper("/usr/bin/newgidmap", pid, gids, &err);
	_exit(fdio_write_all(answer, &err, sizeof(err)) < 0);
}

struct mapper {
	pid_t pid;
	int go;
	int answer;
};

static int start_mapper(struct mapper *mapper, const struct lines *uids, const struct lines *gids, struct err *err)
{
	int go[2], answer[2];
	pid_t own = getpid();

	if (pipe2(go, O_CLOEXEC) < 0)
		return err_sys(err, -errno, "cannot make a pipe");
	if (pipe2(answer, O_CLOEXEC) < 0) {
		(void)close(go[0]);
		(void)close(go[1]);
		return err_sys(err, -errno, "cannot make a pipe");
	}
	mapper->pid = fork();
	if (mapper->pid == 0) {
		(void)close(go[1]);
		(void)close(answer[0]);
		map_from_outside(own, go[0], answer[1], uids, gids);
	}
	(void)close(go[0]);
	(void)close(answer[1]);
	mapper->go = go[1];
	mapper->answer = answer[0];
	return mapper->pid < 0 ? err_sys(err, -errno, "cannot make a process") : 0;
}

static int end_mapper(struct mapper *mapper, bool go, struct err *err)
{
	struct err answer = {0};
	int r = 0;

	if (go &&
	    (fdio_write_all(mapper->go, "", 1) < 0 || fdio_read_exact(mapper->answer, &answer, sizeof(answer)) < 0))
		r = err_set(err, -ECHILD, "the ids were not mapped");
	(void)close(mapper->go);
	(void)close(mapper->answer);
	while (mapper->pid > 0 && waitpid(mapper->pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (r < 0 || answer.code == 0)
		return r;
	*err = answer;
	(void)err_prefix(err, "config.json: linux.uidMappings");
	return err_hint(err, "newuidmap and newgidmap map what /etc/subuid and /etc/subgid give to the user");
}

static int enter_namespaces(struct err *err)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0)
		return 0;
	(void)err_sys(err, -errno, "cannot make a user namespace as this user");
	return err_hint(err, "the settings user.max_user_namespaces and kernel.unprivileged_userns_clone allow it");
}

int rootless_enter(const struct spec *spec, struct err *err)
{
	const struct spec_linux *linux_ = &spec->linux_;
	uint32_t uid = geteuid(), gid = getegid();
	struct lines uids = {0}, gids = {0};
	struct mapper mapper = {0};
	int r;

	if (!linux_->namespaces[SPEC_NS_USER].wanted || linux_->namespaces[SPEC_NS_USER].path)
		return err_set(err, ERR_INVALID,
			       "config.json: linux.namespaces: an ordinary user needs a new user namespace");
	r = list_ids(&uids, &linux_->uid_maps, uid, "uidMappings", err);
	if (r == 0)
		r = list_ids(&gids, &linux_->gid_maps, gid, "gidMappings", err);
	if (r < 0)
		return r;
	if (is_single(&uids, uid) && is_single(&gids, gid)) {
		r = enter_namespaces(err);
		return r == 0 ? map_single(uid, gid, err) : r;
	}
	r = start_mapper(&mapper, &uids, &gids, err);
	if (r < 0)
		return r;
	r = enter_namespaces(err);
	return r == 0 ? end_mapper(&mapper, true, err) : (end_mapper(&mapper, false, NULL), r);
}
