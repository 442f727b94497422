/* SPDX-License-Identifier: Apache-2.0 */
#include "network/firewall.h"

#include <errno.h>
#include <netinet/in.h>
#include <nftables/libnftables.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"

#define FIREWALL_COMMAND_MAX ((size_t)64 * 1024 * 1024)

struct firewall {
	struct nft_ctx *context; /* kept: a new one costs more than most commands */
	char bridge[IFNAMSIZ];
};

/*
 * %1$s is the bridge. A packet from a pod gets its domain's mark, and passes where (mark, receiving address) or (mark,
 * address, protocol, port) is known; the mark is cleared before it leaves. From elsewhere only declared networks pass.
 * Redirects are dropped by name because connection tracking takes them for related.
 */
static const char ruleset[] =
	"add table inet bulkhead-%1$s\n"
	"delete table inet bulkhead-%1$s\n"
	"add table bridge bulkhead-%1$s\n"
	"delete table bridge bulkhead-%1$s\n"
	"table bridge bulkhead-%1$s {\n"
	"  set names { type ifname; }\n"
	"  set ports { type ifname . ether_addr . ipv4_addr; }\n"
	"  chain prerouting {\n"
	"    type filter hook prerouting priority -300; policy accept;\n"
	"    iifname != @names accept\n"
	"    ether type ip iifname . ether saddr . ip saddr @ports accept\n"
	"    ether type arp arp operation { request, reply } iifname . ether saddr . arp saddr ip @ports accept\n"
	"    drop\n"
	"  }\n"
	"}\n"
	"table inet bulkhead-%1$s {\n"
	"  map domains { type ipv4_addr : mark; }\n"
	"  set members { type mark . ipv4_addr; }\n"
	"  set opened { type mark . ipv4_addr . inet_proto . inet_service; }\n"
	"  set networks { type ipv4_addr . ipv4_addr . inet_proto . inet_service; flags interval; }\n"
	"  chain known {\n"
	"    icmp type redirect drop\n"
	"    ct state established,related accept\n"
	"    ct state invalid drop\n"
	"  }\n"
	"  chain pass {\n"
	"    meta mark set 0 accept\n"
	"  }\n"
	"  chain between {\n"
	"    meta mark set 0\n"
	"    meta mark set ip saddr map @domains\n"
	"    meta mark . ip daddr @members goto pass\n"
	"    meta mark . ip daddr . meta l4proto . th dport @opened goto pass\n"
	"    drop\n"
	"  }\n"
	"  chain from_outside {\n"
	"    ip saddr . ip daddr . meta l4proto . th dport @networks accept\n"
	"    drop\n"
	"  }\n"
	"  chain forward {\n"
	"    type filter hook forward priority filter; policy accept;\n"
	"    iifname != \"%1$s\" oifname != \"%1$s\" accept\n"
	"    jump known\n"
	"    iifname \"%1$s\" oifname \"%1$s\" goto between\n"
	"    oifname \"%1$s\" goto from_outside\n"
	"    drop\n"
	"  }\n"
	"  chain output {\n"
	"    type filter hook output priority filter; policy accept;\n"
	"    oifname != \"%1$s\" accept\n"
	"    jump known\n"
	"    goto from_outside\n"
	"  }\n"
	"  chain input {\n"
	"    type filter hook input priority filter; policy accept;\n"
	"    iifname != \"%1$s\" accept\n"
	"    jump known\n"
	"    drop\n"
	"  }\n"
	"}\n";

int firewall_new(const char *bridge, struct firewall **ret_firewall, struct err *err)
{
	struct firewall *firewall = calloc(1, sizeof(*firewall));

	if (!firewall || str_copy(firewall->bridge, sizeof(firewall->bridge), bridge) < 0 ||
	    !(firewall->context = nft_ctx_new(NFT_CTX_DEFAULT))) {
		free(firewall);
		return err_sys(err, -ENOMEM, "cannot open nftables");
	}
	if (nft_ctx_buffer_error(firewall->context) || nft_ctx_buffer_output(firewall->context)) {
		firewall_free(firewall);
		return err_sys(err, -ENOMEM, "cannot open nftables");
	}
	*ret_firewall = firewall;
	return 0;
}

void firewall_free(struct firewall *firewall)
{
	if (!firewall)
		return;
	nft_ctx_free(firewall->context);
	free(firewall);
}

static int run(struct firewall *firewall, const struct buf *commands, struct err *err)
{
	const char *text;
	size_t len;

	if (nft_run_cmd_from_buffer(firewall->context, commands->data) == 0)
		return 0;
	text = nft_ctx_get_error_buffer(firewall->context);
	len = text ? strcspn(text, "\n") : 0;
	return err_set(err, -EREMOTEIO, "cannot change the rules of '%s': %.*s", firewall->bridge, (int)len,
		       text ? text : "");
}

static int put_address(struct buf *to, uint32_t address)
{
	char text[NETWORK_ADDRESS_SIZE];

	network_format(text, address);
	return buf_puts(to, text);
}

/* Intervals are written as ranges: a prefix of length 0 has no other spelling. */
static int put_range(struct buf *to, const struct network_opening *opening)
{
	uint32_t mask = opening->prefix ? ~UINT32_C(0) << (32 - opening->prefix) : 0;
	int r = put_address(to, opening->network & mask);

	if (r == 0 && opening->prefix < 32) {
		r = buf_putc(to, '-');
		if (r == 0)
			r = put_address(to, opening->network | ~mask);
	}
	return r;
}

