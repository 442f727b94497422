/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/nodes.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "cism/call.h"
#include "cism/conditions.h"
#include "cism/happenings.h"
#include "cism/keeper.h"
#include "cism/leader.h"
#include "cism/records.h"
#include "policy/domain.h"

#define LABEL_VM "nfv.bulkhead.dev/vm"
#define ANNOTATION_POWER "nfv.bulkhead.dev/power" /* also has placements looked at again when it changes */

static int put_text(json_t *object, const char *map, const char *key, const char *value)
{
	json_t *rows = api_value(object, map);

	if (!rows) {
		if (api_set(object, map, json_object()) < 0)
			return -ENOMEM;
		rows = api_value(object, map);
	}
	if (!value[0]) {
		(void)json_object_del(rows, key);
		return 0;
	}
	return json_object_set_new(rows, key, json_string(value));
}

/* The platform's word about a node, whatever its object said before. */
static int stamp(json_t *node, const struct topology_instance *instance)
{
	char epoch[24];

	(void)snprintf(epoch, sizeof(epoch), "%" PRIu64, instance->epoch);
	if (put_text(node, "metadata.labels", "kubernetes.io/hostname", instance->name) < 0 ||
	    put_text(node, "metadata.labels", POLICY_LABEL_SERVER, instance->server) < 0 ||
	    put_text(node, "metadata.labels", POLICY_LABEL_DEPLOYMENT, instance->deployment) < 0 ||
	    put_text(node, "metadata.labels", LABEL_VM, instance->vm) < 0 ||
	    put_text(node, "metadata.annotations", POLICY_ANNOTATION_EPOCH, epoch) < 0 ||
	    put_text(node, "metadata.annotations", ANNOTATION_POWER, instance->off ? "Off" : "") < 0)
		return -ENOMEM;
	return 0;
}

static json_t *fresh(const char *name)
{
	char now[CLOCK_STAMP_SIZE];
	char uid[37];

	call_uid(uid);
	clock_format(now, clock_wall_ms());
	return json_pack("{s:s, s:s, s:{s:s, s:s, s:s}, s:{}, s:{s:[{s:s, s:s, s:s, s:s, s:s}]}}", "kind", "Node",
			 "apiVersion", "v1", "metadata", "name", name, "uid", uid, "creationTimestamp", now, "spec",
			 "status", "conditions", "type", "Ready", "status", "Unknown", "reason", "NeverSeen", "message",
			 "the instance was not heard of yet", "lastTransitionTime", now);
}

/* One node's round. */
struct round {
	struct cism *cism;
	struct nodes_sightings *sightings;
	struct change change;
	bool silenced; /* it was ready, and was not heard of for too long */
};

struct nodes_sighting {
	char name[254];
	uint64_t revision; /* of its lease */
	uint64_t since_ns;
};

void nodes_sightings_done(struct nodes_sightings *sightings)
{
	free(sightings->rows);
	*sightings = (struct nodes_sightings){0};
}

static struct nodes_sighting *sighting_of(struct nodes_sightings *sightings, const char *name)
{
	struct nodes_sighting *rows;

	for (size_t i = 0; i < sightings->count; i++)
		if (str_eq(sightings->rows[i].name, name))
			return &sightings->rows[i];
	rows = reallocarray(sightings->rows, sightings->count + 1, sizeof(*rows));
	if (!rows)
		return NULL;
	sightings->rows = rows;
	rows += sightings->count++;
	*rows = (struct nodes_sighting){.since_ns = clock_monotonic_ns()};
	(void)snprintf(rows->name, sizeof(rows->name), "%s", name);
	return rows;
}

static int write_node(struct round *round, const json_t *node, uint64_t revision, const char *silence, struct err *err)
{
	uint64_t committed;
	int r = 0;

	leader_compare(round->cism, &round->change);
	records_put(&round->change, records_nodes(), node, revision);
	if (round->silenced)
		r = happenings_put(round->cism, node, "Warning", "NodeNotReady", silence, &round->change, err);
	if (r == 0)
		r = change_commit(&round->change, round->cism->store, &committed, err);
	return r == ERR_CONFLICT ? 0 : r; /* the next round sees what came between */
}

