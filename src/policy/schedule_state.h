/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the scheduler: what its files share. Everything is named by its number in an array. */
#ifndef POLICY_SCHEDULE_STATE_H
#define POLICY_SCHEDULE_STATE_H

#include "policy/schedule.h"
#include "policy/schedule_bits.h"

enum { SCHEDULE_CPU, SCHEDULE_MEMORY, SCHEDULE_PODS, SCHEDULE_NAMED };

#define SCHEDULE_LEVELS 200 /* steps by which room is told apart, four a doubling */
#define SCHEDULE_SIZED 2    /* resources with steps: cpu and memory */

/* How many pods of which classes are somewhere; few rows, so that a walk is cheap. */
struct schedule_occupant {
	uint32_t class, count;
};
struct schedule_occupants {
	struct schedule_occupant *rows;
	uint32_t count, room;
};

struct schedule_numbers {
	uint32_t *items;
	uint32_t count, room;
};

struct schedule_place {
	struct schedule_facts *facts; /* NULL: nothing is here */
	uint32_t server;              /* SCHEDULE_NONE: unknown */
	uint32_t first;               /* of its pods */
	struct schedule_occupants occupants;
	uint8_t steps[SCHEDULE_SIZED]; /* of what is free */
};

struct schedule_server {
	char *name;
	struct schedule_numbers places;
	struct schedule_occupants occupants;
};

/* Pods of one domain and sub-function: what separation tells apart. */
struct schedule_class {
	char *domain, *subfunction;
	uint32_t own; /* the domain's number */
	enum policy_reason refusal;
	uint8_t *levels;              /* from other classes, two bits each; 3: not asked yet */
	uint32_t level_room;          /* in classes */
	struct schedule_bits here;    /* instances that it is on */
	struct schedule_bits allowed; /* instances that separation leaves it, if compiled */
	struct schedule_bits stale;   /* but for the servers of these, which have to be asked about again */
	bool compiled;
	struct schedule_numbers enemies;  /* classes that may not be everywhere that it is */
	uint32_t enemies_known;           /* of so many classes */
	bool asked;                       /* refusal is known */
	bool sorted;                      /* siblings are */
	struct schedule_numbers siblings; /* classes of the same domain that may share no instance with it */
};

struct schedule_domain {
	struct schedule_bits near; /* instances of servers that it is on */
	struct schedule_numbers classes;
};

/* A label of instances by which pods are beside each other. */
struct schedule_topology {
	char *key;
	uint32_t *value; /* of each place; SCHEDULE_NONE: it has none */
	struct schedule_map names;
	struct schedule_numbers *values; /* the places of each value */
	uint32_t count, room;
	struct schedule_bits having;
};

/* What instances are by themselves, to pods with one selector, node affinity and tolerations. */
struct schedule_filter {
	struct schedule_facts *facts;
	struct schedule_bits selected; /* by selector and affinity */
	struct schedule_bits fit;      /* and whose taints are tolerated */
	int *liking;                   /* a place; NULL: all the same */
	struct schedule_bits liked;    /* those that are liked most */
	int most;
	uint64_t changes;
	uint32_t shapes; /* in use by so many */
};

/* How many pods at a value of a topology an affinity means, and how many have it. */
struct schedule_tally {
	uint32_t value; /* SCHEDULE_NONE: no row */
	uint32_t matching, carrying;
};

/* An affinity of some pods of a domain. */
struct schedule_meant {
	struct schedule_facts *facts; /* whose memory `affinity` lies in */
	struct schedule_affinity affinity;
	uint32_t domain, topology;
	struct schedule_tally *tallies; /* a hash table of the values that pods are at */
	uint32_t tally_count, tally_room;
	uint64_t matching_total, carrying_total, changes;
	struct schedule_bits matched, carried; /* places where the count is not 0 */
	uint32_t shapes;
};

/* Pods of one namespace with the same labels: what affinities tell apart. */
struct schedule_group {
	struct schedule_facts *facts;
	uint32_t domain;
	struct schedule_numbers meant; /* by these */
	uint32_t first;                /* of its pods */
	uint32_t shapes;
};

struct schedule_request {
	uint32_t resource;
	int64_t amount;
};

