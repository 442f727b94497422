/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pod network of one instance: a bridge with isolated ports, every pod a /32 behind one of them, so that each packet
 * between pods is routed by the host and passes the instance's nftables rules. What is not declared is dropped: between
 * trust domains, from pods to the outside and to the host, from the host to pods. NET-1, NET-2, ISO-10.
 */
#ifndef NETWORK_NETWORK_H
#define NETWORK_NETWORK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define NETWORK_DOMAIN_MAX 254   /* bytes of a domain's name with its NUL */
#define NETWORK_OPENINGS_MAX 256 /* per pod */

/* What may come in besides the pod's own domain: one port, from one domain or one network. Addresses in host byte order. */
struct network_opening {
	const char *domain; /* NULL: from the network below */
	uint32_t network;   /* packets that come from pods never match by network */
	uint8_t prefix;
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP */
	uint16_t port;
};

struct network_pod {
	uint32_t address;   /* unique in the pod network, see network_pick */
	const char *domain; /* trust domain */
	const struct network_opening *openings;
	size_t opening_count;
};

struct network_config {
	const char *bridge; /* name of the bridge: 1 to 11 of a-z, 0-9, '-' */
	uint32_t network;   /* pod network; its first address is the bridge's and the pods' gateway */
	uint8_t prefix;     /* 16 to 29 */
};

struct network; /* one thread at a time */

/* Reads "10.88.0.0/24"; host bits must be zero. ERR_INVALID. */
int network_parse(const char *text, uint32_t *ret_network, uint8_t *ret_prefix, struct err *err) MUST_CHECK;

/* "10.88.0.5" and NUL. */
#define NETWORK_ADDRESS_SIZE 16
void network_format(char to[static NETWORK_ADDRESS_SIZE], uint32_t address);

/*
 * Makes or adopts the bridge and puts the whole rule table (inet and bridge family, "bulkhead-BRIDGE") in force in one
 * transaction, with these pods already in it: established traffic of running pods is not disturbed. Links of pods that are
 * not named are removed. Works on the calling thread's network namespace.
 */
int network_open(const struct network_config *config, const struct network_pod *pods, size_t count,
		 struct network **ret_network, struct err *err) MUST_CHECK;

/* Frees the object and leaves bridge, rules and links as they are. */
void network_free(struct network *network);
CLEANUP_DEFINE(network, struct network *, network_free)

/* Removes table and bridge, and with it every link of a pod; frees nothing. */
int network_remove(struct network *network, struct err *err) MUST_CHECK;

/* A free address, as long as possible after its last use; ERR_BUSY when none is left. */
int network_pick(struct network *network, uint32_t *ret_address, struct err *err) MUST_CHECK;

/*
 * Connects a pod whose network namespace is behind a path ("/proc/PID/fd/N"). The rules are in force before the link is up;
 * on return eth0 has its address and default route. On failure nothing is left. ERR_EXISTS for a taken address.
 */
int network_attach(struct network *network, const struct network_pod *pod, const char *namespace_path,
		   struct err *err) MUST_CHECK;

/* Takes a pod away: link, neighbour, every rule element, connection tracking state. Idempotent. */
int network_detach(struct network *network, uint32_t address, struct err *err) MUST_CHECK;

#endif
