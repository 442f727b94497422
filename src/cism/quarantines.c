/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/quarantines.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/log.h"
#include "base/str.h"
#include "cism/conditions.h"
#include "cism/instances.h"
#include "cism/joins.h"
#include "cism/leader.h"
#include "cism/ledger.h"

static bool is(const json_t *object, const char *path, const char *text)
{
	const char *value = api_string(object, path);

	return value && text && str_eq(value, text);
}

int quarantines_read(struct store *store, struct object_list *ret_list, struct err *err)
{
	struct records_query query = {.kind = records_quarantines()};

	return records_list(store, &query, ret_list, err);
}

/* An instance stays under the quarantine that it came under, wherever it moves. */
static bool concerns(const json_t *quarantine, const char *instance, const char *server)
{
	const json_t *row;
	size_t i;

	if (is(quarantine, "spec.instance", instance) || is(quarantine, "spec.server", server))
		return true;
	json_array_foreach(api_value(quarantine, "status.instances"), i, row)
		if (is(row, "name", instance))
			return true;
	return false;
}

const json_t *quarantines_find(const struct object_list *list, const char *instance, const char *server)
{
	for (size_t i = 0; i < list->count; i++)
		if (concerns(list->items[i], instance, server))
			return list->items[i];
	return NULL;
}

int quarantines_check(struct store *store, const char *instance, const char *server, struct change *change,
		      struct err *err)
{
	CLEANUP_OBJECT_LIST struct object_list list = {0};
	const json_t *quarantine;
	uint64_t rules;
	int r = records_rules_revision(store, &rules, err);

	if (r == 0)
		r = quarantines_read(store, &list, err);
	if (r < 0)
		return r;
	quarantine = quarantines_find(&list, instance, server);
	if (quarantine)
		return err_set(
			err, ERR_DENIED,
			"instance '%s' is not believed: it is under quarantine '%s'; install it anew, have it join "
			"again and delete the Quarantine",
			instance, api_string(quarantine, "metadata.name"));
	change_compare(change, RECORDS_RULES_KEY, rules);
	return 0;
}

/* --- admission --- */

static int add_instance(struct admission *admission, json_t *rows, const struct topology_instance *instance,
			struct err *err)
{
	char certificate[65] = "";
	uint64_t join = 0;
	int r = joins_certificate(admission->call->cism, instance->name, certificate, err);

	if (r < 0 && r != ERR_NOT_FOUND)
		return r;
	r = joins_epoch(admission->call->cism, instance->name, &join, err);
	if (r < 0)
		return r;
	if (json_array_append_new(rows, json_pack("{s:s, s:I, s:s, s:I}", "name", instance->name, "epoch",
						  (json_int_t)instance->epoch, "certificate", certificate, "join",
						  (json_int_t)join)) < 0)
		return err_sys(err, -ENOMEM, "cannot note instance '%s'", instance->name);
	return 0;
}

/* All instances that are concerned, as they are at this moment. */
static int note_instances(struct admission *admission, const char *name, const char *server, struct err *err)
{
	struct topology topology = {0};
	json_t *rows = json_array();
	int r = cism_topology_copy(admission->call->cism, &topology, err);

	for (size_t i = 0; r == 0 && i < topology.count; i++)
		if ((name && str_eq(topology.instances[i].name, name)) ||
		    (server && str_eq(topology.instances[i].server, server)))
			r = add_instance(admission, rows, &topology.instances[i], err);
	topology_done(&topology);
	if (r == 0 && json_array_size(rows) == 0)
		r = err_set(err, ERR_INVALID, "spec.%s: the topology knows no '%s'", name ? "instance" : "server",
			    name ? name : server);
	if (r < 0) {
		json_decref(rows);
		return r;
	}
	if (api_set(admission->object, "status", json_pack("{s:o}", "instances", rows)) < 0 ||
	    api_set(admission->object, "metadata.finalizers", json_pack("[s]", QUARANTINES_FINALIZER)) < 0)
		return err_sys(err, -ENOMEM, "cannot complete the quarantine");
	return 0;
}

