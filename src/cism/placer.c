/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/placer.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/log.h"
#include "base/str.h"
#include "cism/binder.h"
#include "cism/records.h"

#define RETRY_S 3 /* when something outside did not answer */
#define BATCH 1000

static const char *const watched[] = {"/registry/core/pods/",
				      "/registry/core/nodes/",
				      "/registry/core/namespaces/",
				      "/registry/trust.bulkhead.dev/",
				      "/ledger/servers/",
				      "/instances/",
				      "/topology"};

struct placer {
	struct cism *cism;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool woken, stopping; /* under the lock */
	struct store_watch *watches[ARRAY_SIZE(watched)];
};

static void on_ready(void *user)
{
	struct placer *placer = user;

	pthread_mutex_lock(&placer->lock);
	placer->woken = true;
	pthread_cond_signal(&placer->wake);
	pthread_mutex_unlock(&placer->lock);
}

static void ignore_event(void *user, const struct store_event *event)
{
	(void)user;
	(void)event;
}

/* What changed does not matter, only that something did: the pass reads everything anew. */
static int drain(struct placer *placer, struct err *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(watched); i++) {
		int r;

		while (placer->watches[i] &&
		       (r = store_watch_next(placer->watches[i], BATCH, ignore_event, NULL, err)) != 0) {
			if (r > 0)
				continue;
			store_watch_close(placer->watches[i]);
			placer->watches[i] = NULL;
		}
		if (placer->watches[i])
			continue;
		r = store_watch_open(placer->cism->store, watched[i], 0, on_ready, placer, &placer->watches[i], err);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_waiting(const json_t *pod)
{
	const char *phase = api_string(pod, "status.phase");

	return !api_string(pod, "spec.nodeName") && !api_string(pod, "metadata.deletionTimestamp") &&
	       (!phase || str_eq(phase, "Pending"));
}

/* Oldest first, so that who waits longest comes first. */
static int by_age(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	int order = strcmp(api_string(x, "metadata.creationTimestamp"), api_string(y, "metadata.creationTimestamp"));

	return order ? order : strcmp(api_string(x, "metadata.uid"), api_string(y, "metadata.uid"));
}

static bool is_stopping(struct placer *placer)
{
	bool stopping;

	pthread_mutex_lock(&placer->lock);
	stopping = placer->stopping;
	pthread_mutex_unlock(&placer->lock);
	return stopping;
}

/* Whether the pod has to be asked about again soon. */
static bool place(struct cism *cism, const json_t *pod)
{
	enum binder_outcome outcome = BINDER_REFUSED;
	const char *namespace = api_string(pod, "metadata.namespace");
	const char *name = api_string(pod, "metadata.name");
	struct placement_reason why = {0};
	struct err err = {0};

	if (binder_decide(cism, namespace, name, NULL, &outcome, &why, &err) < 0) {
		log_failure("cannot place a pod", &err);
		return true;
	}
	if (outcome == BINDER_BOUND)
		log_info("pod bound", "namespace", namespace, "name", name, "uid", api_string(pod, "metadata.uid"),
			 "reason", why.sentence);
	else
		log_debug("pod not bound", "namespace", namespace, "name", name, "reason", why.sentence);
	return outcome == BINDER_LATER;
}

static bool pass(struct placer *placer)
{
	CLEANUP_OBJECT_LIST struct object_list pods = {0};
	struct records_query query = {.kind = records_pods()};
	struct err err = {0};
	bool again = false;

	if (drain(placer, &err) < 0 || records_list(placer->cism->store, &query, &pods, &err) < 0) {
		log_failure("cannot look for pods to place", &err);
		return true;
	}
	if (pods.count > 1)
		qsort(pods.items, pods.count, sizeof(*pods.items), by_age);
	for (size_t i = 0; i < pods.count && !is_stopping(placer); i++)
		if (is_waiting(pods.items[i]))
			again |= place(placer->cism, pods.items[i]);
	return again;
}

/* True when something changed, false when it is time to ask again. */
static bool wait_for_change(struct placer *placer, bool again)
{
	struct timespec until;
	bool changed;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += again ? RETRY_S : 60;
	pthread_mutex_lock(&placer->lock);
	while (!placer->woken && !placer->stopping && pthread_cond_timedwait(&placer->wake, &placer->lock, &until) == 0)
		continue;
	changed = placer->woken;
	placer->woken = false;
	pthread_mutex_unlock(&placer->lock);
	return changed;
}

static void *run(void *user)
{
	struct placer *placer = user;

	bool again = true;

	/* What changed every replica looks at; what is to be tried once more is the leader's. */
	for (bool due = true; !is_stopping(placer); due = wait_for_change(placer, again))
		if (due || atomic_load(&placer->cism->leading))
			again = pass(placer);
	return NULL;
}

int placer_start(struct cism *cism, struct placer **ret_placer, struct err *err)
{
	struct placer *placer = calloc(1, sizeof(*placer));
	pthread_condattr_t attributes;
	int r;

	if (!placer)
		return err_sys(err, -ENOMEM, "cannot start the placement");
	placer->cism = cism;
	(void)pthread_mutex_init(&placer->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&placer->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	r = pthread_create(&placer->thread, NULL, run, placer);
	if (r != 0) {
		free(placer);
		return err_sys(err, -r, "cannot start the placement");
	}
	*ret_placer = placer;
	return 0;
}

void placer_stop(struct placer *placer)
{
	if (!placer)
		return;
	pthread_mutex_lock(&placer->lock);
	placer->stopping = true;
	pthread_cond_signal(&placer->wake);
	pthread_mutex_unlock(&placer->lock);
	(void)pthread_join(placer->thread, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(watched); i++)
		store_watch_close(placer->watches[i]);
	(void)pthread_cond_destroy(&placer->wake);
	(void)pthread_mutex_destroy(&placer->lock);
	free(placer);
}
