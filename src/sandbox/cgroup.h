/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Control groups behind one interface: version 1 hierarchies, version 2, and both side by side (hybrid). One container
 * has one group of the same relative path in every hierarchy of the machine.
 */
#ifndef SANDBOX_CGROUP_H
#define SANDBOX_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "oci/spec.h"

#define CGROUP_HIERARCHIES_MAX 24
#define CGROUP_PATH_MAX 1100

struct cgroup_hierarchy {
	char controllers[64]; /* "cpu,cpuacct", "name=systemd"; empty for version 2 */
	int mount;            /* O_PATH of where it is mounted */
	int group;            /* the container's group, -1 when there is none */
	bool found;           /* it was there when it should have been made */
};

struct cgroup {
	char path[CGROUP_PATH_MAX]; /* relative to each hierarchy's root, without a leading slash */
	struct cgroup_hierarchy hierarchies[CGROUP_HIERARCHIES_MAX];
	size_t count;
	int unified;       /* index of the version 2 hierarchy, -1 when there is none */
	bool only_unified; /* no version 1 controller is mounted */
	bool populated;    /* opened, so that processes may be in it: a group made later has to be given them */
};

/* Whether a hierarchy is version 2's. */
bool cgroup_is_unified(const struct cgroup_hierarchy *hierarchy);

/* Finds the machine's hierarchies, below /sys/fs/cgroup or else from /proc/self/mountinfo. path as in config.json. The caller ends with cgroup_done. */
int cgroup_init(struct cgroup *cgroup, const char *path, struct err *err) MUST_CHECK;
void cgroup_done(struct cgroup *cgroup);

/*
 * Refuses a group that is in use: with processes or groups of its own, or another owner, in any hierarchy. To be called before the path is
 * taken for the container's, since taking a container away kills and removes all that is there.
 */
int cgroup_check_unused(const struct cgroup *cgroup, const char *owner, struct err *err) MUST_CHECK;

/*
 * Makes the group with what is missing above it in the hierarchies that count or stop processes, and in those that have a
 * group above it; in others it is made when a limit asks for it.
 */
int cgroup_make(struct cgroup *cgroup, struct err *err) MUST_CHECK;

/* Only the version 2 group, which a process is born into: the others, entered later, can wait for cgroup_make. */
int cgroup_make_unified(struct cgroup *cgroup, struct err *err) MUST_CHECK;

/*
 * Takes the groups that were made, before any process is in them: of two that were told the same path, and found it unused,
 * one is refused. The claim is an attribute of the group, which nobody but its owner can set, and goes with it. Where the
 * kernel keeps none, the processes are the claim.
 */
int cgroup_claim(const struct cgroup *cgroup, const char *owner, struct err *err) MUST_CHECK;

/* Whose the group is, whether it is open or not. */
enum cgroup_claimed { CGROUP_UNCLAIMED, CGROUP_CLAIMED, CGROUP_CLAIMED_BY_OTHERS };
enum cgroup_claimed cgroup_claimed_by(const struct cgroup *cgroup, const char *owner);

/* Opens the group where it exists; hierarchies without it keep -1. */
int cgroup_open(struct cgroup *cgroup, struct err *err) MUST_CHECK;

/* Writes the limits. Errors name the JSON field and the group's file. */
int cgroup_limit(struct cgroup *cgroup, const struct spec_resources *resources, struct err *err) MUST_CHECK;

/*
 * Of a processor's quota and its period the one that is asked for alone is joined by the group's own: both together are
 * the limit. A group that cannot be read leaves them as they are.
 */
void cgroup_complete_quota(const struct cgroup *cgroup, struct spec_resources *resources);

/* As cgroup_limit for a group that has processes: devices are left as they are unless named. */
int cgroup_change(struct cgroup *cgroup, const struct spec_resources *resources, struct err *err) MUST_CHECK;

/*
 * Moves the calling, single-threaded process into the version 1 groups (cheap: it writes 0 to `tasks`); the version 2
 * group is entered by CLONE_INTO_CGROUP with cgroup_unified_fd. made: a bit for each hierarchy with a group, as
 * cgroup_made has them, perhaps in another process that made them since.
 */
int cgroup_enter_legacy(const struct cgroup *cgroup, uint32_t made, struct err *err) MUST_CHECK;
uint32_t cgroup_made(const struct cgroup *cgroup);

/*
 * Moves another single-threaded process into the version 1 groups that are open, at the kernel's cost of waiting for all
 * processors. One that has ended is no error.
 */
int cgroup_place_legacy(const struct cgroup *cgroup, pid_t pid, struct err *err) MUST_CHECK;

/* The descriptor for CLONE_INTO_CGROUP, -1 when there is no version 2 hierarchy. */
int cgroup_unified_fd(const struct cgroup *cgroup);

/*
 * Sends a signal to every process in the group and in those below it. For SIGKILL it thaws the group and lifts its limit
 * of the processors, for who ends needs some.
 */
int cgroup_kill(struct cgroup *cgroup, int signal, struct err *err) MUST_CHECK;

/* Lists the processes of the group and of those below it. The caller frees *ret_pids. */
int cgroup_pids(struct cgroup *cgroup, pid_t **ret_pids, size_t *ret_count, struct err *err) MUST_CHECK;

/* Stops or resumes all processes of the group and waits until that is so. */
int cgroup_freeze(struct cgroup *cgroup, bool frozen, struct err *err) MUST_CHECK;

/* Whether the group is frozen. */
bool cgroup_is_frozen(struct cgroup *cgroup);

/* How many processes of the group the kernel killed for memory; 0 when unknown. */
uint64_t cgroup_oom_kills(struct cgroup *cgroup);

/*
 * Removes the group where it has neither processes nor groups. True: it is gone from every hierarchy, so that nothing is
 * left to kill or to remove. The group need not be open.
 */
bool cgroup_remove_empty(const struct cgroup *cgroup);

/* As that, waiting up to two seconds for what is on its way out; what stays belongs to others. */
void cgroup_leave(const struct cgroup *cgroup);

/* Removes the group, waiting up to two seconds for dying processes to leave. Groups below it go too. */
int cgroup_remove(struct cgroup *cgroup, struct err *err) MUST_CHECK;

#endif
