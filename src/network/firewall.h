/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of an instance in nftables: a fixed table over sets that are keyed by pod address and domain mark. */
#ifndef NETWORK_FIREWALL_H
#define NETWORK_FIREWALL_H

#include "network/link.h"
#include "network/network.h"

struct firewall;

/* A pod in the rules: where it is plugged in, what it may be reached by. */
struct firewall_pod {
	struct link_port port;
	uint32_t mark; /* of its domain, not 0 */
	const struct network_opening *openings;
	const uint32_t *opening_marks; /* of openings[i].domain, 0 for networks */
	size_t opening_count;
};

/* Opens a context for the table of a bridge in the calling thread's network namespace; changes nothing. */
int firewall_new(const char *bridge, struct firewall **ret_firewall, struct err *err) MUST_CHECK;
void firewall_free(struct firewall *firewall);

/* Replaces the tables as a whole, with these pods in them, in one transaction. */
int firewall_replace(struct firewall *firewall, const struct firewall_pod *pods, size_t count,
		     struct err *err) MUST_CHECK;

/* Adds or takes away one pod's elements in one transaction; both may be repeated. */
int firewall_add(struct firewall *firewall, const struct firewall_pod *pod, struct err *err) MUST_CHECK;
int firewall_remove(struct firewall *firewall, const struct firewall_pod *pod, struct err *err) MUST_CHECK;

/* Removes the tables; no error when they are not there. */
int firewall_drop(struct firewall *firewall, struct err *err) MUST_CHECK;

#endif
