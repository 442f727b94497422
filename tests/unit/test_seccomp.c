/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter compiler against two others: a reading of the profile's rules written for the test, for every call number
 * and the argument values around each condition, and libseccomp's filter where both give the same meaning.
 */
#include "sandbox/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/fdio.h"
#include "base/str.h"
#include "sandbox/syscalls.h"

/* Classic BPF as far as filters of system calls use it. Counts what it executed in *ret_steps. */
static uint32_t run(const struct sock_filter *code, size_t len, const struct seccomp_data *data, size_t *ret_steps)
{
	uint32_t a = 0;

	*ret_steps = 0;
	for (size_t at = 0; at < len; at++) {
		const struct sock_filter *in = &code[at];

		(*ret_steps)++;
		switch (in->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(in->k % 4 == 0 && in->k + 4 <= sizeof(*data));
			memcpy(&a, (const char *)data + in->k, 4);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= in->k;
			break;
		case BPF_JMP | BPF_JA:
			at += in->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			at += a == in->k ? in->jt : in->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			at += a >= in->k ? in->jt : in->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			at += a > in->k ? in->jt : in->jf;
			break;
		case BPF_RET | BPF_K:
			return in->k;
		default:
			fail_msg("instruction %#x at %zu", in->code, at);
		}
	}
	fail_msg("ran off the end");
	return 0;
}

static uint32_t with_data(uint32_t action, const struct spec_number *data)
{
	if (action == SECCOMP_RET_ERRNO)
		return action | (data->present ? (uint32_t)data->value : EPERM);
	return action;
}

static bool holds(const struct spec_seccomp_arg *arg, const struct seccomp_data *data)
{
	uint64_t value = data->args[arg->index];

	switch (arg->op) {
	case SPEC_OP_NE:
		return value != arg->value;
	case SPEC_OP_LT:
		return value < arg->value;
	case SPEC_OP_LE:
		return value <= arg->value;
	case SPEC_OP_EQ:
		return value == arg->value;
	case SPEC_OP_GE:
		return value >= arg->value;
	case SPEC_OP_GT:
		return value > arg->value;
	case SPEC_OP_MASKED_EQ:
		return (value & arg->value) == (arg->value_two & arg->value);
	}
	return false;
}

static bool all_hold(const struct spec_seccomp_args *args, const struct seccomp_data *data)
{
	bool any = false, all = true, repeated = false;

	for (size_t i = 0; i < args->count; i++) {
		bool one = holds(&args->items[i], data);

		any = any || one;
		all = all && one;
		for (size_t k = 0; k < i; k++)
			repeated = repeated || args->items[i].index == args->items[k].index;
	}
	return repeated ? any : all;
}

static bool names_number(const struct spec_seccomp_rule *rule, int number)
{
	for (size_t i = 0; i < rule->names.count; i++)
		if (syscalls_number(rule->names.items[i]) == number)
			return true;
	return false;
}

/* What the header of the compiler promises, read off it sentence by sentence. */
static uint32_t expected(const struct spec_seccomp *profile, const struct seccomp_data *data)
{
	uint32_t result = with_data(profile->default_action, &profile->default_errno_ret);

	if (data->arch != AUDIT_ARCH_X86_64)
		return SECCOMP_RET_KILL_PROCESS;
	if ((uint32_t)data->nr >= 0x40000000)
		return SECCOMP_RET_ERRNO | ENOSYS;
	for (size_t i = 0; i < profile->rules.count; i++) {
		const struct spec_seccomp_rule *rule = &profile->rules.items[i];

		if (rule->args.count && names_number(rule, data->nr) && all_hold(&rule->args, data))
			return with_data(rule->action, &rule->errno_ret);
	}
	for (size_t i = 0; i < profile->rules.count; i++) {
		const struct spec_seccomp_rule *rule = &profile->rules.items[i];

		if (!rule->args.count && names_number(rule, data->nr))
			result = with_data(rule->action, &rule->errno_ret);
	}
	return result;
}

static void compile(const struct spec_seccomp *profile, struct seccomp_program *program)
{
	struct err err = {0};

	if (seccomp_compile(profile, program, &err) < 0)
		fail_msg("%s", err.msg);
}

