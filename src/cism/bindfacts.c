/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/bindfacts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "cism/board.h"
#include "cism/domains_read.h"
#include "cism/podfacts.h"
#include "cism/quarantines.h"

static const char *text_or_empty(const char *text)
{
	return text ? text : "";
}

/* --- reading --- */

bool bindfacts_agrees(const json_t *node, const struct topology_instance *mapping)
{
	const char *server = api_label(node, POLICY_LABEL_SERVER);
	const char *epoch = api_annotation(node, POLICY_ANNOTATION_EPOCH);
	char expected[24];

	(void)snprintf(expected, sizeof(expected), "%" PRIu64, mapping->epoch);
	return server && epoch && str_eq(server, mapping->server) && str_eq(epoch, expected);
}

static int read_nodes(struct cism *cism, struct bindfacts *facts, struct err *err)
{
	struct records_query query = {.kind = records_nodes()};
	int r = records_list(cism->store, &query, &facts->nodes, err);

	/* Behind the revision of the rules, which every write of a quarantine moves. */
	if (r == 0)
		r = quarantines_read(cism->store, &facts->quarantines, err);
	if (r < 0)
		return r;
	facts->mappings = calloc(facts->nodes.count + 1, sizeof(*facts->mappings));
	facts->places = calloc(facts->nodes.count + 1, sizeof(*facts->places));
	if (!facts->mappings || !facts->places)
		return err_sys(err, -ENOMEM, "cannot read the nodes");
	for (size_t i = 0; i < facts->nodes.count; i++) {
		const json_t *node = facts->nodes.items[i];

		facts->places[i].object = node;
		facts->places[i].quarantined = quarantines_find(&facts->quarantines, api_string(node, "metadata.name"),
								api_label(node, POLICY_LABEL_SERVER)) != NULL;
		if (cism_topology_find(cism, text_or_empty(api_string(node, "metadata.name")), &facts->mappings[i]) ==
			    0 &&
		    bindfacts_agrees(node, &facts->mappings[i]))
			facts->places[i].mapping = &facts->mappings[i];
	}
	return 0;
}

static void add_charge(struct bindfacts *facts, const struct ledger_holder *holder, const char *server)
{
	facts->charges[facts->charge_count++] = (struct policy_holder){
		.pod = {.uid = holder->uid,
			.namespace = holder->namespace,
			.name = holder->name,
			.domain = holder->domain,
			.subfunction = holder->subfunction},
		.instance = holder->instance,
		.server = server,
	};
}

/* Where the mapping says an instance is now; empty when it says nothing: its pods may be anywhere then (PLC-2). */
static const char *server_now(const struct bindfacts *facts, const char *instance)
{
	for (size_t i = 0; i < facts->nodes.count; i++)
		if (facts->places[i].mapping && str_eq(facts->places[i].mapping->name, instance))
			return facts->places[i].mapping->server;
	return "";
}

/* How many servers may count for the holders, of those alone that their instances left. */
static size_t count_left(const struct bindfacts *facts)
{
	size_t count = 0;

	for (size_t i = 0; i < facts->ledger.holder_count; i++) {
		const struct ledger_holder *holder = &facts->ledger.holders[i];
		size_t at = 0;

		while (topology_next_left(&facts->moves, holder->instance, holder->epoch, &at))
			count++;
	}
	return count;
}

/* A pod whose instance moved counts where it was charged, where the instance was since, and where it is now. */
static void add_charges(struct bindfacts *facts, const struct ledger_holder *holder)
{
	const char *now = server_now(facts, holder->instance), *left;
	size_t at = 0;

	add_charge(facts, holder, holder->server);
	if (!str_eq(now, holder->server))
		add_charge(facts, holder, now);
	while ((left = topology_next_left(&facts->moves, holder->instance, holder->epoch, &at)))
		if (!str_eq(left, holder->server) && !str_eq(left, now))
			add_charge(facts, holder, left);
}

static int read_charges(struct cism *cism, struct bindfacts *facts, struct err *err)
{
	int r = ledger_read(cism->store, &facts->ledger, err);

	if (r == 0)
		r = cism_topology_copy_left(cism, &facts->moves, err);
	if (r < 0)
		return r;
	facts->charges = calloc(2 * facts->ledger.holder_count + count_left(facts) + 1, sizeof(*facts->charges));
	if (!facts->charges)
		return err_sys(err, -ENOMEM, "cannot read the ledger");
	for (size_t i = 0; i < facts->ledger.holder_count; i++)
		add_charges(facts, &facts->ledger.holders[i]);
	return 0;
}

