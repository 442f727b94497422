/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/bindmany.h"

#include <errno.h>
#include <stdio.h>

#include "base/crashpoint.h"
#include "base/log.h"
#include "base/str.h"
#include "cism/bindparts.h"
#include "cism/happenings.h"
#include "cism/instances.h"
#include "cism/podfacts.h"
#include "cism/shared_topology.h"
#include "policy/quota.h"

#define PODS_MAX 18                     /* five writes each, and what they share, in a transaction of STORE_OPS_MAX */
#define SHARED_MAX 26                   /* writes that pods share */
#define BYTES_MAX ((size_t)1024 * 1024) /* of pods and tickets */

struct taken {
	struct bindfacts facts;
	struct bindparts parts;
	struct placement_verdict verdict;
	struct topology_instance mapping;
	struct ledger_holder holder; /* borrows from facts and mapping */
	char sentence[400];
};

struct bindmany {
	struct cism *cism;
	struct board *board;
	struct taken *items[PODS_MAX];
	size_t count, bytes;
	struct ledger_sums sums;
};

static void taken_free(struct taken *taken)
{
	if (!taken)
		return;
	bindparts_done(&taken->parts);
	bindfacts_done(&taken->facts);
	free(taken);
}
CLEANUP_DEFINE(taken, struct taken *, taken_free)

static const json_t *known(void *user, const char *key, uint64_t *ret_revision)
{
	struct board_value value = board_value(user, key);

	*ret_revision = value.revision;
	return value.json;
}

int bindmany_new(struct cism *cism, struct board *board, struct bindmany **ret_many, struct err *err)
{
	struct bindmany *many = calloc(1, sizeof(*many));

	if (!many)
		return err_sys(err, -ENOMEM, "cannot bind pods");
	many->cism = cism;
	many->board = board;
	many->sums = (struct ledger_sums){.known = known, .user = board};
	*ret_many = many;
	return 0;
}

static void drop_items(struct bindmany *many)
{
	for (size_t i = 0; i < many->count; i++)
		taken_free(many->items[i]);
	ledger_sums_done(&many->sums);
	many->count = many->bytes = 0;
}

void bindmany_free(struct bindmany *many)
{
	if (!many)
		return;
	for (size_t i = 0; i < many->count; i++)
		board_discharge(many->board, many->items[i]->holder.uid);
	drop_items(many);
	free(many);
}

size_t bindmany_count(const struct bindmany *many)
{
	return many->count;
}

/* --- taking a pod --- */

/* Whether the registry would be asked about an image of the pod. */
static bool asks_registry(const struct bindfacts *facts)
{
	struct podfacts_walk walk = {0};
	const json_t *container;

	if (bindparts_asks(facts))
		return true;
	while ((container = podfacts_next(facts->pod.json, &walk))) {
		const char *image = api_string(container, "image");

		if (!image || !strchr(image, '@'))
			return true;
	}
	return false;
}

/* The rules themselves, asked about everybody who is charged to the server: what the scheduler chose has to hold before them. */
static bool rules_allow(struct bindmany *many, const struct taken *taken)
{
	const struct bindfacts *facts = &taken->facts;
	const struct policy_place place = {.instance = taken->mapping.name,
					   .server = taken->mapping.server,
					   .epoch = taken->mapping.epoch};
	struct policy_quota_facts quota = {0};
	struct policy_decision decision;
	struct policy_holder *holders;
	char key[STORE_KEY_MAX + 1];
	const json_t *record = NULL;
	size_t rows;
	bool allowed;

	ledger_server_key(place.server, key);
	record = ledger_sums_latest(&many->sums, key);
	rows = ledger_rows(record);
	holders = calloc(rows + 1, sizeof(*holders));
	if (!holders)
		return false;
	for (size_t i = 0; i < rows; i++) {
		struct ledger_holder row = ledger_row(record, i, place.server);

		holders[i] = (struct policy_holder){.pod = {.uid = row.uid,
							    .namespace = row.namespace,
							    .name = row.name,
							    .domain = row.domain,
							    .subfunction = row.subfunction},
						    .instance = row.instance,
						    .server = row.server};
	}
	policy_separation_decide(&facts->who, &place, holders, rows, schedule_domains(board_schedule(many->board)),
				 &decision);
	allowed = decision.allowed;
	if (allowed) {
		quota.servers = ledger_sums_servers(&many->sums, facts->who.domain, place.server, &quota.there);
		allowed = policy_quota_allows(&facts->who, facts->domain, &place, &quota, &decision);
	}
	free(holders);
	return allowed;
}

