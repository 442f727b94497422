/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter compiler against a second reading of the profile's rules, for every call number of every architecture and
 * the argument values around each condition. The comparison with libseccomp is test_seccomp_rules.
 */
#include "sandbox/seccomp.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "seccomp_random.h"
#include "seccomp_reference.h"

static uint32_t run(const struct seccomp_program *program, const struct seccomp_data *data)
{
	uint32_t value = 0;

	assert_true(reference_run(program->code, program->len, data, &value));
	return value;
}

static void compile(const struct spec_seccomp *profile, struct seccomp_program *program)
{
	struct err err = {0};

	if (seccomp_compile(profile, program, &err) < 0)
		fail_msg("%s", err.msg);
}

static void check_data(const struct spec_seccomp *profile, const struct seccomp_program *program,
		       const struct reference_names *names, const struct seccomp_data *data)
{
	uint32_t got = run(program, data), want = reference_expected(&profile, 1, names, data);

	if (got != want)
		fail_msg("architecture %#x, call %d, arguments %#llx %#llx: %#x instead of %#x", data->arch, data->nr,
			 data->args[0], data->args[1], got, want);
}

static bool is_narrow(uint32_t arch)
{
	return arch == AUDIT_ARCH_I386 || arch == AUDIT_ARCH_ARM;
}

/* The values around each condition of a call, one argument at a time and all together. */
static void check_values(const struct spec_seccomp *profile, const struct seccomp_program *program,
			 const struct reference_names *names, uint32_t arch, uint32_t number)
{
	static const int64_t steps[] = {-1, 0, 1, 1ll << 32, -(1ll << 32), INT64_MIN};

	for (size_t i = 0; i < profile->rules.count; i++) {
		const struct spec_seccomp_rule *rule = &profile->rules.items[i];

		if (!rule->args.count || !reference_is_named(rule, names))
			continue;
		for (size_t pick = 0; pick < ARRAY_SIZE(steps) * ARRAY_SIZE(steps); pick++) {
			struct seccomp_data data = {.nr = (int)number, .arch = arch};

			for (size_t k = 0; k < rule->args.count; k++) {
				const struct spec_seccomp_arg *arg = &rule->args.items[k];
				size_t step = k % 2 ? pick / ARRAY_SIZE(steps) : pick % ARRAY_SIZE(steps);
				uint64_t base = arg->op == SPEC_OP_MASKED_EQ ? arg->value_two : arg->value;

				base += (uint64_t)steps[step];
				data.args[arg->index] = is_narrow(arch) ? (uint32_t)base : base;
			}
			check_data(profile, program, names, &data);
		}
	}
}

static void check_number(const struct spec_seccomp *profile, const struct seccomp_program *program, uint32_t arch,
			 enum syscalls_abi abi, uint32_t number)
{
	struct reference_names names = reference_names_of(abi, number);
	struct seccomp_data data = {.nr = (int)number, .arch = arch};

	for (size_t i = 0; i < (abi == SYSCALLS_X86 ? 32 : 1); i++) {
		data.args[0] = i;
		check_data(profile, program, &names, &data);
	}
	check_values(profile, program, &names, arch, number);
}

/* Every number of every architecture, x32's and arm's private ones, the ends of what a number can be, some between. */
static void check_program(const struct spec_seccomp *profile, const struct seccomp_program *program)
{
	static const struct {
		uint32_t arch;
		enum syscalls_abi abi;
		uint32_t base;
	} spaces[] = {
		{AUDIT_ARCH_X86_64, SYSCALLS_X86_64, 0}, {AUDIT_ARCH_X86_64, SYSCALLS_X32, REFERENCE_X32},
		{AUDIT_ARCH_I386, SYSCALLS_X86, 0},      {AUDIT_ARCH_AARCH64, SYSCALLS_AARCH64, 0},
		{AUDIT_ARCH_ARM, SYSCALLS_ARM, 0},       {AUDIT_ARCH_ARM, SYSCALLS_ARM, 0xf0000},
		{AUDIT_ARCH_S390X, SYSCALLS_X86_64, 0},
	};
	static const uint32_t ends[] = {0x3fffffff, 0x7fffffff, 0x80000000, 0xbfffffff,
					0xc0000000, 0xfffffffe, UINT32_MAX};
	uint64_t seed = program->len;

	assert_true(reference_is_sound(program->code, program->len));
	for (size_t i = 0; i < ARRAY_SIZE(spaces); i++) {
		for (uint32_t n = 0; n < 1100; n++)
			check_number(profile, program, spaces[i].arch, spaces[i].abi, spaces[i].base + n);
		for (size_t n = 0; n < ARRAY_SIZE(ends) + 64; n++) {
			uint32_t number = n < ARRAY_SIZE(ends) ? ends[n] : random_next(&seed) << 1 | (n & 1);
			bool x32 = spaces[i].arch == AUDIT_ARCH_X86_64 && number >= REFERENCE_X32;

			check_number(profile, program, spaces[i].arch,
				     x32                             ? SYSCALLS_X32
				     : spaces[i].abi == SYSCALLS_X32 ? SYSCALLS_X86_64
								     : spaces[i].abi,
				     number);
		}
	}
}

