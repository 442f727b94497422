/* SPDX-License-Identifier: Apache-2.0 */
/* What the API says about instances, trust domains and pods, as facts for policy/. */
#ifndef CLI_CLUSTER_H
#define CLI_CLUSTER_H

#include "cli/apiclient.h"
#include "policy/separation.h"

struct cluster {
	json_t *nodes, *namespaces, *trust_domains, *pods; /* lists */
	struct policy_domains domains;
	json_t *ledger; /* who is charged where, and the last proof */
	struct policy_holder *holders;
	size_t holder_count; /* a pod whose instance moved is there more than once */
};

/* Reads everything. A TrustDomain that does not parse is left out: its pods count as of an undefined domain. */
int cluster_load(struct apiclient *client, struct cluster *ret_cluster, struct err *err) MUST_CHECK;
/* As a command begins: settings and keys below root, a client, everything read. */
int cluster_open(const char *root, struct apiclient **ret_client, struct cluster *ret_cluster,
		 struct err *err) MUST_CHECK;
/* The trust domains once more, for the caller to change. */
int cluster_parse_domains(const struct cluster *cluster, struct policy_domains *domains, struct err *err) MUST_CHECK;
void cluster_done(struct cluster *cluster);
#define CLEANUP_CLUSTER __attribute__((cleanup(cluster_done)))

/* The objects of a list, an array to borrow; NULL for none. */
const json_t *cluster_items(const json_t *list);
/* The pod, NULL when there is none. */
const json_t *cluster_pod(const struct cluster *cluster, const char *namespace, const char *name);
/* The trust domain of a namespace, NULL without one. */
const char *cluster_domain_of(const struct cluster *cluster, const char *namespace);
/* The pod as policy sees it; its strings are borrowed from the cluster. */
struct policy_pod cluster_pod_facts(const struct cluster *cluster, const json_t *pod);
struct policy_place cluster_place_facts(const json_t *node);

/* Whether the pod may run on the node next to all that is charged there, by the ledger. */
void cluster_decide(const struct cluster *cluster, const json_t *pod, const json_t *node,
		    struct policy_decision *ret_decision);

#endif
