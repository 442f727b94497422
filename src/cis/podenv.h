/* SPDX-License-Identifier: Apache-2.0 */
/* What a container's first process is started with: arguments, environment, user. */
#ifndef CIS_PODENV_H
#define CIS_PODENV_H

#include "cis/podsource.h"
#include "oci/image_config.h"

struct podenv {
	const struct podspec *spec;
	const struct podspec_container *container;
	const struct image_config *image;
	const json_t *objects; /* as podsource_value reads them */
	struct podsource_place place;
};

/*
 * The whole "process" of an OCI runtime spec but for its capabilities: args, env, cwd, user, noNewPrivileges. The image
 * says what the pod does not. ERR_INVALID, ERR_NOT_FOUND, ERR_DENIED (runAsNonRoot) with the container named.
 */
int podenv_process(const struct podenv *env, json_t **ret_process, struct err *err) MUST_CHECK;

/* The numeric user and group of the container's first process. */
int podenv_user(const struct podenv *env, uint32_t *ret_user, uint32_t *ret_group, struct err *err) MUST_CHECK;

#endif
