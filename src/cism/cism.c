/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/cism.h"

#include <errno.h>
#include <string.h>

#include "base/str.h"

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

bool cism_topology_has_left(struct cism *cism, const char *instance, uint64_t epoch, const char *except)
{
	const char *server;
	size_t at = 0;

	pthread_mutex_lock(&cism->topology_lock);
	do
		server = topology_next_left(&cism->topology, instance, epoch, &at);
	while (server && str_eq(server, except));
	pthread_mutex_unlock(&cism->topology_lock);
	return server;
}

/* Under the lock. */
static int copy_left(const struct topology *from, struct topology *to)
{
	to->left = calloc(from->left_count + 1, sizeof(*to->left));
	if (!to->left)
		return -ENOMEM;
	if (from->left_count > 0)
		memcpy(to->left, from->left, from->left_count * sizeof(*to->left));
	to->left_count = from->left_count;
	return 0;
}

int cism_topology_copy_left(struct cism *cism, struct topology *ret_topology, struct err *err)
{
	struct topology copy = {0};
	int r;

	pthread_mutex_lock(&cism->topology_lock);
	r = copy_left(&cism->topology, &copy);
	pthread_mutex_unlock(&cism->topology_lock);
	if (r < 0)
		return err_sys(err, r, "cannot read the topology");
	*ret_topology = copy;
	return 0;
}

int cism_topology_copy(struct cism *cism, struct topology *ret_topology, struct err *err)
{
	struct topology copy = {0};
	int r;

	pthread_mutex_lock(&cism->topology_lock);
	copy.generation = cism->topology.generation;
	copy.sorted = cism->topology.sorted;
	copy.count = cism->topology.count;
	copy.instances = calloc(copy.count + 1, sizeof(*copy.instances));
	if (copy.instances && copy.count > 0)
		memcpy(copy.instances, cism->topology.instances, copy.count * sizeof(*copy.instances));
	r = copy_left(&cism->topology, &copy);
	pthread_mutex_unlock(&cism->topology_lock);
	if (!copy.instances || r < 0) {
		topology_done(&copy);
		return err_sys(err, -ENOMEM, "cannot read the topology");
	}
	*ret_topology = copy;
	return 0;
}
