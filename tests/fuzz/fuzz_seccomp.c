/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The filter compiler: a profile as config.json has it, then, behind a NUL, arguments to try. Whatever compiles must be
 * what the kernel's checker takes, and must say what the plain reading of the rules says. A second profile behind a
 * further NUL is the ceiling.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oci/spec.h"
#include "sandbox/seccomp.h"
#include "seccomp_reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RULES_MAX 200 /* more make each try slow and find nothing new */

struct input {
	struct spec profile;
	struct spec ceiling;
	uint64_t args[8];
	size_t arg_count;
	bool has_ceiling;
};

static bool parse(struct spec *spec, const uint8_t *text, size_t len)
{
	static const char head[] = "{\"ociVersion\":\"1.2.0\",\"linux\":{\"seccomp\":";
	size_t head_len = sizeof(head) - 1;
	char *bytes = malloc(head_len + len + 2);
	struct err err = {0};
	bool good;

	if (!bytes)
		abort();
	memcpy(bytes, head, head_len);
	memcpy(bytes + head_len, text, len);
	memcpy(bytes + head_len + len, "}}", 2);
	good = spec_parse(spec, bytes, head_len + len + 2, &err) == 0;
	if (!good && (err.code >= 0 || !err.msg[0]))
		abort();
	free(bytes);
	return good && spec->linux_.seccomp.present && spec->linux_.seccomp.rules.count <= RULES_MAX;
}

/* profile NUL arguments (eight bytes each, up to eight of them, counted by the first byte) ceiling */
static bool read_input(struct input *input, const uint8_t *data, size_t size)
{
	const uint8_t *end = memchr(data, 0, size);
	size_t len = end ? (size_t)(end - data) : size, rest = end ? size - len - 1 : 0;
	size_t count = rest ? end[1] % 9 : 0;

	if (!parse(&input->profile, data, len))
		return false;
	if (rest < 1 + 8 * count)
		return true;
	memcpy(input->args, end ? end + 2 : data, 8 * count);
	input->arg_count = count;
	rest -= rest ? 1 + 8 * count : 0;
	input->has_ceiling = rest > 0 && parse(&input->ceiling, end + 2 + 8 * count, rest);
	return true;
}

static void check_call(const struct input *input, const struct seccomp_program *program, uint32_t arch, uint32_t number,
		       const struct reference_names *names)
{
	const struct spec_seccomp *profiles[] = {&input->profile.linux_.seccomp, &input->ceiling.linux_.seccomp};
	bool narrow = arch == AUDIT_ARCH_I386 || arch == AUDIT_ARCH_ARM;

	for (size_t i = 0; i <= input->arg_count; i++) {
		struct seccomp_data data = {.nr = (int)number, .arch = arch};
		uint32_t got = 0, want;
		bool ended;

		for (size_t k = 0; i > 0 && k < 6; k++) {
			uint64_t value = input->args[(i - 1 + k) % input->arg_count];

			data.args[k] = narrow ? (uint32_t)value : value;
		}
		want = reference_expected(profiles, input->has_ceiling ? 2 : 1, names, &data);
		ended = reference_run(program->code, program->len, &data, &got);
		if (ended && got == want)
			continue;
		(void)fprintf(stderr, "architecture %#x, call %#x, arguments %#llx %#llx %#llx: %#x instead of %#x%s\n",
			      arch, number, data.args[0], data.args[1], data.args[2], got, want,
			      ended ? "" : ", no return");
		abort();
	}
}

/* Every call that a rule names, and some that none does. */
static void check_calls(const struct input *input, const struct seccomp_program *program, const struct spec *spec)
{
	static const struct {
		uint32_t arch;
		enum syscalls_abi abi;
	} spaces[] = {
		{AUDIT_ARCH_X86_64, SYSCALLS_X86_64}, {AUDIT_ARCH_X86_64, SYSCALLS_X32},
		{AUDIT_ARCH_I386, SYSCALLS_X86},      {AUDIT_ARCH_AARCH64, SYSCALLS_AARCH64},
		{AUDIT_ARCH_ARM, SYSCALLS_ARM},
	};
	static const uint32_t others[] = {0,   1,          102,        117,        334,     400,
					  700, 0x3fffffff, 0x40000000, 0x40000207, 0xf0002, UINT32_MAX};
	const struct spec_seccomp_rules *rules = &spec->linux_.seccomp.rules;

	for (size_t space = 0; space < ARRAY_SIZE(spaces); space++) {
		for (size_t i = 0; i < rules->count; i++) {
			for (size_t k = 0; k < rules->items[i].names.count && k < 64; k++) {
				int index = syscalls_find(rules->items[i].names.items[k]);
				int code = index < 0 ? -1 : syscalls_code(index, spaces[space].abi);
				uint32_t number = code < 0 ? 0 : syscalls_code_number(code, spaces[space].abi);
				struct reference_names names = reference_names_of(spaces[space].abi, number);

				if (code >= 0)
					check_call(input, program, spaces[space].arch, number, &names);
			}
		}
		for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
			bool x32 = spaces[space].arch == AUDIT_ARCH_X86_64 && others[i] >= REFERENCE_X32;
			enum syscalls_abi abi = x32                                 ? SYSCALLS_X32
						: spaces[space].abi == SYSCALLS_X32 ? SYSCALLS_X86_64
										    : spaces[space].abi;
			struct reference_names names = reference_names_of(abi, others[i]);

			check_call(input, program, spaces[space].arch, others[i], &names);
		}
	}
}

static void use(const struct input *input)
{
	/* Every grant and no capability: what is left is the profile and the ceiling. */
	const struct seccomp_floor open = {.granted = UINT32_MAX,
					   .ceiling = input->has_ceiling ? &input->ceiling.linux_.seccomp : NULL};
	const struct seccomp_floor floor = {.ceiling = open.ceiling};
	const struct spec_seccomp *profile = &input->profile.linux_.seccomp;
	struct seccomp_program program;
	struct err err = {0};

	if (seccomp_compile_within(profile, &open, &program, &err) == 0) {
		if (!reference_is_sound(program.code, program.len))
			abort();
		check_calls(input, &program, &input->profile);
		if (input->has_ceiling)
			check_calls(input, &program, &input->ceiling);
		seccomp_program_done(&program);
	} else if (err.code >= 0 || strncmp(err.msg, "linux.seccomp", 13) != 0) {
		abort();
	}
	if (seccomp_compile_within(profile, &floor, &program, &err) == 0) {
		if (!reference_is_sound(program.code, program.len))
			abort();
		seccomp_program_done(&program);
	}
	if (input->has_ceiling)
		(void)!seccomp_check_ceiling(profile, floor.ceiling, &err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {0};

	if (size < 1u << 16 && read_input(&input, data, size))
		use(&input);
	spec_done(&input.profile);
	spec_done(&input.ceiling);
	return 0;
}
