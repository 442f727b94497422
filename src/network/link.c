/* SPDX-License-Identifier: Apache-2.0 */
#include "network/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>
#include <time.h>

#include "base/str.h"

#define LINK_ENABLE_MS 3000

static struct ifinfomsg *put_link(struct nlmsghdr *request, int index, bool up)
{
	struct ifinfomsg *link = mnl_nlmsg_put_extra_header(request, sizeof(*link));

	link->ifi_family = AF_UNSPEC;
	link->ifi_index = index;
	link->ifi_flags = up ? IFF_UP : 0;
	link->ifi_change = up ? IFF_UP : 0;
	return link;
}

struct found_link {
	int index;
	char kind[16];
	uint8_t port_state; /* as a bridge's port; 0 is BR_STATE_DISABLED */
};

static int on_port_data(const struct nlattr *attribute, void *user)
{
	struct found_link *found = user;

	if (mnl_attr_get_type(attribute) == IFLA_BRPORT_STATE && mnl_attr_validate(attribute, MNL_TYPE_U8) == 0)
		found->port_state = mnl_attr_get_u8(attribute);
	return MNL_CB_OK;
}

static int on_link_info(const struct nlattr *attribute, void *user)
{
	struct found_link *found = user;

	if (mnl_attr_get_type(attribute) == IFLA_INFO_KIND && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0 &&
	    str_copy(found->kind, sizeof(found->kind), mnl_attr_get_str(attribute)) < 0)
		found->kind[0] = '\0';
	if (mnl_attr_get_type(attribute) == IFLA_INFO_SLAVE_DATA)
		(void)mnl_attr_parse_nested(attribute, on_port_data, found);
	return MNL_CB_OK;
}

static int on_link(const struct nlmsghdr *message, void *user)
{
	const struct ifinfomsg *link = mnl_nlmsg_get_payload(message);
	struct found_link *found = user;
	struct nlattr *attribute;

	found->index = link->ifi_index;
	mnl_attr_for_each(attribute, message, sizeof(*link))
	{
		if (mnl_attr_get_type(attribute) == IFLA_LINKINFO)
			(void)mnl_attr_parse_nested(attribute, on_link_info, found);
	}
	return MNL_CB_OK;
}

/* Looks a link up by name: 0, -ENODEV, or what the kernel says. */
static int find_link(struct netlink *netlink, const char *name, struct found_link *found)
{
	char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = netlink_begin(buffer, RTM_GETLINK, NLM_F_ACK);

	memset(found, 0, sizeof(*found));
	(void)put_link(request, 0, false);
	mnl_attr_put_strz(request, IFLA_IFNAME, name);
	request->nlmsg_seq = ++netlink->sequence;
	if (mnl_socket_sendto(netlink->socket, request, request->nlmsg_len) < 0)
		return -errno;
	while (true) {
		char answer[16384];
		ssize_t n = mnl_socket_recvfrom(netlink->socket, answer, sizeof(answer));
		int r;

		if (n < 0)
			return -errno;
		r = mnl_cb_run(answer, (size_t)n, netlink->sequence, mnl_socket_get_portid(netlink->socket), on_link,
			       found);
		if (r < 0)
			return -errno;
		if (r == MNL_CB_STOP)
			return found->index ? 0 : -ENODEV;
	}
}

