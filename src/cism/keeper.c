/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fdio.h"
#include "base/log.h"
#include "base/str.h"
#include "cism/janitor.h"
#include "cism/joins.h"
#include "cism/leader.h"
#include "cism/nodes.h"
#include "cism/poweroff.h"
#include "cism/quarantines.h"
#include "cism/quotas.h"
#include "cism/records.h"
#include "cism/shared_topology.h"

#define TOPOLOGY "topology.json"
#define TOPOLOGY_MAX ((size_t)4 * 1024 * 1024)
#define ROUND_MS 1000
#define SWEEP_ROUNDS 60 /* events are looked through every so many rounds */

struct keeper {
	struct cism *cism;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stopping;            /* under the lock */
	struct timespec modified; /* of the topology last read */
	struct nodes_sightings sightings;
	unsigned rounds;
};

/* Replicas of a cluster need no file of their own. */
static int read_file(struct cism *cism, struct topology *to, struct err *err)
{
	CLEANUP_BUF struct buf text = buf_of(TOPOLOGY_MAX);
	int r = fdio_read_file(cism->etc, TOPOLOGY, &text, err);

	if ((r == -ENOENT || r == ERR_NOT_FOUND) && cism->config.etcd.endpoint_count)
		return 0;
	return r < 0 ? r : topology_parse(text.data ? text.data : "", text.len, to, err);
}

int keeper_check_topology(struct cism *cism, struct err *err)
{
	struct topology topology = {0};
	int r = read_file(cism, &topology, err);

	topology_done(&topology);
	return r;
}

/* A file that changed is offered to the store; one that cannot be read or is not taken leaves what is known, and says so once. */
static void offer_topology(struct keeper *keeper)
{
	struct topology topology = {0};
	struct err err = {0};
	struct stat now;
	int r;

	if (fstatat(keeper->cism->etc, TOPOLOGY, &now, 0) < 0)
		return;
	if (now.st_mtim.tv_sec == keeper->modified.tv_sec && now.st_mtim.tv_nsec == keeper->modified.tv_nsec)
		return;
	r = read_file(keeper->cism, &topology, &err);
	if (r == 0)
		r = shared_topology_offer(keeper->cism, &topology, &err);
	topology_done(&topology);
	if (r < 0)
		log_failure("the topology stays as it was", &err);
	if (r != ERR_UNAVAILABLE && r != -ETIMEDOUT)
		keeper->modified = now.st_mtim;
}

/* What is in a store that went back contradicts what was told: the process ends, and begins anew with what is there. */
static bool is_lost(struct keeper *keeper)
{
	struct err err = {0};

	if (store_health(keeper->cism->store, &err) != ERR_CORRUPT)
		return false;
	if (!atomic_exchange(&keeper->cism->lost, true)) {
		log_failure("the store is not the one it was", &err);
		(void)kill(getpid(), SIGTERM);
	}
	return true;
}

static void round_of(struct keeper *keeper)
{
	struct err err = {0};

	if (is_lost(keeper))
		return;
	offer_topology(keeper);
	if (shared_topology_follow(keeper->cism, &err) < 0)
		log_failure("cannot read the topology", &err);
	if (!leader_step(keeper->cism->leader))
		return;
	if (nodes_follow(keeper->cism, &keeper->sightings, &err) < 0)
		log_failure("cannot bring the nodes up to date", &err);
	if (quarantines_follow(keeper->cism, &err) < 0)
		log_failure("cannot follow the quarantines", &err);
	if (poweroff_release(keeper->cism, &err) < 0)
		log_failure("cannot release what was powered off", &err);
	if (janitor_finish_namespaces(keeper->cism, &err) < 0)
		log_failure("cannot finish the deletion of namespaces", &err);
	if (janitor_finish_domains(keeper->cism, &err) < 0)
		log_failure("cannot finish the deletion of trust domains", &err);
	if (quotas_follow(keeper->cism, &err) < 0)
		log_failure("cannot bring the quotas up to date", &err);
	if (keeper->rounds++ % SWEEP_ROUNDS == 0 && janitor_sweep_events(keeper->cism, KEEPER_EVENTS_S, &err) < 0)
		log_failure("cannot sweep old events", &err);
	err = (struct err){0};
	if (keeper->rounds % SWEEP_ROUNDS == 1 && joins_sweep(keeper->cism, &err) < 0)
		log_failure("cannot sweep old join tokens", &err);
}

static bool wait_for_round(struct keeper *keeper)
{
	struct timespec until;
	bool stopping;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ROUND_MS / 1000;
	pthread_mutex_lock(&keeper->lock);
	while (!keeper->stopping && pthread_cond_timedwait(&keeper->wake, &keeper->lock, &until) == 0)
		continue;
	stopping = keeper->stopping;
	pthread_mutex_unlock(&keeper->lock);
	return !stopping;
}

static void *run(void *user)
{
	struct keeper *keeper = user;

	while (wait_for_round(keeper))
		round_of(keeper);
	return NULL;
}

int keeper_start(struct cism *cism, struct keeper **ret_keeper, struct err *err)
{
	struct keeper *keeper = calloc(1, sizeof(*keeper));
	pthread_condattr_t attributes;
	int r;

	if (!keeper)
		return err_sys(err, -ENOMEM, "cannot start the controllers");
	keeper->cism = cism;
	(void)pthread_mutex_init(&keeper->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&keeper->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	r = janitor_first_namespaces(cism, err);
	if (r == 0) {
		round_of(keeper);
		r = -pthread_create(&keeper->thread, NULL, run, keeper);
		if (r < 0)
			(void)err_sys(err, r, "cannot start the controllers");
	}
	if (r < 0) {
		free(keeper);
		return r;
	}
	*ret_keeper = keeper;
	return 0;
}

void keeper_stop(struct keeper *keeper)
{
	if (!keeper)
		return;
	pthread_mutex_lock(&keeper->lock);
	keeper->stopping = true;
	pthread_cond_signal(&keeper->wake);
	pthread_mutex_unlock(&keeper->lock);
	(void)pthread_join(keeper->thread, NULL);
	(void)pthread_cond_destroy(&keeper->wake);
	(void)pthread_mutex_destroy(&keeper->lock);
	nodes_sightings_done(&keeper->sightings);
	free(keeper);
}
