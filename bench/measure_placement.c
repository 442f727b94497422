/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How fast the scheduler of src/policy/ decides in memory, in a cluster that is 72 % full and stays so: each pod that is placed
 * and charged is followed by the release of one that was there. Every pod has a node selector, required and preferred node
 * affinity, preferred anti-affinity and images; shares of them have required affinity, anti-affinity or a spread.
 * usage: measure_placement decide INSTANCES DOMAINS SECONDS
 *        prints decisions a second of processor time, those of the peer (every instance asked one by one, by the same
 *        function), the share that was placed, how full it was, pods, and decisions a second by the clock
 *        measure_placement prove INSTANCES PODS DOMAINS
 *        prints the seconds that the proof took, of processor time and by the clock, pods, MiB that it needed at most
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/str.h"
#include "policy/drift.h"
#include "policy/schedule.h"

#define FULL 0.72
#define KINDS 10 /* of pods in a domain */
#define ZONES 12
#define CPU INT64_C(64000)
#define MEMORY (INT64_C(256) << 30)
#define PEER_MOST 300 /* decisions of the slow peer */

static uint64_t state = 88172645463325252;

static uint64_t draw(uint64_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state >> 11) % below;
}

static double seconds(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void must(bool ok, const char *what)
{
	if (ok)
		return;
	(void)fprintf(stderr, "measure_placement: %s failed\n", what);
	exit(EXIT_FAILURE);
}

static const char *format(struct schedule_facts *to, const char *word, uint64_t number)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%s-%" PRIu64, word, number);
	return schedule_facts_text(to, text);
}

/* --- trust domains: each apart from some others, one in twenty from all, and its own two planes from each other --- */

static json_t *separation(uint64_t number, uint64_t count)
{
	json_t *rules = json_pack("[{s:{s:[s], s:s}, s:s, s:s}]", "from", "domains", "own", "subFunction", "user",
				  "subFunction", "management", "level", "Instance");
	char name[32];

	(void)snprintf(name, sizeof(name), "domain-%" PRIu64, number);
	(void)json_array_set_new(json_object_get(json_object_get(json_array_get(rules, 0), "from"), "domains"), 0,
				 json_string(name));
	if (number % 20 == 0) {
		(void)json_array_append_new(rules, json_pack("{s:{s:b}, s:s}", "from", "all", 1, "level", "Server"));
		return rules;
	}
	for (unsigned i = 0; i < 8; i++) {
		uint64_t other = (number + 1 + i * 17) % count;

		(void)snprintf(name, sizeof(name), "domain-%" PRIu64, other);
		if (other != number)
			(void)json_array_append_new(rules, json_pack("{s:{s:[s]}, s:s}", "from", "domains", name,
								     "level", i % 4 ? "Server" : "Instance"));
	}
	return rules;
}

static void make_domains(struct policy_domains *domains, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++) {
		struct policy_domain *domain = NULL;
		struct err err = {0};
		char name[32];
		json_t *spec = json_pack("{s:s, s:[{s:s, s:[s]}, {s:s, s:[s]}], s:o}", "isolation", "Container",
					 "subFunctions", "name", "user", "images", "r/user", "name", "management",
					 "images", "r/management", "separation", separation(i, count));

		(void)snprintf(name, sizeof(name), "domain-%" PRIu64, i);
		must(policy_domain_parse_spec(name, spec, &domain, &err) == 0, err.msg);
		must(policy_domains_put(domains, domain) == 0, "memory");
		json_decref(spec);
	}
}

/* --- instances: two in five are VMs, two a server; one in twenty is tainted --- */

