/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ResourceQuota (CISM-4): what the pods of a namespace use, counted in the transaction that stores, ends or removes each.
 *   /quota/NS/rules       last written with a ResourceQuota of the namespace: its revision is that of its quotas
 *   /quota/NS/pool        last written with a grant
 *   /quota/NS/blocks/N    {"rules":revision the grant is of, "granted":{resource: thousandths}, "used":{…}}
 * A replica's threads charge to blocks of their own (policy/resourcequota.h), so that no key is hot. A pod counts until it is gone
 * or has ended (phase Succeeded or Failed).
 */
#ifndef CISM_QUOTAS_H
#define CISM_QUOTAS_H

#include "cism/cism.h"
#include "cism/records.h"

/*
 * Adds to the change what follows from a pod becoming another: old NULL is a new one, now NULL one that goes. ERR_DENIED
 * when a quota does not allow it, in Kubernetes' words.
 */
int quotas_settle(struct store *store, const json_t *old, const json_t *now, struct change *change,
		  struct err *err) MUST_CHECK;

/* Adds the end of all counting for a namespace that goes. */
int quotas_forget(struct store *store, const char *namespace, struct change *change, struct err *err) MUST_CHECK;

/* Brings status.hard and status.used of all quotas up to date: the leader's. */
int quotas_follow(struct cism *cism, struct err *err) MUST_CHECK;

#endif