static int put_opening(struct buf *to, const struct firewall_pod *pod, size_t i)
{
	const struct network_opening *opening = &pod->openings[i];
	int r;

	if (opening->domain)
		r = buf_printf(to, "%u", pod->opening_marks[i]);
	else
		r = put_range(to, opening);
	if (r == 0)
		r = buf_puts(to, " . ");
	if (r == 0)
		r = put_address(to, pod->port.address);
	if (r == 0)
		r = buf_printf(to, " . %u . %u", opening->protocol, opening->port);
	return r;
}

static bool same_port(const struct network_opening *a, const struct network_opening *b)
{
	return a->protocol == b->protocol && a->port == b->port && !a->domain == !b->domain;
}

/* Whether an opening says nothing that another one of the pod does not say: interval sets refuse overlaps. */
static bool is_covered(const struct firewall_pod *pod, size_t i)
{
	const struct network_opening *inner = &pod->openings[i];

	for (size_t k = 0; k < pod->opening_count; k++) {
		const struct network_opening *outer = &pod->openings[k];
		uint32_t mask = outer->prefix ? ~UINT32_C(0) << (32 - outer->prefix) : 0;

		if (k == i || !same_port(inner, outer))
			continue;
		if (inner->domain) {
			if (k < i && pod->opening_marks[k] == pod->opening_marks[i])
				return true;
			continue;
		}
		if (outer->prefix > inner->prefix || ((outer->network ^ inner->network) & mask))
			continue;
		if (outer->prefix < inner->prefix || k < i)
			return true;
	}
	return false;
}

/* One command a set: the elements of the pod, with "add" or "delete" before them. */
static int put_pod(struct firewall *firewall, struct buf *to, const char *verb, const struct firewall_pod *pod)
{
	const uint8_t *m = pod->port.mac;
	const char *bridge = firewall->bridge;
	char address[NETWORK_ADDRESS_SIZE];
	int r;

	network_format(address, pod->port.address);
	r = buf_printf(to, "%s element bridge bulkhead-%s names { \"%s\" }\n", verb, bridge, pod->port.name);
	if (r == 0)
		r = buf_printf(to,
			       "%s element bridge bulkhead-%s ports { \"%s\" . %02x:%02x:%02x:%02x:%02x:%02x . %s }\n",
			       verb, bridge, pod->port.name, m[0], m[1], m[2], m[3], m[4], m[5], address);
	if (r == 0)
		r = buf_printf(to, "%s element inet bulkhead-%s domains { %s : %u }\n", verb, bridge, address,
			       pod->mark);
	if (r == 0)
		r = buf_printf(to, "%s element inet bulkhead-%s members { %u . %s }\n", verb, bridge, pod->mark,
			       address);
	for (size_t i = 0; r == 0 && i < pod->opening_count; i++) {
		if (is_covered(pod, i))
			continue;
		r = buf_printf(to, "%s element inet bulkhead-%s %s { ", verb, bridge,
			       pod->openings[i].domain ? "opened" : "networks");
		if (r == 0)
			r = put_opening(to, pod, i);
		if (r == 0)
			r = buf_puts(to, " }\n");
	}
	return r;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the one format is the constant above */
static int put_ruleset(struct firewall *firewall, struct buf *to)
{
	char text[sizeof(ruleset) + 64 * IFNAMSIZ];

	return snprintf(text, sizeof(text), ruleset, firewall->bridge) < 0 ? -EINVAL : buf_puts(to, text);
}
#pragma GCC diagnostic pop

int firewall_replace(struct firewall *firewall, const struct firewall_pod *pods, size_t count, struct err *err)
{
	CLEANUP_BUF struct buf commands = buf_of(FIREWALL_COMMAND_MAX);
	int r = put_ruleset(firewall, &commands);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = put_pod(firewall, &commands, "add", &pods[i]);
	return r < 0 ? err_sys(err, r, "cannot write the rules of '%s'", firewall->bridge)
		     : run(firewall, &commands, err);
}

static int change(struct firewall *firewall, const struct firewall_pod *pod, bool remove, struct err *err)
{
	CLEANUP_BUF struct buf commands = buf_of(FIREWALL_COMMAND_MAX);
	int r = put_pod(firewall, &commands, "add", pod);

	/* Deleting what is not there fails the transaction; adding it first makes removal repeatable. */
	if (r == 0 && remove)
		r = put_pod(firewall, &commands, "delete", pod);
	return r < 0 ? err_sys(err, r, "cannot write the rules of '%s'", firewall->bridge)
		     : run(firewall, &commands, err);
}

int firewall_add(struct firewall *firewall, const struct firewall_pod *pod, struct err *err)
{
	return change(firewall, pod, false, err);
}

int firewall_remove(struct firewall *firewall, const struct firewall_pod *pod, struct err *err)
{
	return change(firewall, pod, true, err);
}

int firewall_drop(struct firewall *firewall, struct err *err)
{
	static const char *const families[] = {"inet", "bridge"};
	CLEANUP_BUF struct buf commands = buf_of(4096);
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(families); i++)
		r = buf_printf(&commands, "add table %1$s bulkhead-%2$s\ndelete table %1$s bulkhead-%2$s\n",
			       families[i], firewall->bridge);
	return r < 0 ? err_sys(err, r, "cannot write the rules of '%s'", firewall->bridge)
		     : run(firewall, &commands, err);
}
