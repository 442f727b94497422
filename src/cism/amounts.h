/* SPDX-License-Identifier: Apache-2.0 */
/* How much of which resources: what a pod asks for, and what an instance has. Pure. */
#ifndef CISM_AMOUNTS_H
#define CISM_AMOUNTS_H

#include <jansson.h>

#include "base/err.h"
#include "policy/schedule_facts.h"

#define AMOUNTS_RESOURCES_MAX 32 /* kinds of resources that one pod or instance may name */

/*
 * Sets the requests of a pod's facts: the sum over its containers, or what its init containers need at most where that is more,
 * and its overhead. A container asks for its limit of what it has no request for. ERR_INVALID names the field.
 */
int amounts_pod(struct schedule_facts *to, const json_t *pod, struct err *err) MUST_CHECK;

/* Sets what an instance has; what cannot be read counts as nothing. */
void amounts_node(struct schedule_facts *to, const json_t *node);

#endif
