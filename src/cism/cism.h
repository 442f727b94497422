/* SPDX-License-Identifier: Apache-2.0 */
/* The service as a whole: what its parts share. Everything in it is made before the first request and outlives the last. */
#ifndef CISM_CISM_H
#define CISM_CISM_H

#include <pthread.h>
#include <stdatomic.h>

#include "cism/cism_config.h"
#include "cism/topology.h"
#include "crypto/key.h"
#include "store/store.h"

struct watches;
struct relays;
struct board;
struct placer;
struct workers;
struct keeper;
struct keyholder;
struct leader;
struct prover;

struct cism {
	struct cism_config config;
	struct store *store;
	int etc; /* folder of topology.json, open since before the privileges went */

	char *ca;                 /* PEM of the cluster's CA */
	char *server_certificate; /* TLS towards clients */
	char *server_key;
	char *client_certificate; /* TLS towards registries */
	char *client_key;
	char *binding_certificate; /* signs tickets; the key never reaches the store */
	struct crypto_key *binding_key;
	struct keyholder *keyholder; /* another process: keys of trust domains are never in this one */

	char *instances_ca; /* PEM of the CA that certifies instances when they join, and its key; NULL: none may */
	struct crypto_key *instances_key;
	char *client_cas; /* PEM: whose certificates peers may show */

	pthread_mutex_t topology_lock;
	struct topology topology; /* under the lock, as all replicas have it (shared_topology.h) */
	uint64_t topology_revision;

	struct watches *watches;
	struct relays *relays;
	struct board *board; /* what the placement knows; locks itself */
	struct placer *placer;
	struct keeper *keeper;
	struct leader *leader;
	struct prover *prover;
	struct workers *workers;

	atomic_bool leading; /* this replica leads the controllers */
	atomic_bool lost;    /* the store is not the one it was: the process ends */

	atomic_uint_fast64_t requests;  /* answered, for /metrics */
	atomic_uint_fast64_t decisions; /* placement decisions taken */
	atomic_uint_fast64_t binds;     /* committed */
};

/* Copies the row of an instance; ERR_NOT_FOUND when the topology does not know it: an unknown server is no server. */
int cism_topology_find(struct cism *cism, const char *instance, struct topology_instance *ret_instance) MUST_CHECK;

/*
 * Whether one bound to the instance in `epoch` may still run on a server that the instance left, other than `except`
 * (topology_next_left).
 */
bool cism_topology_has_left(struct cism *cism, const char *instance, uint64_t epoch, const char *except);

/* A copy of all rows but of those that departed, which the caller ends with topology_done: the lock is not held while it is used. -ENOMEM. */
int cism_topology_copy(struct cism *cism, struct topology *ret_topology, struct err *err) MUST_CHECK;

/* A copy of the servers that instances left, and of nothing else; the caller ends it with topology_done. -ENOMEM. */
int cism_topology_copy_left(struct cism *cism, struct topology *ret_topology, struct err *err) MUST_CHECK;

/* The revision of the topology that cism_topology_find reads: what a decision by it compares. */
uint64_t cism_topology_revision(struct cism *cism);

#endif