static void make_instance(struct schedule *schedule, uint64_t number)
{
	struct schedule_facts *facts = schedule_facts_new();
	struct schedule_pair *labels = schedule_facts_take(facts, 4, sizeof(*labels));
	struct schedule_amount *room = schedule_facts_take(facts, 4, sizeof(*room));
	const char **images = schedule_facts_take(facts, 3, sizeof(*images));

	labels[0] = (struct schedule_pair){"kubernetes.io/hostname", format(facts, "node", number)};
	labels[1] = (struct schedule_pair){"topology.kubernetes.io/zone", format(facts, "zone", number % ZONES)};
	labels[2] = (struct schedule_pair){"disk", number % 4 ? "ssd" : "nvme"};
	labels[3] = (struct schedule_pair){"kubernetes.io/arch", "amd64"};
	room[0] = (struct schedule_amount){"cpu", CPU};
	room[1] = (struct schedule_amount){"memory", MEMORY};
	room[2] = (struct schedule_amount){"pods", 110};
	room[3] = (struct schedule_amount){"vendor.example/accelerator", number % 10 ? 0 : 8};
	for (unsigned i = 0; i < 3; i++)
		images[i] = format(facts, "registry/image", (number + i) % 40);
	facts->instance = (struct schedule_instance){
		.name = labels[0].value,
		.server = format(facts, "server", number % 5 < 2 ? number / 5 * 5 : number),
		.epoch = 1,
		.ready = true,
		.labels = {labels, 4},
		.allocatable = {room, 4},
		.images = {images, 3},
	};
	if (number % 20 == 7) {
		struct schedule_taint *taint = schedule_facts_take(facts, 1, sizeof(*taint));

		*taint = (struct schedule_taint){"dedicated", "edge", SCHEDULE_NO_SCHEDULE};
		facts->instance.taints = (struct schedule_taints){taint, 1};
	}
	must(!facts->failed && schedule_put(schedule, facts) == 0, "memory");
	schedule_facts_drop(facts);
}

/* --- pods --- */

static struct schedule_requirements one_of(struct schedule_facts *to, const char *key, const char *a, const char *b)
{
	struct schedule_requirement *one = schedule_facts_take(to, 1, sizeof(*one));
	const char **values = schedule_facts_take(to, 2, sizeof(*values));

	values[0] = a;
	values[1] = b;
	*one = (struct schedule_requirement){.key = key, .operator= SCHEDULE_IN, .values = {values, b ? 2 : 1}};
	return (struct schedule_requirements){one, 1};
}

static struct schedule_affinity beside(struct schedule_facts *to, const char *topology, int weight)
{
	const char **namespace = schedule_facts_take(to, 1, sizeof(*namespace));

	*namespace = to->pod.namespace;
	return (struct schedule_affinity){
		.pods = {true, one_of(to, "app", schedule_facts_label(&to->pod.labels, "app"), NULL)},
		.namespaces = {namespace, 1},
		.topology = topology,
		.weight = weight,
	};
}

static void make_affinity(struct schedule_facts *facts, uint64_t kind)
{
	struct schedule_term *terms = schedule_facts_take(facts, 1, sizeof(*terms));
	struct schedule_term *preferred = schedule_facts_take(facts, 1, sizeof(*preferred));
	struct schedule_affinity *apart = schedule_facts_take(facts, 2, sizeof(*apart));
	struct schedule_affinity *near = schedule_facts_take(facts, 1, sizeof(*near));

	terms[0].all = one_of(facts, "disk", "ssd", "nvme");
	preferred[0] = (struct schedule_term){one_of(facts, "disk", "nvme", NULL), 10};
	facts->pod.has_node_affinity = true;
	facts->pod.node_affinity = (struct schedule_terms){terms, 1};
	facts->pod.node_preferences = (struct schedule_terms){preferred, 1};
	apart[0] = beside(facts, "kubernetes.io/hostname", 5);
	apart[1] = beside(facts, "kubernetes.io/hostname", 0);
	facts->pod.apart = (struct schedule_affinities){apart, kind == 0 ? 2 : 1};
	near[0] = beside(facts, "topology.kubernetes.io/zone", 0);
	facts->pod.near = (struct schedule_affinities){near, kind == 1 || kind == 2};
	if (kind == 3 || kind == 4) {
		struct schedule_spread *spread = schedule_facts_take(facts, 1, sizeof(*spread));

		*spread = (struct schedule_spread){.pods = near[0].pods,
						   .topology = "topology.kubernetes.io/zone",
						   .required = kind == 3,
						   .most = 2,
						   .least_domains = 1};
		facts->pod.spreads = (struct schedule_spreads){spread, 1};
	}
}

static struct schedule_facts *make_pod(uint64_t domain, uint64_t kind)
{
	struct schedule_facts *facts = schedule_facts_new();
	struct schedule_pair *labels = schedule_facts_take(facts, 2, sizeof(*labels));
	struct schedule_pair *selector = schedule_facts_take(facts, 1, sizeof(*selector));
	struct schedule_amount *requests = schedule_facts_take(facts, 3, sizeof(*requests));
	struct schedule_toleration *tolerations = schedule_facts_take(facts, 1, sizeof(*tolerations));
	const char **images = schedule_facts_take(facts, 1, sizeof(*images));

