/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/admission.h"

#include <errno.h>

#include "base/str.h"
#include "cism/domains_read.h"
#include "cism/ledger.h"
#include "policy/domain.h"

static int add_finalizer(json_t *object)
{
	json_t *list = api_value(object, "metadata.finalizers");
	const json_t *item;
	size_t i;

	if (!list) {
		if (api_set(object, "metadata.finalizers", json_array()) < 0)
			return -ENOMEM;
		list = api_value(object, "metadata.finalizers");
	}
	json_array_foreach(list, i, item)
		if (json_is_string(item) && str_eq(json_string_value(item), DOMAINS_READ_FINALIZER))
			return 0;
	return json_array_append_new(list, json_string(DOMAINS_READ_FINALIZER));
}

/* Rules must make sense by themselves and with those of the others, which must still be the same at the commit. */
int admission_domain_rules(struct admission *admission, struct err *err)
{
	CLEANUP(cleanup_policy_domain) struct policy_domain *domain = NULL;
	CLEANUP_POLICY_DOMAINS struct policy_domains others = {0};
	const char *name = api_string(admission->object, "metadata.name");
	uint64_t rules = 0;
	int r;

	if (add_finalizer(admission->object) < 0)
		return err_sys(err, -ENOMEM, "cannot complete TrustDomain '%s'", name);
	if (api_string(admission->object, "metadata.deletionTimestamp"))
		return 0; /* it only waits for the namespaces that refer to it */
	r = policy_domain_parse(admission->object, &domain, err);
	if (r == 0)
		r = policy_domain_supported(domain, NULL, err);
	if (r == 0)
		r = domains_read(admission->call->cism->store, &others, &rules, err);
	if (r < 0)
		return r;
	policy_domains_remove(&others, name);
	r = policy_domains_fit(&others, domain, err);
	change_compare(admission->change, RECORDS_RULES_KEY, rules);
	return r;
}

static bool same(const char *a, const char *b)
{
	return str_eq(a ? a : "", b ? b : "");
}

static int check_domain(struct admission *admission, const char *domain, struct err *err)
{
	CLEANUP_OBJECT struct object object = {0};
	uint64_t rules = 0;
	int r;

	r = records_rules_revision(admission->call->cism->store, &rules, err);
	if (r < 0)
		return r;
	change_compare(admission->change, RECORDS_RULES_KEY, rules);
	r = records_get(admission->call->cism->store, records_domains(), NULL, domain, &object, err);
	if (r == ERR_NOT_FOUND)
		return 0; /* its pods stay Pending until there is one */
	if (r == 0 && api_string(object.json, "metadata.deletionTimestamp"))
		return err_set(err, ERR_DENIED, "namespaces \"%s\" is forbidden: TrustDomain '%s' is being deleted",
			       api_string(admission->object, "metadata.name"), domain);
	return r;
}

/* The domain of a namespace stays what it is as long as a pod of it may run somewhere. */
int admission_namespace_domain(struct admission *admission, struct err *err)
{
	const char *name = api_string(admission->object, "metadata.name");
	const char *now = api_label(admission->object, POLICY_LABEL_DOMAIN);
	const char *before = admission->old ? api_label(admission->old, POLICY_LABEL_DOMAIN) : NULL;
	char key[STORE_KEY_MAX + 1];
	uint64_t count, revision;
	int r;

	if (same(now, before))
		return 0;
	if (!authorizer_is_master(&admission->call->user))
		return err_set(err, ERR_DENIED,
			       "namespaces \"%s\" is forbidden: metadata.labels[" POLICY_LABEL_DOMAIN
			       "]: only the platform's administrators set it",
			       name);
	r = ledger_namespace(admission->call->cism->store, name, &count, &revision, err);
	if (r < 0)
		return r;
	ledger_namespace_key(name, key);
	change_compare(admission->change, key, revision);
	if (count > 0)
		return err_set(err, ERR_INVALID,
			       "metadata.labels[" POLICY_LABEL_DOMAIN
			       "]: Invalid value: \"%s\": may not change while %llu pods of the "
			       "namespace may be running",
			       now ? now : "", (unsigned long long)count);
	return now && now[0] ? check_domain(admission, now, err) : 0;
}
