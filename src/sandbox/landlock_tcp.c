/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/landlock.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"
#include "sandbox/landlock.h"

/* What the build machine's header may lack: ABI 4. */
#define NET_BIND_TCP (1ull << 0)
#define NET_CONNECT_TCP (1ull << 1)
#define RULE_NET_PORT 2
#define ABI_OF_TCP 4

struct net_ruleset_attr {
	uint64_t handled_fs;
	uint64_t handled_net;
};

struct net_port_attr {
	uint64_t allowed_access;
	uint64_t port;
};

int landlock_ports_parse(const char *text, struct landlock_ports *ret_ports)
{
	struct landlock_ports ports = {.bound = true};

	for (const char *at = text; *at;) {
		size_t len = strcspn(at, ",");
		char number[8];
		uint64_t port;

		if (ports.count == LANDLOCK_PORTS_MAX || len >= sizeof(number))
			return ERR_INVALID;
		(void)snprintf(number, sizeof(number), "%.*s", (int)len, at);
		if (str_parse_u64(number, UINT16_MAX, &port) < 0)
			return ERR_INVALID;
		ports.items[ports.count++] = (uint16_t)port;
		at += len;
		/* A comma stands between two. */
		if (*at == ',' && !*++at)
			return ERR_INVALID;
	}
	*ret_ports = ports;
	return 0;
}

static int grant(int ruleset, const struct landlock_ports *ports, uint64_t right)
{
	for (size_t i = 0; i < ports->count; i++) {
		const struct net_port_attr rule = {.allowed_access = right, .port = ports->items[i]};

		if (syscall(SYS_landlock_add_rule, ruleset, RULE_NET_PORT, &rule, 0) < 0)
			return -errno;
	}
	return 0;
}

int landlock_confine_tcp(const struct landlock_ports *bind, const struct landlock_ports *connect, struct err *err)
{
	const struct net_ruleset_attr attr = {.handled_net = (bind->bound ? NET_BIND_TCP : 0) |
							     (connect->bound ? NET_CONNECT_TCP : 0)};
	CLEANUP_CLOSE int ruleset = -1;
	int r;

	if (!attr.handled_net)
		return 0;
	if (landlock_abi() < ABI_OF_TCP)
		return err_set(err, -EOPNOTSUPP, "landlock: this kernel bounds no TCP ports");
	ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (ruleset < 0)
		return err_sys(err, -errno, "landlock: cannot make a ruleset");
	r = grant(ruleset, bind, NET_BIND_TCP);
	if (r == 0)
		r = grant(ruleset, connect, NET_CONNECT_TCP);
	if (r == 0 && syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		r = -errno;
	return r < 0 ? err_sys(err, r, "landlock: cannot bound TCP ports") : 0;
}
