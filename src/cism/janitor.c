/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/janitor.h"

#include <errno.h>

#include "base/clock.h"
#include "base/str.h"
#include "cism/call.h"
#include "cism/domains_read.h"
#include "cism/instances.h"
#include "cism/leader.h"
#include "cism/ledger.h"
#include "cism/quotas.h"
#include "policy/domain.h"

#define GRACE_S 30

int janitor_first_namespaces(struct cism *cism, struct err *err)
{
	static const char *const names[] = {"default", "kube-node-lease", "kube-public", "kube-system"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CLEANUP_CHANGE struct change change = {0};
		CLEANUP_JSON json_t *namespace = NULL;
		char now[CLOCK_STAMP_SIZE];
		char uid[37];
		uint64_t revision;
		int r;

		call_uid(uid);
		clock_format(now, clock_wall_ms());
		namespace = json_pack("{s:s, s:s, s:{s:s, s:s, s:s, s:{s:s}}, s:{}, s:{s:s}}", "kind", "Namespace",
				      "apiVersion", "v1", "metadata", "name", names[i], "uid", uid, "creationTimestamp",
				      now, "labels", "kubernetes.io/metadata.name", names[i], "spec", "status", "phase",
				      "Active");
		change_init(&change);
		records_put(&change, records_namespaces(), namespace, 0);
		r = change_commit(&change, cism->store, &revision, err);
		if (r < 0 && r != ERR_CONFLICT)
			return r;
	}
	return 0;
}

static int commit(struct change *change, struct cism *cism, struct err *err)
{
	uint64_t revision;
	int r;

	leader_compare(cism, change);
	r = change_commit(change, cism->store, &revision, err);
	return r == ERR_CONFLICT ? 0 : r; /* the next round sees what came between */
}

/* --- namespaces --- */

int janitor_end(struct cism *cism, const struct api_kind *kind, json_t *object, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	CLEANUP_JSON json_t *place = NULL;
	char stamp[CLOCK_STAMP_SIZE];
	uint64_t revision = 0;
	int r = 0;

	if (str_parse_u64(api_string(object, "metadata.resourceVersion"), UINT64_MAX, &revision) < 0)
		return err_set(err, ERR_CORRUPT, "object without revision");
	change_init(&change);
	if (kind == records_pods())
		r = ledger_find(cism->store, api_string(object, "metadata.uid"), &change, &place, err);
	if (r < 0)
		return r;
	if (!place && json_array_size(api_value(object, "metadata.finalizers")) == 0) {
		if (kind == records_pods()) {
			instances_forget_decision(&change, object);
			r = quotas_settle(cism->store, object, NULL, &change, err);
		}
		records_remove(&change, kind, object, revision);
		return r < 0 ? r : commit(&change, cism, err);
	}
	if (api_string(object, "metadata.deletionTimestamp"))
		return 0;
	clock_format(stamp, clock_wall_ms() + (kind == records_pods() ? GRACE_S * 1000 : 0));
	if (api_set(object, "metadata.deletionTimestamp", json_string(stamp)) < 0 ||
	    api_set(object, "metadata.deletionGracePeriodSeconds", json_integer(kind == records_pods() ? GRACE_S : 0)) <
		    0)
		return err_sys(err, -ENOMEM, "cannot delete the contents");
	records_put(&change, kind, object, revision);
	return commit(&change, cism, err);
}

/* Deletes the contents; *ret_left counts what is still there. */
static int empty_namespace(struct cism *cism, const char *name, size_t *ret_left, struct err *err)
{
	*ret_left = 0;
	for (const struct api_kind *const *kind = api_kinds(); *kind; kind++) {
		CLEANUP_OBJECT_LIST struct object_list list = {0};
		struct records_query query = {.kind = *kind, .namespace = name};
		int r = 0;

		if ((*kind)->namespaced)
			r = records_list(cism->store, &query, &list, err);
		for (size_t i = 0; r == 0 && i < list.count; i++)
			r = janitor_end(cism, *kind, list.items[i], err);
		if (r < 0)
			return r;
		*ret_left += list.count;
	}
	return 0;
}

static int finish_namespace(struct cism *cism, const json_t *namespace, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	const char *name = api_string(namespace, "metadata.name");
	uint64_t count = 0, count_revision = 0, revision = 0;
	char key[STORE_KEY_MAX + 1];
	size_t left;
	int r;

	r = empty_namespace(cism, name, &left, err);
	if (r == 0)
		r = ledger_namespace(cism->store, name, &count, &count_revision, err);
	/* A pod deleted by force may still run: its domain must stay known, so the namespace stays too. */
	if (r < 0 || left > 0 || count > 0 || json_array_size(api_value(namespace, "metadata.finalizers")) > 0)
		return r;
	if (str_parse_u64(api_string(namespace, "metadata.resourceVersion"), UINT64_MAX, &revision) < 0)
		return err_set(err, ERR_CORRUPT, "namespace '%s' has no revision", name);
	change_init(&change);
	ledger_namespace_key(name, key);
	change_compare(&change, key, count_revision);
	records_remove(&change, records_namespaces(), namespace, revision);
	r = quotas_forget(cism->store, name, &change, err);
	return r < 0 ? r : commit(&change, cism, err);
}