	labels[0] = (struct schedule_pair){"app", format(facts, "app", kind)};
	labels[1] = (struct schedule_pair){"release", format(facts, "release", domain)};
	selector[0] = (struct schedule_pair){"kubernetes.io/arch", "amd64"};
	requests[0] = (struct schedule_amount){"cpu", INT64_C(250) << kind % 3};
	requests[1] = (struct schedule_amount){"memory", (INT64_C(512) << 20) * (int64_t)(1 + kind)};
	requests[2] = (struct schedule_amount){"vendor.example/accelerator", 1};
	tolerations[0] = (struct schedule_toleration){.key = "dedicated", .value = "edge", .any_effect = true};
	images[0] = format(facts, "registry/image", (domain + kind) % 40);
	facts->pod = (struct schedule_pod){
		.namespace = format(facts, "space", domain * 2 + kind % 2),
		.domain = format(facts, "domain", domain),
		.subfunction = kind % 4 ? "user" : "management",
		.labels = {labels, 2},
		.requests = {requests, kind == 9 ? 3 : 2},
		.node_selector = {selector, 1},
		.tolerations = {tolerations, kind % 5 == 0},
		.images = {images, 1},
	};
	make_affinity(facts, kind);
	must(!facts->failed, "memory");
	return facts;
}

/* --- the measurement --- */

struct world {
	struct schedule *schedule;
	struct schedule_facts **kinds;
	uint32_t *shapes; /* what the scheduler calls each kind, once it was told of it */
	uint64_t kind_count;
	uint32_t *pods;
	int64_t *sizes; /* processor of each */
	size_t pod_count;
	int64_t used, room;
	uint64_t decided, placed;
};

/* Required anti-affinity is for the few: one pod in a hundred; the accelerator for as many. */
static uint64_t draw_kind(const struct world *world)
{
	uint64_t domain = draw(world->kind_count / KINDS), dice = draw(100);
	uint64_t kind = dice == 0 ? 0 : dice == 1 ? 9 : 1 + dice % 8;

	return domain * KINDS + kind;
}

static void decide_one(struct world *world)
{
	uint64_t kind = draw_kind(world);
	int64_t size = world->kinds[kind]->pod.requests.items[0].amount;
	uint32_t shape = world->shapes[kind], pod;
	struct schedule_choice choice;

	must(schedule_decide(world->schedule, shape, &choice) == 0, "memory");
	world->decided++;
	if (choice.instance == SCHEDULE_NONE)
		return;
	must(schedule_charge(world->schedule, shape, choice.instance, NULL, &pod) == 0, "memory");
	world->placed++;
	world->pods[world->pod_count] = pod;
	world->sizes[world->pod_count++] = size;
	world->used += size;
}

static void release_one(struct world *world)
{
	size_t which = draw(world->pod_count);

	schedule_release(world->schedule, world->pods[which]);
	world->used -= world->sizes[which];
	world->pods[which] = world->pods[--world->pod_count];
	world->sizes[which] = world->sizes[world->pod_count];
}

static double fullness(const struct world *world)
{
	return (double)world->used / (double)world->room;
}

static void make_world(struct world *world, uint64_t instances, uint64_t domains)
{
	struct policy_domains rules = {0};

	*world = (struct world){.schedule = schedule_new(7), .kind_count = domains * KINDS};
	must(world->schedule, "memory");
	make_domains(&rules, domains);
	must(schedule_rules(world->schedule, &rules) == 0, "memory");
	for (uint64_t i = 0; i < instances; i++)
		make_instance(world->schedule, i);
	world->room = (int64_t)instances * CPU;
	world->kinds = calloc(world->kind_count, sizeof(struct schedule_facts *));
	world->shapes = calloc(world->kind_count, sizeof(*world->shapes));
	world->pods = calloc(instances * 120, sizeof(*world->pods));
	world->sizes = calloc(instances * 120, sizeof(*world->sizes));
	must(world->kinds && world->shapes && world->pods && world->sizes, "memory");
	for (uint64_t i = 0; i < world->kind_count; i++) {
		world->kinds[i] = make_pod(i / KINDS, i % KINDS);
		must(schedule_shape(world->schedule, world->kinds[i], &world->shapes[i]) == 0, "memory");
	}
	while (fullness(world) < FULL) {
		decide_one(world);
		must(world->decided < instances * 500, "filling the cluster");
	}
}

static void drop_world(struct world *world)
{
	for (uint64_t i = 0; i < world->kind_count; i++)
		schedule_facts_drop(world->kinds[i]);
	schedule_free(world->schedule);
	free(world->kinds);
	free(world->shapes);
	free(world->pods);
	free(world->sizes);
}

