/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a ticket's pod asks of the instance, read once before anything starts. Every field of the pod is either honoured,
 * known to be none of the instance's business, or refused by its path: nothing is silently left out.
 */
#ifndef CIS_PODSPEC_H
#define CIS_PODSPEC_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/err.h"

#define PODSPEC_CONTAINERS_MAX 32
#define PODSPEC_VOLUMES_MAX 64
#define PODSPEC_GRACE_DEFAULT 30

enum podspec_restart { PODSPEC_RESTART_ALWAYS, PODSPEC_RESTART_ON_FAILURE, PODSPEC_RESTART_NEVER };

struct podspec_container {
	const char *name;
	const char *image;    /* host/repository@sha256:… */
	const json_t *object; /* of the pod's text */
	bool init;
	bool has_user, has_group, must_not_be_root;
	uint32_t user, group;
	int64_t cpu_milli;         /* limit */
	int64_t cpu_request_milli; /* 0: none */
	int64_t memory;            /* limit in bytes */
};

struct podspec {
	json_t *pod;
	const char *uid, *namespace, *name;
	const char *hostname;
	enum podspec_restart restart;
	int64_t grace_s;
	uint32_t pids;
	bool has_fs_group;
	uint32_t fs_group;
	struct podspec_container *containers; /* initContainers first, in their order */
	size_t count, init_count;
};

/* Reads a pod; it is referenced. ERR_INVALID or -EOPNOTSUPP with the path of the field. The caller frees it. */
int podspec_parse(json_t *pod, struct podspec **ret_spec, struct err *err) MUST_CHECK;
void podspec_free(struct podspec *spec);
CLEANUP_DEFINE(podspec, struct podspec *, podspec_free)

/* A container by name, NULL when there is none. */
const struct podspec_container *podspec_find(const struct podspec *spec, const char *name);

/* Group ids a container's first process gets besides its own; at most max. */
size_t podspec_groups(const struct podspec *spec, uint32_t *to, size_t max);

#endif
