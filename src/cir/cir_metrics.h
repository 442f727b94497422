/* SPDX-License-Identifier: Apache-2.0 */
/* What the registry counts, as Prometheus reads it (text format 0.0.4), and the lines of its access log. */
#ifndef CIR_CIR_METRICS_H
#define CIR_CIR_METRICS_H

#include <stdatomic.h>

#include "base/buf.h"
#include "cir/cir_route.h"

#define CIR_METRICS_CLASSES 6 /* of answers: none, 1xx … 5xx */
#define CIR_METRICS_BUCKETS 6

enum cir_log {
	CIR_LOG_NONE,
	CIR_LOG_CHANGES, /* all but reads that succeeded */
	CIR_LOG_ALL,
};

struct cir_metrics {
	_Atomic uint64_t requests[CIR_ROUTE_COUNT + 1][CIR_METRICS_CLASSES];
	_Atomic uint64_t seconds[CIR_METRICS_BUCKETS]; /* requests by how long they took */
	_Atomic uint64_t microseconds;                 /* of all */
	_Atomic uint64_t bytes;                        /* sent in bodies */
};

/* One request that has ended. kind CIR_ROUTE_COUNT: none of the registry's. */
void cir_metrics_count(struct cir_metrics *metrics, enum cir_route_kind kind, int status, uint64_t bytes,
		       uint64_t duration_ns);

struct cir_service;
/* Appends everything. -EFBIG, -ENOMEM. */
int cir_metrics_format(const struct cir_service *service, struct buf *to) MUST_CHECK;

#endif