/* Every instance one by one; it has to come to the same answer about whether there is a place. */
static double measure_peer(struct world *world, double most)
{
	double start = seconds(CLOCK_PROCESS_CPUTIME_ID), spent = 0;
	unsigned decided = 0;

	for (; decided < PEER_MOST && spent < most; decided++) {
		struct schedule_choice choice, best = {.instance = SCHEDULE_NONE};
		uint32_t shape = world->shapes[draw_kind(world)];

		for (uint32_t i = 0; i < schedule_count(world->schedule); i++) {
			struct schedule_verdict verdict;

			must(schedule_judge(world->schedule, shape, i, &verdict) == 0, "memory");
			if (verdict.reason == SCHEDULE_ALLOWED &&
			    (best.instance == SCHEDULE_NONE || verdict.score > best.score))
				best = (struct schedule_choice){i, verdict.score};
		}
		spent = seconds(CLOCK_PROCESS_CPUTIME_ID) - start;
		must(schedule_decide(world->schedule, shape, &choice) == 0, "memory");
		must((choice.instance == SCHEDULE_NONE) == (best.instance == SCHEDULE_NONE), "the comparison");
	}
	return decided / spent;
}

static int measure(uint64_t instances, uint64_t domains, double length)
{
	double start, clock, spent = 0;
	struct world world;

	make_world(&world, instances, domains);
	world.decided = world.placed = 0;
	clock = seconds(CLOCK_MONOTONIC);
	start = seconds(CLOCK_PROCESS_CPUTIME_ID);
	while (spent < length) {
		for (unsigned i = 0; i < 1000; i++) {
			decide_one(&world);
			while (fullness(&world) > FULL)
				release_one(&world);
		}
		spent = seconds(CLOCK_PROCESS_CPUTIME_ID) - start;
	}
	clock = seconds(CLOCK_MONOTONIC) - clock;
	printf("%.0f %.1f %.4f %.3f %zu %.0f\n", (double)world.decided / spent, measure_peer(&world, length),
	       (double)world.placed / (double)world.decided, fullness(&world), world.pod_count,
	       (double)world.decided / clock);
	drop_world(&world);
	return EXIT_SUCCESS;
}

/* --- the proof that nothing stands where it should not --- */

static double resident(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_maxrss / 1024;
}

static int prove(uint64_t instances, uint64_t pods, uint64_t count)
{
	struct policy_holder *holders = calloc(pods, sizeof(*holders));
	struct schedule_facts *names = schedule_facts_new();
	const char **texts = schedule_facts_take(names, instances + count, sizeof(*texts));
	struct policy_domains domains = {0};
	struct policy_drift drift;
	struct err err = {0};
	double start, clock;

	must(holders && texts, "memory");
	make_domains(&domains, count);
	for (uint64_t i = 0; i < instances; i++)
		texts[i] = format(names, "node", i);
	for (uint64_t i = 0; i < count; i++)
		texts[instances + i] = format(names, "domain", i);
	for (uint64_t i = 0; i < pods; i++) {
		uint64_t instance = i % instances;

		holders[i] = (struct policy_holder){
			.pod = {.uid = format(names, "uid", i),
				.namespace = "space",
				.name = format(names, "pod", i),
				.domain = texts[instances + instance % count],
				.subfunction = "user"},
			.instance = texts[instance],
			.server = texts[instance],
		};
	}
	must(!names->failed, "memory");
	clock = seconds(CLOCK_MONOTONIC);
	start = seconds(CLOCK_PROCESS_CPUTIME_ID);
	must(policy_drift_prove(holders, pods, &domains, &drift, &err) == 0, err.msg);
	start = seconds(CLOCK_PROCESS_CPUTIME_ID) - start;
	clock = seconds(CLOCK_MONOTONIC) - clock;
	must(policy_drift_is_proven(&drift) && drift.holders == pods, "the proof");
	printf("%.4f %.4f %" PRIu64 " %.1f\n", start, clock, pods, resident());
	policy_domains_done(&domains);
	schedule_facts_drop(names);
	free(holders);
	return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
	if (argc == 5 && str_eq(argv[1], "decide"))
		return measure(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10), strtod(argv[4], NULL));
	if (argc == 5 && str_eq(argv[1], "prove"))
		return prove(strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10), strtoull(argv[4], NULL, 10));
	return 2;
}
