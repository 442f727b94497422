/* SPDX-License-Identifier: Apache-2.0 */
/* All trust domains, parsed, with the revision of their rules. */
#ifndef CISM_DOMAINS_READ_H
#define CISM_DOMAINS_READ_H

#include "cism/records.h"
#include "policy/domain.h"

/* Keeps a TrustDomain until no namespace refers to it. */
#define DOMAINS_READ_FINALIZER "trust.bulkhead.dev/in-use"

/* One that cannot be parsed is left out: unknown to a decision, which then refuses. Owned by the caller. */
int domains_read(struct store *store, struct policy_domains *ret_domains, uint64_t *ret_rules,
		 struct err *err) MUST_CHECK;
/* The same, with the objects themselves, from one revision. */
int domains_read_objects(struct store *store, struct policy_domains *ret_domains, uint64_t *ret_rules,
			 struct object_list *ret_objects, struct err *err) MUST_CHECK;

#endif
