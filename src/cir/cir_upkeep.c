/* SPDX-License-Identifier: Apache-2.0 */
#include "cir/cir_upkeep.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"

#define SECOND_NS UINT64_C(1000000000)
/* Between the end of a pass and the next. */
#define SCRUB_REST_NS (3600 * SECOND_NS)

/* A request that waits for its contents to be verified: of the request's arena. */
struct waiting {
	struct waiting *next;
	struct http_request *request;
	struct digest digest;
	int result;
	struct err err;
	void (*then)(struct http_request *request, const struct err *err);
};

struct cir_upkeep {
	const struct cir_files *files;
	struct cir_upkeep_config config;
	struct cir_upkeep_counters counters;
	_Atomic bool stop;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	uint64_t collect_at_ns, scrub_at_ns; /* under lock */
	struct waiting *first, **last;       /* under lock */
	pthread_t collector, scrubber, verifier;
	bool has_collector, has_scrubber, has_verifier;
};

static void sleep_until(struct cir_upkeep *upkeep, uint64_t at_ns)
{
	const struct timespec at = {(time_t)(at_ns / SECOND_NS), (long)(at_ns % SECOND_NS)};

	(void)pthread_cond_clockwait(&upkeep->wake, &upkeep->lock, CLOCK_MONOTONIC, &at);
}

/* Rests until *at_ns, which others may bring forward; false when it is time to end. */
static bool rest(struct cir_upkeep *upkeep, const uint64_t *at_ns)
{
	(void)pthread_mutex_lock(&upkeep->lock);
	while (!atomic_load(&upkeep->stop) && clock_monotonic_ns() < *at_ns)
		sleep_until(upkeep, *at_ns);
	(void)pthread_mutex_unlock(&upkeep->lock);
	return !atomic_load(&upkeep->stop);
}

static void set_next(struct cir_upkeep *upkeep, uint64_t *at_ns, uint64_t in_ns)
{
	(void)pthread_mutex_lock(&upkeep->lock);
	*at_ns = clock_monotonic_ns() + in_ns;
	(void)pthread_mutex_unlock(&upkeep->lock);
}

/* Serving comes first. */
static void yield_to_requests(void)
{
	const struct sched_param param = {0};

	(void)pthread_setschedparam(pthread_self(), SCHED_BATCH, &param);
}

/* --- collecting --- */

static void log_collected(const struct cir_collected *collected)
{
	CLEANUP_FREE char *contents = str_format("%llu", (unsigned long long)collected->contents);
	CLEANUP_FREE char *bytes = str_format("%llu", (unsigned long long)collected->bytes);

	if (collected->marks || collected->contents)
		log_info("collected", "contents", contents, "bytes", bytes);
	if (collected->damaged)
		log_warn("repositories with damaged manifests keep all their blobs");
}

static void collect(struct cir_upkeep *upkeep)
{
	struct cir_upkeep_counters *counters = &upkeep->counters;
	struct cir_collected collected = {0};
	struct err err = {0};
	int r = cir_collect(upkeep->files, &upkeep->stop, &collected, &err);

	atomic_fetch_add(&counters->marks, collected.marks);
	atomic_fetch_add(&counters->contents, collected.contents);
	atomic_fetch_add(&counters->bytes, collected.bytes);
	if (r < 0) {
		log_failure("collecting ended early", &err);
		return;
	}
	atomic_store(&counters->damaged, collected.damaged);
	atomic_fetch_add(&counters->collections, 1);
	log_collected(&collected);
}

static void *run_collector(void *user)
{
	struct cir_upkeep *upkeep = user;

	yield_to_requests();
	while (rest(upkeep, &upkeep->collect_at_ns)) {
		set_next(upkeep, &upkeep->collect_at_ns, upkeep->config.collect_seconds * SECOND_NS);
		collect(upkeep);
	}
	return NULL;
}

/* --- scrubbing --- */

static void scrub_wait(void *user, uint64_t ns)
{
	struct cir_upkeep *upkeep = user;
	uint64_t until = clock_monotonic_ns() + ns;

	(void)rest(upkeep, &until);
}

static void *run_scrubber(void *user)
{
	struct cir_upkeep *upkeep = user;
	struct err err = {0};

	yield_to_requests();
	while (rest(upkeep, &upkeep->scrub_at_ns)) {
		set_next(upkeep, &upkeep->scrub_at_ns, SCRUB_REST_NS);
		if (cir_scrub_all(upkeep->files, &upkeep->stop, upkeep->config.scrub_bytes_per_second, scrub_wait,
				  upkeep, &upkeep->counters.scrubbed, &err) < 0)
			log_failure("scrubbing ended early", &err);
		else if (!atomic_load(&upkeep->stop))
			atomic_fetch_add(&upkeep->counters.scrubs, 1);
	}
	return NULL;
}

/* --- verifying before serving --- */

static struct waiting *next_waiting(struct cir_upkeep *upkeep)
{
	struct waiting *waiting;

