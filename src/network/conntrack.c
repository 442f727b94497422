/* SPDX-License-Identifier: Apache-2.0 */
#include "network/conntrack.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <string.h>

#include "base/buf.h"
#include "network/netlink.h"

#define CONNTRACK_TUPLE_MAX 512
#define CONNTRACK_TUPLES_MAX ((size_t)64 * 1024 * 1024)

struct walk {
	uint32_t address;  /* network byte order */
	struct buf tuples; /* matching CTA_TUPLE_ORIG attributes, one behind the other */
	int code;
};

struct ends {
	uint32_t source, destination;
};

static int on_ip(const struct nlattr *attribute, void *user)
{
	struct ends *ends = user;

	if (mnl_attr_get_type(attribute) == CTA_IP_V4_SRC && mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
		ends->source = mnl_attr_get_u32(attribute);
	else if (mnl_attr_get_type(attribute) == CTA_IP_V4_DST && mnl_attr_validate(attribute, MNL_TYPE_U32) == 0)
		ends->destination = mnl_attr_get_u32(attribute);
	return MNL_CB_OK;
}

static int on_tuple(const struct nlattr *attribute, void *user)
{
	return mnl_attr_get_type(attribute) == CTA_TUPLE_IP ? mnl_attr_parse_nested(attribute, on_ip, user) : MNL_CB_OK;
}

static int on_connection(const struct nlmsghdr *message, void *user)
{
	struct walk *walk = user;
	struct nlattr *attribute;

	mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg))
	{
		struct ends ends = {0};

		if (mnl_attr_get_type(attribute) != CTA_TUPLE_ORIG)
			continue;
		(void)mnl_attr_parse_nested(attribute, on_tuple, &ends);
		if (ends.source != walk->address && ends.destination != walk->address)
			continue;
		walk->code = buf_append(&walk->tuples, attribute, MNL_ALIGN(attribute->nla_len));
		if (walk->code < 0)
			return MNL_CB_STOP;
	}
	return MNL_CB_OK;
}

static struct nlmsghdr *begin(void *buffer, unsigned char type)
{
	struct nlmsghdr *request = netlink_begin(buffer, (unsigned short)(NFNL_SUBSYS_CTNETLINK << 8 | type), 0);
	struct nfgenmsg *header = mnl_nlmsg_put_extra_header(request, sizeof(*header));

	header->nfgen_family = AF_INET;
	header->version = NFNETLINK_V0;
	return request;
}

static int remove_tuples(struct netlink *netlink, const struct buf *tuples)
{
	for (size_t at = 0; at + sizeof(struct nlattr) <= tuples->len;) {
		char buffer[NETLINK_REQUEST_MAX];
		struct nlmsghdr *request = begin(buffer, IPCTNL_MSG_CT_DELETE);
		struct nlattr tuple;
		int r;

		memcpy(&tuple, tuples->data + at, sizeof(tuple));
		if (tuple.nla_len < sizeof(tuple) || tuple.nla_len > CONNTRACK_TUPLE_MAX)
			return -EBADMSG;
		mnl_attr_put(request, CTA_TUPLE_ORIG | NLA_F_NESTED, tuple.nla_len - sizeof(tuple),
			     tuples->data + at + sizeof(tuple));
		r = netlink_call(netlink, request);
		if (r < 0 && r != -ENOENT)
			return r;
		at += MNL_ALIGN(tuple.nla_len);
	}
	return 0;
}

int conntrack_forget(uint32_t address, struct err *err)
{
	CLEANUP_NETLINK struct netlink netlink = {0};
	char buffer[NETLINK_REQUEST_MAX];
	struct walk walk = {.address = htonl(address), .tuples = buf_of(CONNTRACK_TUPLES_MAX)};
	int r = netlink_open(&netlink, NETLINK_NETFILTER, err);

	if (r < 0)
		return r;
	r = netlink_dump(&netlink, begin(buffer, IPCTNL_MSG_CT_GET), on_connection, &walk);
	if (r == 0)
		r = walk.code;
	if (r == 0)
		r = remove_tuples(&netlink, &walk.tuples);
	buf_done(&walk.tuples);
	return r < 0 ? err_sys(err, r, "cannot forget the connections of a pod") : 0;
}
