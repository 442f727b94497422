/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The watch hub: one thread serves every watch from the store's shared ring. A watcher has a bounded queue; one that
 * falls behind, or whose revision is gone, gets an ERROR event with status 410 and lists again.
 */
#ifndef CISM_WATCHES_H
#define CISM_WATCHES_H

#include "cism/call.h"

int watches_new(struct cism *cism, struct watches **ret_watches, struct err *err) MUST_CHECK;
/* Ends every watch; none begins any more. NULL is accepted. */
void watches_stop(struct watches *watches);
/* After the server has stopped. NULL is accepted. */
void watches_free(struct watches *watches);

/* Answers a watch: begins the stream and hands it to the hub. Errors in the parameters are answered at once. */
void watches_begin(struct call *call);

#endif
