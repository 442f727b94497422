/* SPDX-License-Identifier: Apache-2.0 */
/* The floor under every profile: read off its description call by call, alone and under random profiles (ISO-1, ISO-4). */
#include <linux/capability.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "sandbox/seccomp.h"
#include "seccomp_policy.h"
#include "seccomp_random.h"
#include "seccomp_reference.h"

#define FAMILY (SECCOMP_RET_ERRNO | EAFNOSUPPORT)
#define DENIED (SECCOMP_RET_ERRNO | EPERM)
#define ABSENT (SECCOMP_RET_ERRNO | ENOSYS)

static bool has(const struct seccomp_floor *floor, uint32_t grant, int capability)
{
	return (floor->granted & grant) || (capability >= 0 && (floor->capabilities >> capability & 1));
}

static uint32_t floor_of_socket(const struct seccomp_floor *floor, const struct seccomp_data *data)
{
	switch ((int)data->args[0]) {
	case AF_UNIX:
		return SECCOMP_RET_ALLOW;
	case AF_INET:
	case AF_INET6:
		if (floor->capabilities >> CAP_NET_RAW & 1)
			return SECCOMP_RET_ALLOW;
		if ((data->args[1] & 0xf) == SOCK_PACKET && (int)data->args[0] == AF_INET)
			return DENIED;
		return (data->args[1] & 0xf) == SOCK_RAW ? DENIED : SECCOMP_RET_ALLOW;
	case AF_NETLINK:
		return (int)data->args[2] == 0 ? SECCOMP_RET_ALLOW : FAMILY;
	case AF_PACKET:
		return floor->capabilities >> CAP_NET_RAW & 1 ? SECCOMP_RET_ALLOW : FAMILY;
	default:
		return FAMILY;
	}
}

