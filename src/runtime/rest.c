/* SPDX-License-Identifier: Apache-2.0 */
#include "runtime/rest.h"

#include <link.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define STACK_USED (64u << 10)
#define RANGES_MAX 8
/* The greatest page there is, so that the place keeps to itself with each. */
#define PLACE_SIZE 4096

struct range {
	uintptr_t start, end;
};

/* The parts of the program's file that are never written to. */
static struct range ranges[RANGES_MAX];
static size_t range_count;

/* A system call without the C library, whose code is given back with the rest. */
static inline __attribute__((always_inline)) long call(long number, long a, long b, long c, long d, long e)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
#else
	return syscall(number, a, b, c, d, e);
#endif
}

/*
 * Sleeps in a page of its own: what the kernel maps around a fault ends with a mapping, and this page is made one. All
 * other code and constants are given back before.
 */
__attribute__((noinline, aligned(PLACE_SIZE), section(".text.rest_place"), no_stack_protector)) static void
sleep_in_place(const struct range *from, const struct range *end, struct pollfd *wait, size_t count)
{
	for (; from < end; from++)
		(void)call(SYS_madvise, (long)from->start, (long)(from->end - from->start), MADV_DONTNEED, 0, 0);
	(void)call(SYS_ppoll, (long)wait, (long)count, 0, 0, 0);
}

static void add(uintptr_t start, uintptr_t end)
{
	if (start < end && range_count < RANGES_MAX)
		ranges[range_count++] = (struct range){start, end};
}

/* Each part of the program that cannot be written, but for the place. */
static int list_part(struct dl_phdr_info *info, size_t size, void *user)
{
	uintptr_t place = (uintptr_t)sleep_in_place, page = (uintptr_t)sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		uintptr_t start = (info->dlpi_addr + part->p_vaddr) & ~(page - 1);
		uintptr_t end = (info->dlpi_addr + part->p_vaddr + part->p_memsz + page - 1) & ~(page - 1);

		if (part->p_type != PT_LOAD || (part->p_flags & PF_W))
			continue;
		if (place >= start && place < end) {
			add(start, place & ~(page - 1));
			start = (place & ~(page - 1)) + page;
		}
		add(start, end);
	}
	/* The program comes first; libraries, where there are any, stay. */
	return 1;
}

void rest_prepare(void)
{
	range_count = 0;
	(void)dl_iterate_phdr(list_part, NULL);
	/* No other part has this advice, and so none is one mapping with the place. */
	if (sysconf(_SC_PAGESIZE) == PLACE_SIZE)
		(void)madvise((void *)((uintptr_t)sleep_in_place & ~(uintptr_t)(PLACE_SIZE - 1)), PLACE_SIZE,
			      MADV_RANDOM);
}

/* Its frame is small, and two pages below it are kept. */
__attribute__((noinline)) void rest_until(struct pollfd *wait, size_t count)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t below = ((uintptr_t)__builtin_frame_address(0) & ~(page - 1)) - 2 * page;

	(void)madvise((void *)(below - STACK_USED), STACK_USED, MADV_DONTNEED);
	sleep_in_place(ranges, ranges + range_count, wait, count);
}