/* Where the scheduler sends it; false: nowhere, or not by this way. */
static bool choose(struct bindmany *many, struct taken *taken, uint32_t shape)
{
	struct schedule *schedule = board_schedule(many->board);
	struct schedule_choice choice;
	const char *name;

	(void)atomic_fetch_add(&many->cism->decisions, 1);
	if (schedule_decide(schedule, shape, &choice) < 0 || choice.instance == SCHEDULE_NONE)
		return false;
	name = schedule_instance(schedule, choice.instance)->name;
	if (cism_topology_find(many->cism, name, &taken->mapping) < 0)
		return false;
	taken->verdict = (struct placement_verdict){.instance = taken->mapping.name,
						    .mapping = &taken->mapping,
						    .allowed = true,
						    .score = choice.score};
	(void)snprintf(taken->verdict.reason, sizeof(taken->verdict.reason), "Allowed");
	(void)snprintf(taken->verdict.sentence, sizeof(taken->verdict.sentence),
		       "may run on instance '%s' of server '%s'", taken->mapping.name, taken->mapping.server);
	return rules_allow(many, taken);
}

static struct ledger_holder holder_of(const struct taken *taken)
{
	const struct bindfacts *facts = &taken->facts;

	return (struct ledger_holder){
		.uid = facts->who.uid,
		.namespace = facts->who.namespace,
		.name = facts->who.name,
		.domain = facts->who.domain,
		.subfunction = facts->who.subfunction ? facts->who.subfunction : "",
		.instance = taken->mapping.name,
		.server = taken->mapping.server,
		.epoch = taken->mapping.epoch,
		.cpu_milli = facts->cpu_milli,
		.memory_bytes = facts->memory_bytes,
	};
}

static int make_parts(struct bindmany *many, struct taken *taken, struct err *err)
{
	char key[STORE_KEY_MAX + 1];
	struct bindparts_known facts = {.no_policies = true};
	struct board_value seen;

	(void)snprintf(key, sizeof(key), "/instances/%s", taken->mapping.name);
	seen = board_value(many->board, key);
	facts.certificate = api_string(seen.json, "certificate");
	if (!facts.certificate)
		return err_set(err, ERR_NOT_FOUND, "instance '%s' was never seen", taken->mapping.name);
	(void)snprintf(taken->sentence, sizeof(taken->sentence),
		       "bound to instance '%.100s' of server '%.63s' in trust domain '%.200s'", taken->mapping.name,
		       taken->mapping.server, taken->facts.who.domain);
	taken->parts = bindparts_of();
	return bindparts_make(many->cism, &taken->facts, &taken->verdict, &facts, &taken->parts, err);
}

int bindmany_take(struct bindmany *many, const struct board_pod *pod, enum bindmany_outcome *ret_outcome,
		  struct err *err)
{
	CLEANUP(cleanup_taken) struct taken *taken = calloc(1, sizeof(*taken));
	struct err why = {0};
	uint32_t shape;

	*ret_outcome = BINDMANY_SINGLY;
	if (!taken)
		return err_sys(err, -ENOMEM, "cannot bind pods");
	if (board_has_moved(many->board) || board_has_image_policies(many->board) ||
	    board_facts(many->board, pod, &taken->facts, &why) < 0 || !taken->facts.domain || taken->facts.refusal[0] ||
	    asks_registry(&taken->facts) || board_shape(many->board, &taken->facts, &shape, &why) < 0)
		return 0;
	if (many->count == PODS_MAX || many->bytes > BYTES_MAX || many->sums.count + 4 > SHARED_MAX) {
		*ret_outcome = BINDMANY_FULL;
		return 0;
	}
	if (!choose(many, taken, shape)) {
		*ret_outcome = BINDMANY_NOWHERE;
		return 0;
	}
	if (make_parts(many, taken, &why) < 0)
		return 0;
	taken->holder = holder_of(taken);
	if (ledger_sums_hold(&many->sums, &taken->holder, err) < 0 ||
	    (schedule_is_tied(board_schedule(many->board), shape) &&
	     ledger_sums_tie(&many->sums, taken->holder.domain, err) < 0) ||
	    board_charge(many->board, &taken->holder, shape) < 0)
		return err_sys(err, -ENOMEM, "cannot bind pods");
	many->bytes += taken->parts.envelope.len * 3;
	many->items[many->count++] = take_ptr(taken);
	*ret_outcome = BINDMANY_TAKEN;
	return 0;
}

