/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"
#include "sandbox/seccomp_rows.h"
#include "sandbox/seccomp_rules.h"
#include "sandbox/seccomp_tree.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1ul << 5)
#endif

struct compiler {
	struct seccomp_rules *profiles[SECCOMP_PROFILES_MAX];
	size_t count;
	uint32_t abis; /* bit n: enum syscalls_abi n may call */
	struct seccomp_graph graph;
	struct seccomp_ranges ranges;
};

static const struct {
	const char *name;
	int abi; /* -1: no kernel that this program runs on takes calls of it */
} architectures[] = {
	{"SCMP_ARCH_X86_64", SYSCALLS_X86_64},
	{"SCMP_ARCH_X32", SYSCALLS_X32},
	{"SCMP_ARCH_X86", SYSCALLS_X86},
	{"SCMP_ARCH_AARCH64", SYSCALLS_AARCH64},
	{"SCMP_ARCH_ARM", SYSCALLS_ARM},
	{"SCMP_ARCH_MIPS", -1},
	{"SCMP_ARCH_MIPS64", -1},
	{"SCMP_ARCH_MIPS64N32", -1},
	{"SCMP_ARCH_MIPSEL", -1},
	{"SCMP_ARCH_MIPSEL64", -1},
	{"SCMP_ARCH_MIPSEL64N32", -1},
	{"SCMP_ARCH_PARISC", -1},
	{"SCMP_ARCH_PARISC64", -1},
	{"SCMP_ARCH_PPC", -1},
	{"SCMP_ARCH_PPC64", -1},
	{"SCMP_ARCH_PPC64LE", -1},
	{"SCMP_ARCH_RISCV64", -1},
	{"SCMP_ARCH_S390", -1},
	{"SCMP_ARCH_S390X", -1},
	{"SCMP_ARCH_LOONGARCH64", -1},
	{"SCMP_ARCH_M68K", -1},
	{"SCMP_ARCH_SH", -1},
	{"SCMP_ARCH_SHEB", -1},
};

/* The machine's own always, and those that the profile names. */
int seccomp_read_architectures(const struct spec_seccomp *profile, uint32_t *ret_abis, struct err *err)
{
	const struct spec_strings *names = &profile->architectures;
	uint32_t abis = 1u << SYSCALLS_NATIVE;

	for (size_t i = 0; i < names->count; i++) {
		size_t k = 0;

		while (k < ARRAY_SIZE(architectures) && !str_eq(names->items[i], architectures[k].name))
			k++;
		if (k == ARRAY_SIZE(architectures))
			return err_set(err, ERR_INVALID,
				       "linux.seccomp.architectures[%zu]: unknown architecture '%.64s'", i,
				       names->items[i]);
		if (architectures[k].abi >= 0)
			abis |= 1u << architectures[k].abi;
	}
	*ret_abis = abis;
	return 0;
}

static void add_abi(struct compiler *compiler, enum syscalls_abi abi, int *ret)
{
	seccomp_node unknown;
	uint32_t next = syscalls_code_number(0, abi);
	int top;

	for (size_t i = 0; *ret == 0 && i < compiler->count; i++)
		*ret = seccomp_rules_sort(compiler->profiles[i], abi);
	if (*ret < 0)
		return;
	unknown = seccomp_rules_node(compiler->profiles, compiler->count, &compiler->graph, abi, -1);
	top = seccomp_rules_top(compiler->profiles, compiler->count);
	for (int code = 0; code <= top; code++) {
		uint32_t number = syscalls_code_number(code, abi);

		if (number != next)
			seccomp_tree_add(&compiler->ranges, next, unknown);
		seccomp_tree_add(&compiler->ranges, number,
				 seccomp_rules_node(compiler->profiles, compiler->count, &compiler->graph, abi, code));
		next = number + 1;
	}
	seccomp_tree_add(&compiler->ranges, next, unknown);
}

/* The tree of one audit architecture. x86-64 shares its own with x32. */
static int add_tree(struct compiler *compiler, enum syscalls_abi abi, seccomp_node *ret_tree)
{
	int r = 0;

	compiler->ranges.count = 0;
	add_abi(compiler, abi, &r);
	if (r == 0 && abi == SYSCALLS_X86_64 && compiler->abis >> SYSCALLS_X32 & 1)
		add_abi(compiler, SYSCALLS_X32, &r);
	else if (r == 0 && abi == SYSCALLS_X86_64)
		seccomp_tree_add(&compiler->ranges, SYSCALLS_X32_BIT,
				 seccomp_graph_return(&compiler->graph, SECCOMP_RET_ERRNO | ENOSYS));
	return r == 0 ? seccomp_tree_build(&compiler->ranges, &compiler->graph, ret_tree) : r;
}

/* The machine's own architecture is asked for first, so it is added last. */
static int add_trees(struct compiler *compiler, seccomp_node *ret_root)
{
	static const struct {
		enum syscalls_abi abi;
		uint32_t audit;
	} order[] = {
		{SYSCALLS_ARM, AUDIT_ARCH_ARM},
		{SYSCALLS_X86, AUDIT_ARCH_I386},
		{SYSCALLS_AARCH64, AUDIT_ARCH_AARCH64},
		{SYSCALLS_X86_64, AUDIT_ARCH_X86_64},
	};
	seccomp_node at = seccomp_graph_return(&compiler->graph, SECCOMP_RET_KILL_PROCESS), tree = 0;

	for (size_t pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
			const struct seccomp_test test = {SECCOMP_GRAPH_WORD(arch), BPF_JEQ, UINT32_MAX,
							  order[i].audit};
			bool wanted = compiler->abis >> order[i].abi & 1;
			int r;

			/* x32 alone is not to be had: its calls share their architecture with x86-64's. */
			if (order[i].abi == SYSCALLS_X86_64 && compiler->abis >> SYSCALLS_X32 & 1)
				wanted = true;
			if (!wanted || (order[i].abi == SYSCALLS_NATIVE) != (pass == 1))
				continue;
			r = add_tree(compiler, order[i].abi, &tree);
			if (r < 0)
				return r;
			at = seccomp_graph_test(&compiler->graph, NULL, &test, tree, at);
		}
	}
	*ret_root = at;
	return compiler->graph.error;
}