static void check(const struct spec_seccomp *profile)
{
	struct seccomp_program program;

	compile(profile, &program);
	check_program(profile, &program);
	seccomp_program_done(&program);
}

/* BULKHEAD_LONG=N in the environment: so many times as many rounds. */
static uint64_t rounds(uint64_t usual)
{
	const char *times = getenv("BULKHEAD_LONG");

	return times ? usual * strtoull(times, NULL, 10) : usual;
}

static void test_random_profiles(void **state)
{
	(void)state;
	for (uint64_t round = 0; round < rounds(16); round++) {
		struct random_profile made;

		random_profile_make(&made, round);
		check(&made.profile);
	}
}

/* Many looks at one argument: what is loaded already is not loaded again, unless a mask has changed it. */
static void test_conditions_on_one_word(void **state)
{
	static const char *const names[] = {"ioctl"};
	static struct spec_seccomp_arg args[] = {
		{1, 0x0f00, 0x0300, SPEC_OP_MASKED_EQ},
		{1, 0x00ff, 0x0011, SPEC_OP_MASKED_EQ},
		{1, 0x5412, 0, SPEC_OP_EQ},
		{1, 0xf000, 0x6000, SPEC_OP_MASKED_EQ},
		{1, 0x7777, 0, SPEC_OP_GT},
		{1, 0x70f0, 0x2050, SPEC_OP_MASKED_EQ},
		{1, 0x1000, 0, SPEC_OP_LE},
		{1, 0x8000, 0x8000, SPEC_OP_MASKED_EQ},
		{1, 0x0ff0000000ff, 0x011000000022, SPEC_OP_MASKED_EQ},
	};
	static struct spec_seccomp_rule rules[ARRAY_SIZE(args)];
	struct spec_seccomp profile = {.default_action = SECCOMP_RET_ALLOW, .rules = {rules, ARRAY_SIZE(rules)}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		rules[i] = (struct spec_seccomp_rule){.names = {(const char **)names, 1},
						      .action = SECCOMP_RET_ERRNO,
						      .errno_ret = {true, (int64_t)i + 1},
						      .args = {&args[i], 1}};
	check(&profile);
	/* The other way round, other tests come first. */
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		rules[i].args.items = &args[ARRAY_SIZE(rules) - 1 - i];
	check(&profile);
}

/* What an earlier condition of a rule says about an argument holds for the rules behind it: all of it, and no more. */
static void test_what_conditions_say_of_later_ones(void **state)
{
	static const char *const names[] = {"ioctl", "socket"};
	static struct spec_seccomp_arg args[][2] = {
		{{0, 0x0f00, 0x0300, SPEC_OP_MASKED_EQ}, {1, 1, 0, SPEC_OP_EQ}},
		{{0, 0xffffffff, 0x0300, SPEC_OP_MASKED_EQ}, {1, 2, 0, SPEC_OP_EQ}},
		{{0, 0x0301, 0, SPEC_OP_EQ}, {2, 5, 0, SPEC_OP_NE}},
		{{0, 0xffffffff, 0x0301, SPEC_OP_MASKED_EQ}, {1, 7, 0, SPEC_OP_LT}},
		{{0, 0x0300, 0, SPEC_OP_GE}, {1, 3, 0, SPEC_OP_GT}},
		{{0, 0xffffffff00000000, 0x100000000, SPEC_OP_MASKED_EQ}, {1, 0, 0, SPEC_OP_GE}},
		{{0, 0x0300, 0, SPEC_OP_NE}, {0, 0x100000300, 0, SPEC_OP_EQ}},
	};
	static struct spec_seccomp_rule rules[ARRAY_SIZE(args)];
	struct spec_seccomp profile = {.default_action = SECCOMP_RET_ALLOW, .rules = {rules, ARRAY_SIZE(rules)}};

	(void)state;
	for (size_t turn = 0; turn < ARRAY_SIZE(args); turn++) {
		for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
			rules[i] = (struct spec_seccomp_rule){.names = {(const char **)names, 2},
							      .action = SECCOMP_RET_ERRNO,
							      .errno_ret = {true, (int64_t)i + 1},
							      .args = {args[(i + turn) % ARRAY_SIZE(args)], 2}};
		check(&profile);
	}
}

/* Far jumps: so many conditions that the tree's arms are longer than a conditional jump reaches. */
static void test_long_programs(void **state)
{
	static const char *const names[] = {"read", "write", "ioctl"};
	static struct spec_seccomp_arg args[100];
	static struct spec_seccomp_rule rules[100];
	struct spec_seccomp profile = {.present = true,
				       .default_action = SECCOMP_RET_ALLOW,
				       .rules = {rules, ARRAY_SIZE(rules)}};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		args[i] = (struct spec_seccomp_arg){.index = i % 6, .value = i * 0x100000001ull, .op = SPEC_OP_EQ};
		rules[i] = (struct spec_seccomp_rule){.names = {(const char **)names, ARRAY_SIZE(names)},
						      .action = SECCOMP_RET_ERRNO,
						      .errno_ret = {true, (int64_t)i + 1},
						      .args = {&args[i], 1}};
	}
	check(&profile);
}