struct schedule_wish {
	uint32_t meant;
	int weight; /* less than 0: away from it; 0: required */
	bool self;  /* it means the pod itself */
};

struct schedule_spreading {
	uint32_t meant;
	bool self;
	const struct schedule_spread *facts;
	uint64_t seen_meant, seen_filter; /* as of which the following is */
	uint32_t least;
	struct schedule_bits allowed;     /* of a required one */
	struct schedule_numbers eligible; /* a value: how many instances that count */
	struct schedule_numbers fine;     /* a value: whether it is allowed */
	struct schedule_numbers counts;   /* a value: pods on instances that count; empty: all pods of the value are */
};

struct schedule_like {
	struct schedule_facts *facts;
	uint32_t class, group, filter;
	struct schedule_request *requests;
	size_t request_count;
	const struct schedule_amount *unknown; /* a resource that no instance has */
	struct schedule_wish *near, *apart;    /* required */
	size_t near_count, apart_count;
	struct schedule_wish *wishes; /* preferred */
	size_t wish_count;
	struct schedule_spreading *spreads;
	size_t spread_count;
	const struct schedule_bits **images; /* one an image; NULL: nobody has it */
	uint64_t images_seen;
	uint32_t pods;
};

struct schedule_charged {
	uint32_t shape; /* SCHEDULE_NONE: free, and next is the next free one */
	uint32_t place, server;
	uint32_t previous, next;             /* of the place */
	uint32_t group_previous, group_next; /* of the group */
};

struct schedule {
	struct policy_domains rules;

	struct schedule_place *places;
	uint32_t place_count, place_room;
	struct schedule_map place_names;
	struct schedule_server *servers;
	uint32_t server_count, server_room;
	struct schedule_map server_names;
	struct schedule_occupants everywhere; /* pods of instances that are nowhere */

	char *resources[SCHEDULE_RESOURCES_MAX];
	uint32_t resource_count;
	int64_t *free[SCHEDULE_RESOURCES_MAX], *room[SCHEDULE_RESOURCES_MAX]; /* a place */
	float *inverse[SCHEDULE_SIZED];                                       /* of the room */
	struct schedule_bits fits[SCHEDULE_SIZED][SCHEDULE_LEVELS];           /* at least this step is free */
	struct schedule_bits some[SCHEDULE_RESOURCES_MAX];                    /* something is free */
	struct schedule_bits open; /* ready, schedulable, not quarantined, on a known server */
	struct schedule_bits busy; /* on a server that somebody is on */

	struct schedule_class *classes;
	uint32_t class_count, class_room;
	struct schedule_map class_names;

	struct schedule_domain *domains;
	uint32_t domain_count, domain_room;
	struct schedule_map domain_names;

	struct schedule_topology *topologies;
	uint32_t topology_count, topology_room;
	struct schedule_map topology_names;

	struct schedule_filter *filters;
	uint32_t filter_count, filter_room;
	struct schedule_map filter_names;

	struct schedule_meant *meant;
	uint32_t meant_count, meant_room;
	struct schedule_map meant_names;

	struct schedule_group *groups;
	uint32_t group_count, group_room;
	struct schedule_map group_names;

	struct schedule_facts **namespaces;
	uint32_t namespace_count, namespace_room;
	struct schedule_map namespace_names;

	struct schedule_bits **images;
	uint32_t image_count, image_room;
	struct schedule_map image_names;
	uint64_t image_changes;

	struct schedule_like *shapes;
	uint32_t shape_count, shape_room, spare;
	struct schedule_map shape_names;

	struct schedule_charged *pods;
	uint32_t pod_count, pod_room, pod_free;

	struct buf key; /* scratch */
};

/* Makes room for one more item of an array; the new room is zeroed. */
#define SCHEDULE_ROOM(array, count, room) schedule_room((void **)&(array), (count), &(room), sizeof(*(array)))
int schedule_room(void **array, uint32_t count, uint32_t *room, size_t size) MUST_CHECK;
int schedule_numbers_add(struct schedule_numbers *numbers, uint32_t number) MUST_CHECK;
void schedule_numbers_remove(struct schedule_numbers *numbers, uint32_t number);

/* Words of every set of instances. */
static inline uint32_t schedule_words(const struct schedule *schedule)
{
	return (schedule->place_room + 4095) / 4096 * 64;
}

