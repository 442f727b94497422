/* SPDX-License-Identifier: Apache-2.0 */
/* The maps of a user namespace as the kernel shows them in /proc/PID/uid_map and gid_map. */
#ifndef SANDBOX_IDMAP_H
#define SANDBOX_IDMAP_H

#include <stdbool.h>

#include "oci/spec.h"

#define IDMAP_LINES_MAX 340

struct idmap {
	struct spec_idmap lines[IDMAP_LINES_MAX];
	size_t count;
};

/* Reads the text of a map, three numbers a line. -EINVAL for anything else and for more lines than the kernel has. */
int idmap_parse(const char *text, size_t len, struct idmap *ret_map) MUST_CHECK;

/* The map that config.json asks for, whose reader keeps lists as long as the kernel's own. */
void idmap_copy(struct idmap *to, const struct spec_idmaps *from);

/* Whether somebody inside has this id of the machine. */
bool idmap_has(const struct idmap *map, uint32_t outside);

/* The machine's id for one inside; -ERANGE when it is not mapped. */
int idmap_find(const struct idmap *map, uint32_t inside, uint32_t *ret_outside) MUST_CHECK;

#endif