/* Whether an instance's lease has not changed for too long; what its own clock or another's says does not matter. */
static int is_silent(struct round *round, const char *name, bool *ret_silent, struct err *err)
{
	CLEANUP_OBJECT struct object lease = {0};
	int r = records_get(round->cism->store, records_leases(), "kube-node-lease", name, &lease, err);
	struct nodes_sighting *sighting = sighting_of(round->sightings, name);

	if (!sighting)
		return err_sys(err, -ENOMEM, "cannot judge instance '%s'", name);
	*ret_silent = r == ERR_NOT_FOUND;
	if (r < 0)
		return r == ERR_NOT_FOUND ? 0 : r;
	if (sighting->revision != lease.revision) {
		sighting->revision = lease.revision;
		sighting->since_ns = clock_monotonic_ns();
	}
	*ret_silent = clock_monotonic_ns() - sighting->since_ns > KEEPER_LEASE_S * UINT64_C(1000000000);
	return 0;
}

static bool says_ready(const json_t *node)
{
	const json_t *condition;
	size_t i;

	json_array_foreach(api_value(node, "status.conditions"), i, condition)
		if (str_eq(api_string(condition, "type") ? api_string(condition, "type") : "", "Ready"))
			return str_eq(api_string(condition, "status") ? api_string(condition, "status") : "", "True");
	return false;
}

/* An instance that was ready and is silent for too long: nothing new goes there. Nothing that runs there is touched. */
static int judge_lease(struct round *round, json_t *node, const char *name, const char *silence, struct err *err)
{
	bool silent = false;
	int r = says_ready(node) ? is_silent(round, name, &silent, err) : 0;

	if (r < 0 || !silent)
		return r;
	r = conditions_set(node, "Ready", "Unknown", "NodeStatusUnknown", silence);
	if (r < 0)
		return err_sys(err, r, "cannot judge instance '%s'", name);
	round->silenced = r > 0;
	return 0;
}

/*
 * Whether a mapping is older than what the node says already: another replica's topology source is ahead of this one's.
 * The same epoch with another server is a lie of one of the two, and nobody takes it back.
 */
static bool is_stale(const json_t *node, const struct topology_instance *instance)
{
	const char *text = api_annotation(node, POLICY_ANNOTATION_EPOCH);
	const char *server = api_label(node, POLICY_LABEL_SERVER);
	uint64_t epoch;

	if (!text || !server || str_parse_u64(text, UINT64_MAX, &epoch) < 0)
		return false;
	return instance->epoch < epoch || (instance->epoch == epoch && !str_eq(server, instance->server));
}

/* Once a minute: the keeper comes by every second, and alone. */
static void tell_stale(const struct topology_instance *instance)
{
	static uint64_t told_ns;
	uint64_t now = clock_monotonic_ns();

	if (told_ns && now - told_ns < 60 * UINT64_C(1000000000))
		return;
	told_ns = now;
	log_warn("the topology source is behind what is known of an instance, or contradicts it: not taken", "instance",
		 instance->name, "server", instance->server);
}

static int bring_up(struct round *round, const struct topology_instance *instance, struct err *err)
{
	CLEANUP_OBJECT struct object node = {0};
	CLEANUP_JSON json_t *before = NULL;
	char silence[400];
	bool stale;
	int r = records_get(round->cism->store, records_nodes(), NULL, instance->name, &node, err);

	if (r < 0 && r != ERR_NOT_FOUND)
		return r;
	if (r == ERR_NOT_FOUND)
		node.json = fresh(instance->name);
	else
		before = json_deep_copy(node.json);
	stale = before && is_stale(before, instance);
	if (stale)
		tell_stale(instance);
	if (!node.json || (!stale && stamp(node.json, instance) < 0))
		return err_sys(err, -ENOMEM, "cannot write node '%s'", instance->name);
	(void)snprintf(silence, sizeof(silence), "instance '%s' was not heard of for %d seconds", instance->name,
		       KEEPER_LEASE_S);
	r = judge_lease(round, node.json, instance->name, silence, err);
	if (r < 0 || (before && json_equal(before, node.json)))
		return r;
	r = write_node(round, node.json, node.revision, silence, err);
	if (r == 0 && round->silenced)
		log_warn("instance is silent", "instance", instance->name);
	return r;
}

static int follow_one(struct cism *cism, struct nodes_sightings *sightings, const struct topology_instance *instance,
		      struct err *err)
{
	struct round round = {.cism = cism, .sightings = sightings};
	int r;

	change_init(&round.change);
	r = bring_up(&round, instance, err);
	change_done(&round.change);
	return r;
}

int nodes_follow(struct cism *cism, struct nodes_sightings *sightings, struct err *err)
{
	struct topology topology = {0};
	int r = cism_topology_copy(cism, &topology, err);

	for (size_t i = 0; r == 0 && i < topology.count; i++)
		r = follow_one(cism, sightings, &topology.instances[i], err);
	topology_done(&topology);
	return r;
}
