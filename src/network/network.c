/* SPDX-License-Identifier: Apache-2.0 */
#include "network/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/fdio.h"
#include "base/str.h"
#include "network/conntrack.h"
#include "network/firewall.h"
#include "network/link.h"

#define NETWORK_BRIDGE_MAX 11
#define NETWORK_PODS_MAX 65536

/* A pod as the network keeps it: openings with their own copies of the domains' names. */
struct member {
	struct firewall_pod rules;
	struct network_opening *openings;
	uint32_t *marks;
};

struct network {
	struct network_config config;
	char bridge[IFNAMSIZ];
	struct netlink netlink;
	struct firewall *firewall;
	int index; /* of the bridge's link */
	struct member **members;
	size_t member_count;
	char **domains; /* a domain's mark is its place plus one; never forgotten, so that a mark has one meaning */
	size_t domain_count;
	uint32_t last; /* address given out last */
};

int network_parse(const char *text, uint32_t *ret_network, uint8_t *ret_prefix, struct err *err)
{
	const char *slash = strchr(text, '/');
	char address[NETWORK_ADDRESS_SIZE];
	struct in_addr parsed;
	uint64_t prefix;
	uint32_t network;

	if (!slash || (size_t)(slash - text) >= sizeof(address))
		return err_set(err, ERR_INVALID, "'%s' is not a network such as 10.88.0.0/24", text);
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (inet_pton(AF_INET, address, &parsed) != 1 || str_parse_u64(slash + 1, 32, &prefix) < 0)
		return err_set(err, ERR_INVALID, "'%s' is not a network such as 10.88.0.0/24", text);
	network = ntohl(parsed.s_addr);
	if (prefix < 32 && (network & (UINT32_MAX >> prefix)))
		return err_set(err, ERR_INVALID, "'%s' is not a network: it has host bits", text);
	*ret_network = network;
	*ret_prefix = (uint8_t)prefix;
	return 0;
}

void network_format(char to[static NETWORK_ADDRESS_SIZE], uint32_t address)
{
	(void)snprintf(to, NETWORK_ADDRESS_SIZE, "%u.%u.%u.%u", address >> 24, address >> 16 & 255, address >> 8 & 255,
		       address & 255);
}

static uint32_t host_count(const struct network *network)
{
	return UINT32_MAX >> network->config.prefix;
}

static bool is_pod_address(const struct network *network, uint32_t address)
{
	uint32_t first = network->config.network;

	return address > first + 1 && address - first < host_count(network);
}

/* Port names are made from the address: unique on a machine as long as pod networks do not overlap. */
static void name_port(struct link_port *port, uint32_t address)
{
	uint32_t wire = htonl(address);

	port->address = address;
	(void)snprintf(port->name, sizeof(port->name), "bv%08x", address);
	port->mac[0] = 0x02;
	port->mac[1] = 0x62;
	memcpy(port->mac + 2, &wire, sizeof(wire));
}

static int check_config(const struct network_config *config, struct err *err)
{
	if (!str_is_dns_label(config->bridge) || strlen(config->bridge) > NETWORK_BRIDGE_MAX)
		return err_set(err, ERR_INVALID, "bridge name '%s' is not 1 to %d of a-z, 0-9 and '-'", config->bridge,
			       NETWORK_BRIDGE_MAX);
	if (config->prefix < 16 || config->prefix > 29)
		return err_set(err, ERR_INVALID, "a pod network has a prefix of 16 to 29, not %u", config->prefix);
	return 0;
}