static int read_flags(const struct spec_strings *flags, unsigned int *ret_flags, struct err *err)
{
	for (size_t i = 0; i < flags->count; i++) {
		const char *word = flags->items[i];

		if (str_eq(word, "SECCOMP_FILTER_FLAG_LOG"))
			*ret_flags |= SECCOMP_FILTER_FLAG_LOG;
		else if (str_eq(word, "SECCOMP_FILTER_FLAG_SPEC_ALLOW"))
			*ret_flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
		else if (str_eq(word, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"))
			*ret_flags |= SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
		/* One thread that the filter binds: nothing to synchronize. */
		else if (!str_eq(word, "SECCOMP_FILTER_FLAG_TSYNC"))
			return err_set(err, ERR_INVALID, "linux.seccomp.flags[%zu]: unknown flag '%.64s'", i, word);
	}
	return 0;
}

static int compile(struct compiler *compiler, struct seccomp_program *program)
{
	seccomp_node root = 0;
	int r;

	seccomp_graph_init(&compiler->graph);
	r = add_trees(compiler, &root);
	if (r == 0)
		r = seccomp_graph_program(&compiler->graph, root, SECCOMP_PROGRAM_MAX, &program->code, &program->len);
	seccomp_graph_done(&compiler->graph);
	return r;
}

static int take_profiles(struct compiler *compiler, const struct spec_seccomp *const *profiles, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct seccomp_rules *rules = seccomp_rules_new(profiles[i]);

		if (!rules)
			return -ENOMEM;
		compiler->profiles[compiler->count++] = rules;
	}
	return 0;
}

static void compiler_free(struct compiler *compiler)
{
	for (size_t i = 0; i < compiler->count; i++)
		seccomp_rules_free(compiler->profiles[i]);
	free(compiler);
}
CLEANUP_DEFINE(compiler, struct compiler *, compiler_free)

/* Whether anybody is asked, and then whom. */
static int settle_listener(const struct spec_seccomp *profile, struct seccomp_program *program, struct err *err)
{
	for (size_t i = 0; i < program->len; i++)
		program->notifies |= program->code[i].code == (BPF_RET | BPF_K) &&
				     program->code[i].k == SECCOMP_RET_USER_NOTIF;
	if (!program->notifies)
		program->flags &= ~(unsigned int)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	if (program->notifies && !profile->listener_path)
		return err_set(err, ERR_INVALID, "linux.seccomp.listenerPath: is missing, SCMP_ACT_NOTIFY needs it");
	return 0;
}

static uint32_t granted_abis(uint32_t granted)
{
	const uint32_t x32 = 1u << SYSCALLS_X32;
	uint32_t abis = granted & SECCOMP_GRANT_FOREIGN ? ~x32 : 1u << SYSCALLS_NATIVE;

	return granted & SECCOMP_GRANT_X32 ? abis | x32 : abis;
}

int seccomp_compile_all(const struct spec_seccomp *const *profiles, size_t count, uint32_t granted,
			struct seccomp_program *ret_program, struct err *err)
{
	CLEANUP(cleanup_compiler) struct compiler *compiler = calloc(1, sizeof(*compiler));
	struct seccomp_program program = {0};
	int r;

	if (!compiler)
		return err_set(err, -ENOMEM, "linux.seccomp: no memory");
	r = read_flags(&profiles[0]->flags, &program.flags, err);
	if (r == 0)
		r = seccomp_read_architectures(profiles[0], &compiler->abis, err);
	if (r < 0)
		return r;
	compiler->abis &= granted_abis(granted);
	r = take_profiles(compiler, profiles, count);
	if (r == 0)
		r = compile(compiler, &program);
	if (r == -E2BIG)
		return err_set(err, r, "linux.seccomp: the profile needs more than %d instructions",
			       SECCOMP_PROGRAM_MAX);
	if (r < 0)
		return err_set(err, r, "linux.seccomp: no memory");
	r = settle_listener(profiles[0], &program, err);
	if (r < 0)
		seccomp_program_done(&program);
	else
		*ret_program = program;
	return r;
}

int seccomp_compile(const struct spec_seccomp *profile, struct seccomp_program *ret_program, struct err *err)
{
	return seccomp_compile_all(&profile, 1, UINT32_MAX, ret_program, err);
}

void seccomp_program_done(struct seccomp_program *program)
{
	free(program->code);
	*program = (struct seccomp_program){0};
}

int seccomp_install(const struct seccomp_program *program, int *ret_listener, struct err *err)
{
	struct sock_fprog filter = {.len = (unsigned short)program->len, .filter = program->code};
	unsigned int flags = program->flags;
	long r;

	if (program->notifies)
		flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter);
	if (r < 0)
		return err_sys(err, -errno, "cannot install the system call filter");
	if (program->notifies)
		*ret_listener = (int)r;
	return 0;
}
