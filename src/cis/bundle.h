/* SPDX-License-Identifier: Apache-2.0 */
/* The OCI runtime bundle of a container: config.json from the pod, the image and the pod's namespaces. */
#ifndef CIS_BUNDLE_H
#define CIS_BUNDLE_H

#include "cis/podenv.h"
#include "cis/podvolume.h"
#include "policy/domain.h"

struct bundle {
	struct podenv env;
	const struct podvolume *volume;
	const struct policy_domain *domain; /* whose ceiling bounds the capabilities */
	const json_t *namespaces;           /* {"user","network","ipc","uts"} paths, of the supervisor's state.json */
	const char *root;                   /* absolute path of the image's files */
	const char *cgroup;                 /* "/parent/podUID" */
	bool sensitive;                     /* an image of the pod is not of class Shared: no core files */
};

/* Builds the configuration. The message names container and field. */
int bundle_build(const struct bundle *bundle, json_t **ret_config, struct err *err) MUST_CHECK;

/* Builds it and writes it to RUN/bundles/NAME/config.json, which is *ret_path without the file's name; the caller frees it. */
int bundle_write(const struct bundle *bundle, char **ret_path, struct err *err) MUST_CHECK;

#endif
