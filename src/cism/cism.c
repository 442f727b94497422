/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/cism.h"

#include <errno.h>
#include <string.h>

int cism_topology_find(struct cism *cism, const char *instance, struct topology_instance *ret_instance)
{
	const struct topology_instance *found;

	pthread_mutex_lock(&cism->topology_lock);
	found = topology_find(&cism->topology, instance);
	if (found)
		*ret_instance = *found;
	pthread_mutex_unlock(&cism->topology_lock);
	return found ? 0 : ERR_NOT_FOUND;
}

uint64_t cism_topology_revision(struct cism *cism)
{
	uint64_t revision;

	pthread_mutex_lock(&cism->topology_lock);
	revision = cism->topology_revision;
	pthread_mutex_unlock(&cism->topology_lock);
	return revision;
}

int cism_topology_copy(struct cism *cism, struct topology *ret_topology, struct err *err)
{
	struct topology copy = {0};

	pthread_mutex_lock(&cism->topology_lock);
	copy.generation = cism->topology.generation;
	copy.sorted = cism->topology.sorted;
	copy.count = cism->topology.count;
	copy.instances = calloc(copy.count + 1, sizeof(*copy.instances));
	if (copy.instances && copy.count > 0)
		memcpy(copy.instances, cism->topology.instances, copy.count * sizeof(*copy.instances));
	pthread_mutex_unlock(&cism->topology_lock);
	if (!copy.instances)
		return err_sys(err, -ENOMEM, "cannot read the topology");
	*ret_topology = copy;
	return 0;
}
