/* SPDX-License-Identifier: Apache-2.0 */
/* Finishing what was begun: deletions that wait for their contents, and events that had their time. */
#ifndef CISM_JANITOR_H
#define CISM_JANITOR_H

#include "cism/cism.h"
#include "cism/records.h"

/* Creates default, kube-system, kube-public and kube-node-lease where they are missing. */
int janitor_first_namespaces(struct cism *cism, struct err *err) MUST_CHECK;

/*
 * Asks for the end of an object as the leader: a pod that may run somewhere is marked and ends in its grace period, what
 * nothing waits for goes at once.
 */
int janitor_end(struct cism *cism, const struct api_kind *kind, json_t *object, struct err *err) MUST_CHECK;

/* Deletes what is in namespaces that are Terminating, and the namespaces that are empty and hold nothing in the ledger. */
int janitor_finish_namespaces(struct cism *cism, struct err *err) MUST_CHECK;

/* Removes trust domains whose deletion was asked for and that no namespace refers to. */
int janitor_finish_domains(struct cism *cism, struct err *err) MUST_CHECK;

/* Removes events whose last time is older than that. */
int janitor_sweep_events(struct cism *cism, int64_t seconds, struct err *err) MUST_CHECK;

#endif
