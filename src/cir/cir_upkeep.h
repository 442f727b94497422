/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry's own work beside serving, each in a thread: collecting, scrubbing, and verifying what was asked for and not
 * verified yet.
 */
#ifndef CIR_CIR_UPKEEP_H
#define CIR_CIR_UPKEEP_H

#include "cir/cir_collect.h"
#include "cir/cir_scrub.h"
#include "http/server.h"

struct cir_upkeep_config {
	unsigned collect_seconds;        /* between two runs; 0: never */
	uint64_t scrub_bytes_per_second; /* 0: never */
};

struct cir_upkeep_counters {
	_Atomic uint64_t collections, marks, contents, bytes; /* what went */
	_Atomic uint64_t damaged;                             /* at the last run */
	_Atomic uint64_t scrubs;                              /* whole passes */
	struct cir_scrubbed scrubbed;
};

struct cir_upkeep;

/* files are kept by reference. */
int cir_upkeep_new(const struct cir_files *files, const struct cir_upkeep_config *config,
		   struct cir_upkeep **ret_upkeep, struct err *err) MUST_CHECK;
/* Ends the threads and resumes all requests that wait; takes no more. Before the server stops. */
void cir_upkeep_stop(struct cir_upkeep *upkeep);
/* Stops and frees. NULL is accepted. */
void cir_upkeep_free(struct cir_upkeep *upkeep);

/* Has a run of collecting and a pass of scrubbing begin at once, from any thread. */
void cir_upkeep_now(struct cir_upkeep *upkeep);
const struct cir_upkeep_counters *cir_upkeep_counters(const struct cir_upkeep *upkeep);
/* Contents that turned out to be corrupt when they were read to be served. */
void cir_upkeep_found(struct cir_upkeep *upkeep, const struct digest *digest);

/*
 * Parks a request for contents that are not verified yet; then(request, err) answers it; err is
 * NULL when they have their digest.
 * -EPIPE after cir_upkeep_stop; nothing happened then.
 */
int cir_upkeep_verify(struct cir_upkeep *upkeep, struct http_request *request, const struct digest *digest,
		      void (*then)(struct http_request *request, const struct err *err)) MUST_CHECK;

#endif
