/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/placer.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "cism/binder.h"
#include "cism/bindmany.h"
#include "cism/board.h"

#define RETRY_S 3       /* when something outside did not answer */
#define FOREIGN_MS 2000 /* how long a pod is left to the replica through which it was created */
#define AGAIN_MS 300    /* between two explanations of one pod */
#define THREADS 6       /* that bind and explain one by one, and may wait for registries */
#define JOBS_MAX 64     /* that wait for them */
#define TAKEN_MAX 4     /* how often a pod is tried with others before it is bound alone */
#define FIRST_S 2       /* at most this long a pod that is nowhere to be put is rather tried again than told why, */
#define ANEW_S 10       /* and this long after it was told */
#define SECOND_NS UINT64_C(1000000000)
#define MILLI_NS UINT64_C(1000000)

/* A pod for binder_decide(). */
struct job {
	char namespace[64];
	char name[254];
	char uid[64];
	bool explains;    /* it was nowhere to be put, */
	uint64_t changes; /* as the board was then */
};

struct placer {
	struct cism *cism;
	struct board *board;
	pthread_t thread, singles[THREADS];
	size_t single_count;
	pthread_mutex_t lock;
	pthread_cond_t wake, work;
	bool woken, stopping; /* under the lock, as are the jobs */
	struct job jobs[JOBS_MAX];
	size_t job_first, job_count;
};

static void on_ready(void *user)
{
	struct placer *placer = user;

	pthread_mutex_lock(&placer->lock);
	placer->woken = true;
	pthread_cond_signal(&placer->wake);
	pthread_mutex_unlock(&placer->lock);
}

static bool is_stopping(struct placer *placer)
{
	bool stopping;

	pthread_mutex_lock(&placer->lock);
	stopping = placer->stopping;
	pthread_mutex_unlock(&placer->lock);
	return stopping;
}

/* --- one by one --- */

static bool take_job(struct placer *placer, struct job *ret_job)
{
	bool taken;

	pthread_mutex_lock(&placer->lock);
	while (placer->job_count == 0 && !placer->stopping)
		(void)pthread_cond_wait(&placer->work, &placer->lock);
	taken = !placer->stopping;
	if (taken) {
		*ret_job = placer->jobs[placer->job_first];
		placer->job_first = (placer->job_first + 1) % JOBS_MAX;
		placer->job_count--;
	}
	pthread_mutex_unlock(&placer->lock);
	return taken;
}

/* Whether the pod has to be asked about again soon. */
static bool place(struct cism *cism, const struct job *job)
{
	enum binder_outcome outcome = BINDER_REFUSED;
	struct placement_reason why = {0};
	struct err err = {0};

	if (binder_decide(cism, job->namespace, job->name, NULL, &outcome, &why, &err) < 0) {
		log_failure("cannot place a pod", &err);
		return true;
	}
	if (outcome == BINDER_BOUND)
		log_info("pod bound", "namespace", job->namespace, "name", job->name, "uid", job->uid, "reason",
			 why.sentence);
	else
		log_debug("pod not bound", "namespace", job->namespace, "name", job->name, "reason", why.sentence);
	return outcome == BINDER_LATER;
}

/*
 * Whether a pod that was nowhere to be put is better tried with the others again than told why: the board has changed since.
 * For a while only, so that a busy cluster does not leave it without a word.
 */
static bool is_outdated(struct placer *placer, const struct job *job)
{
	const struct board_pod *pod;
	bool outdated = false;

	if (!job->explains)
		return false;
	board_lock(placer->board);
	pod = board_find(placer->board, job->namespace, job->name);
	if (pod && job->changes != board_changes(placer->board)) {
		uint64_t since = pod->tried_ns ? pod->tried_ns : pod->asked_ns;

		outdated = clock_monotonic_ns() - since < (pod->tried_ns ? ANEW_S : FIRST_S) * SECOND_NS;
	}
	board_unlock(placer->board);
	return outdated;
}

static void *run_singles(void *user)
{
	struct placer *placer = user;
	struct job job;

	while (take_job(placer, &job)) {
		bool outdated = is_outdated(placer, &job);
		bool later = !outdated && place(placer->cism, &job);
		struct board_pod *pod;

		board_lock(placer->board);
		pod = board_find(placer->board, job.namespace, job.name);
		if (pod) {
			pod->busy = false;
			pod->later = later;
			if (outdated) {
				pod->tried = 0;
			} else {
				pod->asked_ns = 0;
				pod->tried_ns = clock_monotonic_ns();
			}
		}
		board_unlock(placer->board);
		on_ready(placer); /* there may have been more to do than threads, or something new meanwhile */
	}
	return NULL;
}