/* --- schedule_class.c: separation --- */
int schedule_class_of(struct schedule *schedule, const char *domain, const char *subfunction, uint32_t *ret) MUST_CHECK;
/* How far two classes must be apart. */
enum policy_level schedule_class_level(struct schedule *schedule, uint32_t a, uint32_t b);
/* Whether it leaves the place to the class, from who is there. */
bool schedule_class_allows(struct schedule *schedule, uint32_t class, uint32_t place);
/* A class came to a server or one of its instances, or left; SCHEDULE_NONE: the server's instances changed. */
void schedule_class_note(struct schedule *schedule, uint32_t class, uint32_t server);
/* Brings class->allowed up to date. */
int schedule_class_refresh(struct schedule *schedule, uint32_t class) MUST_CHECK;
/* Finds class->siblings. */
int schedule_class_siblings(struct schedule *schedule, uint32_t class) MUST_CHECK;
/* The reason why no instance may take it. */
enum policy_reason schedule_class_refusal(struct schedule *schedule, uint32_t class);
/* The occupant in the way of a class on a place; NULL: none. */
const struct schedule_occupant *schedule_class_obstacle(struct schedule *schedule, uint32_t class, uint32_t place,
							enum policy_level *ret_level);
/* Everything about separation has to be asked again. */
void schedule_class_reset(struct schedule *schedule, bool rules);
void schedule_class_done(struct schedule *schedule);

/* --- schedule_place.c: instances, servers, what is charged --- */
int schedule_place_attach(struct schedule *schedule, uint32_t pod) MUST_CHECK;
void schedule_place_detach(struct schedule *schedule, uint32_t pod);
int schedule_place_resource(struct schedule *schedule, const char *name, bool make, uint32_t *ret) MUST_CHECK;
unsigned schedule_place_step(unsigned resource, int64_t amount);
void schedule_place_done(struct schedule *schedule);

/* --- schedule_meant.c: labels of pods and instances --- */
int schedule_meant_of(struct schedule *schedule, struct schedule_facts *facts, const struct schedule_affinity *affinity,
		      uint32_t *ret) MUST_CHECK;
int schedule_meant_group(struct schedule *schedule, struct schedule_facts *facts, uint32_t *ret) MUST_CHECK;
/* Whether it means pods of the group. */
bool schedule_meant_means(const struct schedule *schedule, const struct schedule_meant *meant,
			  const struct schedule_group *group);
/* Counts a pod of the group, with the shape's own affinities, at a place, up or down. */
int schedule_meant_count(struct schedule *schedule, uint32_t shape, uint32_t place, bool up) MUST_CHECK;
/* Puts the labels of a place into the topologies, or takes them out. */
int schedule_meant_place(struct schedule *schedule, uint32_t place, bool in) MUST_CHECK;
uint32_t schedule_meant_value(const struct schedule *schedule, const struct schedule_meant *meant, uint32_t place);
/* The counts at a value; zeroes where there are none. */
struct schedule_tally schedule_meant_tally(const struct schedule_meant *meant, uint32_t value);
void schedule_meant_done(struct schedule *schedule);

/* --- schedule_filter.c: instances by themselves --- */
int schedule_filter_of(struct schedule *schedule, struct schedule_facts *facts, uint32_t *ret) MUST_CHECK;
/* An instance changed: asks every filter about it. */
int schedule_filter_place(struct schedule *schedule, uint32_t place) MUST_CHECK;
int schedule_filter_images(struct schedule *schedule, uint32_t place, bool in) MUST_CHECK;
void schedule_filter_done(struct schedule *schedule);

/* --- schedule_shape.c --- */
void schedule_shape_done(struct schedule *schedule);

/* --- schedule_spread.c --- */
int schedule_spread_refresh(struct schedule *schedule, const struct schedule_like *shape,
			    struct schedule_spreading *spread) MUST_CHECK;
/* How far a pod more at the place would exceed the spread; 0: not at all, -1: the place has no such value. */
int schedule_spread_excess(const struct schedule *schedule, const struct schedule_spreading *spread, uint32_t place);

/* --- schedule_score.c --- */
int schedule_score(const struct schedule *schedule, const struct schedule_like *shape, uint32_t place);

#endif
