/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter compiler beside libseccomp: the same verdict for every number of every architecture, for a policy as engines
 * bring it and for random ones of the kind where both mean the same: a call has either one rule without conditions, or
 * rules with conditions and one action. The table of numbers is libseccomp's too.
 */
#include "sandbox/seccomp_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "sandbox/seccomp.h"
#include "seccomp_library.h"
#include "seccomp_policy.h"
#include "seccomp_random.h"
#include "seccomp_reference.h"

static const struct {
	uint32_t arch;
	enum syscalls_abi abi;
	const char *name;
	uint32_t base;
} spaces[] = {
	{AUDIT_ARCH_X86_64, SYSCALLS_X86_64, "SCMP_ARCH_X86_64", 0},
	{AUDIT_ARCH_X86_64, SYSCALLS_X32, "SCMP_ARCH_X32", REFERENCE_X32},
	{AUDIT_ARCH_I386, SYSCALLS_X86, "SCMP_ARCH_X86", 0},
	{AUDIT_ARCH_AARCH64, SYSCALLS_AARCH64, "SCMP_ARCH_AARCH64", 0},
	{AUDIT_ARCH_ARM, SYSCALLS_ARM, "SCMP_ARCH_ARM", 0},
	{AUDIT_ARCH_ARM, SYSCALLS_ARM, "SCMP_ARCH_ARM", 0xf0000},
};

struct pair {
	struct seccomp_program ours;
	struct sock_filter *theirs;
	size_t their_len;
	size_t compared;
};

