/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "policy/domain.h"

/* The index of the first domain whose name is not less than this one. */
static size_t lower_bound(const struct policy_domains *domains, const char *name)
{
	size_t low = 0, high = domains->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(domains->items[middle]->name, name) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_at(const struct policy_domains *domains, size_t at, const char *name)
{
	return at < domains->count && str_eq(domains->items[at]->name, name);
}

static int make_room(struct policy_domains *domains)
{
	size_t room = domains->room ? domains->room * 2 : 16;
	struct policy_domain **items;

	if (domains->count < domains->room)
		return 0;
	if (domains->count >= POLICY_DOMAINS_MAX)
		return -ENOSPC;
	items = reallocarray(domains->items, room, sizeof(struct policy_domain *));
	if (!items)
		return -ENOMEM;
	domains->items = items;
	domains->room = room;
	return 0;
}

int policy_domains_put(struct policy_domains *domains, struct policy_domain *domain)
{
	size_t at = lower_bound(domains, domain->name);
	int r;

	if (is_at(domains, at, domain->name)) {
		policy_domain_free(domains->items[at]);
		domains->items[at] = domain;
		return 0;
	}
	r = make_room(domains);
	if (r < 0) {
		policy_domain_free(domain);
		return r;
	}
	memmove(&domains->items[at + 1], &domains->items[at], (domains->count - at) * sizeof(domain));
	domains->items[at] = domain;
	domains->count++;
	return 0;
}

void policy_domains_remove(struct policy_domains *domains, const char *name)
{
	size_t at = lower_bound(domains, name);

	if (!is_at(domains, at, name))
		return;
	policy_domain_free(domains->items[at]);
	domains->count--;
	memmove(&domains->items[at], &domains->items[at + 1], (domains->count - at) * sizeof(struct policy_domain *));
}

const struct policy_domain *policy_domains_find(const struct policy_domains *domains, const char *name)
{
	size_t at;

	if (!name)
		return NULL;
	at = lower_bound(domains, name);
	return is_at(domains, at, name) ? domains->items[at] : NULL;
}

void policy_domains_done(struct policy_domains *domains)
{
	for (size_t i = 0; i < domains->count; i++)
		policy_domain_free(domains->items[i]);
	free(domains->items);
	*domains = (struct policy_domains){0};
}