/* What the header says about a call by name. */
static uint32_t floor_of(const struct seccomp_floor *floor, const char *name, const struct seccomp_data *data)
{
	static const struct {
		const char *name;
		uint32_t grant;
		int capability;
	} rows[] = {
		{"io_uring_setup", SECCOMP_GRANT_IO_URING, -1},
		{"io_uring_enter", SECCOMP_GRANT_IO_URING, -1},
		{"io_uring_register", SECCOMP_GRANT_IO_URING, -1},
		{"add_key", SECCOMP_GRANT_KEYRINGS, -1},
		{"keyctl", SECCOMP_GRANT_KEYRINGS, -1},
		{"request_key", SECCOMP_GRANT_KEYRINGS, -1},
		{"bpf", SECCOMP_GRANT_BPF, CAP_BPF},
		{"ptrace", SECCOMP_GRANT_PTRACE, CAP_SYS_PTRACE},
		{"process_vm_readv", SECCOMP_GRANT_PTRACE, CAP_SYS_PTRACE},
		{"process_vm_writev", SECCOMP_GRANT_PTRACE, CAP_SYS_PTRACE},
		{"pidfd_getfd", SECCOMP_GRANT_PTRACE, CAP_SYS_PTRACE},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (str_eq(rows[i].name, name))
			return has(floor, rows[i].grant, rows[i].capability) ? SECCOMP_RET_ALLOW : DENIED;
	if (!has(floor, SECCOMP_GRANT_USER_NAMESPACES, -1)) {
		if (str_eq(name, "clone3"))
			return ABSENT;
		if ((str_eq(name, "clone") || str_eq(name, "unshare")) && data->args[0] & CLONE_NEWUSER)
			return DENIED;
	}
	if (has(floor, SECCOMP_GRANT_SOCKETS, -1))
		return SECCOMP_RET_ALLOW;
	if (str_eq(name, "socket"))
		return floor_of_socket(floor, data);
	if (str_eq(name, "socketpair"))
		return (int)data->args[0] == AF_UNIX ? SECCOMP_RET_ALLOW : FAMILY;
	/* The family is out of sight: x86's multiplexer makes no sockets. */
	if (str_eq(name, "socketcall") && data->arch == AUDIT_ARCH_I386 && (data->args[0] == 1 || data->args[0] == 8))
		return data->args[0] == 1 ? DENIED : FAMILY;
	return SECCOMP_RET_ALLOW;
}

static void check_call(const struct spec_seccomp *profile, const struct seccomp_floor *floor,
		       const struct seccomp_program *program, const char *name, const struct seccomp_data *data)
{
	const struct reference_names names = {{name}, 1};
	uint32_t got = 0, want = reference_expected(&profile, 1, &names, data), value;
	enum syscalls_abi abi;

	if (!(floor->granted & SECCOMP_GRANT_FOREIGN) && data->arch != AUDIT_ARCH_X86_64) {
		want = SECCOMP_RET_KILL_PROCESS;
	} else if (!(floor->granted & SECCOMP_GRANT_X32) && data->arch == AUDIT_ARCH_X86_64 &&
		   (uint32_t)data->nr >= REFERENCE_X32) {
		want = ABSENT;
	} else if (reference_abi(profile, data, &abi, &value)) {
		want = reference_stricter(want, floor_of(floor, name, data));
		if (floor->ceiling)
			want = reference_stricter(want, reference_one(floor->ceiling, &names, abi, data));
	}
	assert_true(reference_run(program->code, program->len, data, &got));
	if (got != want)
		fail_msg("%s of %#x, arguments %#llx %#llx %#llx: %#x instead of %#x", name, data->arch, data->args[0],
			 data->args[1], data->args[2], got, want);
}

static const struct {
	uint32_t arch;
	enum syscalls_abi abi;
} spaces[] = {
	{AUDIT_ARCH_X86_64, SYSCALLS_X86_64},   {AUDIT_ARCH_X86_64, SYSCALLS_X32}, {AUDIT_ARCH_I386, SYSCALLS_X86},
	{AUDIT_ARCH_AARCH64, SYSCALLS_AARCH64}, {AUDIT_ARCH_ARM, SYSCALLS_ARM},
};

/* Every name of every architecture with arguments that mean something to one of the rules. */
static void check_floor(const struct spec_seccomp *profile, const struct seccomp_floor *floor)
{
	static const uint64_t firsts[] = {0,  1,  2,  3,  8,          10,         16,         17,
					  38, 40, 44, 45, 0x10000011, 0x10000000, 0x7e020000, 0xefffffff};
	static const uint64_t seconds[] = {SOCK_STREAM, SOCK_RAW | SOCK_CLOEXEC, SOCK_PACKET};
	struct seccomp_program program;
	struct err err = {0};

	if (seccomp_compile_within(profile, floor, &program, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(reference_is_sound(program.code, program.len));
	for (size_t space = 0; space < ARRAY_SIZE(spaces); space++) {
		for (int i = 0; i < syscalls_count(); i++) {
			int code = syscalls_code(i, spaces[space].abi);
			struct seccomp_data data = {.arch = spaces[space].arch};

			for (size_t k = 0; code >= 0 && k < ARRAY_SIZE(seconds) * ARRAY_SIZE(firsts); k++) {
				data.nr = (int)syscalls_code_number(code, spaces[space].abi);
				data.args[0] = firsts[k / ARRAY_SIZE(seconds)];
				data.args[1] = seconds[k % ARRAY_SIZE(seconds)];
				data.args[2] = k % ARRAY_SIZE(seconds) ? 9 : 0;
				check_call(profile, floor, &program, syscalls_name(i), &data);
			}
		}
	}
	seccomp_program_done(&program);
}

static void test_everything_allowed_is_bound_by_the_floor(void **state)
{
	const char *all[] = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_AARCH64",
			     "SCMP_ARCH_ARM"};
	const struct spec_seccomp open = {.present = true,
					  .default_action = SECCOMP_RET_ALLOW,
					  .architectures = {all, ARRAY_SIZE(all)}};

	(void)state;
	for (uint32_t granted = 0; granted < 256; granted += granted < 4 ? 1 : 9) {
		const struct seccomp_floor floor = {.granted = granted};

		check_floor(&open, &floor);
	}
	for (int capability = 0; capability <= 40; capability += capability < 12 || capability > 36 ? 1 : 3) {
		const struct seccomp_floor floor = {.capabilities = 1ull << capability,
						    .granted = SECCOMP_GRANT_FOREIGN};

		check_floor(&open, &floor);
	}
}

/* What engines bring for three architectures, as short as the aim has it, and as every other profile in all it says. */
static void test_policy_of_engines_is_short(void **state)
{
	const struct spec_seccomp docker = policy_docker(), one = policy_make(false);
	const struct seccomp_floor open = {.granted = ~(uint32_t)SECCOMP_GRANT_X32},
				   runtime = {.granted = SECCOMP_GRANT_FOREIGN};
	struct seccomp_program program;
	struct err err = {0};

	(void)state;
	assert_int_equal(seccomp_compile_within(&docker, &open, &program, &err), 0);
	assert_true(program.len <= 150);
	seccomp_program_done(&program);
	assert_int_equal(seccomp_compile_within(&one, &open, &program, &err), 0);
	assert_true(program.len <= 80);
	seccomp_program_done(&program);
	check_floor(&docker, &open);
	check_floor(&docker, &runtime);
}

static void test_random_profiles_within_floors_and_ceilings(void **state)
{
	(void)state;
	for (uint64_t round = 0; round < 16; round++) {
		struct random_profile made, ceiling;
		const struct seccomp_floor floor = {.capabilities = round * 0x9e3779b97f4a7c15,
						    .granted = (uint32_t)(round * 37 & 255),
						    .ceiling = round % 2 ? &ceiling.profile : NULL};

		random_profile_make(&made, 3 * round);
		random_profile_make(&ceiling, 3 * round + 1);
		check_floor(&made.profile, &floor);
	}
}

static void test_built_in_profile_needs_no_floor(void **state)
{
	const struct seccomp_floor floor = {0};
	struct seccomp_program program;
	struct err err;
	static const uint64_t firsts[] = {0, 1, 2, 3, 10, 16, 17, 38, 0x10000011, 0x7e020000};

	(void)state;
	assert_int_equal(seccomp_default(&floor, &program, &err), 0);
	for (int i = 0; i < syscalls_count(); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(firsts); k++) {
			struct seccomp_data data = {.nr = syscalls_code(i, SYSCALLS_X86_64), .arch = AUDIT_ARCH_X86_64};
			uint32_t value = 0;

			data.args[0] = firsts[k];
			if (data.nr < 0)
				continue;
			assert_true(reference_run(program.code, program.len, &data, &value));
			assert_true(reference_rank(value) <= reference_rank(floor_of(&floor, syscalls_name(i), &data)));
		}
	}
	seccomp_program_done(&program);
}

static struct spec_seccomp_rule rule_of(const char *const *name, uint32_t action, const struct spec_seccomp_arg *arg)
{
	return (struct spec_seccomp_rule){.names = {(const char **)name, 1},
					  .action = action,
					  .args = {(struct spec_seccomp_arg *)arg, arg ? 1 : 0}};
}

static void test_ceiling_is_named_with_the_call(void **state)
{
	static const char *const mount = "mount", *const socket_name = "socket";
	static const struct spec_seccomp_arg family = {.index = 0, .value = 2, .op = SPEC_OP_EQ};
	struct spec_seccomp_rule allow_mount = rule_of(&mount, SECCOMP_RET_ALLOW, NULL);
	struct spec_seccomp_rule deny_mount = rule_of(&mount, SECCOMP_RET_ERRNO, NULL);
	struct spec_seccomp_rule allow_inet = rule_of(&socket_name, SECCOMP_RET_ALLOW, &family);
	struct spec_seccomp_rule allow_socket = rule_of(&socket_name, SECCOMP_RET_ALLOW, NULL);
	const struct {
		uint32_t profile_default;
		struct spec_seccomp_rule *profile_rule;
		uint32_t ceiling_default;
		struct spec_seccomp_rule *ceiling_rule;
		const char *call; /* that is more than the ceiling; NULL: none */
	} rows[] = {
		{SECCOMP_RET_ERRNO, &allow_mount, SECCOMP_RET_ALLOW, &deny_mount, "mount"},
		{SECCOMP_RET_ERRNO, &allow_mount, SECCOMP_RET_ERRNO, &allow_mount, NULL},
		{SECCOMP_RET_ERRNO, &deny_mount, SECCOMP_RET_ALLOW, &deny_mount, NULL},
		{SECCOMP_RET_ALLOW, &deny_mount, SECCOMP_RET_ALLOW, &deny_mount, NULL},
		{SECCOMP_RET_ALLOW, &deny_mount, SECCOMP_RET_ERRNO, &allow_mount, "unknown calls"},
		{SECCOMP_RET_ERRNO, &allow_inet, SECCOMP_RET_ERRNO, &allow_inet, NULL},
		{SECCOMP_RET_ERRNO, &allow_inet, SECCOMP_RET_ERRNO, &allow_socket, NULL},
		{SECCOMP_RET_ERRNO, &allow_socket, SECCOMP_RET_ERRNO, &allow_inet, "socket"},
		{SECCOMP_RET_LOG, &deny_mount, SECCOMP_RET_ALLOW, &deny_mount, NULL},
		{SECCOMP_RET_ALLOW, &deny_mount, SECCOMP_RET_LOG, &deny_mount, "unknown calls"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct spec_seccomp profile = {.default_action = rows[i].profile_default,
						     .rules = {rows[i].profile_rule, 1}};
		const struct spec_seccomp ceiling = {.default_action = rows[i].ceiling_default,
						     .rules = {rows[i].ceiling_rule, 1}};
		char message[160];
		struct err err = {0};
		int r = seccomp_check_ceiling(&profile, &ceiling, &err);

		assert_int_equal(r, rows[i].call ? ERR_DENIED : 0);
		(void)snprintf(message, sizeof(message),
			       "linux.seccomp: the profile allows more of '%s' than the ceiling", rows[i].call);
		assert_string_equal(err.msg, rows[i].call ? message : "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_everything_allowed_is_bound_by_the_floor),
		cmocka_unit_test(test_policy_of_engines_is_short),
		cmocka_unit_test(test_random_profiles_within_floors_and_ceilings),
		cmocka_unit_test(test_built_in_profile_needs_no_floor),
		cmocka_unit_test(test_ceiling_is_named_with_the_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