void bindfacts_describe(struct bindfacts *facts)
{
	struct err err = {0};

	facts->who.uid = text_or_empty(api_string(facts->pod.json, "metadata.uid"));
	facts->who.namespace = text_or_empty(api_string(facts->pod.json, "metadata.namespace"));
	facts->who.name = text_or_empty(api_string(facts->pod.json, "metadata.name"));
	facts->who.domain = facts->admission.domain_name;
	if (facts->domain && (podfacts_allowed(facts->pod.json, facts->domain, &err) < 0 ||
			      podfacts_subfunction(facts->pod.json, facts->domain, &facts->who.subfunction, &err) < 0))
		(void)snprintf(facts->refusal, sizeof(facts->refusal), "%s", err.msg);
	else if (podfacts_requests(facts->pod.json, &facts->cpu_milli, &facts->memory_bytes, &err) < 0)
		(void)snprintf(facts->refusal, sizeof(facts->refusal), "%s", err.msg);
}

int bindfacts_read(struct cism *cism, const char *namespace, const char *name, struct bindfacts *ret_facts,
		   struct err *err)
{
	struct bindfacts facts = {.cism = cism};
	int r;

	r = records_get(cism->store, records_pods(), namespace, name, &facts.pod, err);
	if (r < 0)
		return r;
	facts.settled = api_string(facts.pod.json, "spec.nodeName") ||
			api_string(facts.pod.json, "metadata.deletionTimestamp");
	/* Before anything is looked up in it: what is newer then fails the commit. */
	facts.topology = cism_topology_revision(cism);
	if (!facts.settled) {
		r = domains_read(cism->store, &facts.domains, &facts.rules, err);
		if (r == 0)
			r = admission_facts_read(cism->store, namespace, &facts.admission, err);
		if (r == 0)
			r = read_nodes(cism, &facts, err);
		if (r == 0)
			r = read_charges(cism, &facts, err);
		if (r == 0 && facts.admission.domain_name)
			r = ledger_domain(cism->store, facts.admission.domain_name, &facts.domain_servers,
					  &facts.domain_revision, err);
	}
	if (r < 0) {
		bindfacts_done(&facts);
		return r;
	}
	if (facts.admission.domain_name)
		facts.domain = policy_domains_find(&facts.domains, facts.admission.domain_name);
	if (!facts.settled)
		bindfacts_describe(&facts);
	*ret_facts = facts;
	return 0;
}

void bindfacts_done(struct bindfacts *facts)
{
	records_done(&facts->pod);
	admission_facts_done(&facts->admission);
	policy_domains_done(&facts->domains);
	records_list_done(&facts->nodes);
	records_list_done(&facts->quarantines);
	ledger_done(&facts->ledger);
	topology_done(&facts->moves);
	free(facts->mappings);
	free(facts->places);
	free(facts->charges);
	free(facts->verdicts);
}

/* --- judging --- */

/* What the scheduler says of one instance; without it nothing is known, and so refused. */
static void refine(struct bindfacts *facts, struct board *board, struct placement_verdict *verdict)
{
	struct schedule_verdict said;
	struct err err = {0};

	if (board_judge(board, facts, verdict->instance, &said, &err) < 0)
		said = (struct schedule_verdict){.reason = SCHEDULE_NOT_READY};
	placement_refine(facts->pod.json, &said, verdict);
}

static void refine_all(struct bindfacts *facts)
{
	struct board *board = facts->cism->board;
	struct err err = {0};

	board_lock(board);
	if (board_follow(board, &err) < 0)
		log_failure("cannot follow the cluster", &err);
	for (size_t i = 0; i < facts->verdict_count; i++) {
		struct placement_verdict *verdict = &facts->verdicts[i];

		if (verdict->allowed && err.code == 0)
			refine(facts, board, verdict);
		else if (verdict->allowed)
			placement_refine(facts->pod.json, &(struct schedule_verdict){.reason = SCHEDULE_NOT_READY},
					 verdict);
	}
	if (err.code == 0)
		board_tie(board, facts);
	board_unlock(board);
}

