/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What pushing and collecting agree on, so that nothing is collected that a push counts on.
 *
 * Whoever finds contents present and lets somebody count on that (an answer to HEAD, a mount, an upload that ends, a
 * manifest that names them) holds the guard from the look to the name it makes, and touches the digest. Touched digests are
 * remembered for a grace at least, by a clock that nobody sets. The collector reads what is named without the guard, and
 * takes a name or contents away only while it holds the guard alone and finds the digest not touched: what was named or
 * promised after its reading began is touched, what was named before it has read. Times of files prolong the grace over a
 * restart.
 */
#ifndef CIR_CIR_GUARD_H
#define CIR_CIR_GUARD_H

#include <stdbool.h>

#include "base/err.h"
#include "oci/digest.h"

struct cir_guard;

int cir_guard_new(unsigned grace_seconds, struct cir_guard **ret_guard, struct err *err) MUST_CHECK;
void cir_guard_free(struct cir_guard *guard);
/*
 * The time of the wall clock in seconds, as far as the monotonic clock agrees since the guard was made: a clock that was put
 * forward makes nothing old.
 */
int64_t cir_guard_now_s(const struct cir_guard *guard);

unsigned cir_guard_grace(const struct cir_guard *guard);

/* Shared by all who push; not for a thread that holds it already. */
void cir_guard_use(struct cir_guard *guard);
void cir_guard_used(struct cir_guard *guard);

/* While in use: somebody counts on the digest from now on. Others may seem touched too, seldom. */
void cir_guard_touch(struct cir_guard *guard, const struct digest *digest);

/* The collector's: forgets what was touched before the last grace. */
void cir_guard_age(struct cir_guard *guard);
/* Holds the guard alone: for moments. */
void cir_guard_close(struct cir_guard *guard);
void cir_guard_open(struct cir_guard *guard);
/* While closed. */
bool cir_guard_is_touched(const struct cir_guard *guard, const struct digest *digest);

#endif
