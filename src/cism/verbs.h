/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of the API, the same for every kind: what differs by kind stands in its table and in the admission chain.
 * Each answers the call.
 */
#ifndef CISM_VERBS_H
#define CISM_VERBS_H

#include "cism/call.h"

/* Reads (verbs_read.c). */
void verbs_get(struct call *call);
void verbs_list(struct call *call);
/* The selectors of a request and what they select, for list and deletecollection. */
int verbs_select(struct call *call, struct object_list *ret_list, struct err *err) MUST_CHECK;

/* Writes (verbs_write.c); the body is in the call. */
void verbs_create(struct call *call);
void verbs_update(struct call *call);
void verbs_patch(struct call *call);
/* Completes the decoded object of the call's kind and writes it: what verbs_create does behind the decoder. Takes nothing. */
int verbs_insert(struct call *call, json_t *object, struct err *err) MUST_CHECK;

/* Removals (verbs_delete.c). */
void verbs_delete(struct call *call);
void verbs_delete_collection(struct call *call);
/* POST pods/NAME/eviction: a delete that the body names. */
void verbs_evict(struct call *call);

#endif
