/* SPDX-License-Identifier: Apache-2.0 */
/* pod.json: what a supervisor is told by whoever starts it. Read strictly, unknown keys refused. */
#ifndef RUNTIME_SUPERVISE_SPEC_H
#define RUNTIME_SUPERVISE_SPEC_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "oci/spec.h"

struct supervise_spec {
	const char *uid;
	const char *hostname;
	uint32_t uid_base; /* the machine's id of the pod's id 0, for users and groups alike */
	uint32_t uid_count;
	struct spec_pairs sysctls; /* of the network, ipc and uts namespaces */
	const char *log_dir;
	const char *runtime_root;
	const char *cgroup;
	json_t *json; /* owns the strings */
};

/* Reads it; the error names the key. The caller ends with supervise_spec_done, also after an error. */
int supervise_spec_parse(struct supervise_spec *spec, const char *bytes, size_t len, struct err *err) MUST_CHECK;
void supervise_spec_done(struct supervise_spec *spec);

#endif
