/* SPDX-License-Identifier: Apache-2.0 */
/* What the scheduler is told of pods and instances: plain facts, in the words of the Kubernetes API (core/v1 PodSpec, NodeSpec). */
#ifndef POLICY_SCHEDULE_FACTS_H
#define POLICY_SCHEDULE_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

#define SCHEDULE_KEY_MAX ((size_t)1024 * 1024) /* bytes that the facts of one pod may be worth */

struct schedule_pair {
	const char *key, *value;
};

struct schedule_pairs {
	const struct schedule_pair *items;
	size_t count;
};

struct schedule_texts {
	const char *const *items;
	size_t count;
};

/* cpu in thousandths of a processor, everything else in its own unit (bytes, pieces). */
struct schedule_amount {
	const char
		*resource; /* "cpu", "memory", "ephemeral-storage", "hugepages-2Mi", "vendor.example/device", "pods" */
	int64_t amount;
};

struct schedule_amounts {
	const struct schedule_amount *items;
	size_t count;
};

enum schedule_operator {
	SCHEDULE_IN,
	SCHEDULE_NOT_IN,
	SCHEDULE_EXISTS,
	SCHEDULE_DOES_NOT_EXIST,
	SCHEDULE_GT,
	SCHEDULE_LT,
};

struct schedule_requirement {
	const char *key; /* a label; NULL: the instance's name (matchFields metadata.name) */
	enum schedule_operator operator;
	struct schedule_texts values;
};

/* All have to hold. */
struct schedule_requirements {
	const struct schedule_requirement *items;
	size_t count;
};

/* Of pods or namespaces by their labels: one that is not given selects nothing, an empty one everything. */
struct schedule_selector {
	bool given;
	struct schedule_requirements all;
};

/* Of instances: a term without requirements matches none. */
struct schedule_term {
	struct schedule_requirements all;
	int weight; /* of a preference, 1 to 100 */
};

struct schedule_terms {
	const struct schedule_term *items;
	size_t count;
};

enum schedule_effect { SCHEDULE_NO_SCHEDULE, SCHEDULE_PREFER_NO_SCHEDULE, SCHEDULE_NO_EXECUTE };

struct schedule_taint {
	const char *key, *value;
	enum schedule_effect effect;
};

struct schedule_taints {
	const struct schedule_taint *items;
	size_t count;
};

struct schedule_toleration {
	const char *key; /* NULL: any, with exists */
	bool exists;     /* of any value */
	const char *value;
	bool any_effect;
	enum schedule_effect effect;
};

struct schedule_tolerations {
	const struct schedule_toleration *items;
	size_t count;
};

/*
 * Which pods are meant, and what counts as beside them. Whatever namespaces it names, it sees pods of its own trust domain
 * alone: a tenant can neither seek nor keep away others (PLC-5).
 */
struct schedule_affinity {
	struct schedule_selector pods;
	struct schedule_texts namespaces;
	struct schedule_selector of_namespaces; /* and those with such labels */
	const char *topology;                   /* the label whose value two instances share */
	int weight;                             /* 0: required; a preference has 1 to 100 */
};

struct schedule_affinities {
	const struct schedule_affinity *items;
	size_t count;
};

struct schedule_spread {
	struct schedule_selector pods; /* of the pod's own namespace */
	const char *topology;
	bool required;
	int most;             /* maxSkew, at least 1 */
	int least_domains;    /* minDomains, at least 1 */
	bool ignore_affinity; /* nodeAffinityPolicy Ignore: instances it could not go to count too */
	bool honour_taints;   /* nodeTaintsPolicy Honor: those with taints it does not tolerate do not */
};

struct schedule_spreads {
	const struct schedule_spread *items;
	size_t count;
};

