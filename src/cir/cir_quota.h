/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much each repository and each trust domain stores, and how much a domain may. Every blob, manifest and tag of a
 * repository is an object; its bytes count in each repository that holds it, whether or not they are stored once. An upload is
 * charged as its bytes arrive, so that no number of pushes at once gets over a limit.
 */
#ifndef CIR_CIR_QUOTA_H
#define CIR_CIR_QUOTA_H

#include <stdint.h>

#include "cir/cir_access.h"

struct cir_quota;

struct cir_usage {
	uint64_t bytes, objects;
};

int cir_quota_new(struct cir_quota **ret_quota, struct err *err) MUST_CHECK;
void cir_quota_free(struct cir_quota *quota);

/* Sums up anew by the rules of an access, which is referenced. On failure the old ones hold on. */
int cir_quota_set_access(struct cir_quota *quota, struct cir_access *access, struct err *err) MUST_CHECK;

/* Charges a repository: -EDQUOT when its domain would get over a limit; nothing is charged then. */
int cir_quota_take(struct cir_quota *quota, const char *repository, uint64_t bytes, uint64_t objects,
		   struct err *err) MUST_CHECK;
/* Charges what is stored already, limit or not. -ENOMEM. */
int cir_quota_found(struct cir_quota *quota, const char *repository, uint64_t bytes, uint64_t objects) MUST_CHECK;
void cir_quota_give(struct cir_quota *quota, const char *repository, uint64_t bytes, uint64_t objects);

/* Calls back for each domain with limits and use. */
void cir_quota_each(struct cir_quota *quota,
		    void (*each)(const struct cir_domain *domain, const struct cir_usage *usage, void *user),
		    void *user);

#endif
