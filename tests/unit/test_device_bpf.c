/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/device_bpf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* One instruction of those that the compiler emits; *at moves on. False at the end of the program. */
static bool step(const struct bpf_insn *code, size_t *at, uint64_t *registers, const struct bpf_cgroup_dev_ctx *context)
{
	const struct bpf_insn *insn = &code[*at];
	uint64_t value = BPF_SRC(insn->code) == BPF_X ? registers[insn->src_reg] : (uint64_t)(int64_t)insn->imm;
	uint64_t *to = &registers[insn->dst_reg];

	(*at)++;
	switch (insn->code) {
	case BPF_LDX | BPF_W | BPF_MEM:
		*to = *(const uint32_t *)((const char *)context + insn->off);
		return true;
	case BPF_ALU64 | BPF_MOV | BPF_K:
		*to = value;
		return true;
	case BPF_ALU | BPF_MOV | BPF_X:
		*to = (uint32_t)value;
		return true;
	case BPF_ALU | BPF_AND | BPF_K:
		*to = (uint32_t)*to & (uint32_t)value;
		return true;
	case BPF_ALU | BPF_RSH | BPF_K:
		*to = (uint32_t)*to >> value;
		return true;
	case BPF_JMP32 | BPF_JNE | BPF_K:
		*at += (uint32_t)*to != (uint32_t)value ? (size_t)insn->off : 0;
		return true;
	case BPF_JMP32 | BPF_JEQ | BPF_K:
		*at += (uint32_t)*to == (uint32_t)value ? (size_t)insn->off : 0;
		return true;
	case BPF_JMP | BPF_EXIT:
		return false;
	default:
		fail_msg("instruction %#x is none that was expected", insn->code);
	}
	return false;
}

static bool run(const struct device_bpf_program *program, char type, uint32_t access, uint32_t major, uint32_t minor)
{
	const struct bpf_cgroup_dev_ctx context = {
		.access_type = access << 16 | (type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR),
		.major = major,
		.minor = minor,
	};
	uint64_t registers[11] = {0};
	size_t at = 0;

	while (step(program->code, &at, registers, &context))
		assert_true(at < program->count);
	return registers[0] == 1;
}

static uint32_t bits_of(const char *word)
{
	uint32_t bits = 0;

	bits |= strchr(word, 'r') ? BPF_DEVCG_ACC_READ : 0;
	bits |= strchr(word, 'w') ? BPF_DEVCG_ACC_WRITE : 0;
	bits |= strchr(word, 'm') ? BPF_DEVCG_ACC_MKNOD : 0;
	return bits;
}

/* The header's sentence, word by word. */
static bool reference(const struct spec_device_rule *rules, size_t count, char type, uint32_t access, uint32_t major,
		      uint32_t minor)
{
	for (uint32_t bit = 1; bit <= 4; bit <<= 1) {
		bool allowed = false;

		if (!(access & bit))
			continue;
		for (size_t i = 0; i < count; i++)
			if ((rules[i].type == 'a' || rules[i].type == type) && (bits_of(rules[i].access) & bit) &&
			    (rules[i].major < 0 || rules[i].major == major) &&
			    (rules[i].minor < 0 || rules[i].minor == minor))
				allowed = rules[i].allow;
		if (!allowed)
			return false;
	}
	return true;
}

static void compare(const struct spec_device_rule *rules, size_t count)
{
	static const uint32_t numbers[] = {0, 1, 2, 8, 0xfffff};
	struct device_bpf_program program;

	assert_int_equal(device_bpf_compile(rules, count, &program), 0);
	for (uint32_t access = 1; access < 8; access++)
		for (size_t i = 0; i < 25; i++)
			for (int block = 0; block < 2; block++) {
				char type = block ? 'b' : 'c';
				uint32_t major = numbers[i / 5], minor = numbers[i % 5];

				assert_int_equal(run(&program, type, access, major, minor),
						 reference(rules, count, type, access, major, minor));
			}
	device_bpf_done(&program);
	assert_null(program.code);
}

static void test_known_lists(void **state)
{
	static const struct spec_device_rule deny_all = {false, 'a', -1, -1, "rwm"};
	static const struct spec_device_rule usual[] = {
		{false, 'a', -1, -1, "rwm"},
		{true, 'c', 1, 2, "rw"},
		{true, 'b', 8, -1, "r"},
		{false, 'b', 8, 1, "r"},
	};
	struct device_bpf_program program;

	(void)state;
	compare(NULL, 0);
	compare(&deny_all, 1);
	compare(usual, ARRAY_SIZE(usual));
	assert_int_equal(device_bpf_compile(usual, ARRAY_SIZE(usual), &program), 0);
	assert_true(run(&program, 'c', BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE, 1, 2));
	assert_false(run(&program, 'c', BPF_DEVCG_ACC_MKNOD, 1, 2));
	assert_false(run(&program, 'b', BPF_DEVCG_ACC_READ, 1, 2));
	assert_true(run(&program, 'b', BPF_DEVCG_ACC_READ, 8, 2));
	assert_false(run(&program, 'b', BPF_DEVCG_ACC_READ, 8, 1));
	device_bpf_done(&program);
}

/* A later "everything" makes what stands before it unreachable, which the kernel would refuse. */
static void test_nothing_is_unreachable(void **state)
{
	static const struct spec_device_rule rules[] = {
		{true, 'c', 1, 2, "rw"},
		{true, 'c', 1, 3, "rw"},
		{false, 'a', -1, -1, "rwm"},
		{true, 'c', 1, 8, "r"},
	};
	struct device_bpf_program whole, cut;

	(void)state;
	assert_int_equal(device_bpf_compile(rules, 4, &whole), 0);
	assert_int_equal(device_bpf_compile(rules + 2, 2, &cut), 0);
	assert_int_equal(whole.count, cut.count);
	assert_memory_equal(whole.code, cut.code, cut.count * sizeof(*cut.code));
	device_bpf_done(&whole);
	device_bpf_done(&cut);
}

static uint32_t next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void test_random_lists(void **state)
{
	static const char *const accesses[] = {"r", "w", "m", "rw", "rm", "wm", "rwm"};
	static const int64_t numbers[] = {-1, -1, 0, 1, 2, 8};
	uint32_t seed = 20261122;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct spec_device_rule rules[12];
		size_t count = next(&seed) % 12;

		for (size_t i = 0; i < count; i++)
			rules[i] = (struct spec_device_rule){
				.allow = next(&seed) % 2,
				.type = "acb"[next(&seed) % 3],
				.major = numbers[next(&seed) % ARRAY_SIZE(numbers)],
				.minor = numbers[next(&seed) % ARRAY_SIZE(numbers)],
				.access = accesses[next(&seed) % ARRAY_SIZE(accesses)],
			};
		compare(rules, count);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_lists),
		cmocka_unit_test(test_nothing_is_unreachable),
		cmocka_unit_test(test_random_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