static bool give(struct placer *placer, struct board_pod *pod, bool explains)
{
	struct job *job;
	bool given;

	pthread_mutex_lock(&placer->lock);
	given = placer->job_count < JOBS_MAX;
	if (given) {
		job = &placer->jobs[(placer->job_first + placer->job_count++) % JOBS_MAX];
		(void)snprintf(job->namespace, sizeof(job->namespace), "%s",
			       api_string(pod->json, "metadata.namespace"));
		(void)snprintf(job->name, sizeof(job->name), "%s", api_string(pod->json, "metadata.name"));
		(void)snprintf(job->uid, sizeof(job->uid), "%s", api_string(pod->json, "metadata.uid"));
		job->explains = explains;
		job->changes = board_changes(placer->board);
		pthread_cond_signal(&placer->work);
	}
	pthread_mutex_unlock(&placer->lock);
	if (given) {
		pod->busy = true;
		pod->telling = explains;
		if (!pod->asked_ns)
			pod->asked_ns = clock_monotonic_ns();
		pod->singly = false;
		pod->taken = 0;
		pod->tried = board_changes(placer->board);
	}
	return given;
}

/* --- many at once --- */

/* One pass over what waits; wait_ms comes down to when there is more to do. */
struct pass {
	struct placer *placer;
	struct bindmany *many;
	uint64_t now_ns;
	uint64_t wait_ms;
	bool overtaken; /* a transaction did not hold */
};

static void wait_at_most(struct pass *pass, uint64_t milliseconds)
{
	if (milliseconds < pass->wait_ms)
		pass->wait_ms = milliseconds;
}

static uint64_t since_ms(const struct pass *pass, uint64_t then_ns)
{
	return then_ns < pass->now_ns ? (pass->now_ns - then_ns) / MILLI_NS : 0;
}

/* Whether a pod is to be tried in this pass. */
static bool is_due(struct pass *pass, const struct board_pod *pod)
{
	struct cism *cism = pass->placer->cism;

	/* Who is only being told why it waits is not passed over: the room may come now, and others are less urgent. */
	if (pod->busy && !pod->telling)
		return false;
	/* Each replica begins with what was created through it, so that they do not all bind the same. */
	if (cism->config.etcd.endpoint_count && !pod->own && since_ms(pass, pod->seen_ns) < FOREIGN_MS) {
		wait_at_most(pass, FOREIGN_MS);
		return false;
	}
	if (pod->tried == board_changes(pass->placer->board)) {
		/* What is to be tried once more is the leader's. */
		if (pod->busy || !pod->later || !atomic_load(&cism->leading))
			return false;
		wait_at_most(pass, RETRY_S * 1000);
		return since_ms(pass, pod->tried_ns) >= RETRY_S * 1000;
	}
	return true;
}

/* What does not hold as a whole ends the pass: the next one begins with what came between. */
static int bind(struct pass *pass, struct err *err)
{
	int r = bindmany_count(pass->many) ? bindmany_bind(pass->many, err) : 0;

	if (r == ERR_CONFLICT || r == ERR_TOO_LARGE) {
		pass->wait_ms = 0;
		pass->overtaken = true;
		return 0;
	}
	return r;
}

static int try_one(struct pass *pass, struct board_pod *pod, struct err *err)
{
	enum bindmany_outcome outcome = BINDMANY_SINGLY;
	int r = pod->singly ? 0 : bindmany_take(pass->many, pod, &outcome, err);

	if (r == 0 && outcome == BINDMANY_FULL) {
		r = bind(pass, err);
		if (r == 0 && pass->overtaken)
			return 0;
		if (r == 0)
			r = bindmany_take(pass->many, pod, &outcome, err);
	}
	if (r < 0)
		return r;
	if (pod->busy) {
		pod->tried = board_changes(pass->placer->board);
		return 0;
	}
	if (outcome == BINDMANY_TAKEN)
		pod->singly = ++pod->taken == TAKEN_MAX; /* unless it is bound, and gone from the board */
	else if (outcome == BINDMANY_NOWHERE && since_ms(pass, pod->tried_ns) < AGAIN_MS)
		wait_at_most(pass, AGAIN_MS);
	else if (!give(pass->placer, pod, outcome == BINDMANY_NOWHERE))
		wait_at_most(pass, AGAIN_MS);
	return 0;
}

