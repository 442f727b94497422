/* SPDX-License-Identifier: Apache-2.0 */
#include "network/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>

int netlink_open(struct netlink *netlink, int protocol, struct err *err)
{
	struct mnl_socket *socket = mnl_socket_open2(protocol, SOCK_CLOEXEC);

	if (!socket)
		return err_sys(err, -errno, "cannot open a netlink socket");
	if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int code = -errno;

		(void)mnl_socket_close(socket);
		return err_sys(err, code, "cannot bind a netlink socket");
	}
	*netlink = (struct netlink){.socket = socket};
	return 0;
}

int netlink_open_in(struct netlink *netlink, int protocol, int namespace_fd, struct err *err)
{
	CLEANUP_CLOSE int own = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int r;

	if (own < 0)
		return err_sys(err, -errno, "cannot open the own network namespace");
	if (setns(namespace_fd, CLONE_NEWNET) < 0)
		return err_sys(err, -errno, "cannot enter the network namespace of a pod");
	r = netlink_open(netlink, protocol, err);
	/* Going on in a pod's namespace would have every later step act on the wrong network. */
	if (setns(own, CLONE_NEWNET) < 0)
		abort();
	return r;
}

void netlink_done(struct netlink *netlink)
{
	if (netlink->socket)
		(void)mnl_socket_close(netlink->socket);
	netlink->socket = NULL;
}

struct nlmsghdr *netlink_begin(void *buffer, unsigned short type, unsigned short flags)
{
	struct nlmsghdr *request;

	memset(buffer, 0, NETLINK_REQUEST_MAX);
	request = mnl_nlmsg_put_header(buffer);
	request->nlmsg_type = type;
	request->nlmsg_flags = (unsigned short)(NLM_F_REQUEST | flags);
	return request;
}

/* Receives until the acknowledgement or the end of the dump. */
static int answer(struct netlink *netlink, mnl_cb_t each, void *user)
{
	char buffer[32768];
	unsigned port = mnl_socket_get_portid(netlink->socket);

	while (true) {
		ssize_t n = mnl_socket_recvfrom(netlink->socket, buffer, sizeof(buffer));
		int r;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		r = mnl_cb_run(buffer, (size_t)n, netlink->sequence, port, each, user);
		if (r < 0)
			return -errno;
		if (r == MNL_CB_STOP)
			return 0;
	}
}

static int send_request(struct netlink *netlink, struct nlmsghdr *request)
{
	request->nlmsg_seq = ++netlink->sequence;
	return mnl_socket_sendto(netlink->socket, request, request->nlmsg_len) < 0 ? -errno : 0;
}

int netlink_call(struct netlink *netlink, struct nlmsghdr *request)
{
	int r;

	request->nlmsg_flags |= NLM_F_ACK;
	r = send_request(netlink, request);
	return r < 0 ? r : answer(netlink, NULL, NULL);
}

int netlink_dump(struct netlink *netlink, struct nlmsghdr *request, mnl_cb_t each, void *user)
{
	int r;

	request->nlmsg_flags |= NLM_F_DUMP;
	r = send_request(netlink, request);
	return r < 0 ? r : answer(netlink, each, user);
}
