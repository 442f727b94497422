/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures of images as cosign stores them: a manifest with layers of type simplesigning, found by the tag
 * "sha256-HEX.sig" or as a referrer. The signed bytes are a layer's, the signature its annotation.
 */
#ifndef CIR_CIR_SIGNATURE_H
#define CIR_CIR_SIGNATURE_H

#include "cir/cir_files.h"
#include "oci/manifest.h"

/*
 * Whether this is a signature and no image: every layer is of a type of signatures, and it is pushed by its digest (tag is
 * empty) or under the tag by which cosign finds it. What a manifest calls itself does not count.
 */
bool cir_signature_is(const struct manifest *manifest, const char *tag);

/*
 * Whether one of the keys (PEM, NULL-terminated) signed the digest: the raw bytes are verified first, then it is read what they
 * say. ERR_DENIED when none did.
 */
int cir_signature_check(const struct cir_files *files, const char *repository, const struct digest *digest,
			char *const *keys, struct err *err) MUST_CHECK;

#endif
