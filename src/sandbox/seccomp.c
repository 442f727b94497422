/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/str.h"
#include "sandbox/syscalls.h"

#define OFFSET_NR offsetof(struct seccomp_data, nr)
#define OFFSET_ARCH offsetof(struct seccomp_data, arch)
#define OFFSET_LOW(index) (offsetof(struct seccomp_data, args) + 8 * (index))
#define OFFSET_HIGH(index) (OFFSET_LOW(index) + 4)
#define X32_BIT 0x40000000u
#define REACH 253 /* how far a conditional jump leads, with two trampolines in between */

/* The rules of one call: those with conditions in order, and the verdict when none of them holds. */
struct verdict {
	uint32_t otherwise;
	const struct spec_seccomp_rule **conditional;
	size_t count;
};

struct range {
	uint32_t first;
	const struct verdict *verdict;
};

struct compiler {
	const struct spec_seccomp *profile;
	struct err *err;
	struct sock_filter *code;
	size_t len;
	size_t cap;
	struct verdict verdicts[SYSCALLS_COUNT];
	struct verdict beyond; /* numbers the table does not know */
	struct range ranges[SYSCALLS_COUNT + 1];
	size_t range_count;
	struct {
		uint32_t value;
		size_t at; /* the label of a return of this value; 0: none yet */
	} returns[16];
};

static uint32_t action_value(uint32_t action, const struct spec_number *errno_ret)
{
	uint32_t data = 0;

	if (action == SECCOMP_RET_ERRNO)
		data = errno_ret->present ? (uint32_t)errno_ret->value : EPERM;
	else if (action == SECCOMP_RET_TRACE)
		data = errno_ret->present ? (uint32_t)errno_ret->value : 0;
	return action | (data & SECCOMP_RET_DATA);
}

/* The program is written back to front: what is jumped to exists already, and its distance is known. */
static int emit(struct compiler *compiler, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	if (compiler->len == SECCOMP_PROGRAM_MAX)
		return err_set(compiler->err, -E2BIG, "linux.seccomp: the profile needs more than %d instructions",
			       SECCOMP_PROGRAM_MAX);
	if (compiler->len == compiler->cap) {
		size_t cap = compiler->cap ? 2 * compiler->cap : 256;
		struct sock_filter *grown = realloc(compiler->code, cap * sizeof(*grown));

		if (!grown)
			return err_set(compiler->err, -ENOMEM, "linux.seccomp: no memory");
		compiler->code = grown;
		compiler->cap = cap;
	}
	compiler->code[compiler->len++] = (struct sock_filter){code, jt, jf, k};
	return 0;
}

/* A place in the program, counted from its end. */
typedef size_t label;

/*
 * A conditional jump to two labels. A distance over 255 goes through an unconditional jump, whose label stands for the
 * target from then on.
 */
static int emit_jump(struct compiler *compiler, uint16_t test, uint32_t k, label when_true, label when_false)
{
	label *targets[] = {&when_true, &when_false};

	for (size_t i = 0; i < 2; i++) {
		if (compiler->len - *targets[i] > REACH) {
			int r = emit(compiler, BPF_JMP | BPF_JA, 0, 0, (uint32_t)(compiler->len - *targets[i]));

			if (r < 0)
				return r;
			*targets[i] = compiler->len;
		}
	}
	return emit(compiler, (uint16_t)(BPF_JMP | test | BPF_K), (uint8_t)(compiler->len - when_true),
		    (uint8_t)(compiler->len - when_false), k);
}

static int emit_load(struct compiler *compiler, uint32_t offset)
{
	return emit(compiler, BPF_LD | BPF_W | BPF_ABS, 0, 0, offset);
}

/* A return that is still within reach of a conditional jump serves again. */
static int emit_return(struct compiler *compiler, uint32_t value, label *ret_at)
{
	size_t slot = 0;
	int r;

	while (slot < ARRAY_SIZE(compiler->returns) - 1 && compiler->returns[slot].at &&
	       compiler->returns[slot].value != value)
		slot++;
	if (compiler->returns[slot].at && compiler->returns[slot].value == value &&
	    compiler->len - compiler->returns[slot].at < REACH) {
		*ret_at = compiler->returns[slot].at;
		return 0;
	}
	r = emit(compiler, BPF_RET | BPF_K, 0, 0, value);
	*ret_at = compiler->len;
	compiler->returns[slot].value = value;
	compiler->returns[slot].at = compiler->len;
	return r;
}

/* high and low word compared with 64-bit greater-than or greater-or-equal. */
static int emit_order(struct compiler *compiler, uint32_t index, uint64_t value, bool or_equal, label yes, label no)
{
	label low, high_equal;
	int r = emit_jump(compiler, or_equal ? BPF_JGE : BPF_JGT, (uint32_t)value, yes, no);

	if (r == 0)
		r = emit_load(compiler, (uint32_t)OFFSET_LOW(index));
	low = compiler->len;
	if (r == 0)
		r = emit_jump(compiler, BPF_JEQ, (uint32_t)(value >> 32), low, no);
	high_equal = compiler->len;
	if (r == 0)
		r = emit_jump(compiler, BPF_JGT, (uint32_t)(value >> 32), yes, high_equal);
	return r == 0 ? emit_load(compiler, (uint32_t)OFFSET_HIGH(index)) : r;
}

