/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading contents again to see whether they still have their digest. What has not is moved to quarantine/, so that it is
 * never served; who pushes it again heals all repositories that hold it.
 */
#ifndef CIR_CIR_SCRUB_H
#define CIR_CIR_SCRUB_H

#include <stdatomic.h>

#include "cir/cir_files.h"

struct cir_scrubbed {
	_Atomic uint64_t contents; /* read whole */
	_Atomic uint64_t bytes;
	_Atomic uint64_t corrupt; /* found, by whoever */
};

/*
 * Reads contents whole unless cir_verified.h has them: 0 when they have their digest, ERR_CORRUPT after they were taken out of
 * service (an unreadable disk counts as that), ERR_NOT_FOUND, -EINTR once *stop. Logs what it takes out.
 */
int cir_scrub_check(const struct cir_files *files, const struct digest *digest, const _Atomic bool *stop,
		    struct cir_scrubbed *scrubbed, struct err *err) MUST_CHECK;
/* Takes out what somebody else found to be corrupt. */
void cir_scrub_found(const struct cir_files *files, const struct digest *digest, struct cir_scrubbed *scrubbed);

/*
 * Checks all contents, from the disk and not from memory, at no more than bytes_per_second on average. Ends early once *stop;
 * wait(user, ns) rests up to that long.
 */
int cir_scrub_all(const struct cir_files *files, const _Atomic bool *stop, uint64_t bytes_per_second,
		  void (*wait)(void *user, uint64_t ns), void *user, struct cir_scrubbed *scrubbed,
		  struct err *err) MUST_CHECK;

#endif