int janitor_finish_namespaces(struct cism *cism, struct err *err)
{
	CLEANUP_OBJECT_LIST struct object_list list = {0};
	struct records_query query = {.kind = records_namespaces()};
	int r = records_list(cism->store, &query, &list, err);

	for (size_t i = 0; r == 0 && i < list.count; i++)
		if (api_string(list.items[i], "metadata.deletionTimestamp"))
			r = finish_namespace(cism, list.items[i], err);
	return r;
}

/* --- trust domains --- */

static bool is_used(const struct object_list *namespaces, const char *domain)
{
	for (size_t i = 0; i < namespaces->count; i++) {
		const char *label = api_label(namespaces->items[i], POLICY_LABEL_DOMAIN);

		if (label && str_eq(label, domain))
			return true;
	}
	return false;
}

static void drop_finalizer(json_t *object)
{
	json_t *list = api_value(object, "metadata.finalizers");

	for (size_t i = json_array_size(list); i > 0; i--) {
		const char *name = json_string_value(json_array_get(list, i - 1));

		if (name && str_eq(name, DOMAINS_READ_FINALIZER))
			(void)json_array_remove(list, i - 1);
	}
}

static int finish_domain(struct cism *cism, json_t *domain, struct err *err)
{
	CLEANUP_CHANGE struct change change = {0};
	size_t before = json_array_size(api_value(domain, "metadata.finalizers"));
	uint64_t revision = 0;

	if (str_parse_u64(api_string(domain, "metadata.resourceVersion"), UINT64_MAX, &revision) < 0)
		return err_set(err, ERR_CORRUPT, "trust domain without revision");
	drop_finalizer(domain);
	change_init(&change);
	if (json_array_size(api_value(domain, "metadata.finalizers")) == 0)
		records_remove(&change, records_domains(), domain, revision);
	else if (json_array_size(api_value(domain, "metadata.finalizers")) != before)
		records_put(&change, records_domains(), domain, revision);
	else
		return 0; /* others hold it */
	return commit(&change, cism, err);
}

int janitor_finish_domains(struct cism *cism, struct err *err)
{
	CLEANUP_OBJECT_LIST struct object_list domains = {0};
	CLEANUP_OBJECT_LIST struct object_list namespaces = {0};
	struct records_query domain_query = {.kind = records_domains()};
	struct records_query namespace_query = {.kind = records_namespaces()};
	int r = records_list(cism->store, &domain_query, &domains, err);

	/* Namespaces second: none can begin to refer to a domain whose deletion was asked for before it was listed. */
	if (r == 0)
		r = records_list(cism->store, &namespace_query, &namespaces, err);
	for (size_t i = 0; r == 0 && i < domains.count; i++)
		if (api_string(domains.items[i], "metadata.deletionTimestamp") &&
		    !is_used(&namespaces, api_string(domains.items[i], "metadata.name")))
			r = finish_domain(cism, domains.items[i], err);
	return r;
}

/* --- events --- */

static int64_t last_time(const json_t *event)
{
	static const char *const paths[] = {"lastTimestamp", "eventTime", "metadata.creationTimestamp"};

	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		const char *text = api_string(event, paths[i]);
		int64_t ms;

		if (text && clock_parse(text, &ms) == 0)
			return ms;
	}
	return 0;
}

int janitor_sweep_events(struct cism *cism, int64_t seconds, struct err *err)
{
	CLEANUP_OBJECT_LIST struct object_list list = {0};
	struct records_query query = {.kind = records_events()};
	int64_t before = clock_wall_ms() - seconds * 1000;
	int r = records_list(cism->store, &query, &list, err);

	for (size_t i = 0; r == 0 && i < list.count; i++) {
		CLEANUP_CHANGE struct change change = {0};
		uint64_t revision = 0;

		if (last_time(list.items[i]) >= before ||
		    str_parse_u64(api_string(list.items[i], "metadata.resourceVersion"), UINT64_MAX, &revision) < 0)
			continue;
		change_init(&change);
		records_remove(&change, records_events(), list.items[i], revision);
		r = commit(&change, cism, err);
	}
	return r;
}