int quarantines_admit(struct admission *admission, struct err *err)
{
	const char *instance = api_string(admission->object, "spec.instance");
	const char *server = api_string(admission->object, "spec.server");
	const char *name = api_string(admission->object, "metadata.name");
	char expected[300];

	if (!instance == !server)
		return err_set(err, ERR_INVALID, "spec: either instance or server has to be given");
	(void)snprintf(expected, sizeof(expected), "%s.%s", instance ? "instance" : "server",
		       instance ? instance : server);
	if (!str_eq(name, expected))
		return err_set(err, ERR_INVALID, "metadata.name: must be '%s', so that there is one of it", expected);
	if (!admission->old)
		return note_instances(admission, instance, server, err);
	if (!json_equal(api_value(admission->object, "spec"), api_value(admission->old, "spec")) ||
	    !json_equal(api_value(admission->object, "status"), api_value(admission->old, "status")) ||
	    !json_equal(api_value(admission->object, "metadata.finalizers"),
			api_value(admission->old, "metadata.finalizers")))
		return err_set(
			err, ERR_DENIED,
			"quarantines \"%s\" is forbidden: a quarantine does not change; it ends by deletion, once "
			"its instances are installed anew",
			name);
	return 0;
}

/* --- its end --- */

static void revoked_key(const char *certificate, char key[static STORE_KEY_MAX + 1])
{
	(void)snprintf(key, STORE_KEY_MAX + 1, "/revoked/%s", certificate);
}

bool quarantines_revoked(struct cism *cism, const uint8_t certificate_sha256[static 32])
{
	CLEANUP_STORE_ENTRY struct store_entry entry = {0};
	char key[STORE_KEY_MAX + 1], hex[65];

	str_hex(hex, certificate_sha256, 32);
	revoked_key(hex, key);
	return store_get(cism->store, key, &entry, NULL) != ERR_NOT_FOUND; /* what cannot be asked is not trusted */
}

/* Whether an instance was installed anew; *ret_why says what is missing. */
static int is_anew(struct cism *cism, const json_t *row, bool *ret_anew, char why[static 512], struct err *err)
{
	const char *name = api_string(row, "name"), *before = api_string(row, "certificate");
	uint64_t epoch = (uint64_t)api_integer(row, "epoch", 0);
	struct topology_instance now = {0};
	char certificate[65] = "";
	uint64_t join = 0;
	int r = joins_certificate(cism, name, certificate, err);

	if (r == 0 || r == ERR_NOT_FOUND)
		r = joins_epoch(cism, name, &join, err);
	if (r < 0)
		return r;
	*ret_anew = false;
	/* A certificate that was only renewed is the same instance's. */
	if (!certificate[0] || (before && str_eq(before, certificate)) ||
	    (join && join <= (uint64_t)api_integer(row, "join", 0)))
		(void)snprintf(why, 512, "instance '%s' has not joined again: it shows the certificate it had", name);
	else if (cism_topology_find(cism, name, &now) < 0 || now.epoch <= epoch)
		(void)snprintf(why, 512,
			       "the topology does not say that instance '%s' was installed anew: its epoch is "
			       "not above %" PRIu64,
			       name, epoch);
	else
		*ret_anew = true;
	return 0;
}

/* What the instance had in former epochs is over, whatever it says. */
static int release_former(struct cism *cism, const json_t *row, struct err *err)
{
	CLEANUP_LEDGER struct ledger ledger = {0};
	uint64_t epoch = (uint64_t)api_integer(row, "epoch", 0), revision;
	int r = ledger_read(cism->store, &ledger, err);

	for (size_t i = 0; r == 0 && i < ledger.holder_count; i++) {
		CLEANUP_CHANGE struct change change = {0};
		const struct ledger_holder *holder = &ledger.holders[i];

		if (!is(row, "name", holder->instance) || holder->epoch > epoch)
			continue;
		change_init(&change);
		leader_compare(cism, &change);
		r = instances_release(cism->store, holder->instance, holder->uid, &change, err);
		if (r == 0)
			r = change_commit(&change, cism->store, &revision, err);
		if (r == 0)
			log_info("released: the instance was installed anew", "instance", holder->instance, "uid",
				 holder->uid);
		r = r == ERR_CONFLICT || r == ERR_NOT_FOUND ? 0 : r; /* the next round sees what came between */
	}
	return r;
}