static void check_data(const struct spec_seccomp *profile, const struct seccomp_program *program,
		       const struct seccomp_data *data)
{
	size_t steps;
	uint32_t got = run(program->code, program->len, data, &steps), want = expected(profile, data);

	if (got != want)
		fail_msg("call %d, arguments %#llx %#llx: %#x instead of %#x", data->nr, data->args[0], data->args[1],
			 got, want);
}

/* The values around each condition of a call, one argument at a time and all together. */
static void check_values(const struct spec_seccomp *profile, const struct seccomp_program *program, int number)
{
	static const int64_t steps[] = {-1, 0, 1, 1ll << 32, -(1ll << 32), 1ll << 63};

	for (size_t i = 0; i < profile->rules.count; i++) {
		const struct spec_seccomp_rule *rule = &profile->rules.items[i];

		if (!rule->args.count || !names_number(rule, number))
			continue;
		for (size_t pick = 0; pick < ARRAY_SIZE(steps) * ARRAY_SIZE(steps); pick++) {
			struct seccomp_data data = {.nr = number, .arch = AUDIT_ARCH_X86_64};

			for (size_t k = 0; k < rule->args.count; k++) {
				const struct spec_seccomp_arg *arg = &rule->args.items[k];
				size_t step = k % 2 ? pick / ARRAY_SIZE(steps) : pick % ARRAY_SIZE(steps);
				uint64_t base = arg->op == SPEC_OP_MASKED_EQ ? arg->value_two : arg->value;

				data.args[arg->index] = base + (uint64_t)steps[step];
			}
			check_data(profile, program, &data);
		}
	}
}

static void check(const struct spec_seccomp *profile)
{
	struct seccomp_program program;

	compile(profile, &program);
	for (int number = -2; number < SYSCALLS_COUNT + 600; number++) {
		struct seccomp_data data = {.nr = number, .arch = AUDIT_ARCH_X86_64};

		check_data(profile, &program, &data);
		if (number >= 0)
			check_values(profile, &program, number);
		data.nr |= 0x40000000;
		check_data(profile, &program, &data);
		data.arch = AUDIT_ARCH_I386;
		check_data(profile, &program, &data);
	}
	seccomp_program_done(&program);
}

/* A small generator of its own, so that a failure comes again. */
static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*state >> 33);
}

#define RULES 24
#define NAMES 8

struct made {
	struct spec_seccomp profile;
	struct spec_seccomp_rule rules[RULES];
	struct spec_seccomp_arg args[RULES][3];
	const char *names[RULES][NAMES];
};

static const char *const pool[] = {
	"read",  "write",          "open", "close",      "stat",         "clone",           "socket",
	"ioctl", "fcntl",          "mmap", "futex",      "prctl",        "personality",     "statmount",
	"mseal", "io_uring_setup", "bpf",  "kexec_load", "unknown_call", "restart_syscall", "file_setattr",
};

static void make_rule(struct made *made, size_t index, uint64_t *seed)
{
	static const uint32_t actions[] = {SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS,
					   SECCOMP_RET_LOG};
	static const uint64_t values[] = {0, 1, 0x7e020000, 0xffffffff, 0x100000000, 0x123456789abcdef0, INT64_MAX};
	struct spec_seccomp_rule *rule = &made->rules[index];

	rule->action = actions[next_random(seed) % ARRAY_SIZE(actions)];
	rule->errno_ret = (struct spec_number){next_random(seed) % 2, next_random(seed) % 4096};
	rule->names = (struct spec_strings){made->names[index], 1 + next_random(seed) % NAMES};
	for (size_t i = 0; i < rule->names.count; i++)
		made->names[index][i] = pool[next_random(seed) % ARRAY_SIZE(pool)];
	rule->args = (struct spec_seccomp_args){made->args[index], next_random(seed) % 4};
	for (size_t i = 0; i < rule->args.count; i++)
		made->args[index][i] = (struct spec_seccomp_arg){
			.index = next_random(seed) % 6,
			.value = values[next_random(seed) % ARRAY_SIZE(values)],
			.value_two = values[next_random(seed) % ARRAY_SIZE(values)],
			.op = (enum spec_seccomp_op)(next_random(seed) % (SPEC_OP_MASKED_EQ + 1)),
		};
}