/* The mark of a domain's name, made on first sight. */
static int intern_domain(struct network *network, const char *name, uint32_t *ret_mark)
{
	char **grown;

	for (size_t i = 0; i < network->domain_count; i++) {
		if (str_eq(network->domains[i], name)) {
			*ret_mark = (uint32_t)i + 1;
			return 0;
		}
	}
	grown = reallocarray(network->domains, network->domain_count + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	network->domains = grown;
	grown[network->domain_count] = strdup(name);
	if (!grown[network->domain_count])
		return -ENOMEM;
	*ret_mark = (uint32_t)++network->domain_count;
	return 0;
}

static void member_free(struct member *member)
{
	if (!member)
		return;
	free(member->openings);
	free(member->marks);
	free(member);
}
CLEANUP_DEFINE(member, struct member *, member_free)

static int check_pod(const struct network *network, const struct network_pod *pod, struct err *err)
{
	char address[NETWORK_ADDRESS_SIZE];

	network_format(address, pod->address);
	if (!is_pod_address(network, pod->address))
		return err_set(err, ERR_INVALID, "address %s is not one for pods", address);
	if (!pod->domain || !*pod->domain || strlen(pod->domain) >= NETWORK_DOMAIN_MAX)
		return err_set(err, ERR_INVALID, "the pod at %s has no trust domain", address);
	if (pod->opening_count > NETWORK_OPENINGS_MAX)
		return err_set(err, ERR_TOO_LARGE, "the pod at %s has more than %d openings", address,
			       NETWORK_OPENINGS_MAX);
	for (size_t i = 0; i < pod->opening_count; i++) {
		const struct network_opening *opening = &pod->openings[i];

		if (!opening->port || (!opening->domain && opening->prefix > 32) ||
		    (opening->protocol != IPPROTO_TCP && opening->protocol != IPPROTO_UDP &&
		     opening->protocol != IPPROTO_SCTP))
			return err_set(err, ERR_INVALID, "the pod at %s has an opening without protocol or port",
				       address);
	}
	for (size_t i = 0; i < network->member_count; i++) {
		if (network->members[i]->rules.port.address == pod->address)
			return err_set(err, ERR_EXISTS, "address %s belongs to another pod", address);
	}
	return 0;
}

static int member_new(struct network *network, const struct network_pod *pod, struct member **ret_member,
		      struct err *err)
{
	CLEANUP(cleanup_member) struct member *member = calloc(1, sizeof(*member));
	size_t count = pod->opening_count;
	int r = check_pod(network, pod, err);

	if (r < 0)
		return r;
	if (!member)
		return err_sys(err, -ENOMEM, "cannot add a pod");
	member->openings = calloc(count + 1, sizeof(*member->openings));
	member->marks = calloc(count + 1, sizeof(*member->marks));
	if (!member->openings || !member->marks)
		return err_sys(err, -ENOMEM, "cannot add a pod");
	name_port(&member->rules.port, pod->address);
	r = intern_domain(network, pod->domain, &member->rules.mark);
	for (size_t i = 0; r == 0 && i < count; i++) {
		member->openings[i] = pod->openings[i];
		if (!pod->openings[i].domain)
			continue;
		r = intern_domain(network, pod->openings[i].domain, &member->marks[i]);
		if (r == 0)
			member->openings[i].domain = network->domains[member->marks[i] - 1];
	}
	if (r < 0)
		return err_sys(err, r, "cannot add a pod");
	member->rules.openings = member->openings;
	member->rules.opening_marks = member->marks;
	member->rules.opening_count = count;
	*ret_member = take_ptr(member);
	return 0;
}

static int keep_member(struct network *network, struct member *member, struct err *err)
{
	struct member **grown = reallocarray(network->members, network->member_count + 1, sizeof(*grown));

	if (!grown || network->member_count >= NETWORK_PODS_MAX) {
		if (grown)
			network->members = grown;
		member_free(member);
		return err_sys(err, -ENOMEM, "cannot add a pod");
	}
	network->members = grown;
	grown[network->member_count++] = member;
	return 0;
}

static struct member *find_member(const struct network *network, uint32_t address, size_t *ret_place)
{
	for (size_t i = 0; i < network->member_count; i++) {
		if (network->members[i]->rules.port.address == address) {
			*ret_place = i;
			return network->members[i];
		}
	}
	return NULL;
}

static int replace_rules(struct network *network, struct err *err)
{
	CLEANUP_FREE struct firewall_pod *pods = calloc(network->member_count + 1, sizeof(*pods));

	if (!pods)
		return err_sys(err, -ENOMEM, "cannot write the rules of '%s'", network->bridge);
	for (size_t i = 0; i < network->member_count; i++)
		pods[i] = network->members[i]->rules;
	return firewall_replace(network->firewall, pods, network->member_count, err);
}

/*
 * Only this bridge forwards; the machine's own switch and its other links stay as they are. Pods speak IPv4 alone, and the
 * bridge has no IPv6 address that they could try.
 */
static int set_sysctls(const struct network *network, struct err *err)
{
	static const struct {
		const char *family, *name, *value;
	} rows[] = {
		{"ipv4", "forwarding", "1"},          {"ipv4", "rp_filter", "1"},
		{"ipv4", "send_redirects", "0"},      {"ipv4", "accept_redirects", "0"},
		{"ipv4", "accept_source_route", "0"}, {"ipv6", "disable_ipv6", "1"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char path[128];
		CLEANUP_CLOSE int fd = -1;

		(void)snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", rows[i].family, network->bridge,
			       rows[i].name);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0 && errno == ENOENT && str_eq(rows[i].family, "ipv6"))
			continue; /* the kernel has no IPv6 */
		if (fd < 0 || fdio_write_all(fd, rows[i].value, 1) < 0)
			return err_sys(err, -errno, "cannot set '%s'", path);
	}
	return 0;
}

