/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/poweroff.h"

#include "base/log.h"
#include "base/str.h"
#include "cism/charges.h"
#include "cism/happenings.h"
#include "cism/instances.h"
#include "cism/leader.h"
#include "cism/records.h"
#include "cism/shared_topology.h"

/* The Pod object goes too, whether its deletion was asked for or not: nothing runs it any more. */
static int remove_object(struct cism *cism, const struct ledger_holder *holder, struct change *change, struct err *err)
{
	CLEANUP_OBJECT struct object pod = {0};
	int r = records_get(cism->store, records_pods(), holder->namespace, holder->name, &pod, err);

	if (r < 0)
		return r == ERR_NOT_FOUND ? 0 : r;
	if (!str_eq(api_string(pod.json, "metadata.uid"), holder->uid) ||
	    api_string(pod.json, "metadata.deletionTimestamp") ||
	    json_array_size(api_value(pod.json, "metadata.finalizers")) > 0)
		return 0; /* released with its charge, or somebody else's to finish */
	records_remove(change, records_pods(), pod.json, pod.revision);
	instances_forget_decision(change, pod.json);
	return happenings_put(cism, pod.json, "Warning", "PoweredOff", "the pod's instance was powered off", change,
			      err);
}

static int release(struct cism *cism, const struct ledger_holder *holder, uint64_t topology, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	uint64_t revision;
	int r;

	change_init(&change);
	leader_compare(cism, &change);
	change_compare(&change, SHARED_TOPOLOGY_KEY, topology);
	r = instances_release(cism->store, holder->instance, holder->uid, &change, err);
	if (r == 0)
		r = remove_object(cism, holder, &change, err);
	if (r == 0)
		r = change_commit(&change, cism->store, &revision, err);
	if (r == 0)
		log_info("released: the instance was powered off", "instance", holder->instance, "uid", holder->uid);
	return r == ERR_CONFLICT || r == ERR_NOT_FOUND ? 0 : r; /* the next round sees what came between */
}

static bool any_off(struct cism *cism)
{
	bool off = false;

	pthread_mutex_lock(&cism->topology_lock);
	for (size_t i = 0; i < cism->topology.count && !off; i++)
		off = cism->topology.instances[i].off;
	pthread_mutex_unlock(&cism->topology_lock);
	return off;
}

int poweroff_release(struct cism *cism, struct err *err)
{
	CLEANUP_CHARGES struct charges charges = {0};
	uint64_t topology = cism_topology_revision(cism); /* before it is read: what is newer then fails the commit */
	int r;

	if (!any_off(cism))
		return 0;
	r = charges_read(cism, &charges, err);
	for (size_t i = 0; r == 0 && i < charges.ledger.holder_count; i++) {
		const struct ledger_holder *holder = &charges.ledger.holders[i];
		const struct topology_instance *now = topology_find(&charges.topology, holder->instance);

		if (now && now->off && holder->epoch < now->epoch)
			r = release(cism, holder, topology, err);
	}
	return r;
}
