/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/seccomp_rows.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/socket.h>

/* The type without its flags, as the kernel reads it. */
#define OF_TYPE(type)                                                                \
	{                                                                            \
		.index = 1, .value = 0xf, .value_two = type, .op = SPEC_OP_MASKED_EQ \
	}

const struct seccomp_row seccomp_rows_sockets[SECCOMP_SOCKET_ROWS] = {
	{"socket", 0, -1, 1, {SECCOMP_LOW(0, AF_UNIX)}},
	{"socket", 0, CAP_NET_RAW, 1, {SECCOMP_LOW(0, AF_INET)}},
	{"socket", 0, CAP_NET_RAW, 1, {SECCOMP_LOW(0, AF_INET6)}},
	{"socket", EPERM, -1, 2, {SECCOMP_LOW(0, AF_INET), OF_TYPE(SOCK_RAW)}},
	/* The kernel takes this for AF_PACKET. */
	{"socket", EPERM, -1, 2, {SECCOMP_LOW(0, AF_INET), OF_TYPE(SOCK_PACKET)}},
	{"socket", EPERM, -1, 2, {SECCOMP_LOW(0, AF_INET6), OF_TYPE(SOCK_RAW)}},
	{"socket", 0, -1, 1, {SECCOMP_LOW(0, AF_INET)}},
	{"socket", 0, -1, 1, {SECCOMP_LOW(0, AF_INET6)}},
	{"socket", 0, -1, 2, {SECCOMP_LOW(0, AF_NETLINK), SECCOMP_LOW(2, 0)}},
	{"socket", 0, CAP_NET_RAW, 1, {SECCOMP_LOW(0, AF_PACKET)}},
	{"socket", EAFNOSUPPORT, -1, 0, {{0}}},
	{"socketpair", 0, -1, 1, {SECCOMP_LOW(0, AF_UNIX)}},
	{"socketpair", EAFNOSUPPORT, -1, 0, {{0}}},
};

size_t seccomp_rows_add(struct spec_seccomp_rule *rules, const struct seccomp_row *rows, size_t count,
			uint64_t capabilities)
{
	size_t written = 0;

	for (size_t i = 0; i < count; i++) {
		if (!seccomp_rows_holds(capabilities, rows[i].capability))
			continue;
		rules[written++] = (struct spec_seccomp_rule){
			.names = {(const char **)&rows[i].name, 1},
			.action = rows[i].error ? SECCOMP_RET_ERRNO : SECCOMP_RET_ALLOW,
			.errno_ret = {rows[i].error != 0, rows[i].error},
			.args = {(struct spec_seccomp_arg *)rows[i].conditions, rows[i].count},
		};
	}
	return written;
}
