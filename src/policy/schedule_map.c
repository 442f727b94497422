/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/schedule_map.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

struct schedule_slot {
	char *key; /* NULL: free */
	uint64_t hash;
	uint32_t len, number;
};

static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_of(uint64_t seed, const void *key, size_t len)
{
	const char *at = key;
	uint64_t hash = seed ^ 0x9e3779b97f4a7c15, word, other;
	size_t rest = len;

	for (; rest >= 16; rest -= 16, at += 16) {
		memcpy(&word, at, 8);
		memcpy(&other, at + 8, 8);
		hash = mix(word ^ 0xa0761d6478bd642f, other ^ hash);
	}
	word = other = 0;
	memcpy(&word, at, rest < 8 ? rest : 8);
	if (rest > 8)
		memcpy(&other, at + 8, rest - 8);
	return mix(mix(word ^ 0xe7037ed1a0b428db, other ^ hash), len ^ 0x8ebc6af09c88c6e3);
}

/* Where the key is, or where it would be. */
static size_t slot_of(const struct schedule_map *map, uint64_t hash, const void *key, size_t len)
{
	size_t at = hash & (map->room - 1);

	while (map->slots[at].key &&
	       (map->slots[at].hash != hash || map->slots[at].len != len || memcmp(map->slots[at].key, key, len) != 0))
		at = (at + 1) & (map->room - 1);
	return at;
}

uint32_t schedule_map_find(const struct schedule_map *map, const void *key, size_t len)
{
	size_t at;

	if (map->count == 0)
		return SCHEDULE_NONE;
	at = slot_of(map, hash_of(map->seed, key, len), key, len);
	return map->slots[at].key ? map->slots[at].number : SCHEDULE_NONE;
}

static int grow(struct schedule_map *map)
{
	struct schedule_map next = {.room = map->room ? map->room * 2 : 16, .seed = map->seed};

	next.slots = calloc(next.room, sizeof(*next.slots));
	if (!next.slots)
		return -ENOMEM;
	for (size_t i = 0; i < map->room; i++)
		if (map->slots[i].key)
			next.slots[slot_of(&next, map->slots[i].hash, map->slots[i].key, map->slots[i].len)] =
				map->slots[i];
	free(map->slots);
	map->slots = next.slots;
	map->room = next.room;
	return 0;
}

int schedule_map_put(struct schedule_map *map, const void *key, size_t len, uint32_t number)
{
	uint64_t hash = hash_of(map->seed, key, len);
	char *copy;

	if (len > UINT32_MAX || (map->count * 2 >= map->room && grow(map) < 0))
		return -ENOMEM;
	copy = malloc(len + 1);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, key, len);
	map->slots[slot_of(map, hash, key, len)] = (struct schedule_slot){copy, hash, (uint32_t)len, number};
	map->count++;
	return 0;
}

void schedule_map_remove(struct schedule_map *map, const void *key, size_t len)
{
	size_t hole, at;

	if (map->count == 0)
		return;
	hole = slot_of(map, hash_of(map->seed, key, len), key, len);
	if (!map->slots[hole].key)
		return;
	free(map->slots[hole].key);
	map->slots[hole].key = NULL;
	map->count--;
	/* What follows moves up where the hole would break its search. */
	for (at = (hole + 1) & (map->room - 1); map->slots[at].key; at = (at + 1) & (map->room - 1)) {
		size_t home = map->slots[at].hash & (map->room - 1);

		if (((at - home) & (map->room - 1)) < ((at - hole) & (map->room - 1)))
			continue;
		map->slots[hole] = map->slots[at];
		map->slots[at].key = NULL;
		hole = at;
	}
}

void schedule_map_done(struct schedule_map *map)
{
	for (size_t i = 0; i < map->room; i++)
		free(map->slots[i].key);
	free(map->slots);
	*map = (struct schedule_map){0};
}
