/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the runtime remembers of a container: a folder below --root, named by the id, 0700, with state.json (replaced as
 * a whole), the config.json it was made from, and the socket that a created container waits at.
 */
#ifndef RUNTIME_STATE_H
#define RUNTIME_STATE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "oci/spec.h"
#include "sandbox/cgroup.h"

#define STATE_ID_MAX 255
#define STATE_SOCKET "start"
#define STATE_STARTING "starting" /* the same while somebody has gone there */
#define STATE_FILTERS ".filters"  /* beside the containers, none of which begins with a dot: compiled filters */

enum state_status { STATE_CREATING, STATE_CREATED, STATE_RUNNING, STATE_PAUSED, STATE_STOPPED };

struct state {
	int root; /* the folder of all containers */
	int dir;  /* this container's folder */
	char id[STATE_ID_MAX + 1];
	pid_t pid;           /* 0 until there is a process */
	uint64_t start_time; /* of the process, in clock ticks since boot: pids are used again */
	char bundle[4096];
	const char *ceiling; /* the folder that bounds what its hooks may be, the command's; NULL: the machine's */
	char cgroup[1100];
	char created[32];
	unsigned int hooks;    /* bit SPEC_POSTSTART and the like: that phase has some; all bits when it is not known */
	json_t *annotations;   /* object or NULL; owned */
	struct cgroup *groups; /* the control groups as the making command holds them open; owned; NULL: to be found */
	bool ended;            /* whoever has it removed has seen that its process ended */
	bool recovered;        /* state.json was damaged, so that pid 0 says nothing */
	bool gone;             /* another command deleted it while this one had let go of the lock */
};

#define STATE_OWNER_MAX (STATE_ID_MAX + 64)

/* The word of the specification ("running"). */
const char *state_status_name(enum state_status status);

/* Opens (make: makes) the folder of all containers. ERR_DENIED when others than the caller may write to it. */
int state_open_root(const char *path, bool make, int *ret_fd, struct err *err) MUST_CHECK;

/* Refuses ids that are no plain file name. */
int state_check_id(const char *id, struct err *err) MUST_CHECK;

/* Makes a new container's folder, locked. ERR_EXISTS when the id is taken. The caller ends with state_done. */
int state_new(struct state *state, int root, const char *id, struct err *err) MUST_CHECK;

/*
 * Opens a container's folder and locks it against other commands, then reads state.json. ERR_NOT_FOUND when there is no
 * such container, ERR_DENIED when somebody else could have written it. `broken` (may be NULL) takes a folder whose creator
 * died or whose state.json is damaged or of another version: pid is 0 then, and the control group is what config.json
 * says if there was one; without it that is an error.
 */
int state_load(struct state *state, int root, const char *id, bool *ret_broken, struct err *err) MUST_CHECK;

/* Sets the path of the container's control group: what config.json says, or one of its own. */
int state_group_path(struct state *state, const struct spec *spec, struct err *err) MUST_CHECK;

/* What a control group is marked with as this container's: no other one's, whatever its id and its folder's place. */
void state_owner(const struct state *state, char to[STATE_OWNER_MAX]);

/* As state_load without waiting for the lock: for looking only. */
int state_peek(struct state *state, int root, const char *id, struct err *err) MUST_CHECK;

/* Lets other commands at the container, and takes it back; ERR_NOT_FOUND when one of them deleted it. */
void state_unlock(struct state *state);
int state_lock(struct state *state, struct err *err) MUST_CHECK;

/*
 * Writes a file of the container's folder so that readers see the old or the new one. It is not forced to disk: nothing
 * of it is true after the machine stopped.
 */
int state_write_file(const struct state *state, const char *name, const void *bytes, size_t len,
		     struct err *err) MUST_CHECK;

/* Writes state.json. */
int state_save(const struct state *state, struct err *err) MUST_CHECK;

/* Closes it; the folder stays. */
void state_done(struct state *state);

/* Removes the folder with all that is in it. */
int state_remove(struct state *state, struct err *err) MUST_CHECK;

/* Whether the container's first process lives, and what state that makes. Paused is for the caller to find. */
enum state_status state_status_of(const struct state *state);

/* The start time of a process in clock ticks; -ESRCH when it is gone or a zombie. */
int state_process_start(pid_t pid, uint64_t *ret_start) MUST_CHECK;

/* A descriptor of the container's first process, and of no other that got its number. -ESRCH when it has ended. */
int state_open_process(const struct state *state, int *ret_pidfd) MUST_CHECK;

/* Signals the container's first process, and no other that got its number. -ESRCH when it has ended. */
int state_signal(const struct state *state, int number) MUST_CHECK;

/* The state as the specification prints it. The caller owns the object; NULL without memory. */
json_t *state_to_json(const struct state *state, enum state_status status);

/* Whether config.json has hooks of this phase: without, there is no need to read it again. */
bool state_has_hooks(const struct state *state, enum spec_hook_phase phase);

/* Reads the config.json kept at create. The caller ends with spec_done. */
int state_load_spec(const struct state *state, struct spec *ret_spec, struct err *err) MUST_CHECK;

#endif
