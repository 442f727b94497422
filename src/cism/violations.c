/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/violations.h"

#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "base/str.h"
#include "cism/conditions.h"
#include "cism/happenings.h"
#include "cism/janitor.h"
#include "cism/leader.h"
#include "cism/prover.h"

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

bool violations_has(const json_t *findings, const json_t *finding)
{
	const json_t *known;
	size_t i;

	json_array_foreach(findings, i, known)
		if (json_equal(known, finding))
			return true;
	return false;
}

/* --- telling --- */

/* The sentence of the first finding on an instance; NULL when there is none. */
static const char *wrong_on(const json_t *findings, const char *instance)
{
	const json_t *finding;
	size_t i;

	json_array_foreach(findings, i, finding)
		if (str_eq(text_of(finding, "instance"), instance) ||
		    str_eq(text_of(finding, "otherInstance"), instance))
			return text_of(finding, "sentence");
	return NULL;
}

static int mark_node(struct cism *cism, const json_t *findings, json_t *node, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	const char *wrong = wrong_on(findings, api_string(node, "metadata.name"));
	uint64_t revision = 0;
	int r = conditions_set(node, PROVER_CONDITION, wrong ? "False" : "True", wrong ? "Violated" : "Proven", wrong);

	if (r <= 0)
		return r < 0 ? err_sys(err, r, "cannot mark a node") : 0;
	if (str_parse_u64(api_string(node, "metadata.resourceVersion"), UINT64_MAX, &revision) < 0)
		return err_set(err, ERR_CORRUPT, "node without revision");
	change_init(&change);
	leader_compare(cism, &change);
	records_put(&change, records_nodes(), node, revision);
	r = change_commit(&change, cism->store, &revision, err);
	return r == ERR_CONFLICT ? 0 : r; /* with the next proof */
}

static int mark_nodes(struct cism *cism, const json_t *findings, struct err *err)
{
	CLEANUP_OBJECT_LIST struct object_list nodes = {0};
	struct records_query query = {.kind = records_nodes()};
	int r = records_list(cism->store, &query, &nodes, err);

	for (size_t i = 0; r == 0 && i < nodes.count; i++)
		r = mark_node(cism, findings, nodes.items[i], err);
	return r;
}

/* The pod of a uid that is charged; *ret_pod stays NULL when its object is gone. */
static int find_pod(struct cism *cism, const char *uid, json_t **ret_pod, struct err *err)
{
	CLEANUP_OBJECT struct object pod = {0};
	CLEANUP_JSON json_t *place = NULL;
	int r = ledger_find(cism->store, uid, NULL, &place, err);

	if (r < 0 || !place)
		return r;
	r = records_get(cism->store, records_pods(), api_string(place, "namespace"), api_string(place, "name"), &pod,
			err);
	if (r < 0)
		return r == ERR_NOT_FOUND ? 0 : r;
	if (str_eq(api_string(pod.json, "metadata.uid"), uid))
		*ret_pod = json_incref(pod.json);
	return 0;
}

static void tell_pod(struct cism *cism, const char *uid, const char *level)
{
	CLEANUP_JSON json_t *pod = NULL;
	char message[256];
	struct err err = {0};

	(void)snprintf(message, sizeof(message),
		       "the pod is not kept apart at level %s from everything it must be; the platform's operator can "
		       "say more",
		       level);
	if (find_pod(cism, uid, &pod, &err) < 0)
		log_failure("cannot tell of a violation", &err);
	else if (pod)
		happenings_record(cism, pod, "Warning", "SeparationViolated", message);
}

void violations_tell(struct cism *cism, const json_t *before, const json_t *findings)
{
	const json_t *finding;
	struct err err = {0};
	size_t i;

	json_array_foreach(findings, i, finding) {
		if (violations_has(before, finding))
			continue;
		tell_pod(cism, text_of(finding, "uid"), text_of(finding, "level"));
		if (!str_eq(text_of(finding, "uid"), text_of(finding, "otherUid")))
			tell_pod(cism, text_of(finding, "otherUid"), text_of(finding, "level"));
	}
	if (mark_nodes(cism, findings, &err) < 0)
		log_failure("cannot mark the nodes", &err);
}

/* --- evicting --- */

static bool may_evict(const struct policy_domains *domains, const struct policy_holder *holder)
{
	const struct policy_domain *domain = policy_domains_find(domains, holder->pod.domain);

	return domain && domain->evicts;
}

static bool has_moved(const struct charges *charges, size_t item)
{
	const struct ledger_holder *holder = charges->origin[item];
	const struct topology_instance *now = topology_find(&charges->topology, holder->instance);

	return !now || now->epoch != holder->epoch;
}

/* Which side goes; false: neither may be evicted. */
static bool choose_side(const struct policy_drift_finding *finding, const struct charges *charges,
			const struct policy_domains *domains, size_t *ret_item)
{
	bool pod = may_evict(domains, &charges->items[finding->pod]);
	bool other = may_evict(domains, &charges->items[finding->other]);

	if (pod && other)
		*ret_item = has_moved(charges, finding->other) && !has_moved(charges, finding->pod) ? finding->other
												    : finding->pod;
	else
		*ret_item = pod ? finding->pod : finding->other;
	return pod || other;
}

static int evict(struct cism *cism, const char *uid, struct err *err)
{
	CLEANUP_JSON json_t *pod = NULL;
	int r = find_pod(cism, uid, &pod, err);

	if (r < 0 || !pod || api_string(pod, "metadata.deletionTimestamp"))
		return r;
	happenings_record(
		cism, pod, "Warning", "Evicted",
		"the pod is not kept apart from everything it must be, and its trust domain has such pods end");
	return janitor_end(cism, records_pods(), pod, err);
}

/* All of one kind in one place: where one of them may not be, none may. */
static int evict_kind(struct cism *cism, const struct charges *charges, size_t item, enum policy_level level,
		      struct err *err)
{
	const struct policy_holder *one = &charges->items[item];
	int r = 0;

	for (size_t i = 0; i < charges->count && r == 0; i++) {
		const struct policy_holder *holder = &charges->items[i];

		if (str_eq(holder->pod.domain, one->pod.domain) &&
		    str_eq(holder->pod.subfunction, one->pod.subfunction) &&
		    (level == POLICY_LEVEL_SERVER ? str_eq(holder->server, one->server)
						  : str_eq(holder->instance, one->instance)))
			r = evict(cism, holder->pod.uid, err);
	}
	return r;
}

void violations_evict(struct cism *cism, const struct policy_drift *drift, const struct charges *charges,
		      const struct policy_domains *domains)
{
	struct err err = {0};
	size_t item;
	int r = 0;

	for (size_t i = 0; i < drift->finding_count && r == 0; i++)
		if (drift->findings[i].kind == POLICY_DRIFT_APART &&
		    choose_side(&drift->findings[i], charges, domains, &item))
			r = evict_kind(cism, charges, item, drift->findings[i].level, &err);
	if (r < 0)
		log_failure("cannot evict what must not be there", &err);
}