static void test_too_long_is_refused(void **state)
{
	static const char *const name = "read";
	static struct spec_seccomp_arg args[1200];
	static struct spec_seccomp_rule rules[1200];
	struct spec_seccomp profile = {.present = true,
				       .default_action = SECCOMP_RET_ALLOW,
				       .rules = {rules, ARRAY_SIZE(rules)}};
	struct seccomp_program program;
	struct err err;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		args[i] = (struct spec_seccomp_arg){.value = i * 0x100000001ull, .op = SPEC_OP_EQ};
		rules[i] = (struct spec_seccomp_rule){.names = {(const char **)&name, 1}, .args = {&args[i], 1}};
	}
	assert_int_equal(seccomp_compile(&profile, &program, &err), -E2BIG);
	assert_string_equal(err.msg, "linux.seccomp: the profile needs more than 4096 instructions");
}

static void test_flags(void **state)
{
	const char *words[] = {"SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_X"};
	struct spec_seccomp profile = {.present = true, .flags = {words, 1}};
	struct seccomp_program program;
	struct err err;

	(void)state;
	compile(&profile, &program);
	assert_int_equal(program.flags, SECCOMP_FILTER_FLAG_LOG);
	seccomp_program_done(&program);
	profile.flags.count = 2;
	assert_int_equal(seccomp_compile(&profile, &program, &err), ERR_INVALID);
	assert_string_equal(err.msg, "linux.seccomp.flags[1]: unknown flag 'SECCOMP_FILTER_FLAG_X'");
}

