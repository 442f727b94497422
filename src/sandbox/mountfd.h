/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts as descriptors: made detached, finished while nobody sees them, attached to a descriptor. Never by path. */
#ifndef SANDBOX_MOUNTFD_H
#define SANDBOX_MOUNTFD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "oci/spec.h"

/* What a mount's option words ask for. */
struct mountfd_options {
	uint64_t set;         /* MOUNT_ATTR_* to set */
	uint64_t clear;       /* MOUNT_ATTR_* to clear */
	uint64_t clear_below; /* those to clear on the mounts below too */
	uint64_t propagation; /* MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE; 0 when not asked */
	bool bind;
	bool recursive;
	bool idmap;
	bool idmap_below;     /* on the mounts below too */
	bool copy_up;         /* "tmpcopyup": a tmpfs begins with what it lies over */
	bool exec_asked;      /* "exec" stands among the options */
	const char *data[16]; /* further words, for the file system itself; kept by reference */
	size_t data_count;
};

/* Sorts the option words. ERR_INVALID names the word that is refused. */
int mountfd_options_read(struct mountfd_options *to, const struct spec_strings *words, struct err *err) MUST_CHECK;

/* The index-th word that has its effect, for listing; NULL behind the last. */
const char *mountfd_option_name(size_t index);

/*
 * The first word that is neither an option of every mount nor one that a bind mount may ignore, because it only says how
 * large or whose a new file system is; NULL when there is none.
 */
const char *mountfd_option_unknown(const struct mountfd_options *options);

/* A detached copy of the mount at dir/path, with its submounts when recursive. path "" means dir itself. */
int mountfd_clone(int dir, const char *path, bool recursive, int *ret_fd) MUST_CHECK;

/*
 * A detached mount of a new file system. source is what the mount table names it by, NULL for the type; data are "key"
 * or "key=value" words. The error quotes the word refused.
 */
int mountfd_new(const char *type, const char *source, const char *const *data, size_t data_count, uint64_t attributes,
		int *ret_fd, struct err *err) MUST_CHECK;

/* Changes the attributes and, unless 0, the propagation of a detached or attached mount. */
int mountfd_set(int fd, bool recursive, uint64_t set, uint64_t clear, uint64_t propagation) MUST_CHECK;

/* Maps the owners on a detached mount through a user namespace. */
int mountfd_idmap(int fd, bool recursive, int user_namespace) MUST_CHECK;

/* Attaches a detached mount onto what target (O_PATH) points to. */
int mountfd_attach(int fd, int target) MUST_CHECK;

#endif
