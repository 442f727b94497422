/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pod's volumes and the files every container gets (hosts, hostname, resolv.conf). What comes from ConfigMaps, Secrets
 * and the pod itself lies below the run folder only; emptyDir folders lie below the state folder, owned by the pod's range.
 */
#ifndef CIS_PODVOLUME_H
#define CIS_PODVOLUME_H

#include "cis/podsource.h"

struct podvolume {
	const struct podspec *spec;
	const json_t *objects;
	struct podsource_place place;
	const char *run;   /* run/bulkhead/pods/UID */
	const char *state; /* var/lib/bulkhead/cis/pods/UID */
	uint32_t uid_base; /* the pod's user 0 outside */
};

/* Makes all of them; what is there from an earlier start is replaced (emptyDir is kept). The message names the volume. */
int podvolume_prepare(const struct podvolume *volume, struct err *err) MUST_CHECK;

/* Appends the mounts of a container's volumeMounts and of the generated files to the "mounts" of an OCI runtime spec. */
int podvolume_mounts(const struct podvolume *volume, const struct podspec_container *container, json_t *mounts,
		     struct err *err) MUST_CHECK;

#endif