static int add_address(struct netlink *netlink, int index, uint32_t address, unsigned prefix)
{
	char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = netlink_begin(buffer, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
	struct ifaddrmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->ifa_family = AF_INET;
	header->ifa_prefixlen = (uint8_t)prefix;
	header->ifa_scope = RT_SCOPE_UNIVERSE;
	header->ifa_index = (unsigned)index;
	mnl_attr_put_u32(request, IFA_LOCAL, htonl(address));
	mnl_attr_put_u32(request, IFA_ADDRESS, htonl(address));
	return netlink_call(netlink, request);
}

static int set_up(struct netlink *netlink, int index)
{
	char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = netlink_begin(buffer, RTM_SETLINK, 0);

	(void)put_link(request, index, true);
	return netlink_call(netlink, request);
}

/* A bridge without a set MAC takes that of its lowest port, and pods would lose their gateway when a port goes. */
static void bridge_mac(uint8_t mac[static LINK_MAC_SIZE], uint32_t address)
{
	uint32_t wire = htonl(address);

	mac[0] = 0x02;
	mac[1] = 0x42;
	memcpy(mac + 2, &wire, sizeof(wire));
}

static int make_bridge(struct netlink *netlink, const char *name, uint32_t address)
{
	char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = netlink_begin(buffer, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	uint8_t mac[LINK_MAC_SIZE];
	struct nlattr *info, *data;

	bridge_mac(mac, address);
	(void)put_link(request, 0, false);
	mnl_attr_put_strz(request, IFLA_IFNAME, name);
	mnl_attr_put(request, IFLA_ADDRESS, sizeof(mac), mac);
	info = mnl_attr_nest_start(request, IFLA_LINKINFO);
	mnl_attr_put_strz(request, IFLA_INFO_KIND, "bridge");
	data = mnl_attr_nest_start(request, IFLA_INFO_DATA);
	mnl_attr_put_u32(request, IFLA_BR_STP_STATE, 0);
	mnl_attr_put_u8(request, IFLA_BR_MCAST_SNOOPING, 0);
	mnl_attr_nest_end(request, data);
	mnl_attr_nest_end(request, info);
	return netlink_call(netlink, request);
}

int link_bridge(struct netlink *netlink, const char *name, uint32_t address, unsigned prefix, int *ret_index,
		struct err *err)
{
	struct found_link found;
	int r = find_link(netlink, name, &found);

	if (r == -ENODEV) {
		r = make_bridge(netlink, name, address);
		if (r == 0)
			r = find_link(netlink, name, &found);
	}
	if (r == 0 && !str_eq(found.kind, "bridge"))
		return err_set(err, ERR_EXISTS, "cannot make bridge '%s': a link of that name is no bridge", name);
	if (r == 0)
		r = add_address(netlink, found.index, address, prefix);
	if (r == 0)
		r = set_up(netlink, found.index);
	if (r < 0)
		return err_sys(err, r, "cannot make bridge '%s'", name);
	*ret_index = found.index;
	return 0;
}

static void put_pair(struct nlmsghdr *request, const struct link_port *port, int pod_fd)
{
	struct nlattr *info = mnl_attr_nest_start(request, IFLA_LINKINFO);
	struct nlattr *data, *peer;

	mnl_attr_put_strz(request, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(request, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(request, VETH_INFO_PEER);
	(void)put_link(request, 0, false);
	mnl_attr_put_strz(request, IFLA_IFNAME, "eth0");
	mnl_attr_put(request, IFLA_ADDRESS, LINK_MAC_SIZE, port->mac);
	mnl_attr_put_u32(request, IFLA_NET_NS_FD, (uint32_t)pod_fd);
	mnl_attr_nest_end(request, peer);
	mnl_attr_nest_end(request, data);
	mnl_attr_nest_end(request, info);
}

/* Nothing is learned and nothing flooded: where a frame goes is fixed by the one static entry below. */
static int confine_port(struct netlink *netlink, int index)
{
	static const uint16_t off[] = {IFLA_BRPORT_LEARNING, IFLA_BRPORT_UNICAST_FLOOD, IFLA_BRPORT_MCAST_FLOOD,
				       IFLA_BRPORT_BCAST_FLOOD};
	char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = netlink_begin(buffer, RTM_SETLINK, 0);
	struct ifinfomsg *link = put_link(request, index, false);
	struct nlattr *nest;

	link->ifi_family = AF_BRIDGE;
	nest = mnl_attr_nest_start(request, IFLA_PROTINFO);
	mnl_attr_put_u8(request, IFLA_BRPORT_ISOLATED, 1);
	for (size_t i = 0; i < ARRAY_SIZE(off); i++)
		mnl_attr_put_u8(request, off[i], 0);
	mnl_attr_nest_end(request, nest);
	return netlink_call(netlink, request);
}

static struct nlmsghdr *begin_neighbour(void *buffer, unsigned short type, uint8_t family, int index, uint16_t state,
					uint8_t flags)
{
	struct nlmsghdr *request = netlink_begin(buffer, type, type == RTM_NEWNEIGH ? NLM_F_CREATE | NLM_F_REPLACE : 0);
	struct ndmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->ndm_family = family;
	header->ndm_ifindex = index;
	header->ndm_state = state;
	header->ndm_flags = flags;
	return request;
}

static int fix_neighbours(struct netlink *netlink, const struct link_port *port, int index, int bridge)
{
	char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = begin_neighbour(buffer, RTM_NEWNEIGH, AF_BRIDGE, index, NUD_NOARP, NTF_MASTER);
	int r;

	mnl_attr_put(request, NDA_LLADDR, LINK_MAC_SIZE, port->mac);
	r = netlink_call(netlink, request);
	if (r < 0)
		return r;
	request = begin_neighbour(buffer, RTM_NEWNEIGH, AF_INET, bridge, NUD_PERMANENT, 0);
	mnl_attr_put_u32(request, NDA_DST, htonl(port->address));
	mnl_attr_put(request, NDA_LLADDR, LINK_MAC_SIZE, port->mac);
	return netlink_call(netlink, request);
}

int link_pair(struct netlink *netlink, const struct link_port *port, int bridge, int pod_fd, struct err *err)
{
	char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = netlink_begin(buffer, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
	struct found_link found;
	int r;

	(void)put_link(request, 0, false);
	mnl_attr_put_strz(request, IFLA_IFNAME, port->name);
	mnl_attr_put_u32(request, IFLA_MASTER, (uint32_t)bridge);
	put_pair(request, port, pod_fd);
	r = netlink_call(netlink, request);
	if (r < 0)
		return err_sys(err, r, "cannot make link '%s'", port->name);
	r = find_link(netlink, port->name, &found);
	if (r == 0)
		r = confine_port(netlink, found.index);
	if (r == 0)
		r = fix_neighbours(netlink, port, found.index, bridge);
	return r < 0 ? err_sys(err, r, "cannot set up link '%s'", port->name) : 0;
}

/* The kernel reports a carrier up to a second late; asking for the link makes newer ones look at once. */
int link_enable(struct netlink *netlink, const char *name, struct err *err)
{
	struct timespec pause = {.tv_nsec = 1000000};
	struct found_link found;
	int r = find_link(netlink, name, &found);

	if (r == 0)
		r = set_up(netlink, found.index);
	for (int i = 0; r == 0 && i < LINK_ENABLE_MS; i++) {
		r = find_link(netlink, name, &found);
		if (r == 0 && found.port_state == BR_STATE_FORWARDING)
			return 0;
		(void)nanosleep(&pause, NULL);
	}
	return err_sys(err, r < 0 ? r : -ETIMEDOUT, "cannot enable link '%s'", name);
}

static int add_default_route(struct netlink *netlink, int index, uint32_t gateway, uint32_t source)
{
	char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = netlink_begin(buffer, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
	struct rtmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->rtm_family = AF_INET;
	header->rtm_table = RT_TABLE_MAIN;
	header->rtm_protocol = RTPROT_STATIC;
	header->rtm_scope = RT_SCOPE_UNIVERSE;
	header->rtm_type = RTN_UNICAST;
	header->rtm_flags = RTNH_F_ONLINK;
	mnl_attr_put_u32(request, RTA_GATEWAY, htonl(gateway));
	mnl_attr_put_u32(request, RTA_PREFSRC, htonl(source));
	mnl_attr_put_u32(request, RTA_OIF, (uint32_t)index);
	return netlink_call(netlink, request);
}

int link_pod(struct netlink *netlink, uint32_t address, uint32_t gateway, struct err *err)
{
	struct found_link found;
	int r = find_link(netlink, "lo", &found);

	if (r == 0)
		r = set_up(netlink, found.index);
	if (r == 0)
		r = find_link(netlink, "eth0", &found);
	if (r == 0)
		r = add_address(netlink, found.index, address, 32);
	if (r == 0)
		r = set_up(netlink, found.index);
	if (r == 0)
		r = add_default_route(netlink, found.index, gateway, address);
	return r < 0 ? err_sys(err, r, "cannot set up 'eth0' of a pod") : 0;
}

int link_remove(struct netlink *netlink, const char *name, struct err *err)
{
	char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = netlink_begin(buffer, RTM_DELLINK, 0);
	int r;

	(void)put_link(request, 0, false);
	mnl_attr_put_strz(request, IFLA_IFNAME, name);
	r = netlink_call(netlink, request);
	return r < 0 && r != -ENODEV ? err_sys(err, r, "cannot remove link '%s'", name) : 0;
}

int link_forget(struct netlink *netlink, int bridge, uint32_t address, struct err *err)
{
	char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = begin_neighbour(buffer, RTM_DELNEIGH, AF_INET, bridge, 0, 0);
	int r;

	mnl_attr_put_u32(request, NDA_DST, htonl(address));
	r = netlink_call(netlink, request);
	return r < 0 && r != -ENOENT ? err_sys(err, r, "cannot remove the neighbour of a pod") : 0;
}

struct port_walk {
	unsigned bridge;
	void (*each)(void *user, const char *name);
	void *user;
};

static int on_port(const struct nlmsghdr *message, void *user)
{
	const struct port_walk *walk = user;
	const char *name = NULL;
	unsigned master = 0;
	struct nlattr *attribute;

	mnl_attr_for_each(attribute, message, sizeof(struct ifinfomsg))
	{
		if (mnl_attr_get_type(attribute) == IFLA_IFNAME &&
		    mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) == 0)
			name = mnl_attr_get_str(attribute);
		else if (mnl_attr_get_type(attribute) == IFLA_MASTER && mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
			master = mnl_attr_get_u32(attribute);
	}
	if (name && master == walk->bridge)
		walk->each(walk->user, name);
	return MNL_CB_OK;
}

int link_ports(struct netlink *netlink, int bridge, void (*each)(void *user, const char *name), void *user,
	       struct err *err)
{
	char buffer[NETLINK_REQUEST_MAX];
	struct nlmsghdr *request = netlink_begin(buffer, RTM_GETLINK, 0);
	struct port_walk walk = {.bridge = (unsigned)bridge, .each = each, .user = user};
	int r;

	(void)put_link(request, 0, false);
	r = netlink_dump(netlink, request, on_port, &walk);
	return r < 0 ? err_sys(err, r, "cannot list the ports of the bridge") : 0;
}