static int emit_mask(struct compiler *compiler, uint32_t mask)
{
	return mask == UINT32_MAX ? 0 : emit(compiler, BPF_ALU | BPF_AND | BPF_K, 0, 0, mask);
}

static int emit_equal(struct compiler *compiler, uint32_t index, uint64_t mask, uint64_t value, label yes, label no)
{
	label low;
	int r = emit_jump(compiler, BPF_JEQ, (uint32_t)value, yes, no);

	if (r == 0)
		r = emit_mask(compiler, (uint32_t)mask);
	if (r == 0)
		r = emit_load(compiler, (uint32_t)OFFSET_LOW(index));
	low = compiler->len;
	if (r == 0)
		r = emit_jump(compiler, BPF_JEQ, (uint32_t)(value >> 32), low, no);
	if (r == 0)
		r = emit_mask(compiler, (uint32_t)(mask >> 32));
	return r == 0 ? emit_load(compiler, (uint32_t)OFFSET_HIGH(index)) : r;
}

/* Code that goes to yes when the condition holds and else to no. */
static int emit_condition(struct compiler *compiler, const struct spec_seccomp_arg *arg, label yes, label no)
{
	switch (arg->op) {
	case SPEC_OP_NE:
		return emit_equal(compiler, arg->index, UINT64_MAX, arg->value, no, yes);
	case SPEC_OP_EQ:
		return emit_equal(compiler, arg->index, UINT64_MAX, arg->value, yes, no);
	case SPEC_OP_MASKED_EQ:
		return emit_equal(compiler, arg->index, arg->value, arg->value_two & arg->value, yes, no);
	case SPEC_OP_GT:
		return emit_order(compiler, arg->index, arg->value, false, yes, no);
	case SPEC_OP_GE:
		return emit_order(compiler, arg->index, arg->value, true, yes, no);
	case SPEC_OP_LT:
		return emit_order(compiler, arg->index, arg->value, true, no, yes);
	case SPEC_OP_LE:
		return emit_order(compiler, arg->index, arg->value, false, no, yes);
	}
	return err_set(compiler->err, ERR_INVALID, "linux.seccomp: unknown operator");
}

static bool args_are_alternatives(const struct spec_seccomp_args *args)
{
	uint32_t seen = 0;

	for (size_t i = 0; i < args->count; i++) {
		if (seen >> args->items[i].index & 1)
			return true;
		seen |= 1u << args->items[i].index;
	}
	return false;
}

/* One rule with conditions: its action when they hold, else on to no. *ret_at is where it begins. */
static int emit_rule(struct compiler *compiler, const struct spec_seccomp_rule *rule, label no, label *ret_at)
{
	bool alternatives = args_are_alternatives(&rule->args);
	label hit, at;
	int r = emit_return(compiler, action_value(rule->action, &rule->errno_ret), &hit);

	at = alternatives ? no : hit;
	for (size_t i = rule->args.count; r == 0 && i-- > 0;) {
		r = emit_condition(compiler, &rule->args.items[i], alternatives ? hit : at, alternatives ? at : no);
		at = compiler->len;
	}
	*ret_at = at;
	return r;
}

static int emit_verdict(struct compiler *compiler, const struct verdict *verdict, label *ret_at)
{
	label at;
	int r = emit_return(compiler, verdict->otherwise, &at);

	for (size_t i = verdict->count; r == 0 && i-- > 0;)
		r = emit_rule(compiler, verdict->conditional[i], at, &at);
	*ret_at = at;
	return r;
}

static int emit_tree(struct compiler *compiler, size_t low, size_t high, label *ret_at)
{
	size_t middle = low + (high - low) / 2;
	label upper, lower;
	int r;

	if (high - low == 1)
		return emit_verdict(compiler, compiler->ranges[low].verdict, ret_at);
	r = emit_tree(compiler, middle, high, &upper);
	if (r == 0)
		r = emit_tree(compiler, low, middle, &lower);
	if (r == 0)
		r = emit_jump(compiler, BPF_JGE, compiler->ranges[middle].first, upper, lower);
	*ret_at = compiler->len;
	return r;
}

static bool same_verdict(const struct verdict *a, const struct verdict *b)
{
	return a->count == 0 && b->count == 0 && a->otherwise == b->otherwise;
}

static int add_conditional(struct compiler *compiler, struct verdict *verdict, const struct spec_seccomp_rule *rule)
{
	const struct spec_seccomp_rule **grown;

	grown = realloc(verdict->conditional, (verdict->count + 1) * sizeof(*grown));
	if (!grown)
		return err_set(compiler->err, -ENOMEM, "linux.seccomp: no memory");
	verdict->conditional = grown;
	verdict->conditional[verdict->count++] = rule;
	return 0;
}

