/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/cism.h"

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
