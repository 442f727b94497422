/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of instances as bits, with a second level that says which words are not empty: the intersection of several is walked
 * without looking at what is empty in any of them.
 */
#ifndef POLICY_SCHEDULE_BITS_H
#define POLICY_SCHEDULE_BITS_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Zeroed is empty, with room for none. */
struct schedule_bits {
	uint64_t *words; /* count words, then the top level: a bit a word */
	uint32_t count;  /* of words, a multiple of 64 */
};

static inline uint64_t *schedule_bits_tops(const struct schedule_bits *bits)
{
	return bits->words + bits->count;
}

/* Room for at least `words` words (a multiple of 64); what was set stays. -ENOMEM. */
static inline int schedule_bits_grow(struct schedule_bits *bits, uint32_t words)
{
	uint64_t *fresh;

	if (bits->count >= words)
		return 0;
	fresh = calloc((size_t)words + words / 64, sizeof(*fresh));
	if (!fresh)
		return -ENOMEM;
	if (bits->count) {
		memcpy(fresh, bits->words, bits->count * sizeof(*fresh));
		memcpy(fresh + words, schedule_bits_tops(bits), bits->count / 64 * sizeof(*fresh));
	}
	free(bits->words);
	bits->words = fresh;
	bits->count = words;
	return 0;
}

static inline void schedule_bits_done(struct schedule_bits *bits)
{
	free(bits->words);
	*bits = (struct schedule_bits){0};
}

/* The index must be within the room. */
static inline void schedule_bits_put(struct schedule_bits *bits, uint32_t index, bool on)
{
	uint32_t word = index / 64;
	uint64_t *tops = schedule_bits_tops(bits);

	if (on)
		bits->words[word] |= UINT64_C(1) << (index % 64);
	else
		bits->words[word] &= ~(UINT64_C(1) << (index % 64));
	if (bits->words[word])
		tops[word / 64] |= UINT64_C(1) << (word % 64);
	else
		tops[word / 64] &= ~(UINT64_C(1) << (word % 64));
}

static inline bool schedule_bits_has(const struct schedule_bits *bits, uint32_t index)
{
	return index / 64 < bits->count && (bits->words[index / 64] >> (index % 64) & 1);
}

static inline void schedule_bits_clear(struct schedule_bits *bits)
{
	if (bits->count)
		memset(bits->words, 0, ((size_t)bits->count + bits->count / 64) * sizeof(*bits->words));
}

#endif
