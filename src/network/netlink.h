/* SPDX-License-Identifier: Apache-2.0 */
/* Netlink requests over libmnl: one socket, one request at a time, the kernel's answer as a negative errno. */
#ifndef NETWORK_NETLINK_H
#define NETWORK_NETLINK_H

#include <libmnl/libmnl.h>

#include "base/err.h"

#define NETLINK_REQUEST_MAX 4096

struct netlink {
	struct mnl_socket *socket;
	unsigned sequence;
};

/* Opens a socket of a protocol (NETLINK_ROUTE …) in the calling thread's network namespace. */
int netlink_open(struct netlink *netlink, int protocol, struct err *err) MUST_CHECK;

/* Opens it in the namespace behind a descriptor. The thread is back in its own afterwards, or the process ends. */
int netlink_open_in(struct netlink *netlink, int protocol, int namespace_fd, struct err *err) MUST_CHECK;

/* Closes the socket; a closed one is accepted. */
void netlink_done(struct netlink *netlink);
#define CLEANUP_NETLINK __attribute__((cleanup(netlink_done)))

/* Begins a request in a buffer of NETLINK_REQUEST_MAX bytes; an acknowledgement is asked for. */
struct nlmsghdr *netlink_begin(void *buffer, unsigned short type, unsigned short flags);

/* Sends it and waits for the kernel's answer: 0 or negative errno. */
int netlink_call(struct netlink *netlink, struct nlmsghdr *request) MUST_CHECK;

/* Sends a dump request and calls each(answer, user) for every message; -EINTR when the kernel's list changed meanwhile. */
int netlink_dump(struct netlink *netlink, struct nlmsghdr *request, mnl_cb_t each, void *user) MUST_CHECK;

#endif
