/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_digestset.h"

#include <errno.h>
#include <string.h>

static uint64_t key_of(const struct digest *digest)
{
	uint64_t key;

	memcpy(&key, digest->bytes, sizeof(key));
	return key ? key : 1;
}

/* The slot that holds the key, or the free one where it would stand. size is a power of two and never full. */
static uint64_t *find(uint64_t *slots, size_t size, uint64_t key)
{
	size_t at = (size_t)(key >> 7) & (size - 1);

	while (slots[at] && slots[at] != key)
		at = (at + 1) & (size - 1);
	return &slots[at];
}

static int grow(struct cir_digestset *set)
{
	size_t size = set->size ? set->size * 2 : 64;
	uint64_t *slots = calloc(size, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	for (size_t i = 0; i < set->size; i++)
		if (set->slots[i])
			*find(slots, size, set->slots[i]) = set->slots[i];
	free(set->slots);
	set->slots = slots;
	set->size = size;
	return 0;
}

int cir_digestset_add(struct cir_digestset *set, const struct digest *digest)
{
	uint64_t key = key_of(digest), *slot;
	int r;

	if (set->count >= set->size / 4 * 3) {
		r = set->count >= CIR_DIGESTSET_MAX ? -EFBIG : grow(set);
		if (r < 0)
			return r;
	}
	slot = find(set->slots, set->size, key);
	set->count += *slot == 0;
	*slot = key;
	return 0;
}

bool cir_digestset_has(const struct cir_digestset *set, const struct digest *digest)
{
	return set->size && *find(set->slots, set->size, key_of(digest));
}

void cir_digestset_done(struct cir_digestset *set)
{
	free(set->slots);
	*set = (struct cir_digestset){0};
}
