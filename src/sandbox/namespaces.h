/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces: joined by descriptor, made by clone3, user namespaces with their id maps. */
#ifndef SANDBOX_NAMESPACES_H
#define SANDBOX_NAMESPACES_H

#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"
#include "oci/spec.h"
#include "sandbox/idmap.h"

/* The CLONE_NEW* flag of a namespace. */
uint64_t namespaces_flag(enum spec_namespace_type type);

/* Opens a namespace by path and checks that it is one of this type. The error names type and path. */
int namespaces_open(enum spec_namespace_type type, const char *path, int *ret_fd, struct err *err) MUST_CHECK;

/*
 * Makes a time namespace whose clocks are ahead by what config.json's timeOffsets say; nothing lives in it. The error
 * names the field.
 */
int namespaces_make_time(const struct spec_time_offset *monotonic, const struct spec_time_offset *boottime, int *ret_fd,
			 struct err *err) MUST_CHECK;

/* Makes a user namespace with these maps; nothing lives in it. */
int namespaces_make_user(const struct spec_idmaps *uids, const struct spec_idmaps *gids, int *ret_fd,
			 struct err *err) MUST_CHECK;

/* Gives the user namespace a process was born in its maps. */
int namespaces_write_maps(pid_t pid, const struct spec_idmaps *uids, const struct spec_idmaps *gids,
			  struct err *err) MUST_CHECK;

/* Reads the maps of the user namespace a process is in. */
int namespaces_read_maps(pid_t pid, struct idmap *uids, struct idmap *gids, struct err *err) MUST_CHECK;

/* Reads those of a user namespace by its descriptor. An error for the one this process is in: nobody joins that. */
int namespaces_read_maps_of(int user, struct idmap *uids, struct idmap *gids, struct err *err) MUST_CHECK;

/*
 * clone3 with fork's semantics: returns in both, 0 in the child. cgroup: a version 2 group to be born in, or -1.
 * Negative errno.
 */
pid_t namespaces_clone(uint64_t flags, int cgroup);

#endif
