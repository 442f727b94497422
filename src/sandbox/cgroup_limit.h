/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of cgroup_limit*.c: writing one limit, with an error that names its field in config.json. */
#ifndef SANDBOX_CGROUP_LIMIT_H
#define SANDBOX_CGROUP_LIMIT_H

#include "sandbox/cgroup.h"

struct cgroup_limit_target {
	struct cgroup *cgroup;
	struct err *err;
};

/* Ends the function at the first write that fails; its error stays. */
#define TRY(call)                  \
	do {                       \
		int r_ = call;     \
		if (r_ < 0)        \
			return r_; \
	} while (0)

/*
 * Writes one value where the controller's group is (controller NULL: version 2's group). A limit that cannot be set is an
 * error, never forgotten.
 */
int cgroup_limit_put(struct cgroup_limit_target *to, const char *field, const char *controller, const char *file,
		     const char *value) MUST_CHECK;

/* As cgroup_limit_put for a number that may be absent. */
int cgroup_limit_put_number(struct cgroup_limit_target *to, const char *field, const char *controller, const char *file,
			    const struct spec_number *number) MUST_CHECK;

/*
 * As cgroup_limit_put for one of several values of the same file, which *fd keeps open meanwhile: -1 at first, to be
 * closed by the caller.
 */
int cgroup_limit_put_next(struct cgroup_limit_target *to, const char *field, const char *controller, const char *file,
			  const char *value, int *fd) MUST_CHECK;

/* Refuses a field that has no meaning on this machine's version of control groups. */
int cgroup_limit_refuse(struct cgroup_limit_target *to, const char *field, int version) MUST_CHECK;

/* Disks, huge pages, network classes, RDMA: what few containers ask for. */
int cgroup_limit_io(struct cgroup_limit_target *to, const struct spec_resources *res) MUST_CHECK;

/* The devices a group may use: a list on version 1, a program on version 2. */
int cgroup_limit_devices(struct cgroup_limit_target *to, const struct spec_device_rules *rules) MUST_CHECK;

#endif
