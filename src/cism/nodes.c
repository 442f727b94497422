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
#include "cism/records.h"
#include "policy/domain.h"

#define LABEL_VM "nfv.bulkhead.dev/vm"

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
	    put_text(node, "metadata.annotations", POLICY_ANNOTATION_EPOCH, epoch) < 0)
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

static int write_node(struct cism *cism, const json_t *node, uint64_t revision, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	uint64_t committed;
	int r;

	change_init(&change);
	records_put(&change, records_nodes(), node, revision);
	r = change_commit(&change, cism->store, &committed, err);
	return r == ERR_CONFLICT ? 0 : r; /* the next round sees what came between */
}

/* When the instance was last heard of; 0 for never. */
static int lease_time(struct cism *cism, const char *name, int64_t *ret_ms, struct err *err)
{
	CLEANUP_OBJECT struct object lease = {0};
	const char *renewed;
	int r = records_get(cism->store, records_leases(), "kube-node-lease", name, &lease, err);

	*ret_ms = 0;
	if (r == ERR_NOT_FOUND)
		return 0;
	if (r < 0)
		return r;
	renewed = api_string(lease.json, "spec.renewTime");
	if (renewed && clock_parse(renewed, ret_ms) < 0)
		*ret_ms = 0;
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
static int judge_lease(struct cism *cism, json_t *node, const char *name, struct err *err)
{
	char message[400];
	int64_t renewed;
	int r;

	if (!says_ready(node))
		return 0;
	r = lease_time(cism, name, &renewed, err);
	if (r < 0)
		return r;
	if (renewed > 0 && clock_wall_ms() - renewed <= KEEPER_LEASE_S * INT64_C(1000))
		return 0;
	(void)snprintf(message, sizeof(message), "instance '%s' was not heard of for %d seconds", name, KEEPER_LEASE_S);
	r = conditions_set(node, "Ready", "Unknown", "NodeStatusUnknown", message);
	if (r < 0)
		return err_sys(err, r, "cannot judge instance '%s'", name);
	if (r > 0) {
		log_warn("instance is silent", "instance", name);
		happenings_record(cism, node, "Warning", "NodeNotReady", message);
	}
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

static int follow_one(struct cism *cism, const struct topology_instance *instance, struct err *err)
{
	CLEANUP_OBJECT struct object node = {0};
	CLEANUP_JSON json_t *before = NULL;
	bool stale;
	int r = records_get(cism->store, records_nodes(), NULL, instance->name, &node, err);

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
	r = judge_lease(cism, node.json, instance->name, err);
	if (r < 0 || (before && json_equal(before, node.json)))
		return r;
	return write_node(cism, node.json, node.revision, err);
}

/* A copy, so that the lock is not held while the store writes. */
static int copy_topology(struct cism *cism, struct topology *to, struct err *err)
{
	int r = 0;

	pthread_mutex_lock(&cism->topology_lock);
	to->count = cism->topology.count;
	to->instances = calloc(to->count + 1, sizeof(*to->instances));
	if (!to->instances)
		r = err_sys(err, -ENOMEM, "cannot read the topology");
	else if (to->count > 0)
		memcpy(to->instances, cism->topology.instances, to->count * sizeof(*to->instances));
	pthread_mutex_unlock(&cism->topology_lock);
	return r;
}

int nodes_follow(struct cism *cism, struct err *err)
{
	struct topology topology = {0};
	int r = copy_topology(cism, &topology, err);

	for (size_t i = 0; r == 0 && i < topology.count; i++)
		r = follow_one(cism, &topology.instances[i], err);
	topology_done(&topology);
	return r;
}
