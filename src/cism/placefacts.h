/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of the API as the scheduler's facts. Pure. What is malformed is refused, never guessed. */
#ifndef CISM_PLACEFACTS_H
#define CISM_PLACEFACTS_H

#include <jansson.h>

#include "cism/topology.h"
#include "policy/schedule_facts.h"

/*
 * A pod in a trust domain (NULL or empty: none) and of a sub-function (NULL or empty: unmapped). ERR_INVALID names the field;
 * -ENOMEM. The facts are the caller's.
 */
int placefacts_pod(const json_t *pod, const char *domain, const char *subfunction, struct schedule_facts **ret_facts,
		   struct err *err) MUST_CHECK;

/* An instance; mapping NULL: the topology does not know it. What it says of itself and cannot be read counts as nothing. */
int placefacts_node(const json_t *node, const struct topology_instance *mapping, bool quarantined,
		    struct schedule_facts **ret_facts, struct err *err) MUST_CHECK;

/* The labels of a namespace. */
int placefacts_namespace(const json_t *namespace, struct schedule_facts **ret_facts, struct err *err) MUST_CHECK;

#endif
