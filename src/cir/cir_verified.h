/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which stored contents were found to have their digest, in this life of the process: a table of fixed size, in which a
 * newer one may take an older one's place. An entry holds for one file as it was then: a file that was replaced or written
 * to has another stamp (inode, size, time of change).
 */
#ifndef CIR_CIR_VERIFIED_H
#define CIR_CIR_VERIFIED_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/err.h"
#include "oci/digest.h"

struct cir_verified;

int cir_verified_new(struct cir_verified **ret_verified, struct err *err) MUST_CHECK;
void cir_verified_free(struct cir_verified *verified);
void cir_verified_add(struct cir_verified *verified, const struct digest *digest, const struct stat *file);
bool cir_verified_has(const struct cir_verified *verified, const struct digest *digest, const struct stat *file);

#endif
