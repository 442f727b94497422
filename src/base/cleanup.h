/* SPDX-License-Identifier: Apache-2.0 */
/* Scope-bound ownership: a variable marked so is released when it goes out of scope. */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

/* Frees with free() at the end of the scope. */
#define CLEANUP_FREE __attribute__((cleanup(cleanup_free)))
/* Closes a descriptor at the end of the scope unless it is negative. */
#define CLEANUP_CLOSE __attribute__((cleanup(cleanup_close)))
/* Calls function(&variable) at the end of the scope. */
#define CLEANUP(function) __attribute__((cleanup(function)))

/* Defines cleanup_NAME for CLEANUP(cleanup_NAME) from a free function that accepts NULL. */
#define CLEANUP_DEFINE(name, type, function)             \
	static inline void cleanup_##name(type *pointer) \
	{                                                \
		function(*pointer);                      \
	}

/* Gives the ownership of a pointer away: yields it and leaves NULL behind. */
#define take_ptr(pointer)                               \
	({                                              \
		__typeof__(pointer) taken_ = (pointer); \
		(pointer) = NULL;                       \
		taken_;                                 \
	})

/* Gives the ownership of a descriptor away: yields it and leaves -1 behind. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(position, first) __attribute__((format(printf, position, first)))

#endif
