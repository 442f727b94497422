/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/prover.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "cism/charges.h"
#include "cism/domains_read.h"
#include "cism/leader.h"
#include "cism/violations.h"

#define ROUND_MS 1000
#define SHARE 10   /* a proof takes at most one part in so many of the time */
#define WRITE_S 10 /* an outcome that stays the same is written that often */

struct prover {
	struct cism *cism;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool stopping; /* under the lock */
	uint64_t took_ns, ended_ns, written_ns;
	json_t *told; /* the findings of the last proof */
};

static json_t *finding_of(const struct policy_drift_finding *finding, const struct charges *charges,
			  const struct policy_domains *domains)
{
	const struct policy_holder *pod = &charges->items[finding->pod], *other = &charges->items[finding->other];
	struct policy_decision decision;

	policy_drift_explain(finding, charges->items, domains, &decision);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "sentence", decision.sentence, "rule",
			 decision.rule, "object", decision.object, "instance", pod->instance, "otherInstance",
			 other->instance, "uid", pod->pod.uid, "otherUid", other->pod.uid, "level",
			 policy_level_name(finding->level));
}

static json_t *report_of(const struct policy_drift *drift, const struct charges *charges,
			 const struct policy_domains *domains, uint64_t took_ns)
{
	json_t *findings = json_array();
	char stamp[CLOCK_STAMP_SIZE];
	int r = 0;

	for (size_t i = 0; i < drift->finding_count && r == 0; i++)
		r = json_array_append_new(findings, finding_of(&drift->findings[i], charges, domains));
	clock_format(stamp, clock_wall_ms());
	if (r < 0) {
		json_decref(findings);
		return NULL;
	}
	return json_pack("{s:s, s:f, s:b, s:I, s:I, s:I, s:I, s:o}", "time", stamp, "seconds", (double)took_ns / 1e9,
			 "proven", policy_drift_is_proven(drift), "pods", (json_int_t)charges->ledger.holder_count,
			 "servers", (json_int_t)drift->servers, "violations", (json_int_t)drift->violations, "unplaced",
			 (json_int_t)drift->unplaced, "findings", findings);
}

/* Written when something is new, and now and then so that its age is told. */
static int write_report(struct prover *prover, const json_t *report, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	uint64_t revision, now = clock_monotonic_ns();
	const json_t *findings = json_object_get(report, "findings");
	int r;

	if (prover->told && json_equal(prover->told, findings) &&
	    now - prover->written_ns < WRITE_S * UINT64_C(1000000000))
		return 0;
	change_init(&change);
	leader_compare(prover->cism, &change);
	change_put(&change, PROVER_KEY, report);
	r = change_commit(&change, prover->cism->store, &revision, err);
	if (r == 0)
		prover->written_ns = now;
	return r == ERR_CONFLICT ? 0 : r; /* another one leads now */
}

static void tell_new(struct prover *prover, const json_t *findings)
{
	const json_t *finding;
	size_t i;

	json_array_foreach(findings, i, finding)
		if (!violations_has(prover->told, finding))
			log_error("what must be apart is not", "reason",
				  json_string_value(json_object_get(finding, "sentence")));
}

static int prove(struct prover *prover, struct err *err)
{
	CLEANUP_POLICY_DOMAINS struct policy_domains domains = {0};
	CLEANUP_CHARGES struct charges charges = {0};
	CLEANUP_JSON json_t *report = NULL;
	struct policy_drift drift;
	uint64_t rules, began = clock_monotonic_ns();
	int r = domains_read(prover->cism->store, &domains, &rules, err);

	if (r == 0)
		r = charges_read(prover->cism, &charges, err);
	if (r == 0)
		r = policy_drift_prove(charges.items, charges.count, &domains, &drift, err);
	if (r < 0)
		return r;
	prover->took_ns = clock_monotonic_ns() - began;
	report = report_of(&drift, &charges, &domains, prover->took_ns);
	if (!report)
		return err_sys(err, -ENOMEM, "cannot write the proof");
	r = write_report(prover, report, err);
	if (r < 0)
		return r;
	tell_new(prover, json_object_get(report, "findings"));
	violations_tell(prover->cism, prover->told, json_object_get(report, "findings"));
	violations_evict(prover->cism, &drift, &charges, &domains);
	json_decref(prover->told);
	prover->told = json_incref(json_object_get(report, "findings"));
	return 0;
}

static void round_of(struct prover *prover)
{
	struct err err = {0};

	if (!atomic_load(&prover->cism->leading) || store_health(prover->cism->store, NULL) < 0 ||
	    clock_monotonic_ns() - prover->ended_ns < SHARE * prover->took_ns)
		return;
	if (prove(prover, &err) < 0)
		log_failure("cannot prove that what must be apart is apart", &err);
	prover->ended_ns = clock_monotonic_ns();
}

static bool wait_for_round(struct prover *prover)
{
	struct timespec until;
	bool stopping;

	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += ROUND_MS / 1000;
	pthread_mutex_lock(&prover->lock);
	while (!prover->stopping && pthread_cond_timedwait(&prover->wake, &prover->lock, &until) == 0)
		continue;
	stopping = prover->stopping;
	pthread_mutex_unlock(&prover->lock);
	return !stopping;
}

static void *run(void *user)
{
	struct prover *prover = user;

	while (wait_for_round(prover))
		round_of(prover);
	return NULL;
}

int prover_start(struct cism *cism, struct prover **ret_prover, struct err *err)
{
	struct prover *prover = calloc(1, sizeof(*prover));
	pthread_condattr_t attributes;
	int r;

	if (!prover)
		return err_sys(err, -ENOMEM, "cannot start the drift check");
	prover->cism = cism;
	(void)pthread_mutex_init(&prover->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&prover->wake, &attributes);
	(void)pthread_condattr_destroy(&attributes);
	r = -pthread_create(&prover->thread, NULL, run, prover);
	if (r < 0) {
		free(prover);
		return err_sys(err, r, "cannot start the drift check");
	}
	*ret_prover = prover;
	return 0;
}

void prover_stop(struct prover *prover)
{
	if (!prover)
		return;
	pthread_mutex_lock(&prover->lock);
	prover->stopping = true;
	pthread_cond_signal(&prover->wake);
	pthread_mutex_unlock(&prover->lock);
	(void)pthread_join(prover->thread, NULL);
	(void)pthread_cond_destroy(&prover->wake);
	(void)pthread_mutex_destroy(&prover->lock);
	json_decref(prover->told);
	free(prover);
}

int prover_last(struct cism *cism, json_t **ret_proof, struct err *err)
{
	CLEANUP_STORE_ENTRY struct store_entry entry = {0};
	json_t *proof;
	int64_t when = 0;
	int r = store_get(cism->store, PROVER_KEY, &entry, err);

	if (r < 0)
		return r;
	proof = json_loadb(entry.value, entry.value_len, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(proof) || !api_string(proof, "time") || clock_parse(api_string(proof, "time"), &when) < 0 ||
	    json_object_set_new(proof, "ageSeconds", json_integer((clock_wall_ms() - when) / 1000)) < 0) {
		json_decref(proof);
		return err_set(err, ERR_CORRUPT, "the proof in the store is damaged");
	}
	*ret_proof = proof;
	return 0;
}
