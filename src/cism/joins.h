/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How instances come to their certificates (docs/adr/0013). /instances/NAME says which certificate speaks for an instance:
 *   {"certificate":SHA256 [,"joined":{"epoch","server","deployment","time"}] [,"renewed":SHA256]}
 * One that joined has exactly that one; each join under its name is an epoch, and what an earlier one was given is refused.
 * Of an instance without "joined", whose certificate the operator issued, it is the one seen last.
 */
#ifndef CISM_JOINS_H
#define CISM_JOINS_H

#include "cism/admission.h"
#include "cism/call.h"

/* POST /join: {"version":1,"name","server","deployment","secret","request"} of a peer without a certificate. */
void joins_answer(struct call *call);

/* POST nodes/NAME/certificate: {"request"} of an instance that joined; the new certificate counts from its first use. */
void joins_renew(struct call *call);

/*
 * Whether the certificate speaks for the instance. Notes it where it is news. ERR_DENIED names the instance whose later join,
 * or renewal, it is that the certificate was superseded by.
 */
int joins_check(struct cism *cism, const char *instance, const uint8_t certificate_sha256[static 32],
		struct err *err) MUST_CHECK;

/* The certificate of an instance in hex. ERR_NOT_FOUND for one that was never seen. */
int joins_certificate(struct cism *cism, const char *instance, char to[static 65], struct err *err) MUST_CHECK;

/* The number of the instance's last join; 0 for one that never joined. */
int joins_epoch(struct cism *cism, const char *instance, uint64_t *ret_epoch, struct err *err) MUST_CHECK;

/* What a new join token must be. A link of admission. */
int joins_admit_token(struct admission *admission, struct err *err) MUST_CHECK;

/* Removes the tokens that ended an hour ago. */
int joins_sweep(struct cism *cism, struct err *err) MUST_CHECK;

#endif
