/* SPDX-License-Identifier: Apache-2.0 */
/* Where things lie: /etc/bulkhead, /var/lib/bulkhead, /run/bulkhead, all three below --root DIR when given. */
#ifndef BASE_PATHS_H
#define BASE_PATHS_H

#include "base/err.h"

#define PATHS_MAX 512

struct paths {
	char etc[PATHS_MAX];   /* configuration */
	char state[PATHS_MAX]; /* what must survive a reboot */
	char run[PATHS_MAX];   /* what must not: sockets, process ids */
};

/* Fills the three folders for a root (NULL or "/" for the machine's own). A relative root is made absolute. */
int paths_init(struct paths *paths, const char *root, struct err *err) MUST_CHECK;

#endif