static void pair_make(struct pair *pair, const struct spec_seccomp *profile)
{
	struct err err = {0};

	*pair = (struct pair){0};
	if (seccomp_compile(profile, &pair->ours, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(reference_is_sound(pair->ours.code, pair->ours.len));
	pair->theirs = library_compile(profile, 0, &pair->their_len);
	assert_non_null(pair->theirs);
}

static void pair_done(struct pair *pair)
{
	seccomp_program_done(&pair->ours);
	free(pair->theirs);
}

static void compare(struct pair *pair, const struct seccomp_data *data)
{
	uint32_t ours = 0, theirs = 0;

	assert_true(reference_run(pair->ours.code, pair->ours.len, data, &ours));
	assert_true(reference_run(pair->theirs, pair->their_len, data, &theirs));
	if (ours != theirs)
		fail_msg("architecture %#x, call %#x, arguments %#llx %#llx %#llx: %#x, by libseccomp %#x", data->arch,
			 data->nr, data->args[0], data->args[1], data->args[2], ours, theirs);
	pair->compared++;
}

static bool is_narrow(size_t space)
{
	return spaces[space].abi != SYSCALLS_X86_64 && spaces[space].abi != SYSCALLS_AARCH64;
}

static bool is_granted(const struct spec_seccomp *profile, size_t space)
{
	return spaces[space].abi == SYSCALLS_X86_64 || reference_grants(profile, spaces[space].name);
}

/* How many values a call is tried with: none when libseccomp's version does not know it, one when nobody does. */
static size_t tries(size_t space, uint32_t number, size_t all)
{
	struct reference_names names = reference_names_of(spaces[space].abi, number);

	if (names.count == 0)
		return 1;
	return seccomp_syscall_resolve_name(names.items[0]) == __NR_SCMP_ERROR ? 0 : all;
}

/*
 * Calls of x32 that is not granted fail with ENOSYS here and kill there. Where it is granted, libseccomp looks at half of
 * each argument as in 32-bit architectures, though the kernel may take all of it.
 */
static void compare_all(struct pair *pair, const struct spec_seccomp *profile, const uint64_t *values, size_t count)
{
	for (size_t i = 0; i < ARRAY_SIZE(spaces); i++) {
		bool narrow = is_narrow(i);

		if (spaces[i].abi == SYSCALLS_X32 && !is_granted(profile, i))
			continue;
		for (uint32_t number = 0; number < 2100; number++) {
			size_t all = tries(i, spaces[i].base + number, count * count);

			for (size_t k = 0; k < all; k++) {
				uint64_t one = values[k % count], other = values[k / count];
				struct seccomp_data data = {.nr = (int)(spaces[i].base + number),
							    .arch = spaces[i].arch};

				if (narrow && (one > UINT32_MAX || other > UINT32_MAX))
					continue;
				for (size_t n = 0; n < 6; n++)
					data.args[n] = n % 2 ? other : one;
				compare(pair, &data);
			}
		}
	}
}

static void test_policy_of_an_engine(void **state)
{
	static const uint64_t values[] = {0,       1,       7,          8,          9,          16,        17,
					  0x20000, 0x20008, 0x10000000, 0x7e020000, 0xffffffff, 1ull << 32};

	(void)state;
	for (int all = 0; all < 2; all++) {
		const struct spec_seccomp policy = policy_make(all);
		struct pair pair;
		size_t names = 0;

		for (size_t i = 0; i < policy.rules.count; i++)
			names += policy.rules.items[i].names.count;
		assert_true(names > 330);
		pair_make(&pair, &policy);
		compare_all(&pair, &policy, values, ARRAY_SIZE(values));
		assert_true(pair.compared > 60000);
		assert_true(all ? pair.ours.len <= 280 : pair.ours.len <= 100);
		assert_true(pair.ours.len * 3 < pair.their_len);
		pair_done(&pair);
	}
}

/* Names that no architecture takes through a multiplexer: there libseccomp compares addresses with the conditions. */
static const char *const plain_names[] = {"read",    "write", "openat", "close",       "statx",        "clone",
					  "rseq",    "ioctl", "waitid", "personality", "rt_sigaction", "brk",
					  "mseal",   "prctl", "open",   "renameat2",   "futex",        "exit",
					  "waitpid", "mmap",  "lseek"};

static void make_rule(struct random_profile *made, size_t index, uint64_t *seed, bool narrow)
{
	static const uint64_t wide[] = {0, 1, 2, 0xffffffff, 0x100000000, 0x100000001, 0x123456789abcdef0, INT64_MAX};
	struct spec_seccomp_rule *rule = &made->rules[index];
	size_t count = random_next(seed) % 4;

	made->names[index][0] = plain_names[index];
	rule->names = (struct spec_strings){made->names[index], 1};
	rule->args = (struct spec_seccomp_args){made->args[index], count};
	for (size_t i = 0; i < count; i++)
		made->args[index][i] = (struct spec_seccomp_arg){
			.index = 2 * (uint32_t)i + random_next(seed) % 2,
			.value = wide[random_next(seed) % (narrow ? 4 : ARRAY_SIZE(wide))],
			.value_two = wide[random_next(seed) % (narrow ? 4 : ARRAY_SIZE(wide))],
			.op = (enum spec_seccomp_op)(random_next(seed) % (SPEC_OP_MASKED_EQ + 1)),
		};
	/* libseccomp tells a comparison with bits outside of its mask from the same without them. */
	for (size_t i = 0; i < count; i++)
		if (made->args[index][i].op == SPEC_OP_MASKED_EQ)
			made->args[index][i].value_two &= made->args[index][i].value;
	rule->action = index % 2 ? SECCOMP_RET_ALLOW : SECCOMP_RET_LOG;
}

static uint64_t rounds(uint64_t usual)
{
	const char *times = getenv("BULKHEAD_LONG");

	return times ? usual * strtoull(times, NULL, 10) : usual;
}

static void test_random_policies(void **state)
{
	static const uint64_t values[] = {0,
					  1,
					  2,
					  3,
					  0xfffffffe,
					  0xffffffff,
					  0x100000000,
					  0x100000001,
					  0x123456789abcdeef,
					  0x123456789abcdef0,
					  INT64_MAX,
					  UINT64_MAX};

	(void)state;
	for (uint64_t round = 0; round < rounds(5); round++) {
		struct random_profile made = {.profile = {.default_action = SECCOMP_RET_ERRNO}};
		uint64_t seed = round;
		bool narrow = false;
		struct pair pair;

		made.profile.architectures = (struct spec_strings){made.listed, round % 4};
		for (size_t i = 0; i < round % 4; i++) {
			size_t space = random_next(&seed) % 5;

			made.listed[i] = spaces[space].name;
			narrow = narrow || is_narrow(space);
		}
		made.profile.rules = (struct spec_seccomp_rules){made.rules, ARRAY_SIZE(plain_names)};
		for (size_t i = 0; i < ARRAY_SIZE(plain_names); i++)
			make_rule(&made, i, &seed, narrow);
		pair_make(&pair, &made.profile);
		compare_all(&pair, &made.profile, values, round % 5 == 4 ? ARRAY_SIZE(values) : 4);
		pair_done(&pair);
	}
}

/* Every number that libseccomp has a name for has it here, and no other; newer calls have the one number of all. */
static void test_table_of_numbers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(spaces); i++) {
		uint32_t token = library_architecture(spaces[i].name), known = 0;

		for (uint32_t n = 0; n < 1024; n++) {
			struct reference_names names = reference_names_of(spaces[i].abi, spaces[i].base + n);
			char *name = seccomp_syscall_resolve_num_arch(token, (int)(spaces[i].base + n));
			bool found = false;

			for (size_t k = 0; name && k < names.count; k++)
				found = found || str_eq(names.items[k], name);
			if (name && !found)
				fail_msg("%s: %u is %s", spaces[i].name, n, name);
			if (!name && names.count && n < 457 && !(n >= 335 && n <= 336))
				fail_msg("%s: %u is not %s", spaces[i].name, n, names.items[0]);
			known += name != NULL;
			free(name);
		}
		assert_true(known > (spaces[i].base == 0xf0000 ? 4 : 300));
	}
	for (int i = 0; i < syscalls_count(); i++)
		assert_int_equal(syscalls_find(syscalls_name(i)), i);
	assert_int_equal(syscalls_find("no_such_call"), -1);
	assert_int_equal(syscalls_find(""), -1);
	for (size_t i = 0; i < SYSCALLS_ABIS; i++)
		assert_int_equal(syscalls_code(syscalls_find("file_setattr"), (enum syscalls_abi)i), 469);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_policy_of_an_engine),
		cmocka_unit_test(test_random_policies),
		cmocka_unit_test(test_table_of_numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
