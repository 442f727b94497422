/* SPDX-License-Identifier: Apache-2.0 */
/* Events that the service itself records about objects. One object for equal ones, with a count. */
#ifndef CISM_HAPPENINGS_H
#define CISM_HAPPENINGS_H

#include <jansson.h>

#include "cism/change.h"
#include "cism/cism.h"

/* Records an event about an object (a pod, a namespace, a node). Best effort: a failure is logged, never the caller's. */
void happenings_record(struct cism *cism, const json_t *about, const char *type, const char *reason,
		       const char *message);

/* The same as part of a change. */
int happenings_put(struct cism *cism, const json_t *about, const char *type, const char *reason, const char *message,
		   struct change *change, struct err *err) MUST_CHECK;

/* The same for what cannot have been recorded before: a change that finds it was does not hold. */
int happenings_first(const json_t *about, const char *type, const char *reason, const char *message,
		     struct change *change, struct err *err) MUST_CHECK;

#endif
