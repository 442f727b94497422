/* SPDX-License-Identifier: Apache-2.0 */
/* Logs over the reverse connection: the instance asks the CISM who wants one and sends it there; nobody dials the instance. */
#ifndef CIS_LOGSTREAM_H
#define CIS_LOGSTREAM_H

#include "cis/cis.h"

#define LOGSTREAM_MOST 32 /* at a time; more wait at the CISM */

struct logstream;

int logstream_new(struct cis *cis, struct logstream **ret_logs, struct err *err) MUST_CHECK;
/* Breaks all streams off and waits for their threads. NULL is accepted. */
void logstream_free(struct logstream *logs);

#endif
