/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine's ceiling applied to what a caller asks for (docs/ceiling.md): files are read, what config.json names is
 * looked at as what it really is, and the policy decides. What is over the ceiling is refused, or narrowed where the file
 * says so; what is missing gets its default.
 */
#ifndef RUNTIME_BOUNDS_H
#define RUNTIME_BOUNDS_H

#include <sys/types.h>

#include "base/buf.h"
#include "oci/spec.h"
#include "policy/runtime_ceiling.h"
#include "runtime/state.h"

#define BOUNDS_PARENT "/etc/bulkhead"
#define BOUNDS_FOLDER BOUNDS_PARENT "/runtime.d"

/* What a mount's source, the root or a namespace was when it was judged, if it was. */
struct bounds_identity {
	bool judged;
	dev_t dev;
	ino_t ino;
};

struct bounds {
	const char *folder;               /* as bounds_load was given it */
	struct runtime_ceiling *ceilings; /* in the order of their names */
	size_t count;
	struct runtime_ceiling_machine machine;
	char **notes; /* sentences for the log: what was narrowed or added */
	size_t note_count;
	struct bounds_identity *mounts; /* by the index in the final config.json */
	size_t mount_count;
	struct bounds_identity root;
	struct bounds_identity namespaces[SPEC_NS_TYPES];
	struct bounds_calls *calls; /* NULL: no file speaks of system calls */
	bool user_added;            /* the owners of the root and of every bind mount are mapped then */
};

/*
 * Reads the ceiling: every *.json in the folder (NULL: BOUNDS_FOLDER; none there: no files). A file or folder that is
 * not the superuser's alone to write, or cannot be read, is an error: nothing may start then. The caller ends with
 * bounds_done, also after an error.
 */
int bounds_load(struct bounds *bounds, const char *folder, struct err *err) MUST_CHECK;
void bounds_done(struct bounds *bounds);

/* Replaces a configuration by an edited one. */
int bounds_take_config(struct buf *text, struct spec *spec, const json_t *config, struct err *err) MUST_CHECK;

/* Keeps a sentence for the log. Without memory it is lost. */
void bounds_note(struct bounds *bounds, const char *format, ...) PRINTF_LIKE(2, 3);

/*
 * Before anything else: a user namespace by path that is the machine's own is none, and is taken out; another one is
 * noted, so that it is what is joined. text and spec are replaced.
 */
int bounds_settle_user(struct bounds *bounds, struct buf *text, struct spec *spec, struct err *err) MUST_CHECK;

/*
 * Holds a config.json against the ceiling and fills in the limits it lacks. text and spec are replaced by what holds from
 * now on. bundle is what relative sources start at. ERR_DENIED with the field and the rule.
 */
int bounds_apply(struct bounds *bounds, int bundle, struct buf *text, struct spec *spec, struct err *err) MUST_CHECK;

/*
 * Gives the container a user namespace when the caller did not, the ceiling wants it and it can be had: with ids of its
 * own until its state is removed. After bounds_apply. ERR_DENIED when one is demanded and none can be had.
 */
int bounds_add_user(struct bounds *bounds, const struct state *state, int bundle, struct buf *text, struct spec *spec,
		    struct err *err) MUST_CHECK;

/* The same without doing it: 1 when the container would get one. */
int bounds_would_add_user(struct bounds *bounds, int bundle, const struct spec *spec, struct err *err) MUST_CHECK;

/*
 * Limits that are inherited count as well: lowers those of a process (0: this one) to what the ceiling has at most, and so
 * for all that come from it. bounds may be NULL. bounds_apply and bounds_apply_process do it for this process.
 */
int bounds_lower_limits(const struct bounds *bounds, pid_t pid, struct err *err) MUST_CHECK;

/*
 * The hooks of a container that was made before: those that are over the ceiling of now are taken out of spec. folder as in
 * bounds_load. On an error none may be run.
 */
int bounds_hooks_later(const char *folder, struct spec *spec, struct err *err) MUST_CHECK;

/* Inside of bounds*.c: what was judged is what is run: hooks get their real paths. 1 when one had another. */
int bounds_hooks_pin(const struct bounds *bounds, struct buf *text, struct spec *spec, struct err *err) MUST_CHECK;

/* The same for a process to add (exec), and for new limits of a container (update): changed in place. */
int bounds_apply_process(struct bounds *bounds, struct spec_process *process, struct err *err) MUST_CHECK;
int bounds_apply_resources(struct bounds *bounds, struct spec_resources *resources, struct err *err) MUST_CHECK;

/* The profile that no filter may be looser than, for as long as bounds lives; NULL: none. bounds may be NULL. */
const struct spec_seccomp *bounds_calls(const struct bounds *bounds);

/* Inside of bounds*.c: builds and frees that profile; NULL when no file speaks of system calls. */
int bounds_calls_new(const struct bounds *bounds, struct bounds_calls **ret_calls, struct err *err) MUST_CHECK;
void bounds_calls_done(struct bounds_calls *calls);

/* Whether what was opened is what was judged. bounds may be NULL: nothing was. ERR_DENIED. */
int bounds_verify_mount(const struct bounds *bounds, size_t index, int fd, struct err *err) MUST_CHECK;
int bounds_verify_root(const struct bounds *bounds, int fd, struct err *err) MUST_CHECK;
int bounds_verify_namespace(const struct bounds *bounds, enum spec_namespace_type type, int fd,
			    struct err *err) MUST_CHECK;

#endif