struct strays {
	const struct network *network;
	char (*names)[IFNAMSIZ];
	size_t count;
};

/* Ports that were named by this code and whose pod is not known any more. Other people's ports are left alone. */
static void on_port(void *user, const char *name)
{
	struct strays *strays = user;
	struct link_port port;
	unsigned address;
	size_t place;
	void *grown;

	if (sscanf(name, "bv%8x", &address) != 1)
		return;
	name_port(&port, address);
	if (!str_eq(port.name, name) || !is_pod_address(strays->network, address) ||
	    find_member(strays->network, address, &place))
		return;
	grown = reallocarray(strays->names, strays->count + 1, sizeof(*strays->names));
	if (!grown)
		return;
	strays->names = grown;
	memcpy(strays->names[strays->count++], port.name, sizeof(port.name));
}

static int remove_strays(struct network *network, struct err *err)
{
	struct strays strays = {.network = network};
	int r = link_ports(&network->netlink, network->index, on_port, &strays, err);

	for (size_t i = 0; r == 0 && i < strays.count; i++)
		r = link_remove(&network->netlink, strays.names[i], err);
	free(strays.names);
	return r;
}

static int open_parts(struct network *network, const struct network_pod *pods, size_t count, struct err *err)
{
	int r = netlink_open(&network->netlink, NETLINK_ROUTE, err);

	if (r == 0)
		r = firewall_new(network->bridge, &network->firewall, err);
	for (size_t i = 0; r == 0 && i < count; i++) {
		struct member *member = NULL;

		r = member_new(network, &pods[i], &member, err);
		if (r == 0)
			r = keep_member(network, member, err);
	}
	/* The rules come before the bridge: there is no moment in which it forwards unfiltered. */
	if (r == 0)
		r = replace_rules(network, err);
	if (r == 0)
		r = link_bridge(&network->netlink, network->bridge, network->config.network + 1, network->config.prefix,
				&network->index, err);
	if (r == 0)
		r = set_sysctls(network, err);
	if (r == 0)
		r = remove_strays(network, err);
	return r;
}

int network_open(const struct network_config *config, const struct network_pod *pods, size_t count,
		 struct network **ret_network, struct err *err)
{
	CLEANUP(cleanup_network) struct network *network = NULL;
	int r = check_config(config, err);