static void test_random_profiles(void **state)
{
	(void)state;
	for (uint64_t round = 0; round < 60; round++) {
		struct made made = {.profile = {.present = true}};
		uint64_t seed = round;

		made.profile.default_action = round % 3 ? SECCOMP_RET_ERRNO : SECCOMP_RET_ALLOW;
		made.profile.rules = (struct spec_seccomp_rules){made.rules, next_random(&seed) % RULES};
		for (size_t i = 0; i < made.profile.rules.count; i++)
			make_rule(&made, i, &seed);
		check(&made.profile);
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
		args[i] = (struct spec_seccomp_arg){.value = i, .op = SPEC_OP_EQ};
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

static uint32_t ask_default(const struct seccomp_program *program, const char *name, uint64_t first, uint64_t second,
			    uint64_t third)
{
	struct seccomp_data data = {.nr = syscalls_number(name),
				    .arch = AUDIT_ARCH_X86_64,
				    .args = {first, second, third}};
	size_t steps;

	assert_true(data.nr >= 0);
	return run(program->code, program->len, &data, &steps);
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
		{"socket", {16, 3, 0}, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW},
		{"socket", {16, 3, 6}, SECCOMP_RET_ERRNO | EAFNOSUPPORT, SECCOMP_RET_ERRNO | EAFNOSUPPORT},
		{"socket", {17}, SECCOMP_RET_ERRNO | EAFNOSUPPORT, SECCOMP_RET_ALLOW},
		{"socket", {38}, SECCOMP_RET_ERRNO | EAFNOSUPPORT, SECCOMP_RET_ERRNO | EAFNOSUPPORT},
		{"socket", {0x100000002}, SECCOMP_RET_ERRNO | EAFNOSUPPORT, SECCOMP_RET_ERRNO | EAFNOSUPPORT},
		{"ioctl", {0, 0x5401}, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW},
		{"ioctl", {0, 0x5412}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | EPERM},
		{"ioctl", {0, 0x700005412}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | EPERM},
		{"setsockopt", {0, 0, 64}, SECCOMP_RET_ERRNO | EPERM, SECCOMP_RET_ERRNO | EPERM},
		{"setsockopt", {0, 6, 64}, SECCOMP_RET_ALLOW, SECCOMP_RET_ALLOW},
		{"_sysctl", {0}, SECCOMP_RET_ERRNO | ENOSYS, SECCOMP_RET_ERRNO | ENOSYS},
	};
	struct seccomp_program none, all;
	struct err err;

	(void)state;
	assert_int_equal(seccomp_default(0, &none, &err), 0);
	assert_int_equal(seccomp_default(~0ull, &all, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const uint64_t *args = rows[i].args;

		if (ask_default(&none, rows[i].name, args[0], args[1], args[2]) != rows[i].without ||
		    ask_default(&all, rows[i].name, args[0], args[1], args[2]) != rows[i].with)
			fail_msg("row %zu, %s", i, rows[i].name);
	}
	assert_true(none.len <= 180);
	seccomp_program_done(&none);
	seccomp_program_done(&all);
}

/* libseccomp's filter for the same rules, exported as a program. */
static struct sock_filter *by_libseccomp(const struct spec_seccomp *profile, size_t *ret_len)
{
	scmp_filter_ctx context = seccomp_init(profile->default_action | EPERM);
	CLEANUP_BUF struct buf text = buf_of(1u << 20);
	int fd = memfd_create("filter", 0);

	assert_non_null(context);
	for (size_t i = 0; i < profile->rules.count; i++) {
		const struct spec_seccomp_rule *rule = &profile->rules.items[i];

		for (size_t k = 0; k < rule->names.count; k++) {
			static const enum scmp_compare operators[] = {
				[SPEC_OP_NE] = SCMP_CMP_NE,
				[SPEC_OP_LT] = SCMP_CMP_LT,
				[SPEC_OP_LE] = SCMP_CMP_LE,
				[SPEC_OP_EQ] = SCMP_CMP_EQ,
				[SPEC_OP_GE] = SCMP_CMP_GE,
				[SPEC_OP_GT] = SCMP_CMP_GT,
				[SPEC_OP_MASKED_EQ] = SCMP_CMP_MASKED_EQ,
			};
			struct scmp_arg_cmp compare[6];

			for (size_t n = 0; n < rule->args.count; n++)
				compare[n] = (struct scmp_arg_cmp){rule->args.items[n].index,
								   operators[rule->args.items[n].op],
								   rule->args.items[n].value,
								   rule->args.items[n].value_two};
			assert_int_equal(seccomp_rule_add_array(context, rule->action,
								syscalls_number(rule->names.items[k]),
								(unsigned int)rule->args.count, compare),
					 0);
		}
	}
	assert_int_equal(seccomp_export_bpf(context, fd), 0);
	seccomp_release(context);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(fdio_read_all(fd, &text), 0);
	(void)close(fd);
	*ret_len = text.len / sizeof(struct sock_filter);
	return (struct sock_filter *)buf_steal(&text);
}

/* All rules allow, each call once with conditions or without any: there both compilers mean the same. */
static void test_against_libseccomp(void **state)
{
	const char *plain[] = {"read",       "write",  "close",  "futex",     "mmap",
			       "exit_group", "accept", "openat", "getrandom", "rseq"};
	const char *clone_name[] = {"clone"}, *ioctl_name[] = {"ioctl"}, *socket_name[] = {"socket"};
	struct spec_seccomp_arg masked[] = {{0, 0x7e020000, 0, SPEC_OP_MASKED_EQ}};
	struct spec_seccomp_arg between[] = {{1, 0x5401, 0, SPEC_OP_GE}, {2, 0x1ffffffff, 0, SPEC_OP_LT}};
	struct spec_seccomp_arg families[][1] = {{{0, 1, 0, SPEC_OP_EQ}}, {{0, 10, 0, SPEC_OP_GT}}};
	struct spec_seccomp_rule rules[] = {
		{.names = {plain, ARRAY_SIZE(plain)}, .action = SECCOMP_RET_ALLOW},
		{.names = {clone_name, 1}, .action = SECCOMP_RET_ALLOW, .args = {masked, 1}},
		{.names = {ioctl_name, 1}, .action = SECCOMP_RET_ALLOW, .args = {between, 2}},
		{.names = {socket_name, 1}, .action = SECCOMP_RET_ALLOW, .args = {families[0], 1}},
		{.names = {socket_name, 1}, .action = SECCOMP_RET_ALLOW, .args = {families[1], 1}},
	};
	struct spec_seccomp profile = {.present = true,
				       .default_action = SECCOMP_RET_ERRNO,
				       .rules = {rules, ARRAY_SIZE(rules)}};
	static const uint64_t values[] = {0,          1,           2,           9,           10,         11,
					  0x5400,     0x5401,      0x5402,      0x20000,     0x10000000, 0x7e020000,
					  0x81ffffff, 0x1fffffffe, 0x1ffffffff, 0x200000000, UINT64_MAX};
	CLEANUP_FREE struct sock_filter *theirs = NULL;
	struct seccomp_program ours;
	size_t len, steps, compared = 0;

	(void)state;
	theirs = by_libseccomp(&profile, &len);
	compile(&profile, &ours);
	for (int number = 0; number < SYSCALLS_COUNT + 100; number++) {
		for (size_t i = 0; i < ARRAY_SIZE(values) * ARRAY_SIZE(values); i++) {
			uint64_t one = values[i % ARRAY_SIZE(values)], other = values[i / ARRAY_SIZE(values)];
			struct seccomp_data data = {.nr = number, .arch = AUDIT_ARCH_X86_64, .args = {one, one, other}};

			assert_int_equal(run(ours.code, ours.len, &data, &steps), run(theirs, len, &data, &steps));
			compared++;
		}
	}
	assert_true(compared > 100000);
	seccomp_program_done(&ours);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_profiles),     cmocka_unit_test(test_long_programs),
		cmocka_unit_test(test_too_long_is_refused), cmocka_unit_test(test_flags),
		cmocka_unit_test(test_default_profile),     cmocka_unit_test(test_against_libseccomp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
