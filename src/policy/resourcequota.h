/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the pods of a namespace may use together (ResourceQuota), counted so that many may count at once: the usage is kept
 * in blocks, each with what it has used and what it was granted of the namespace's limit. Who charges a pod to a block with
 * enough left needs no other block; only who takes a new grant looks at all of them. Sums of grants never pass a limit.
 */
#ifndef POLICY_RESOURCEQUOTA_H
#define POLICY_RESOURCEQUOTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define POLICY_AMOUNTS_MAX 48 /* kinds of resources that a namespace's pods name */
#define POLICY_AMOUNT_NAME 128

/* Amounts by resource ("requests.cpu", "pods"), in thousandths of the resource's unit; absent is 0. */
struct policy_amount {
	char name[POLICY_AMOUNT_NAME];
	int64_t milli;
};
struct policy_amounts {
	struct policy_amount rows[POLICY_AMOUNTS_MAX];
	size_t count;
};

int64_t policy_amounts_get(const struct policy_amounts *amounts, const char *name);

/* Adds to one of them; a row that becomes 0 goes. ERR_TOO_LARGE: too many rows, too long a name, too large a sum. */
int policy_amounts_add(struct policy_amounts *amounts, const char *name, int64_t milli, struct err *err) MUST_CHECK;

/* Adds (times 1) or takes (times -1) all amounts. *to is undefined when it fails. */
int policy_amounts_add_all(struct policy_amounts *to, const struct policy_amounts *from, int times,
			   struct err *err) MUST_CHECK;

/* Sets each of *to to the larger one. */
int policy_amounts_raise(struct policy_amounts *to, const struct policy_amounts *other, struct err *err) MUST_CHECK;

/* The name under which a resource of a quota's "hard" is counted: "cpu" is "requests.cpu", "count/pods" is "pods". */
void policy_resourcequota_name(const char *hard, char to[static POLICY_AMOUNT_NAME]);

/* Whether usage of it is counted: pods and what their containers ask for. */
bool policy_resourcequota_counts(const char *hard);

struct policy_resourcequota {
	const char *name;           /* of the ResourceQuota */
	struct policy_amounts hard; /* by the names of policy_resourcequota_name */
};

/*
 * Adds what a quota's "hard" says of a resource; what is not counted is passed over, of two names for one resource the
 * smaller limit holds. ERR_TOO_LARGE.
 */
int policy_resourcequota_limit(struct policy_resourcequota *quota, const char *hard, int64_t milli,
			       struct err *err) MUST_CHECK;

struct policy_resourcequota_block {
	bool current; /* granted under the quotas as they are now; if not, its grant is void and its use counts */
	struct policy_amounts granted, used;
	bool changed; /* set here: has to be written */
};

enum policy_resourcequota_way {
	POLICY_RESOURCEQUOTA_COVERED, /* by the grant that was there: own block alone changes */
	POLICY_RESOURCEQUOTA_GRANTED, /* by a new grant: what the other blocks are granted must not have grown meanwhile */
	POLICY_RESOURCEQUOTA_COLLECTED /* by what other blocks left unused: the changed ones must be as they were */
};

/*
 * Charges an amount (negative ones give back) to the block `own` of blocks. With want naming nothing that a quota limits it
 * always succeeds. ERR_DENIED in the words that Kubernetes' clients know: "exceeded quota: NAME, requested: pods=1, used:
 * pods=2, limited: pods=2"; the blocks are undefined then.
 */
int policy_resourcequota_charge(const struct policy_resourcequota *quotas, size_t quota_count,
				struct policy_resourcequota_block *blocks, size_t block_count, size_t own,
				const struct policy_amounts *want, enum policy_resourcequota_way *ret_way,
				struct err *err) MUST_CHECK;

/* An amount as people write it: "500m", "2", "64Mi" for bytes. */
void policy_amount_format(const char *name, int64_t milli, char to[static 32]);

#endif
