/* SPDX-License-Identifier: Apache-2.0 */
/* Socket families: most kernel escapes of late years began with a family that the container never needed. */
#include "probe.h"

#include <arpa/inet.h>
#include <linux/if_alg.h>
#include <linux/if_packet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int crypto(const struct facts *facts)
{
	struct sockaddr_alg address = {.salg_family = AF_ALG, .salg_type = "hash", .salg_name = "sha256"};
	int fd = socket(AF_ALG, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return errno == EAFNOSUPPORT ? -EAFNOSUPPORT : -errno;
	return probe_result(bind(fd, (const struct sockaddr *)&address, sizeof(address)));
}

static int packet(const struct facts *facts)
{
	return probe_result(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(3)));
}

static int raw(const struct facts *facts)
{
	return probe_result(socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMP));
}

/* The family by another name: the kernel takes this type of an internet socket for it. */
static int packet_by_type(const struct facts *facts)
{
	return probe_result(socket(AF_INET, SOCK_PACKET | SOCK_CLOEXEC, htons(3)));
}

/* Asks a netlink family a question and hears whether the kernel would answer. */
static int ask(int family, uint16_t type, const void *body, size_t len)
{
	struct {
		struct nlmsghdr header;
		char body[64];
	} request = {.header = {.nlmsg_len = (uint32_t)(NLMSG_HDRLEN + len),
				.nlmsg_type = type,
				.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK}};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[512];
	} answer = {0};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family);

	if (fd < 0)
		return -errno;
	memcpy(request.body, body, len);
	if (send(fd, &request, request.header.nlmsg_len, 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0)
		return -errno;
	return answer.header.nlmsg_type == NLMSG_ERROR ? answer.error.error : 0;
}

static int xfrm(const struct facts *facts)
{
	const uint32_t flags = 0;

	return ask(NETLINK_XFRM, XFRM_MSG_GETSADINFO, &flags, sizeof(flags));
}

/* The generation of the tables is what every ruleset transaction begins with. */
static int netfilter(const struct facts *facts)
{
	const struct nfgenmsg body = {.nfgen_family = AF_UNSPEC};

	return ask(NETLINK_NETFILTER, NFNL_SUBSYS_NFTABLES << 8 | 16, &body, sizeof(body));
}

static int audit(const struct facts *facts)
{
	return ask(NETLINK_AUDIT, 1000, NULL, 0);
}

static int exotic(const struct facts *facts)
{
	static const struct {
		int family, type, protocol;
	} rows[] = {
		{AF_VSOCK, SOCK_STREAM, 0},   {AF_RXRPC, SOCK_DGRAM, AF_INET}, {AF_KEY, SOCK_RAW, 2},
		{AF_CAN, SOCK_RAW, 1},        {AF_TIPC, SOCK_RDM, 0},          {AF_XDP, SOCK_RAW, 0},
		{AF_BLUETOOTH, SOCK_RAW, 1},  {AF_NFC, SOCK_SEQPACKET, 0},     {AF_SMC, SOCK_STREAM, 0},
		{AF_PPPOX, SOCK_STREAM, 0},   {AF_QIPCRTR, SOCK_DGRAM, 0},     {AF_KCM, SOCK_DGRAM, 0},
		{AF_IEEE802154, SOCK_RAW, 0}, {AF_PHONET, SOCK_DGRAM, 0},      {AF_MCTP, SOCK_DGRAM, 0},
	};
	int error = EAFNOSUPPORT;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (socket(rows[i].family, rows[i].type | SOCK_CLOEXEC, rows[i].protocol) >= 0)
			return 0;
		if (errno != EAFNOSUPPORT && errno != EPROTONOSUPPORT)
			error = errno;
	}
	return -error;
}

static int abstract(const struct facts *facts)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t len = strlen(facts->abstract);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	if (len == 0 || len + 1 > sizeof(address.sun_path))
		return PROBE_INAPPLICABLE;
	memcpy(address.sun_path + 1, facts->abstract, len);
	return probe_result(connect(fd, (const struct sockaddr *)&address,
				    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + len)));
}

/* Sets the flags of the host's loopback to what they are; in a namespace of the container's own it is no escape. */
static int host_link(const struct facts *facts)
{
	struct ifreq request = {.ifr_name = "lo"};
	char own[64] = "";
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return -errno;
	if (readlink("/proc/self/ns/net", own, sizeof(own) - 1) < 0)
		return -errno;
	if (strcmp(own, facts->network) != 0)
		return -EXDEV;
	return probe_result(ioctl(fd, SIOCSIFFLAGS, &request));
}

#define SOCKETS "socket families"

static const struct probe probes[] = {
	{"af_alg", SOCKETS, "CVE-2026-31431", crypto},
	{"af_packet", SOCKETS, "CVE-2020-14386", packet},
	{"packet_by_type", SOCKETS, "SOCK_PACKET", packet_by_type},
	{"raw_socket", SOCKETS, "SOCK_RAW", raw},
	{"xfrm", SOCKETS, "CVE-2026-43284", xfrm},
	{"netfilter", SOCKETS, "CVE-2022-25636", netfilter},
	{"audit", SOCKETS, "NETLINK_AUDIT", audit},
	{"exotic_socket", SOCKETS, "CVE-2026-43500", exotic},
	{"abstract_socket", SOCKETS, "CVE-2020-15257", abstract},
	{"host_link", SOCKETS, "host network", host_link},
};

const struct probe_list probe_sockets = {probes, sizeof(probes) / sizeof(probes[0])};
