/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/workers.h"

#include <errno.h>
#include <pthread.h>

#define THREADS 16
#define WAITING_MAX 1000

struct job {
	struct job *next;
	struct call *call;
	void (*work)(struct call *call);
};

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t threads[THREADS];
	size_t started;
	struct job *first, **last; /* this and below: under the lock */
	size_t waiting;
	bool stopping;
};

static struct job *take(struct workers *workers)
{
	struct job *job;

	pthread_mutex_lock(&workers->lock);
	while (!workers->first && !workers->stopping)
		(void)pthread_cond_wait(&workers->wake, &workers->lock);
	job = workers->first;
	if (job) {
		workers->first = job->next;
		workers->waiting--;
		if (!workers->first)
			workers->last = &workers->first;
	}
	pthread_mutex_unlock(&workers->lock);
	return job;
}

static void *run(void *user)
{
	struct workers *workers = user;
	struct job *job;

	while ((job = take(workers))) {
		struct http_request *request = job->call->request;

		job->work(job->call);
		free(job);
		http_resume(request); /* when the peer has left, the call is gone behind this */
	}
	return NULL;
}

int workers_start(struct workers **ret_workers, struct err *err)
{
	struct workers *workers = calloc(1, sizeof(*workers));
	int r = 0;

	if (!workers)
		return err_sys(err, -ENOMEM, "cannot start the workers");
	workers->last = &workers->first;
	(void)pthread_mutex_init(&workers->lock, NULL);
	(void)pthread_cond_init(&workers->wake, NULL);
	while (workers->started < THREADS && r == 0) {
		r = -pthread_create(&workers->threads[workers->started], NULL, run, workers);
		workers->started += r == 0;
	}
	if (r < 0) {
		workers_stop(workers);
		workers_free(workers);
		return err_sys(err, r, "cannot start the workers");
	}
	*ret_workers = workers;
	return 0;
}

void workers_stop(struct workers *workers)
{
	if (!workers)
		return;
	pthread_mutex_lock(&workers->lock);
	workers->stopping = true;
	(void)pthread_cond_broadcast(&workers->wake);
	pthread_mutex_unlock(&workers->lock);
	for (size_t i = 0; i < workers->started; i++)
		(void)pthread_join(workers->threads[i], NULL);
}

void workers_free(struct workers *workers)
{
	if (!workers)
		return;
	(void)pthread_cond_destroy(&workers->wake);
	(void)pthread_mutex_destroy(&workers->lock);
	free(workers);
}

/* In a thread of the server. */
static void on_resumed(struct http_request *request, void *user)
{
	struct call *call = user;
	void (*finish)(struct call * call) = call->finish;

	(void)request;
	call->finish = NULL;
	if (finish)
		finish(call);
}

static int add(struct workers *workers, struct job *job, struct err *err)
{
	int r = 0;

	pthread_mutex_lock(&workers->lock);
	if (workers->stopping || workers->waiting >= WAITING_MAX) {
		r = err_set(err, ERR_BUSY, "%d requests wait for the store already, try again later", WAITING_MAX);
	} else {
		http_park(job->call->request, on_resumed, job->call);
		*workers->last = job;
		workers->last = &job->next;
		workers->waiting++;
		(void)pthread_cond_signal(&workers->wake);
	}
	pthread_mutex_unlock(&workers->lock);
	return r;
}

void workers_run(struct workers *workers, struct call *call, void (*work)(struct call *call))
{
	struct job *job = calloc(1, sizeof(*job));
	struct err err = {0};
	int r = job ? 0 : err_sys(&err, -ENOMEM, "cannot take a request");

	if (r == 0) {
		job->call = call;
		job->work = work;
		r = add(workers, job, &err);
	}
	if (r < 0) {
		free(job);
		call_answer_error(call, &err);
	}
}
