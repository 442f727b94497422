/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiled filters kept in a folder that only its owner may enter, so that a profile is compiled once.
 *
 * An entry holds all that went into its program: the build of this very program, the profile and the floor as the
 * compiler reads them. It is compared whole, so that neither a collision of names nor an entry of another build is ever
 * taken for what it is not; the name is a short digest of it. What others own or could write, what is damaged or of
 * another shape is passed over and compiled anew. The folder is bounded; the oldest entries make room.
 */
#ifndef SANDBOX_SECCOMP_CACHE_H
#define SANDBOX_SECCOMP_CACHE_H

#include "sandbox/seccomp.h"

#define SECCOMP_CACHE_ENTRIES 64
#define SECCOMP_CACHE_BYTES_MAX (48u << 10) /* of one entry; what is larger is not kept */

/*
 * Opens a folder of filters below dir, made when it is missing. -EPERM when it is anybody else's or open to others;
 * the caller goes on without then.
 */
int seccomp_cache_open(int dir, const char *name, int *ret_cache) MUST_CHECK;

/*
 * The program of a profile within a floor: from the cache, else compiled and kept. A profile that is not `present` means
 * the built-in one. cache -1: there is none. Errors are those of compiling; one of the cache is none.
 */
int seccomp_cache_compile(int cache, const struct spec_seccomp *profile, const struct seccomp_floor *floor,
			  struct seccomp_program *ret_program, struct err *err) MUST_CHECK;

#endif