/* --- the transaction --- */

static int compare_object(struct bindmany *many, const struct api_kind *kind, const char *name, struct change *change,
			  struct err *err)
{
	char key[STORE_KEY_MAX + 1];
	int r = records_key(kind, NULL, name, key, err);

	if (r == 0)
		change_compare(change, key, board_value(many->board, key).revision);
	return r;
}

static int add(struct bindmany *many, const struct taken *taken, struct change *change, struct err *err)
{
	const struct bindfacts *facts = &taken->facts;
	struct bindfacts shown = *facts;
	struct placement_verdict verdict = taken->verdict;
	CLEANUP_JSON json_t *report = NULL;
	char key[STORE_KEY_MAX + 1];
	int r;

	shown.verdicts = &verdict;
	shown.verdict_count = 1;
	report = bindfacts_report(&shown, "Bound", taken->sentence, taken->mapping.name);
	if (!report)
		return err_sys(err, -ENOMEM, "cannot bind pods");
	records_put(change, records_pods(), taken->parts.pod, facts->pod.revision);
	r = compare_object(many, records_namespaces(), facts->who.namespace, change, err);
	if (r == 0)
		r = compare_object(many, records_nodes(), taken->mapping.name, change, err);
	change_compare(change, RECORDS_RULES_KEY, facts->rules);
	change_compare(change, SHARED_TOPOLOGY_KEY, facts->topology);
	if (r == 0 && ledger_sums_pod(&taken->holder, change) < 0)
		r = err_sys(err, -ENOMEM, "cannot bind pods");
	instances_ticket_key(facts->who.uid, key);
	change_put_bytes(change, key, taken->parts.envelope.data, taken->parts.envelope.len);
	instances_decision_key(facts->who.namespace, facts->who.name, key);
	change_put(change, key, report);
	if (r == 0)
		r = happenings_first(taken->parts.pod, "Normal", "Scheduled", taken->sentence, change, err);
	return r;
}

/* What is written is known at once: the next transaction compares it. */
static int keep(struct bindmany *many, uint64_t revision)
{
	char key[STORE_KEY_MAX + 1];
	int r = 0;

	for (size_t i = 0; r == 0 && i < many->sums.count; i++)
		r = board_wrote(many->board, many->sums.items[i].key, many->sums.items[i].json, revision);
	for (size_t i = 0; r == 0 && i < many->count; i++) {
		const struct bindfacts *facts = &many->items[i]->facts;

		r = records_key(records_pods(), facts->who.namespace, facts->who.name, key, NULL);
		if (r == 0)
			r = board_wrote(many->board, key, many->items[i]->parts.pod, revision);
	}
	return r;
}

static void tell(const struct bindmany *many)
{
	for (size_t i = 0; i < many->count; i++) {
		const struct policy_pod *who = &many->items[i]->facts.who;

		log_info("pod bound", "namespace", who->namespace, "name", who->name, "uid", who->uid, "reason",
			 many->items[i]->sentence);
	}
	(void)atomic_fetch_add(&many->cism->binds, many->count);
}

int bindmany_bind(struct bindmany *many, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	uint64_t revision;
	int r = 0;

	change_init(&change);
	for (size_t i = 0; r == 0 && i < many->count; i++)
		r = add(many, many->items[i], &change, err);
	ledger_sums_put(&many->sums, &change);
	if (r == 0) {
		crashpoint("cism-bind");
		r = change_commit(&change, many->cism->store, &revision, err);
	}
	if (r < 0) {
		for (size_t i = 0; i < many->count; i++)
			board_discharge(many->board, many->items[i]->holder.uid);
		drop_items(many);
		return r;
	}
	crashpoint("cism-bound");
	tell(many);
	if (keep(many, revision) < 0)
		r = err_sys(err, -ENOMEM, "cannot keep what was bound");
	drop_items(many);
	return r;
}