static int add_rule(struct compiler *compiler, const struct spec_seccomp_rule *rule)
{
	for (size_t i = 0; i < rule->names.count; i++) {
		int number = syscalls_number(rule->names.items[i]), r;

		if (number < 0)
			continue;
		if (rule->args.count == 0) {
			compiler->verdicts[number].otherwise = action_value(rule->action, &rule->errno_ret);
			continue;
		}
		r = add_conditional(compiler, &compiler->verdicts[number], rule);
		if (r < 0)
			return r;
	}
	return 0;
}

static int collect(struct compiler *compiler)
{
	const struct spec_seccomp *profile = compiler->profile;
	uint32_t otherwise = action_value(profile->default_action, &profile->default_errno_ret);
	int r = 0;

	compiler->beyond.otherwise = otherwise;
	for (size_t i = 0; i < SYSCALLS_COUNT; i++)
		compiler->verdicts[i].otherwise = otherwise;
	for (size_t i = 0; r == 0 && i < profile->rules.count; i++)
		r = add_rule(compiler, &profile->rules.items[i]);
	for (size_t i = 0; i <= SYSCALLS_COUNT; i++) {
		const struct verdict *verdict = i < SYSCALLS_COUNT ? &compiler->verdicts[i] : &compiler->beyond;

		if (i > 0 && same_verdict(compiler->ranges[compiler->range_count - 1].verdict, verdict))
			continue;
		compiler->ranges[compiler->range_count++] = (struct range){(uint32_t)i, verdict};
	}
	return r;
}

/* In front of the tree: the architecture must be the machine's own, and x32 numbers never reach the tree. */
static int emit_program(struct compiler *compiler)
{
	label tree, foreign, x32;
	int r = emit_return(compiler, SECCOMP_RET_KILL_PROCESS, &foreign);

	if (r == 0)
		r = emit_return(compiler, SECCOMP_RET_ERRNO | ENOSYS, &x32);
	if (r == 0)
		r = emit_tree(compiler, 0, compiler->range_count, &tree);
	if (r == 0)
		r = emit_jump(compiler, BPF_JGE, X32_BIT, x32, tree);
	if (r == 0)
		r = emit_load(compiler, OFFSET_NR);
	tree = compiler->len;
	if (r == 0)
		r = emit_jump(compiler, BPF_JEQ, AUDIT_ARCH_X86_64, tree, foreign);
	return r == 0 ? emit_load(compiler, OFFSET_ARCH) : r;
}

static void reverse(struct sock_filter *code, size_t len)
{
	for (size_t i = 0; i < len / 2; i++) {
		struct sock_filter swapped = code[i];

		code[i] = code[len - 1 - i];
		code[len - 1 - i] = swapped;
	}
}

static int read_flags(const struct spec_strings *flags, unsigned int *ret_flags, struct err *err)
{
	for (size_t i = 0; i < flags->count; i++) {
		const char *word = flags->items[i];

		if (str_eq(word, "SECCOMP_FILTER_FLAG_LOG"))
			*ret_flags |= SECCOMP_FILTER_FLAG_LOG;
		else if (str_eq(word, "SECCOMP_FILTER_FLAG_SPEC_ALLOW"))
			*ret_flags |= SECCOMP_FILTER_FLAG_SPEC_ALLOW;
		/* One thread: nothing to synchronize. Without a listener nothing waits. */
		else if (!str_eq(word, "SECCOMP_FILTER_FLAG_TSYNC") &&
			 !str_eq(word, "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"))
			return err_set(err, ERR_INVALID, "linux.seccomp.flags[%zu]: unknown flag '%.64s'", i, word);
	}
	return 0;
}

int seccomp_compile(const struct spec_seccomp *profile, struct seccomp_program *ret_program, struct err *err)
{
	struct compiler *compiler = calloc(1, sizeof(*compiler));
	struct seccomp_program program = {0};
	int r;

	if (!compiler)
		return err_set(err, -ENOMEM, "linux.seccomp: no memory");
	compiler->profile = profile;
	compiler->err = err;
	r = read_flags(&profile->flags, &program.flags, err);
	if (r == 0)
		r = collect(compiler);
	if (r == 0)
		r = emit_program(compiler);
	for (size_t i = 0; i < SYSCALLS_COUNT; i++)
		free(compiler->verdicts[i].conditional);
	if (r == 0) {
		reverse(compiler->code, compiler->len);
		program.code = take_ptr(compiler->code);
		program.len = compiler->len;
		*ret_program = program;
	}
	free(compiler->code);
	free(compiler);
	return r;
}

void seccomp_program_done(struct seccomp_program *program)
{
	free(program->code);
	*program = (struct seccomp_program){0};
}

int seccomp_install(const struct seccomp_program *program, struct err *err)
{
	struct sock_fprog filter = {.len = (unsigned short)program->len, .filter = program->code};

	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, program->flags, &filter) < 0)
		return err_sys(err, -errno, "cannot install the system call filter");
	return 0;
}
