/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/scratch.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define SIZE (1u << 20) /* of addresses; memory it has where something lies. What is more comes from the heap */
#define ALIGNMENT sizeof(max_align_t)

static struct {
	char *start, *at, *end;
} scratch;

static void *take(size_t size)
{
	size_t whole = (size + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
	char *at = scratch.at;

	if (whole < size || whole > (size_t)(scratch.end - at))
		return malloc(size);
	scratch.at += whole;
	return at;
}

static void drop(void *memory)
{
	uintptr_t at = (uintptr_t)memory;

	if (at < (uintptr_t)scratch.start || at >= (uintptr_t)scratch.end)
		free(memory);
}

void scratch_begin(void)
{
	if (!scratch.start) {
		void *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
				    0);

		/* Without it there is the heap. */
		if (memory == MAP_FAILED)
			return;
		scratch.start = scratch.at = memory;
		scratch.end = scratch.start + SIZE;
	}
	json_set_alloc_funcs(take, drop);
}

void scratch_end(void)
{
	json_set_alloc_funcs(malloc, scratch.start ? drop : free);
}

void scratch_forget(void)
{
	if (scratch.start)
		(void)madvise(scratch.start, SIZE, MADV_DONTNEED);
}