static void test_listener(void **state)
{
	const char *words[] = {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"}, *names[] = {"mkdir", "no_such_call"};
	struct spec_seccomp_rule rule = {.names = {names, 1}, .action = SECCOMP_RET_USER_NOTIF};
	struct spec_seccomp profile = {.default_action = SECCOMP_RET_ALLOW, .rules = {&rule, 1}, .flags = {words, 1}};
	struct seccomp_program program;
	struct err err;

	(void)state;
	assert_int_equal(seccomp_compile(&profile, &program, &err), ERR_INVALID);
	assert_string_equal(err.msg, "linux.seccomp.listenerPath: is missing, SCMP_ACT_NOTIFY needs it");
	profile.listener_path = "/agent";
	compile(&profile, &program);
	assert_true(program.notifies);
	assert_int_equal(program.flags, 1u << 5);
	seccomp_program_done(&program);
	/* Nobody is asked about a call that no architecture has, and the kernel refuses the flag without a listener. */
	rule.names.items = names + 1;
	profile.listener_path = NULL;
	compile(&profile, &program);
	assert_false(program.notifies);
	assert_int_equal(program.flags, 0);
	seccomp_program_done(&program);
}

static uint32_t ask_default(const struct seccomp_program *program, const char *name, uint64_t first, uint64_t second,
			    uint64_t third)
{
	struct seccomp_data data = {.nr = syscalls_number(name),
				    .arch = AUDIT_ARCH_X86_64,
				    .args = {first, second, third}};

	assert_true(data.nr >= 0);
	return run(program, &data);
}

static void test_default_profile(void **state)
{
	static const struct {
		const char *name;
		uint64_t args[3];
		uint32_t without, with; /* without any capability, with all of them */
	} rows[] = {
		{"read", {0}, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW},
		{"execve", {0}, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW},
		{"io_uring_setup", {0}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | EPERM},
		{"keyctl", {0}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | EPERM},
		{"bpf", {0}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | EPERM},
		{"unshare", {0}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | EPERM},
		{"setns", {0}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | EPERM},
		{"ptrace", {0}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW},
		{"mount", {0}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW},
		{"fsopen", {0}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | EPERM},
		{"clone3", {0}, SECCOMP_RET_ERRNO | ENOSYS, SECCOMP_RET_ERRNO | ENOSYS},
		{"clone", {0x01200011}, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW},
		{"clone", {0x10000011}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | EPERM},
		{"clone", {0x40000000}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | EPERM},
		{"socket", {1}, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW},
		{"socket", {2, 5, 132}, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW},
		{"socket", {10}, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW},
		{"socket", {2, 3, 1}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW},
		{"socket", {2, 0x80803, 1}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW},
		{"socket", {2, 10}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW}, /* the kernel makes it 17 */
		{"socket", {10, 3, 58}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ALLOW},
		{"socket", {2, 2, 1}, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW},
		{"socket", {16, 3, 0}, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW},
		{"socket", {16, 3, 6}, SECCOMP_RET_ERRNO | EAFNOSUPPORT, SECCOMP_RET_ERRNO | EAFNOSUPPORT},
		{"socket", {17}, SECCOMP_RET_ERRNO | EAFNOSUPPORT, SECCOMP_RET_ALLOW},
		{"socket", {38}, SECCOMP_RET_ERRNO | EAFNOSUPPORT, SECCOMP_RET_ERRNO | EAFNOSUPPORT},
		{"socket", {0x100000002}, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW}, /* the kernel sees 2 */
		{"socket", {0x100000026}, SECCOMP_RET_ERRNO | EAFNOSUPPORT, SECCOMP_RET_ERRNO | EAFNOSUPPORT},
		{"ioctl", {0, 0x5401}, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW},
		{"ioctl", {0, 0x5412}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | EPERM},
		{"ioctl", {0, 0x700005412}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | EPERM},
		{"setsockopt", {0, 0, 64}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | EPERM},
		{"setsockopt", {0, 6, 64}, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW},
		{"_sysctl", {0}, SECCOMP_RET_ERRNO | ENOSYS, SECCOMP_RET_ERRNO | ENOSYS},
	};
	const struct seccomp_floor no_capability = {0}, every_capability = {.capabilities = ~0ull};
	struct seccomp_program none, all;
	struct err err;

	(void)state;
	assert_int_equal(seccomp_default(&no_capability, &none, &err), 0);
	assert_int_equal(seccomp_default(&every_capability, &all, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const uint64_t *args = rows[i].args;

		if (ask_default(&none, rows[i].name, args[0], args[1], args[2]) != rows[i].without ||
		    ask_default(&all, rows[i].name, args[0], args[1], args[2]) != rows[i].with)
			fail_msg("row %zu, %s", i, rows[i].name);
	}
	if (none.len > 110 || all.len > 110)
		fail_msg("%zu and %zu instructions", (size_t)none.len, (size_t)all.len);
	seccomp_program_done(&none);
	seccomp_program_done(&all);
}

static void test_architectures(void **state)
{
	const char *words[] = {"SCMP_ARCH_X86", "SCMP_ARCH_VAX"};
	struct spec_seccomp profile = {.present = true, .architectures = {words, 2}};
	struct seccomp_program program;
	struct err err;

	(void)state;
	assert_int_equal(seccomp_compile(&profile, &program, &err), ERR_INVALID);
	assert_string_equal(err.msg, "linux.seccomp.architectures[1]: unknown architecture 'SCMP_ARCH_VAX'");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_conditions_on_one_word),
		cmocka_unit_test(test_what_conditions_say_of_later_ones),
		cmocka_unit_test(test_random_profiles),
		cmocka_unit_test(test_long_programs),
		cmocka_unit_test(test_too_long_is_refused),
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_default_profile),
		cmocka_unit_test(test_architectures),
		cmocka_unit_test(test_listener),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
