/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/shared_topology.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/str.h"
#include "cism/change.h"
#include "cism/ledger.h"

/* What the store has; revision 0 and an empty topology when it has none. */
static int read_stored(struct cism *cism, struct topology *to, uint64_t *ret_revision, struct err *err)
{
	CLEANUP_STORE_ENTRY struct store_entry entry = {0};
	int r = store_get(cism->store, SHARED_TOPOLOGY_KEY, &entry, err);

	*to = (struct topology){0};
	*ret_revision = 0;
	if (r == ERR_NOT_FOUND)
		return 0;
	if (r == 0)
		r = topology_parse(entry.value, entry.value_len, to, err);
	if (r == 0)
		*ret_revision = entry.mod_revision;
	return r;
}

static int write_stored(struct cism *cism, const struct topology *topology, uint64_t revision, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	CLEANUP_FREE char *text = topology_format(topology);
	char generation[24];
	uint64_t committed;
	int r;

	if (!text)
		return err_sys(err, -ENOMEM, "cannot write the topology");
	change_init(&change);
	change_compare(&change, SHARED_TOPOLOGY_KEY, revision);
	change_put_bytes(&change, SHARED_TOPOLOGY_KEY, text, strlen(text));
	r = change_commit(&change, cism->store, &committed, err);
	(void)snprintf(generation, sizeof(generation), "%" PRIu64, topology->generation);
	if (r == 0)
		log_info("a newer topology is taken", "generation", generation);
	return r;
}

static bool is_needed(void *user, const struct topology_left *left)
{
	const struct ledger *ledger = user;

	for (size_t i = 0; i < ledger->holder_count; i++)
		if (ledger->holders[i].epoch <= left->epoch && str_eq(ledger->holders[i].instance, left->name))
			return true;
	return false;
}

/*
 * Has the topology of the file remember what was. Rows of earlier epochs that nobody needs go: nothing is bound in those any
 * more, so that a ledger read now says it for good.
 */
static int remember(struct cism *cism, struct topology *file, const struct topology *now, struct err *err)
{
	CLEANUP_LEDGER struct ledger ledger = {0};
	int r = now->left_count ? ledger_read(cism->store, &ledger, err) : 0;

	if (r == 0)
		r = topology_leave(file, now, is_needed, &ledger, err);
	return r < 0 ? r : topology_remember(file, now, err);
}

static int offer_once(struct cism *cism, struct topology *file, struct err *err)
{
	/* Where only one process has the store, only its file tells of a topology. */
	bool alone = cism->config.etcd.endpoint_count == 0;
	struct topology now;
	uint64_t revision;
	int r = read_stored(cism, &now, &revision, err);

	if (r < 0)
		return r;
	r = revision ? topology_follows(&now, file, alone, err) : 1;
	if (r > 0) {
		int failed = remember(cism, file, &now, err);

		r = failed < 0 ? failed : r;
	}
	topology_done(&now);
	return r > 0 ? write_stored(cism, file, revision, err) : r;
}

int shared_topology_offer(struct cism *cism, struct topology *file, struct err *err)
{
	int r;

	do
		r = offer_once(cism, file, err);
	while (r == ERR_CONFLICT); /* another replica wrote a newer one */
	return r;
}

int shared_topology_follow(struct cism *cism, struct err *err)
{
	struct topology topology;
	uint64_t revision;
	int r = read_stored(cism, &topology, &revision, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&cism->topology_lock);
	topology_done(&cism->topology);
	cism->topology = topology;
	cism->topology_revision = revision;
	pthread_mutex_unlock(&cism->topology_lock);
	return 0;
}