/* What of a pod turns the decision; two pods that agree in it are decided alike. */
struct schedule_pod {
	const char *namespace;
	const char *domain;      /* NULL or empty: the namespace has none */
	const char *subfunction; /* of policy_subfunction_of; NULL or empty: unmapped */
	struct schedule_pairs labels;
	struct schedule_amounts requests; /* one "pods" is counted by itself */
	struct schedule_pairs node_selector;
	bool has_node_affinity; /* requiredDuringScheduling… is given: one of the terms has to match */
	struct schedule_terms node_affinity;
	struct schedule_terms node_preferences;
	struct schedule_tolerations tolerations;
	struct schedule_affinities near;  /* podAffinity, required and preferred */
	struct schedule_affinities apart; /* podAntiAffinity, required and preferred */
	struct schedule_spreads spreads;
	struct schedule_texts images;
};

struct schedule_instance {
	const char *name;
	const char *server; /* NULL or empty: unknown, and an unknown server is no server */
	uint64_t epoch;     /* 0: unknown */
	bool ready, unschedulable, quarantined;
	struct schedule_pairs labels;
	struct schedule_taints taints;
	struct schedule_amounts allocatable;
	struct schedule_texts images; /* that are in its store */
};

/*
 * Facts and the memory that their texts and lists lie in. Who makes them takes memory with the functions below, fills in the
 * pod or the instance, and asks at the end whether memory was short. Counted references: a scheduler keeps its own.
 */
struct schedule_facts {
	struct schedule_chunk *chunks;
	unsigned references;
	bool failed; /* memory was short: what is in it is not to be used */
	union {
		struct schedule_pod pod;
		struct schedule_instance instance;
		struct schedule_pairs labels; /* of a namespace */
	};
};
struct schedule_facts *schedule_facts_new(void); /* NULL without memory */
struct schedule_facts *schedule_facts_keep(struct schedule_facts *facts);
void schedule_facts_drop(struct schedule_facts *facts); /* NULL is accepted */
CLEANUP_DEFINE(schedule_facts, struct schedule_facts *, schedule_facts_drop)
/* Zeroed memory for count items; NULL for none, and without memory. */
void *schedule_facts_take(struct schedule_facts *facts, size_t count, size_t size);
/* A copy of the text; NULL for NULL. */
const char *schedule_facts_text(struct schedule_facts *facts, const char *text);

/*
 * Appends bytes that are the same only for the same facts: of a whole pod, of what turns on the instance's own labels and
 * taints alone, of an affinity as seen from a trust domain, of a spread as an affinity within its namespace. -ENOMEM, -EFBIG.
 */
int schedule_facts_key_pod(struct buf *to, const struct schedule_pod *pod) MUST_CHECK;
int schedule_facts_key_filter(struct buf *to, const struct schedule_pod *pod) MUST_CHECK;
int schedule_facts_key_group(struct buf *to, const struct schedule_pod *pod) MUST_CHECK;
int schedule_facts_key_affinity(struct buf *to, const char *domain,
				const struct schedule_affinity *affinity) MUST_CHECK;

/* The affinity whose count of matching pods a spread is about. */
struct schedule_affinity schedule_facts_of_spread(const struct schedule_spread *spread, const char *const *namespace);

/* --- matching --- */

/* The value of a label; NULL when it is not there. */
const char *schedule_facts_label(const struct schedule_pairs *labels, const char *key);

/* name: of the instance, for matchFields. */
bool schedule_facts_match(const struct schedule_requirements *all, const struct schedule_pairs *labels,
			  const char *name);
bool schedule_facts_select(const struct schedule_selector *selector, const struct schedule_pairs *labels);

/* The first label of the nodeSelector that the instance does not have; NULL: it has all. */
const struct schedule_pair *schedule_facts_missing(const struct schedule_pod *pod,
						   const struct schedule_instance *instance);
/* Whether the required node affinity, if any, holds. */
bool schedule_facts_attracted(const struct schedule_pod *pod, const struct schedule_instance *instance);
/* The first taint that keeps the pod away; NULL: none. */
const struct schedule_taint *schedule_facts_untolerated(const struct schedule_pod *pod,
							const struct schedule_instance *instance);
/* How the instance is liked by itself: weights of the preferences that match, less a fixed one a taint PreferNoSchedule. */
int schedule_facts_liking(const struct schedule_pod *pod, const struct schedule_instance *instance);

#endif
