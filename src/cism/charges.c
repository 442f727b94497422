/* SPDX-License-Identifier: Apache-2.0 */
#include "cism/charges.h"

#include <errno.h>

#include "base/str.h"

/* Of how many servers a holder may be at most. */
static size_t servers_of(const struct topology *topology, const struct ledger_holder *holder)
{
	size_t count = 2, at = 0;

	while (topology_next_left(topology, holder->instance, holder->epoch, &at))
		count++;
	return count;
}

static void add(struct charges *charges, const struct ledger_holder *holder, const char *server)
{
	charges->origin[charges->count] = holder;
	charges->items[charges->count++] = (struct policy_holder){
		.pod = {.uid = holder->uid,
			.namespace = holder->namespace,
			.name = holder->name,
			.domain = holder->domain,
			.subfunction = holder->subfunction},
		.instance = holder->instance,
		.server = server,
	};
}

static void add_holder(struct charges *charges, const struct ledger_holder *holder)
{
	const struct topology_instance *now = topology_find(&charges->topology, holder->instance);
	const char *left;
	size_t at = 0;

	add(charges, holder, holder->server);
	if (!now || !str_eq(now->server, holder->server))
		add(charges, holder, now ? now->server : "");
	while ((left = topology_next_left(&charges->topology, holder->instance, holder->epoch, &at)))
		if (!str_eq(left, holder->server) && !(now && str_eq(left, now->server)))
			add(charges, holder, left);
}

int charges_read(struct cism *cism, struct charges *ret_charges, struct err *err)
{
	struct charges charges = {0};
	size_t count = 0;
	int r = cism_topology_copy(cism, &charges.topology, err);

	if (r == 0)
		r = ledger_read(cism->store, &charges.ledger, err);
	if (r < 0) {
		charges_done(&charges);
		return r;
	}
	for (size_t i = 0; i < charges.ledger.holder_count; i++)
		count += servers_of(&charges.topology, &charges.ledger.holders[i]);
	charges.items = calloc(count + 1, sizeof(*charges.items));
	charges.origin = calloc(count + 1, sizeof(*charges.origin));
	if (!charges.items || !charges.origin) {
		charges_done(&charges);
		return err_sys(err, -ENOMEM, "cannot read what is charged");
	}
	for (size_t i = 0; i < charges.ledger.holder_count; i++)
		add_holder(&charges, &charges.ledger.holders[i]);
	*ret_charges = charges;
	return 0;
}

void charges_done(struct charges *charges)
{
	free(charges->items);
	free(charges->origin);
	ledger_done(&charges->ledger);
	topology_done(&charges->topology);
	*charges = (struct charges){0};
}