	if (r < 0)
		return r;
	network = calloc(1, sizeof(*network));
	if (!network)
		return err_sys(err, -ENOMEM, "cannot open the pod network");
	network->config = *config;
	(void)snprintf(network->bridge, sizeof(network->bridge), "%s", config->bridge);
	network->config.bridge = network->bridge;
	network->last = config->network + 1;
	r = open_parts(network, pods, count, err);
	if (r < 0)
		return err_prefix(err, "cannot open the pod network");
	*ret_network = take_ptr(network);
	return 0;
}

void network_free(struct network *network)
{
	if (!network)
		return;
	for (size_t i = 0; i < network->member_count; i++)
		member_free(network->members[i]);
	for (size_t i = 0; i < network->domain_count; i++)
		free(network->domains[i]);
	free(network->members);
	free(network->domains);
	firewall_free(network->firewall);
	netlink_done(&network->netlink);
	free(network);
}

int network_remove(struct network *network, struct err *err)
{
	int r = 0;

	while (r == 0 && network->member_count)
		r = network_detach(network, network->members[network->member_count - 1]->rules.port.address, err);
	if (r == 0)
		r = link_remove(&network->netlink, network->bridge, err);
	if (r == 0)
		r = firewall_drop(network->firewall, err);
	return r;
}

int network_pick(struct network *network, uint32_t *ret_address, struct err *err)
{
	uint32_t hosts = host_count(network), start = network->last - network->config.network;

	for (uint32_t step = 1; step <= hosts; step++) {
		uint32_t address = network->config.network + (start + step) % hosts;
		size_t place;

		if (!is_pod_address(network, address) || find_member(network, address, &place))
			continue;
		network->last = address;
		*ret_address = address;
		return 0;
	}
	return err_set(err, ERR_BUSY, "the pod network of '%s' has no free address", network->bridge);
}

/* The rules first, then the link, then what makes it usable from inside. */
static int plug(struct network *network, const struct member *member, int namespace_fd, struct err *err)
{
	CLEANUP_NETLINK struct netlink inside = {0};
	const struct link_port *port = &member->rules.port;
	int r = netlink_open_in(&inside, NETLINK_ROUTE, namespace_fd, err);

	if (r == 0)
		r = firewall_add(network->firewall, &member->rules, err);
	if (r == 0)
		r = link_pair(&network->netlink, port, network->index, namespace_fd, err);
	if (r == 0)
		r = link_pod(&inside, port->address, network->config.network + 1, err);
	if (r == 0)
		r = link_enable(&network->netlink, port->name, err);
	return r;
}

int network_attach(struct network *network, const struct network_pod *pod, const char *namespace_path, struct err *err)
{
	CLEANUP_CLOSE int fd = open(namespace_path, O_RDONLY | O_CLOEXEC);
	struct member *member = NULL;
	struct err undo = {0};
	int r;

	if (fd < 0)
		return err_sys(err, -errno, "cannot open network namespace '%s'", namespace_path);
	r = member_new(network, pod, &member, err);
	if (r == 0)
		r = keep_member(network, member, err);
	if (r < 0)
		return r;
	r = plug(network, member, fd, err);
	/* What could not be undone stays known as a member and is tried again when the pod is removed. */
	if (r < 0 && network_detach(network, pod->address, &undo) < 0)
		(void)err_hint(err, "%s", undo.msg);
	return r;
}

int network_detach(struct network *network, uint32_t address, struct err *err)
{
	size_t place;
	struct member *member = find_member(network, address, &place);
	int r;

	if (!member)
		return 0;
	/* The link goes first: without its rules its packets would not be checked for their source. */
	r = link_remove(&network->netlink, member->rules.port.name, err);
	if (r == 0)
		r = link_forget(&network->netlink, network->index, address, err);
	if (r == 0)
		r = firewall_remove(network->firewall, &member->rules, err);
	if (r == 0)
		r = conntrack_forget(address, err);
	if (r < 0)
		return r;
	network->members[place] = network->members[--network->member_count];
	member_free(member);
	return 0;
}
