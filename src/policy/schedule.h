/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler: a cluster in memory, and which of its instances a pod goes to (PLC-1 to PLC-5). Filters: separation,
 * readiness, resources, node selector and affinity, taints, affinity to pods, spreads; scores: schedule_weights.h. Who must be
 * apart is asked of policy_separation_level() alone, once for each two classes of pods, and kept.
 *
 * Cost of a decision: a walk over the intersection of sets of instances, 4,096 of them a word of the upper level; nothing is
 * looked at for each domain or each pod. Not thread-safe. -ENOMEM from a function that changes something leaves the cluster
 * half changed: the caller frees it and tells everything anew.
 */
#ifndef POLICY_SCHEDULE_H
#define POLICY_SCHEDULE_H

#include "policy/schedule_facts.h"
#include "policy/schedule_map.h"
#include "policy/separation.h"

#define SCHEDULE_RESOURCES_MAX 64 /* kinds of resources in a cluster; of more, those told first count */

struct schedule;

/* seed: any number that others do not know. NULL without memory. */
struct schedule *schedule_new(uint64_t seed);
void schedule_free(struct schedule *schedule);
CLEANUP_DEFINE(schedule, struct schedule *, schedule_free)

/* --- what the cluster is: everything told before is replaced --- */

/* The trust domains; the set is stolen and empty afterwards. */
int schedule_rules(struct schedule *schedule, struct policy_domains *domains) MUST_CHECK;
const struct policy_domains *schedule_domains(const struct schedule *schedule);
/* The labels of a namespace, kept; NULL: it is gone. */
int schedule_namespace(struct schedule *schedule, const char *name, struct schedule_facts *labels) MUST_CHECK;
/* An instance, kept. Pods that are charged to it stay so. */
int schedule_put(struct schedule *schedule, struct schedule_facts *instance) MUST_CHECK;
/* It is gone: its server is unknown, nothing goes there, what is charged to it stays. */
int schedule_remove(struct schedule *schedule, const char *name) MUST_CHECK;
/* The number of an instance, by which it is named below; SCHEDULE_NONE when there is none. It stays the same. */
uint32_t schedule_find(const struct schedule *schedule, const char *name);
const struct schedule_instance *schedule_instance(const struct schedule *schedule, uint32_t instance);
/* Numbers go from 0 to below this; schedule_instance() is NULL where an instance was removed. */
uint32_t schedule_count(const struct schedule *schedule);

/* --- pods --- */

/* The number of what a pod is like; the facts are kept when they are new. It is valid until schedule_trim(). */
int schedule_shape(struct schedule *schedule, struct schedule_facts *pod, uint32_t *ret_shape) MUST_CHECK;

/*
 * Charges a pod to an instance and to the server it was bound on (NULL: where the instance is now), whether or not it should
 * be there. A pod whose instance has moved counts on both servers, one whose instance is nowhere on every server.
 */
int schedule_charge(struct schedule *schedule, uint32_t shape, uint32_t instance, const char *server,
		    uint32_t *ret_pod) MUST_CHECK;
void schedule_release(struct schedule *schedule, uint32_t pod);

/*
 * Whether the decision about it rests on where other pods of its domain are, or others' on where it is: by affinity or a
 * spread. Such binds of one domain have to come one after the other.
 */
bool schedule_is_tied(const struct schedule *schedule, uint32_t shape);

struct schedule_choice {
	uint32_t instance; /* SCHEDULE_NONE: none can take it */
	int score;
};
/* The best instance. Of those that are worth the same to the platform at most some are compared. */
int schedule_decide(struct schedule *schedule, uint32_t shape, struct schedule_choice *ret_choice) MUST_CHECK;

/* --- why --- */

enum schedule_reason {
	SCHEDULE_ALLOWED,
	SCHEDULE_POD, /* no instance can take it: policy_reason, as policy_separation_decide() says of the pod alone */
	SCHEDULE_QUARANTINED,
	SCHEDULE_UNKNOWN_SERVER,
	SCHEDULE_SEPARATED, /* from a pod of `other_domain` at `level` */
	SCHEDULE_NOT_READY,
	SCHEDULE_UNSCHEDULABLE,
	SCHEDULE_SELECTOR, /* node_selector: `key` and `value` are missing */
	SCHEDULE_NODE_AFFINITY,
	SCHEDULE_TAINT,     /* `key` */
	SCHEDULE_RESOURCES, /* `key` is the resource, `amount` is asked */
	SCHEDULE_NEAR,      /* near.items[`index`]: no such pod there */
	SCHEDULE_APART,     /* apart.items[`index`]: such a pod is there */
	SCHEDULE_SHUNNED,   /* a pod there keeps away from such as this one; of the same trust domain */
	SCHEDULE_SPREAD,    /* spreads.items[`index`] */
};

struct schedule_verdict {
	enum schedule_reason reason;
	enum policy_reason policy_reason;
	enum policy_level level;
	const char *other_domain, *other_subfunction; /* borrowed; for operators only */
	const char *key, *value;
	int64_t amount;
	size_t index;
	int score; /* when allowed */
};
/* Whether an instance can take a pod, decided from the facts one by one and not from the sets that schedule_decide() uses. */
int schedule_judge(struct schedule *schedule, uint32_t shape, uint32_t instance,
		   struct schedule_verdict *ret_verdict) MUST_CHECK;

/* --- upkeep --- */

/* How many kinds of pods are remembered that nothing is charged for. */
size_t schedule_spare(const struct schedule *schedule);
/* Forgets them, with what only they need. Numbers of shapes without charged pods are no longer valid. */
void schedule_trim(struct schedule *schedule);

#endif
