/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Landlock domain out of the container's mounts, without the application's help. Reading is free inside the root;
 * writing only where something writable is mounted; executing everywhere but there, as far as the root is read-only: a
 * writable mount is executable when its options say `exec`. A writable root is writable and executable throughout.
 * Device nodes can be made nowhere, device ioctls work below /dev alone, and with ABI 6 signals and abstract sockets
 * stay inside the domain.
 */
#ifndef SANDBOX_LANDLOCK_H
#define SANDBOX_LANDLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct landlock_mount {
	const char *path; /* as seen in the container, absolute */
	bool writable;
	bool executable;
	bool devices; /* device ioctls */
};

/* The best ABI of the running kernel; 0 when it has no Landlock. */
int landlock_abi(void);

/*
 * Confines the calling thread for good. root is the container's root as descriptor, which paths are resolved in.
 * no_new_privs must be set. 0 without effect on a kernel that has no Landlock.
 */
int landlock_confine(int root, bool root_writable, const struct landlock_mount *mounts, size_t count,
		     struct err *err) MUST_CHECK;

/*
 * The rights over TCP ports (ABI 4) are handled where somebody says which ports are wanted: a rule counts for one port, so
 * that all of them cannot be granted. Not bound: every port. 0 stands for binding to a port that the kernel chooses.
 */
#define LANDLOCK_PORTS_MAX 64
struct landlock_ports {
	uint16_t items[LANDLOCK_PORTS_MAX];
	size_t count;
	bool bound;
};

/* Numbers with commas between them, or none at all. ERR_INVALID. */
int landlock_ports_parse(const char *text, struct landlock_ports *ret_ports) MUST_CHECK;

/* Confines the calling thread in a domain more; without effect when nothing is bound. -EOPNOTSUPP below ABI 4. */
int landlock_confine_tcp(const struct landlock_ports *bind, const struct landlock_ports *connect,
			 struct err *err) MUST_CHECK;

#endif