	(void)pthread_mutex_lock(&upkeep->lock);
	while (!upkeep->first && !atomic_load(&upkeep->stop))
		(void)pthread_cond_wait(&upkeep->wake, &upkeep->lock);
	waiting = upkeep->first;
	if (waiting) {
		upkeep->first = waiting->next;
		if (!upkeep->first)
			upkeep->last = &upkeep->first;
	}
	(void)pthread_mutex_unlock(&upkeep->lock);
	return waiting;
}

static void *run_verifier(void *user)
{
	struct cir_upkeep *upkeep = user;
	struct waiting *waiting;

	while ((waiting = next_waiting(upkeep))) {
		waiting->result = cir_scrub_check(upkeep->files, &waiting->digest, &upkeep->stop,
						  &upkeep->counters.scrubbed, &waiting->err);
		if (waiting->result == -EINTR)
			(void)err_set(&waiting->err, ERR_UNAVAILABLE, "the registry stops");
		http_resume(waiting->request);
	}
	return NULL;
}

static void on_resumed(struct http_request *request, void *user)
{
	const struct waiting *waiting = user;

	waiting->then(request, waiting->result < 0 ? &waiting->err : NULL);
}

int cir_upkeep_verify(struct cir_upkeep *upkeep, struct http_request *request, const struct digest *digest,
		      void (*then)(struct http_request *request, const struct err *err))
{
	struct waiting *waiting = http_alloc(request, sizeof(*waiting));
	bool stopping;

	if (!waiting)
		return -ENOMEM;
	*waiting = (struct waiting){.request = request, .digest = *digest, .then = then};
	(void)pthread_mutex_lock(&upkeep->lock);
	stopping = atomic_load(&upkeep->stop);
	if (!stopping) {
		http_park(request, on_resumed, waiting);
		*upkeep->last = waiting;
		upkeep->last = &waiting->next;
		(void)pthread_cond_broadcast(&upkeep->wake);
	}
	(void)pthread_mutex_unlock(&upkeep->lock);
	return stopping ? -EPIPE : 0;
}

/* --- start and stop --- */

static int start(struct cir_upkeep *upkeep, void *(*run)(void *), pthread_t *ret_thread, bool *ret_has, struct err *err)
{
	int r = pthread_create(ret_thread, NULL, run, upkeep);

	*ret_has = r == 0;
	return r == 0 ? 0 : err_sys(err, -r, "cannot start a thread");
}

int cir_upkeep_new(const struct cir_files *files, const struct cir_upkeep_config *config,
		   struct cir_upkeep **ret_upkeep, struct err *err)
{
	struct cir_upkeep *upkeep = calloc(1, sizeof(*upkeep));
	int r = 0;

	if (!upkeep)
		return err_set(err, -ENOMEM, "no memory for the registry's upkeep");
	upkeep->files = files;
	upkeep->config = *config;
	upkeep->last = &upkeep->first;
	upkeep->collect_at_ns = clock_monotonic_ns() + config->collect_seconds * SECOND_NS;
	(void)pthread_mutex_init(&upkeep->lock, NULL);
	(void)pthread_cond_init(&upkeep->wake, NULL);
	if (config->collect_seconds)
		r = start(upkeep, run_collector, &upkeep->collector, &upkeep->has_collector, err);
	if (r == 0 && config->scrub_bytes_per_second)
		r = start(upkeep, run_scrubber, &upkeep->scrubber, &upkeep->has_scrubber, err);
	if (r == 0)
		r = start(upkeep, run_verifier, &upkeep->verifier, &upkeep->has_verifier, err);
	if (r < 0)
		cir_upkeep_free(upkeep);
	else
		*ret_upkeep = upkeep;
	return r;
}

static void join(pthread_t thread, bool *has)
{
	if (*has)
		(void)pthread_join(thread, NULL);
	*has = false;
}

void cir_upkeep_stop(struct cir_upkeep *upkeep)
{
	if (!upkeep)
		return;
	(void)pthread_mutex_lock(&upkeep->lock);
	atomic_store(&upkeep->stop, true);
	(void)pthread_cond_broadcast(&upkeep->wake);
	(void)pthread_mutex_unlock(&upkeep->lock);
	join(upkeep->collector, &upkeep->has_collector);
	join(upkeep->scrubber, &upkeep->has_scrubber);
	join(upkeep->verifier, &upkeep->has_verifier);
}

void cir_upkeep_free(struct cir_upkeep *upkeep)
{
	if (!upkeep)
		return;
	cir_upkeep_stop(upkeep);
	(void)pthread_cond_destroy(&upkeep->wake);
	(void)pthread_mutex_destroy(&upkeep->lock);
	free(upkeep);
}

void cir_upkeep_now(struct cir_upkeep *upkeep)
{
	(void)pthread_mutex_lock(&upkeep->lock);
	upkeep->collect_at_ns = upkeep->scrub_at_ns = 0;
	(void)pthread_cond_broadcast(&upkeep->wake);
	(void)pthread_mutex_unlock(&upkeep->lock);
}

const struct cir_upkeep_counters *cir_upkeep_counters(const struct cir_upkeep *upkeep)
{
	return &upkeep->counters;
}

void cir_upkeep_found(struct cir_upkeep *upkeep, const struct digest *digest)
{
	cir_scrub_found(upkeep->files, digest, &upkeep->counters.scrubbed);
}
