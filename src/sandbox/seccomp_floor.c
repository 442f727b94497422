/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/capability.h>
#include <sched.h>

#include "sandbox/seccomp_rows.h"
#include "sandbox/seccomp_rules.h"

static const struct seccomp_row ring_rows[] = {
	{"io_uring_setup", EPERM, -1, 0, {{0}}},
	{"io_uring_enter", EPERM, -1, 0, {{0}}},
	{"io_uring_register", EPERM, -1, 0, {{0}}},
};

static const struct seccomp_row key_rows[] = {
	{"add_key", EPERM, -1, 0, {{0}}},
	{"keyctl", EPERM, -1, 0, {{0}}},
	{"request_key", EPERM, -1, 0, {{0}}},
};

static const struct seccomp_row bpf_rows[] = {{"bpf", EPERM, -1, 0, {{0}}}};

static const struct seccomp_row ptrace_rows[] = {
	{"ptrace", EPERM, -1, 0, {{0}}},
	{"process_vm_readv", EPERM, -1, 0, {{0}}},
	{"process_vm_writev", EPERM, -1, 0, {{0}}},
	{"pidfd_getfd", EPERM, -1, 0, {{0}}},
};

#define HAS_NEWUSER                                                                                     \
	{                                                                                               \
		.index = 0, .value = CLONE_NEWUSER, .value_two = CLONE_NEWUSER, .op = SPEC_OP_MASKED_EQ \
	}

static const struct seccomp_row namespace_rows[] = {
	{"clone", EPERM, -1, 1, {HAS_NEWUSER}},
	{"unshare", EPERM, -1, 1, {HAS_NEWUSER}},
	{"clone3", ENOSYS, -1, 0, {{0}}},
};

static const struct {
	uint32_t grant;
	int capability; /* opens it as the grant does; -1: none */
	const struct seccomp_row *rows;
	size_t count;
} groups[] = {
	{SECCOMP_GRANT_SOCKETS, -1, seccomp_rows_sockets, SECCOMP_SOCKET_ROWS},
	{SECCOMP_GRANT_IO_URING, -1, ring_rows, ARRAY_SIZE(ring_rows)},
	{SECCOMP_GRANT_KEYRINGS, -1, key_rows, ARRAY_SIZE(key_rows)},
	{SECCOMP_GRANT_BPF, CAP_BPF, bpf_rows, ARRAY_SIZE(bpf_rows)},
	{SECCOMP_GRANT_PTRACE, CAP_SYS_PTRACE, ptrace_rows, ARRAY_SIZE(ptrace_rows)},
	{SECCOMP_GRANT_USER_NAMESPACES, -1, namespace_rows, ARRAY_SIZE(namespace_rows)},
};

#define RULES_MAX                                                                                    \
	(SECCOMP_SOCKET_ROWS + ARRAY_SIZE(ring_rows) + ARRAY_SIZE(key_rows) + ARRAY_SIZE(bpf_rows) + \
	 ARRAY_SIZE(ptrace_rows) + ARRAY_SIZE(namespace_rows))

static size_t add_rules(struct spec_seccomp_rule *rules, const struct seccomp_floor *floor)
{
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++) {
		bool opened = groups[i].capability >= 0 &&
			      seccomp_rows_holds(floor->capabilities, groups[i].capability);

		if (!opened && !(floor->granted & groups[i].grant))
			count += seccomp_rows_add(rules + count, groups[i].rows, groups[i].count, floor->capabilities);
	}
	return count;
}

int seccomp_compile_within(const struct spec_seccomp *profile, const struct seccomp_floor *floor,
			   struct seccomp_program *ret_program, struct err *err)
{
	struct spec_seccomp_rule rules[RULES_MAX];
	const struct spec_seccomp least = {
		.present = true,
		.default_action = SECCOMP_RET_ALLOW,
		.rules = {rules, add_rules(rules, floor)},
	};
	const struct spec_seccomp *const profiles[] = {profile, &least, floor->ceiling};

	return seccomp_compile_all(profiles, floor->ceiling ? 3 : 2, floor->granted, ret_program, err);
}

static const char *name_of(int code, enum syscalls_abi abi)
{
	for (int i = 0; code >= 0 && i < syscalls_count(); i++)
		if (syscalls_code(i, abi) == code)
			return syscalls_name(i);
	return "unknown calls";
}

static int check_abi(struct seccomp_rules *const *both, enum syscalls_abi abi, struct err *err)
{
	struct seccomp_graph graph;
	int r = seccomp_rules_sort(both[0], abi), top;

	seccomp_graph_init(&graph);
	if (r == 0)
		r = seccomp_rules_sort(both[1], abi);
	top = r == 0 ? seccomp_rules_top(both, 2) : -2;
	for (int code = -1; r == 0 && code <= top; code++) {
		seccomp_node alone = seccomp_rules_node(both, 1, &graph, abi, code);

		if (graph.error)
			r = graph.error;
		else if (seccomp_rules_node(both, 2, &graph, abi, code) != alone)
			r = err_set(err, ERR_DENIED, "linux.seccomp: the profile allows more of '%s' than the ceiling",
				    name_of(code, abi));
	}
	seccomp_graph_done(&graph);
	return r;
}

int seccomp_check_ceiling(const struct spec_seccomp *profile, const struct spec_seccomp *ceiling, struct err *err)
{
	struct seccomp_rules *both[] = {seccomp_rules_new(profile), seccomp_rules_new(ceiling)};
	uint32_t abis = 0;
	int r = seccomp_read_architectures(profile, &abis, err);

	if (r == 0 && (!both[0] || !both[1]))
		r = -ENOMEM;
	for (int abi = 0; r == 0 && abi < SYSCALLS_ABIS; abi++)
		if (abis >> abi & 1)
			r = check_abi(both, (enum syscalls_abi)abi, err);
	seccomp_rules_free(both[0]);
	seccomp_rules_free(both[1]);
	if (r == -ENOMEM)
		return err_set(err, r, "linux.seccomp: no memory");
	return r == -E2BIG ? err_set(err, r, "linux.seccomp: the profile is too large") : r;
}
