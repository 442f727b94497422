/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>

#include "base/str.h"
#include "sandbox/cgroup.h"
#include "sandbox/cgroup_file.h"

/* Descriptors of processes that are open at a time. */
#define HELD_MAX 64
/* Those that listing the processes of a group takes, one for each level of it. */
#define ROOM 8
#define QUICK_ROUNDS 4
#define KILL_ROUNDS 16

bool cgroup_is_frozen(struct cgroup *cgroup)
{
	int legacy = cgroup_controller_fd(cgroup, "freezer");
	char value[32] = "";

	if (legacy >= 0)
		return cgroup_file_read(legacy, "freezer.state", value, sizeof(value)) == 0 && !str_eq(value, "THAWED");
	return cgroup_unified_fd(cgroup) >= 0 &&
	       cgroup_file_read(cgroup_unified_fd(cgroup), "cgroup.freeze", value, sizeof(value)) == 0 &&
	       str_eq(value, "1");
}

static bool freeze_reached(int legacy, int unified, bool frozen)
{
	char value[256] = "";

	if (legacy >= 0)
		return cgroup_file_read(legacy, "freezer.state", value, sizeof(value)) == 0 &&
		       str_eq(value, frozen ? "FROZEN" : "THAWED");
	return cgroup_file_read(unified, "cgroup.events", value, sizeof(value)) == 0 &&
	       strstr(value, frozen ? "frozen 1" : "frozen 0");
}

static int ask(int legacy, int unified, bool frozen)
{
	return legacy >= 0 ? cgroup_file_write(legacy, "freezer.state", frozen ? "FROZEN" : "THAWED")
			   : cgroup_file_write(unified, "cgroup.freeze", frozen ? "1" : "0");
}

int cgroup_freeze(struct cgroup *cgroup, bool frozen, struct err *err)
{
	int legacy = cgroup_controller_fd(cgroup, "freezer"), unified = cgroup_unified_fd(cgroup);
	int r;

	if (legacy < 0 && unified < 0)
		return err_set(err, -EOPNOTSUPP, "control group '%s' cannot be frozen: no freezer", cgroup->path);
	for (int tries = 0; tries < 2000; tries++) {
		/* Version 1 may stay on its way while processes fork: asking again moves it on. */
		r = ask(legacy, unified, frozen);
		if (r < 0)
			return err_sys(err, r, "cannot freeze or thaw control group '%s'", cgroup->path);
		if (freeze_reached(legacy, unified, frozen))
			return 0;
		(void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	}
	/* Half frozen would be neither: those that stopped go on. */
	if (frozen)
		(void)ask(legacy, unified, false);
	return err_set(err, -ETIMEDOUT, "control group '%s' does not %s", cgroup->path, frozen ? "freeze" : "thaw");
}

static int compare(const void *a, const void *b)
{
	const pid_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

/* Those in sight now, in order. */
static int list_sorted(struct cgroup *cgroup, pid_t **ret_pids, size_t *ret_count, struct err *err)
{
	int r = cgroup_pids(cgroup, ret_pids, ret_count, err);

	if (r == 0 && *ret_count)
		qsort(*ret_pids, *ret_count, sizeof(**ret_pids), compare);
	return r;
}

/* As many as there is room for; listing the processes takes descriptors too. -EMFILE when there is room for none. */
static int hold(const pid_t *pids, size_t count, int *held, size_t *ret_count)
{
	size_t most = count;

	for (size_t i = 0; i < most; i++) {
		held[i] = pidfd_open(pids[i], 0);
		if (held[i] >= 0 || (errno != EMFILE && errno != ENFILE))
			continue;
		most = i > ROOM ? i - ROOM : i > 2;
		for (size_t k = most; k < i; k++)
			if (held[k] >= 0)
				(void)close(held[k]);
	}
	*ret_count = most;
	return most ? 0 : -EMFILE;
}

/*
 * A number may have become another process's since it was listed. A process that is held by a descriptor and whose number
 * is listed once more is one of the group's.
 */
static int signal_some(struct cgroup *cgroup, const pid_t *pids, size_t count, int signal, size_t *ret_done,
		       struct err *err)
{
	CLEANUP_FREE pid_t *again = NULL;
	int held[HELD_MAX];
	size_t listed;
	int r = hold(pids, count, held, ret_done);

	if (r < 0)
		return err_sys(err, r, "cannot signal process %d", (int)pids[0]);
	r = list_sorted(cgroup, &again, &listed, err);
	for (size_t i = 0; i < *ret_done; i++) {
		if (held[i] < 0)
			continue;
		if (r == 0 && listed && bsearch(&pids[i], again, listed, sizeof(*again), compare) &&
		    pidfd_send_signal(held[i], signal, NULL, 0) < 0 && errno != ESRCH)
			r = err_sys(err, -errno, "cannot signal process %d", (int)pids[i]);
		(void)close(held[i]);
	}
	return r;
}

static int signal_all(struct cgroup *cgroup, int signal, size_t *ret_count, struct err *err)
{
	CLEANUP_FREE pid_t *pids = NULL;
	int r = cgroup_pids(cgroup, &pids, ret_count, err);

	for (size_t i = 0, done; r == 0 && i < *ret_count; i += done)
		r = signal_some(cgroup, pids + i, *ret_count - i < HELD_MAX ? *ret_count - i : HELD_MAX, signal, &done,
				err);
	return r;
}

/* What is killed while frozen dies when it is thawed, and until then makes no process. */
static int kill_round(struct cgroup *cgroup, bool *freeze, size_t *ret_count, struct err *err)
{
	struct err ignored;
	int r, thawed = 0;

	/* One that cannot be stopped, deep in the kernel, makes no process either. */
	if (*freeze)
		*freeze = cgroup_freeze(cgroup, true, &ignored) == 0;
	r = signal_all(cgroup, SIGKILL, ret_count, err);
	if (cgroup_is_frozen(cgroup))
		thawed = cgroup_freeze(cgroup, false, r == 0 ? err : &ignored);
	return r == 0 ? thawed : r;
}

/* Processes that make others faster than they can be listed and killed are stopped first. */
static int kill_all(struct cgroup *cgroup, struct err *err)
{
	bool freeze = false;

	for (int round = 0; round < KILL_ROUNDS; round++) {
		size_t count;
		int r;

		freeze = freeze || round == QUICK_ROUNDS;
		r = kill_round(cgroup, &freeze, &count, err);
		if (r < 0 || count == 0)
			return r;
		if (round)
			(void)nanosleep(&(struct timespec){.tv_nsec = 200000L << (round < 6 ? round : 6)}, NULL);
	}
	/* What is left is on its way out, or in the kernel: whoever removes the group waits for it. */
	return 0;
}

/* Who was killed ends in the kernel, which before 6.18 takes the group's share of the processors: there may be next to none. */
static void lift_share(struct cgroup *cgroup)
{
	if (cgroup->only_unified)
		(void)cgroup_file_write(cgroup_unified_fd(cgroup), "cpu.max", "max");
	else
		(void)cgroup_file_write(cgroup_controller_fd(cgroup, "cpu"), "cpu.cfs_quota_us", "-1");
}

int cgroup_kill(struct cgroup *cgroup, int signal, struct err *err)
{
	int unified = cgroup_unified_fd(cgroup), r = 0;
	size_t count;

	if (signal != SIGKILL)
		return signal_all(cgroup, signal, &count, err);
	if (unified < 0 || cgroup_file_write(unified, "cgroup.kill", "1") < 0 || !cgroup->only_unified)
		r = kill_all(cgroup, err);
	lift_share(cgroup);
	return r;
}
