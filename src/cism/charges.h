/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that is charged, as policy/ sees it: pods where they are charged, where their instance was, and where it is now. */
#ifndef CISM_CHARGES_H
#define CISM_CHARGES_H

#include "cism/cism.h"
#include "cism/ledger.h"

struct charges {
	struct ledger ledger;
	struct policy_holder
		*items; /* one a holder, and one more for each other server that its instance is on or was on since */
	const struct ledger_holder **origin; /* of each item */
	size_t count;
	struct topology topology; /* as it was then */
};

/* Reads the ledger, and where the instances are now; an instance that is nowhere gives an item on no known server. */
int charges_read(struct cism *cism, struct charges *ret_charges, struct err *err) MUST_CHECK;
void charges_done(struct charges *charges);
#define CLEANUP_CHARGES __attribute__((cleanup(charges_done)))

#endif
