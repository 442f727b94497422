/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/domains_read.h"

#include <errno.h>

int domains_read_objects(struct store *store, struct policy_domains *ret_domains, uint64_t *ret_rules,
			 struct object_list *ret_objects, struct err *err)
{
	struct object_list list = {0};
	struct records_query query = {.kind = records_domains()};
	struct policy_domains domains = {0};
	int r;

	/* The revision first: what is read after it is at least as new, and the commit compares it. */
	r = records_rules_revision(store, ret_rules, err);
	if (r == 0)
		r = records_list(store, &query, &list, err);
	for (size_t i = 0; r == 0 && i < list.count; i++) {
		struct policy_domain *domain = NULL;

		if (policy_domain_parse(list.items[i], &domain, NULL) == 0 && policy_domains_put(&domains, domain) < 0)
			r = err_sys(err, -ENOMEM, "cannot read the trust domains");
	}
	if (r < 0) {
		policy_domains_done(&domains);
		records_list_done(&list);
		return r;
	}
	*ret_domains = domains;
	*ret_objects = list;
	return 0;
}

int domains_read(struct store *store, struct policy_domains *ret_domains, uint64_t *ret_rules, struct err *err)
{
	CLEANUP_OBJECT_LIST struct object_list list = {0};

	return domains_read_objects(store, ret_domains, ret_rules, &list, err);
}