static int finish(struct cism *cism, const json_t *quarantine, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	const json_t *row;
	uint64_t revision = 0;
	size_t i;
	int r = 0;

	json_array_foreach(api_value(quarantine, "status.instances"), i, row)
		if (r == 0)
			r = release_former(cism, row, err);
	if (r < 0)
		return r;
	if (str_parse_u64(api_string(quarantine, "metadata.resourceVersion"), UINT64_MAX, &revision) < 0)
		return err_set(err, ERR_CORRUPT, "quarantine without revision");
	change_init(&change);
	leader_compare(cism, &change);
	json_array_foreach(api_value(quarantine, "status.instances"), i, row) {
		char key[STORE_KEY_MAX + 1];

		if (is(row, "certificate", ""))
			continue;
		revoked_key(api_string(row, "certificate"), key);
		change_put_bytes(&change, key, "{}", 2);
	}
	records_remove(&change, records_quarantines(), quarantine, revision);
	r = change_commit(&change, cism->store, &revision, err);
	if (r == 0)
		log_info("a quarantine ended", "name", api_string(quarantine, "metadata.name"));
	return r == ERR_CONFLICT ? 0 : r;
}

/* Why it does not end yet stands in its conditions. */
static int tell_waiting(struct cism *cism, json_t *quarantine, const char *why, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	uint64_t revision = 0;
	int r = conditions_set(quarantine, "Ended", "False", "NotInstalledAnew", why);

	if (r <= 0 || str_parse_u64(api_string(quarantine, "metadata.resourceVersion"), UINT64_MAX, &revision) < 0)
		return r < 0 ? err_sys(err, r, "cannot say why a quarantine lasts") : 0;
	change_init(&change);
	leader_compare(cism, &change);
	records_put(&change, records_quarantines(), quarantine, revision);
	r = change_commit(&change, cism->store, &revision, err);
	return r == ERR_CONFLICT ? 0 : r;
}

static int follow_one(struct cism *cism, json_t *quarantine, struct err *err)
{
	const json_t *row;
	bool anew = true;
	char why[512];
	size_t i;
	int r = 0;

	if (!api_string(quarantine, "metadata.deletionTimestamp"))
		return 0;
	json_array_foreach(api_value(quarantine, "status.instances"), i, row)
		if (r == 0 && anew)
			r = is_anew(cism, row, &anew, why, err);
	if (r < 0)
		return r;
	return anew ? finish(cism, quarantine, err) : tell_waiting(cism, quarantine, why, err);
}

static int mark_node(struct cism *cism, const struct object_list *list, json_t *node, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	const json_t *quarantine = quarantines_find(list, api_string(node, "metadata.name"),
						    api_label(node, POLICY_LABEL_SERVER));
	uint64_t revision = 0;
	int r = conditions_set(node, QUARANTINES_CONDITION, quarantine ? "True" : "False",
			       quarantine ? "Quarantined" : "Trusted", api_string(quarantine, "spec.reason"));

	if (r <= 0 || str_parse_u64(api_string(node, "metadata.resourceVersion"), UINT64_MAX, &revision) < 0)
		return r < 0 ? err_sys(err, r, "cannot mark a node") : 0;
	change_init(&change);
	leader_compare(cism, &change);
	records_put(&change, records_nodes(), node, revision);
	r = change_commit(&change, cism->store, &revision, err);
	return r == ERR_CONFLICT ? 0 : r;
}

static bool has_condition(const json_t *node)
{
	const json_t *row;
	size_t i;

	json_array_foreach(api_value(node, "status.conditions"), i, row)
		if (is(row, "type", QUARANTINES_CONDITION))
			return true;
	return false;
}

int quarantines_follow(struct cism *cism, struct err *err)
{
	CLEANUP_OBJECT_LIST struct object_list list = {0}, nodes = {0};
	struct records_query query = {.kind = records_nodes()};
	int r = quarantines_read(cism->store, &list, err);

	for (size_t i = 0; r == 0 && i < list.count; i++)
		r = follow_one(cism, list.items[i], err);
	if (r == 0)
		r = records_list(cism->store, &query, &nodes, err);
	for (size_t i = 0; r == 0 && i < nodes.count; i++)
		if (has_condition(nodes.items[i]) ||
		    quarantines_find(&list, api_string(nodes.items[i], "metadata.name"),
				     api_label(nodes.items[i], POLICY_LABEL_SERVER)))
			r = mark_node(cism, &list, nodes.items[i], err);
	return r;
}
