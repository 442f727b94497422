/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decision and binding of one pod. The binding is one transaction that compares everything the decision read: the pod, its
 * namespace, the node, the server's record, the rules of all domains; it writes the pod, the record, the ticket, the
 * decision. Nobody else sets spec.nodeName.
 */
#ifndef CISM_BINDER_H
#define CISM_BINDER_H

#include "cism/call.h"
#include "cism/placement.h"

enum binder_outcome {
	BINDER_BOUND,
	BINDER_REFUSED, /* by rule or state: asks again when something changes */
	BINDER_LATER,   /* something outside does not answer: asks again soon */
	BINDER_GONE,    /* the pod is bound or being deleted already */
};

/*
 * Decides about a pod and binds it, to `instance` or (NULL) to the best one. ret_reason says why, whatever the outcome.
 * ERR_CONFLICT when what the decision read changed meanwhile: ask again. Other errors are faults of this service.
 */
int binder_decide(struct cism *cism, const char *namespace, const char *name, const char *instance,
		  enum binder_outcome *ret_outcome, struct placement_reason *ret_reason, struct err *err) MUST_CHECK;

/* POST pods/NAME/binding. */
void binder_answer(struct call *call);

#endif
