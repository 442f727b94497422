/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of digests by 64 of their bits: 16 bytes or less for each. One that was never added may seem to be in it when it
 * begins like another, which for what must be kept errs on the safe side.
 */
#ifndef CIR_CIR_DIGESTSET_H
#define CIR_CIR_DIGESTSET_H

#include <stdbool.h>
#include <stdint.h>

#include "oci/digest.h"

/* More are refused: 256 MiB. */
#define CIR_DIGESTSET_MAX (1u << 24)

struct cir_digestset {
	uint64_t *slots; /* 0: free */
	size_t size, count;
};

/* -ENOMEM, -EFBIG. */
int cir_digestset_add(struct cir_digestset *set, const struct digest *digest) MUST_CHECK;
bool cir_digestset_has(const struct cir_digestset *set, const struct digest *digest);
void cir_digestset_done(struct cir_digestset *set);
#define CLEANUP_CIR_DIGESTSET __attribute__((cleanup(cir_digestset_done)))

#endif
