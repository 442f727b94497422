/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running without the machine's superuser: as root of a user namespace that somebody else made (podman does), or as an
 * ordinary user, for whom this program makes one with the subordinate ids that config.json names.
 */
#ifndef RUNTIME_ROOTLESS_H
#define RUNTIME_ROOTLESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "oci/spec.h"

/* Whether this process is not the machine's superuser. Asked of the kernel once; children know it. */
bool rootless_is(void);

/* Whether user 0 is the machine's superuser here: not in a user namespace, where whom it does not know is 65534. */
bool rootless_knows_superuser(void);

/* Whether it is an ordinary user, and has no rights over mounts before rootless_enter. */
bool rootless_is_plain(void);

/* The folder of the containers' state by default: below XDG_RUNTIME_DIR. ERR_INVALID when that is not set. */
int rootless_state_root(char *to, size_t size, struct err *err) MUST_CHECK;

/*
 * Puts an ordinary user's process into a user namespace, where every id that config.json maps stands for itself, and a
 * mount namespace. More than the own id needs newuidmap and newgidmap, and lines in /etc/subuid and /etc/subgid.
 */
int rootless_enter(const struct spec *spec, struct err *err) MUST_CHECK;

#endif
