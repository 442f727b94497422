/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/interface.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "base/str.h"

bool policy_interface_applies(const struct policy_interface *interface, const char *subfunction)
{
	return !interface->subfunction || (subfunction && str_eq(interface->subfunction, subfunction));
}

static bool has_port(const struct policy_interface *interface, enum policy_protocol protocol, uint16_t port)
{
	for (size_t i = 0; i < interface->port_count; i++)
		if (interface->ports[i].protocol == protocol && interface->ports[i].port == port)
			return true;
	return false;
}

bool policy_interface_permits(const struct policy_domain *to, const char *to_subfunction, const char *from_domain,
			      enum policy_protocol protocol, uint16_t port)
{
	if (str_eq(to->name, from_domain))
		return true;
	for (size_t i = 0; i < to->interface_count; i++) {
		const struct policy_interface *interface = &to->interfaces[i];

		if (policy_interface_applies(interface, to_subfunction) &&
		    policy_names_have(&interface->domains, from_domain) && has_port(interface, protocol, port))
			return true;
	}
	return false;
}

static bool bits_equal(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	unsigned whole = bits / 8, rest = bits % 8;
	uint8_t mask = (uint8_t)(0xff00u >> rest);

	return memcmp(a, b, whole) == 0 && (!rest || ((a[whole] ^ b[whole]) & mask) == 0);
}

static bool has_address(const struct policy_interface *interface, int family, const uint8_t *address)
{
	for (size_t i = 0; i < interface->network_count; i++) {
		const struct policy_network *network = &interface->networks[i];

		if (network->family == family && bits_equal(network->address, address, network->prefix))
			return true;
	}
	return false;
}

bool policy_interface_permits_address(const struct policy_domain *to, const char *to_subfunction, int family,
				      const uint8_t *address, enum policy_protocol protocol, uint16_t port)
{
	for (size_t i = 0; i < to->interface_count; i++) {
		const struct policy_interface *interface = &to->interfaces[i];

		if (policy_interface_applies(interface, to_subfunction) && has_address(interface, family, address) &&
		    has_port(interface, protocol, port))
			return true;
	}
	return false;
}

/* Whether every bit behind the prefix is zero. */
static bool is_network(const struct policy_network *network)
{
	size_t size = network->family == AF_INET ? 4 : 16;

	for (size_t bit = network->prefix; bit < size * 8; bit++)
		if (network->address[bit / 8] & (0x80u >> (bit % 8)))
			return false;
	return true;
}

int policy_network_parse(const char *text, struct policy_network *ret_network, struct err *err)
{
	struct policy_network network = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	uint64_t prefix;

	if (!slash || (size_t)(slash - text) >= sizeof(address) ||
	    str_copy(network.text, sizeof(network.text), text) < 0)
		return err_set(err, ERR_INVALID, "'%.64s' is not a network (ADDRESS/PREFIX)", text);
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	if (inet_pton(network.family, address, network.address) != 1 ||
	    str_parse_u64(slash + 1, network.family == AF_INET ? 32 : 128, &prefix) < 0)
		return err_set(err, ERR_INVALID, "'%.64s' is not a network (ADDRESS/PREFIX)", text);
	network.prefix = (uint8_t)prefix;
	if (!is_network(&network))
		return err_set(err, ERR_INVALID, "network '%.64s' has bits behind its prefix", text);
	*ret_network = network;
	return 0;
}
