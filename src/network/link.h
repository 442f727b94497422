/* SPDX-License-Identifier: Apache-2.0 */
/* Links, addresses, routes and neighbours: the bridge of an instance and the pair of links of a pod. */
#ifndef NETWORK_LINK_H
#define NETWORK_LINK_H

#include <net/if.h>
#include <stdint.h>

#include "network/netlink.h"

#define LINK_MAC_SIZE 6

/* One end of a pod's link on the bridge and what stands behind it. */
struct link_port {
	char name[IFNAMSIZ];        /* of the end on the bridge */
	uint8_t mac[LINK_MAC_SIZE]; /* of the end in the pod */
	uint32_t address;           /* of the pod, host byte order */
};

/* Makes the bridge with its address (host byte order) unless it is there, and sets it up. ret_index is its link's number. */
int link_bridge(struct netlink *netlink, const char *name, uint32_t address, unsigned prefix, int *ret_index,
		struct err *err) MUST_CHECK;

/* Makes a pair: one end in the namespace behind pod_fd as "eth0", the other an isolated port of the
 * bridge that learns and floods nothing and is still down. */
int link_pair(struct netlink *netlink, const struct link_port *port, int bridge, int pod_fd,
	      struct err *err) MUST_CHECK;

/* Sets a port of the bridge up, once the other end is, and waits until it forwards. -ETIMEDOUT. */
int link_enable(struct netlink *netlink, const char *name, struct err *err) MUST_CHECK;

/* Sets loopback and eth0 up inside a pod and gives eth0 its /32 and the default route over gateway. netlink is a socket of the pod's namespace. */
int link_pod(struct netlink *netlink, uint32_t address, uint32_t gateway, struct err *err) MUST_CHECK;

/* Removes a link by name; no error when it is not there. */
int link_remove(struct netlink *netlink, const char *name, struct err *err) MUST_CHECK;

/* Removes the permanent neighbour of an address on the bridge; no error when it is not there. */
int link_forget(struct netlink *netlink, int bridge, uint32_t address, struct err *err) MUST_CHECK;

/* Calls each(user, name) for every port of the bridge. */
int link_ports(struct netlink *netlink, int bridge, void (*each)(void *user, const char *name), void *user,
	       struct err *err) MUST_CHECK;

#endif
