/* SPDX-License-Identifier: Apache-2.0 */
#include "image/pathset.h"

#include <errno.h>
#include <string.h>

#include "oci/digest.h"

static const uint8_t free_slot[16];

void pathset_done(struct pathset *set)
{
	free(set->slots);
	*set = (struct pathset){.max = set->max};
}

/* The slot where the key is, or the free one where it belongs. There is always a free one. */
static uint8_t *find(const struct pathset *set, const uint8_t key[16])
{
	size_t at;

	memcpy(&at, key, sizeof(at));
	while (true) {
		at &= set->capacity - 1;
		if (memcmp(set->slots[at], key, 16) == 0 || memcmp(set->slots[at], free_slot, 16) == 0)
			return set->slots[at];
		at++;
	}
}

static int grow(struct pathset *set)
{
	struct pathset larger = *set;

	larger.capacity = set->capacity ? set->capacity * 2 : 1024;
	larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
	if (!larger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < set->capacity; i++)
		if (memcmp(set->slots[i], free_slot, 16) != 0)
			memcpy(find(&larger, set->slots[i]), set->slots[i], 16);
	free(set->slots);
	*set = larger;
	return 0;
}

int pathset_add(struct pathset *set, const char *path, size_t len, bool *ret_new)
{
	struct digest key;
	uint8_t *slot;
	bool is_new;
	int r = digest_of(DIGEST_SHA256, path, len, &key);

	if (r == 0 && set->count >= set->capacity / 2)
		r = grow(set);
	if (r < 0)
		return r;
	slot = find(set, key.bytes);
	is_new = memcmp(slot, free_slot, 16) == 0;
	if (is_new && set->count == set->max)
		return -EFBIG;
	if (is_new) {
		memcpy(slot, key.bytes, 16);
		set->count++;
	}
	if (ret_new)
		*ret_new = is_new;
	return 0;
}

int pathset_has(const struct pathset *set, const char *path, bool *ret_has)
{
	struct digest key;
	int r;

	*ret_has = false;
	if (!set->capacity)
		return 0;
	r = digest_of(DIGEST_SHA256, path, strlen(path), &key);
	if (r == 0)
		*ret_has = memcmp(find(set, key.bytes), key.bytes, 16) == 0;
	return r;
}
