/* SPDX-License-Identifier: Apache-2.0 */
/* What 'bulkhead cache' asks of the instance: which images it holds, how, for whom and why; and to make some unreadable. */
#ifndef CIS_CACHECONTROL_H
#define CIS_CACHECONTROL_H

#include "cis/cis.h"

/* {"ok":true,"images":[{"digest","class","domain","reason",…}]}, longest unused first; NULL without memory. */
json_t *cachecontrol_list(const struct cis *cis);

/* What is to become unreadable: "sha256:…" or the name of a trust domain. */
struct cachecontrol_target {
	bool is_digest;
	struct digest digest;
	char domain[SEAL_DOMAIN_SIZE];
	size_t stopped; /* pods that ran on it when it was asked */
};

int cachecontrol_read(const char *what, struct cachecontrol_target *ret_target, struct err *err) MUST_CHECK;

/* Begins to stop the pods that hold images of the target: they run again with the next start of the instance. */
void cachecontrol_stop(struct cis *cis, struct cachecontrol_target *target);

/*
 * Revokes: keys wiped, mounts taken away, files removed. ERR_BUSY as long as containers run on one of them; then the answer
 * is not there yet. *ret_answer is what the client is told.
 */
int cachecontrol_revoke(struct cis *cis, const struct cachecontrol_target *target, json_t **ret_answer) MUST_CHECK;

#endif
