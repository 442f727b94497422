/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures of images as cosign stores them: a manifest whose layers are signed payloads, found by the tag "sha256-HEX.sig"
 * or as a referrer, or bundles, found as a referrer.
 */
#ifndef CIR_CIR_SIGNATURE_H
#define CIR_CIR_SIGNATURE_H

#include "cir/cir_files.h"
#include "cir/cir_rules.h"
#include "oci/manifest.h"

/*
 * Whether this is a signature or an attestation and no image: every layer is of a type of these, and it is pushed by its digest (tag is
 * empty) or under the tag by which cosign finds it. What a manifest calls itself does not count.
 */
bool cir_signature_is(const struct manifest *manifest, const char *tag);

/* Whether one of the row's keys signed the digest, in one of the forms of crypto/cosign.h. ERR_DENIED when none did. */
int cir_signature_check(const struct cir_files *files, const char *repository, const struct digest *digest,
			const struct cir_rule *rule, struct err *err) MUST_CHECK;

#endif
