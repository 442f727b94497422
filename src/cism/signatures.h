/* SPDX-License-Identifier: Apache-2.0 */
/* The signatures that a registry holds of an image: cosign's tag "sha256-HEX.sig", and bundles that refer to it. */
#ifndef CISM_SIGNATURES_H
#define CISM_SIGNATURES_H

#include "cism/cism.h"
#include "policy/ticket.h"

/*
 * Adds what the registry of pull->image has to pull->signatures, which has room for POLICY_IMAGE_SIGNATURES_MAX. What cannot be
 * read as a signature is left out: it proves nothing. ERR_UNAVAILABLE, ERR_DENIED when the registry does not answer: then it is not
 * known that there is none.
 */
int signatures_fetch(struct cism *cism, struct policy_pull *pull, struct err *err) MUST_CHECK;

#endif
