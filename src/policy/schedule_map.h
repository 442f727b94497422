/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table from bytes to a number: open addressing, keys copied. */
#ifndef POLICY_SCHEDULE_MAP_H
#define POLICY_SCHEDULE_MAP_H

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define SCHEDULE_NONE UINT32_MAX

struct schedule_map {
	struct schedule_slot *slots;
	size_t room; /* a power of two */
	size_t count;
	uint64_t seed; /* so that nobody can choose keys that collide */
};

/* The number of a key; SCHEDULE_NONE when it is not there. */
uint32_t schedule_map_find(const struct schedule_map *map, const void *key, size_t len);
/* Puts a key in that is not there. -ENOMEM. */
int schedule_map_put(struct schedule_map *map, const void *key, size_t len, uint32_t number) MUST_CHECK;
void schedule_map_remove(struct schedule_map *map, const void *key, size_t len);
void schedule_map_done(struct schedule_map *map);

#endif