size_t bindfacts_judge(struct bindfacts *facts, const char *instance, struct placement_reason *ret_reason)
{
	struct placement_facts known = {
		.pod = facts->pod.json,
		.who = facts->who,
		.cpu_milli = facts->cpu_milli,
		.memory_bytes = facts->memory_bytes,
		.domains = &facts->domains,
		.domain = facts->domain,
		.domain_servers = facts->domain_servers,
		.holders = facts->ledger.holders,
		.holder_count = facts->ledger.holder_count,
		.charges = facts->charges,
		.charge_count = facts->charge_count,
		.nodes = facts->places,
		.node_count = facts->nodes.count,
	};
	size_t chosen;

	free(facts->verdicts);
	facts->verdict_count = 0;
	facts->verdicts = calloc(facts->nodes.count + 1, sizeof(*facts->verdicts));
	if (facts->refusal[0] || !facts->verdicts) {
		(void)snprintf(ret_reason->sentence, sizeof(ret_reason->sentence), "%s",
			       facts->verdicts ? facts->refusal : "out of memory");
		memcpy(ret_reason->tenant, ret_reason->sentence, sizeof(ret_reason->tenant));
		return 0;
	}
	for (size_t i = 0; i < facts->nodes.count; i++) {
		const char *name = api_string(facts->places[i].object, "metadata.name");

		if (!instance || (name && str_eq(name, instance)))
			placement_judge(&known, &facts->places[i], &facts->verdicts[facts->verdict_count++]);
	}
	refine_all(facts);
	chosen = placement_choose(facts->verdicts, facts->verdict_count);
	if (chosen == facts->verdict_count)
		placement_explain(facts->verdicts, facts->verdict_count, ret_reason);
	return chosen;
}

uint64_t bindfacts_node_revision(const struct bindfacts *facts, const char *instance)
{
	for (size_t i = 0; i < facts->nodes.count; i++) {
		uint64_t revision = 0;

		if (!str_eq(text_or_empty(api_string(facts->nodes.items[i], "metadata.name")), instance))
			continue;
		if (str_parse_u64(text_or_empty(api_string(facts->nodes.items[i], "metadata.resourceVersion")),
				  UINT64_MAX, &revision) == 0)
			return revision;
	}
	return 0; /* "must not exist": such a bind never holds */
}

/* Whether somebody charged elsewhere counts on a server, for his instance is there or left it. */
static bool counts_on(const struct bindfacts *facts, const struct ledger_holder *holder, const char *server)
{
	const char *left;
	size_t at = 0;

	if (str_eq(holder->server, server))
		return false;
	if (str_eq(server_now(facts, holder->instance), server))
		return true;
	while ((left = topology_next_left(&facts->moves, holder->instance, holder->epoch, &at)))
		if (str_eq(left, server))
			return true;
	return false;
}

void bindfacts_compare_moved(const struct bindfacts *facts, const char *server, struct change *change)
{
	for (size_t i = 0; i < facts->ledger.range.count; i++) {
		const struct store_entry *entry = &facts->ledger.range.entries[i];
		bool moved_here = false;

		for (size_t j = 0; j < facts->ledger.holder_count; j++) {
			const struct ledger_holder *holder = &facts->ledger.holders[j];

			moved_here |= str_ends(entry->key, holder->server) && counts_on(facts, holder, server);
		}
		if (moved_here)
			change_compare(change, entry->key, entry->mod_revision);
	}
}

json_t *bindfacts_report(const struct bindfacts *facts, const char *outcome, const char *sentence, const char *instance)
{
	char stamp[CLOCK_STAMP_SIZE];
	json_t *places = json_array();

	for (size_t i = 0; i < facts->verdict_count; i++) {
		const struct placement_verdict *verdict = &facts->verdicts[i];

		if (json_array_append_new(places, json_pack("{s:s, s:s, s:b, s:s, s:s, s:s, s:s, s:s}", "instance",
							    verdict->instance, "server",
							    verdict->mapping ? verdict->mapping->server : "", "allowed",
							    verdict->allowed, "reason", verdict->reason, "rule",
							    verdict->rule, "object", verdict->object, "otherDomain",
							    verdict->other_domain, "message", verdict->sentence)) < 0) {
			json_decref(places);
			return NULL;
		}
	}
	clock_format(stamp, clock_wall_ms());
	return json_pack("{s:s, s:s, s:{s:s, s:s, s:s}, s:s, s:s, s:s, s:s, s:s, s:s, s:o}", "kind", "Decision",
			 "apiVersion", "trust.bulkhead.dev/v1", "metadata", "name", facts->who.name, "namespace",
			 facts->who.namespace, "uid", facts->who.uid, "time", stamp, "outcome", outcome, "message",
			 sentence, "domain", text_or_empty(facts->who.domain), "subFunction",
			 text_or_empty(facts->who.subfunction), "instance", text_or_empty(instance), "instances",
			 places);
}