static int try_all(struct pass *pass, struct err *err)
{
	struct board *board = pass->placer->board;
	struct board_pod **waiting;
	size_t count;
	int r = 0;

	waiting = board_waiting(board, &count);
	for (size_t i = 0; r == 0 && i < count && !pass->overtaken && !is_stopping(pass->placer); i++)
		if (is_due(pass, waiting[i]))
			r = try_one(pass, waiting[i], err);
	free((void *)waiting);
	return r < 0 || pass->overtaken ? r : bind(pass, err);
}

/* Returns after how many milliseconds to look again, if nothing happens before. */
static uint64_t look(struct placer *placer)
{
	struct pass pass = {.placer = placer, .wait_ms = 60000};
	struct err err = {0};
	int r;

	board_lock(placer->board);
	pass.now_ns = clock_monotonic_ns();
	r = board_follow(placer->board, &err);
	if (r == 0)
		r = bindmany_new(placer->cism, placer->board, &pass.many, &err);
	if (r == 0)
		r = try_all(&pass, &err);
	bindmany_free(pass.many);
	board_unlock(placer->board);
	if (r < 0) {
		log_failure("cannot place pods", &err);
		return RETRY_S * 1000;
	}
	return pass.wait_ms;
}

static void wait_for_change(struct placer *placer, uint64_t milliseconds)
{
	struct timespec until;
	uint64_t ns;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	ns = (uint64_t)until.tv_nsec + milliseconds * MILLI_NS;
	until.tv_sec += (time_t)(ns / SECOND_NS);
	until.tv_nsec = (long)(ns % SECOND_NS);
	pthread_mutex_lock(&placer->lock);
	while (!placer->woken && !placer->stopping && pthread_cond_timedwait(&placer->wake, &placer->lock, &until) == 0)
		continue;
	placer->woken = false;
	pthread_mutex_unlock(&placer->lock);
}

static void *run(void *user)
{
	struct placer *placer = user;

	while (!is_stopping(placer))
		wait_for_change(placer, look(placer));
	return NULL;
}

/* --- life --- */

static int start_threads(struct placer *placer, struct err *err)
{
	int r = -pthread_create(&placer->thread, NULL, run, placer);

	if (r < 0)
		return err_sys(err, r, "cannot start the placement");
	while (placer->single_count < THREADS) {
		r = -pthread_create(&placer->singles[placer->single_count], NULL, run_singles, placer);
		if (r < 0)
			return err_sys(err, r, "cannot start the placement");
		placer->single_count++;
	}
	return 0;
}

int placer_start(struct cism *cism, struct placer **ret_placer, struct err *err)
{
	struct placer *placer = calloc(1, sizeof(*placer));
	pthread_condattr_t attributes;
	int r;

	if (!placer)
		return err_sys(err, -ENOMEM, "cannot start the placement");
	placer->cism = cism;
	placer->board = cism->board;
	(void)pthread_mutex_init(&placer->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&placer->wake, &attributes);
	(void)pthread_cond_init(&placer->work, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	board_lock(placer->board);
	board_wakes(placer->board, on_ready, placer);
	board_unlock(placer->board);
	r = start_threads(placer, err);
	*ret_placer = placer; /* also what was begun: it is stopped by placer_stop() */
	return r;
}

void placer_stop(struct placer *placer)
{
	if (!placer)
		return;
	pthread_mutex_lock(&placer->lock);
	placer->stopping = true;
	pthread_cond_broadcast(&placer->wake);
	pthread_cond_broadcast(&placer->work);
	pthread_mutex_unlock(&placer->lock);
	(void)pthread_join(placer->thread, NULL);
	for (size_t i = 0; i < placer->single_count; i++)
		(void)pthread_join(placer->singles[i], NULL);
	board_lock(placer->board);
	board_wakes(placer->board, NULL, NULL);
	board_unlock(placer->board);
	(void)pthread_cond_destroy(&placer->wake);
	(void)pthread_cond_destroy(&placer->work);
	(void)pthread_mutex_destroy(&placer->lock);
	free(placer);
}
