/* SPDX-License-Identifier: Apache-2.0 */
#include "cis/work.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

struct job {
	struct job *next;
	struct loop *loop;
	work_fn run, done;
	void *user;
};

struct work {
	struct loop *loop;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct job *first, **last;
	bool ending;
	pthread_t *threads;
	unsigned count;
};

static void on_done(void *user)
{
	struct job *job = user;

	job->done(job->user);
	free(job);
}

static struct job *next_job(struct work *work)
{
	struct job *job;

	(void)pthread_mutex_lock(&work->lock);
	while (!work->first && !work->ending)
		(void)pthread_cond_wait(&work->wake, &work->lock);
	job = work->ending ? NULL : work->first;
	if (job) {
		work->first = job->next;
		if (!work->first)
			work->last = &work->first;
	}
	(void)pthread_mutex_unlock(&work->lock);
	return job;
}

static void *serve(void *user)
{
	struct work *work = user;
	struct job *job;

	while ((job = next_job(work))) {
		job->run(job->user);
		/* Only a loop with 65,536 calls waiting refuses one; a job's end must not be lost, so wait for room. */
		while (loop_post(work->loop, on_done, job) < 0)
			(void)usleep(10000);
	}
	return NULL;
}

int work_new(struct loop *loop, unsigned threads, struct work **ret_work, struct err *err)
{
	struct work *work = calloc(1, sizeof(*work));

	if (!work || !(work->threads = calloc(threads, sizeof(*work->threads)))) {
		free(work);
		return err_sys(err, -ENOMEM, "cannot start worker threads");
	}
	work->loop = loop;
	work->last = &work->first;
	(void)pthread_mutex_init(&work->lock, NULL);
	(void)pthread_cond_init(&work->wake, NULL);
	for (; work->count < threads; work->count++) {
		int r = pthread_create(&work->threads[work->count], NULL, serve, work);

		if (r) {
			work_free(work);
			return err_sys(err, -r, "cannot start worker threads");
		}
	}
	*ret_work = work;
	return 0;
}

int work_submit(struct work *work, work_fn run, work_fn done, void *user)
{
	struct job *job = malloc(sizeof(*job));

	if (!job)
		return -ENOMEM;
	*job = (struct job){.loop = work->loop, .run = run, .done = done, .user = user};
	(void)pthread_mutex_lock(&work->lock);
	*work->last = job;
	work->last = &job->next;
	(void)pthread_cond_signal(&work->wake);
	(void)pthread_mutex_unlock(&work->lock);
	return 0;
}

void work_free(struct work *work)
{
	if (!work)
		return;
	(void)pthread_mutex_lock(&work->lock);
	work->ending = true;
	(void)pthread_cond_broadcast(&work->wake);
	(void)pthread_mutex_unlock(&work->lock);
	for (unsigned i = 0; i < work->count; i++)
		(void)pthread_join(work->threads[i], NULL);
	while (work->first) {
		struct job *job = work->first;

		work->first = job->next;
		free(job);
	}
	(void)pthread_mutex_destroy(&work->lock);
	(void)pthread_cond_destroy(&work->wake);
	free(work->threads);
	free(work);
}
