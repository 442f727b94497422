/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/device_bpf.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* At most so many instructions a rule: three comparisons, the decision. */
#define RULE_MOST 8
#define PROGRAM_EDGE 16

#define EVERY_ACCESS (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)

/* Registers: what is asked for, as long as the program runs. ASKED keeps the accesses no rule has decided yet. */
enum {
	RESULT = BPF_REG_0,
	CONTEXT = BPF_REG_1,
	SCRATCH = BPF_REG_2,
	TYPE = BPF_REG_3,
	ASKED = BPF_REG_4,
	MAJOR = BPF_REG_5,
	MINOR = BPF_REG_6
};

static void emit(struct device_bpf_program *program, uint8_t code, uint8_t to, uint8_t from, int16_t offset,
		 int32_t number)
{
	program->code[program->count++] =
		(struct bpf_insn){.code = code, .dst_reg = to, .src_reg = from, .off = offset, .imm = number};
}

static void emit_return(struct device_bpf_program *program, int value)
{
	emit(program, BPF_ALU64 | BPF_MOV | BPF_K, RESULT, 0, 0, value);
	emit(program, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* The context has kind and access in one word, then major and minor. */
static void emit_begin(struct device_bpf_program *program)
{
	emit(program, BPF_LDX | BPF_W | BPF_MEM, TYPE, CONTEXT, offsetof(struct bpf_cgroup_dev_ctx, access_type), 0);
	emit(program, BPF_ALU | BPF_MOV | BPF_X, ASKED, TYPE, 0, 0);
	emit(program, BPF_ALU | BPF_AND | BPF_K, TYPE, 0, 0, 0xffff);
	emit(program, BPF_ALU | BPF_RSH | BPF_K, ASKED, 0, 0, 16);
	emit(program, BPF_LDX | BPF_W | BPF_MEM, MAJOR, CONTEXT, offsetof(struct bpf_cgroup_dev_ctx, major), 0);
	emit(program, BPF_LDX | BPF_W | BPF_MEM, MINOR, CONTEXT, offsetof(struct bpf_cgroup_dev_ctx, minor), 0);
}

static uint32_t access_of(const char *word)
{
	uint32_t access = 0;

	for (; *word; word++)
		access |= *word == 'r' ? BPF_DEVCG_ACC_READ : *word == 'w' ? BPF_DEVCG_ACC_WRITE : BPF_DEVCG_ACC_MKNOD;
	return access;
}

/* The decision for a device that the rule names. True when nothing behind it can be reached. */
static bool emit_decision(struct device_bpf_program *program, const struct spec_device_rule *rule)
{
	uint32_t access = access_of(rule->access);

	if (rule->allow) {
		emit(program, BPF_ALU | BPF_AND | BPF_K, ASKED, 0, 0, (int32_t)(EVERY_ACCESS & ~access));
		emit(program, BPF_JMP32 | BPF_JNE | BPF_K, ASKED, 0, 2, 0);
		emit_return(program, 1);
		return false;
	}
	if (access != EVERY_ACCESS) {
		emit(program, BPF_ALU | BPF_MOV | BPF_X, SCRATCH, ASKED, 0, 0);
		emit(program, BPF_ALU | BPF_AND | BPF_K, SCRATCH, 0, 0, (int32_t)access);
		emit(program, BPF_JMP32 | BPF_JEQ | BPF_K, SCRATCH, 0, 2, 0);
		emit_return(program, 0);
		return false;
	}
	emit_return(program, 0);
	return true;
}

static bool emit_rule(struct device_bpf_program *program, const struct spec_device_rule *rule)
{
	size_t jumps[3], count = 0;
	bool decided;

	if (rule->type != 'a') {
		jumps[count++] = program->count;
		emit(program, BPF_JMP32 | BPF_JNE | BPF_K, TYPE, 0, 0,
		     rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
	}
	if (rule->major >= 0) {
		jumps[count++] = program->count;
		emit(program, BPF_JMP32 | BPF_JNE | BPF_K, MAJOR, 0, 0, (int32_t)rule->major);
	}
	if (rule->minor >= 0) {
		jumps[count++] = program->count;
		emit(program, BPF_JMP32 | BPF_JNE | BPF_K, MINOR, 0, 0, (int32_t)rule->minor);
	}
	decided = emit_decision(program, rule);
	for (size_t i = 0; i < count; i++)
		program->code[jumps[i]].off = (int16_t)(program->count - jumps[i] - 1);
	return decided && count == 0;
}

int device_bpf_compile(const struct spec_device_rule *rules, size_t count, struct device_bpf_program *ret)
{
	bool decided = false;

	*ret = (struct device_bpf_program){.code = calloc(count * RULE_MOST + PROGRAM_EDGE, sizeof(*ret->code))};
	if (!ret->code)
		return -ENOMEM;
	emit_begin(ret);
	/* From the last rule to the first. The kernel refuses code that nothing reaches. */
	for (size_t i = count; i > 0 && !decided; i--)
		decided = emit_rule(ret, &rules[i - 1]);
	if (!decided)
		emit_return(ret, 0);
	return 0;
}

void device_bpf_done(struct device_bpf_program *program)
{
	free(program->code);
	*program = (struct device_bpf_program){0};
}

static int bpf(enum bpf_cmd command, union bpf_attr *attr)
{
	long r = syscall(SYS_bpf, command, attr, sizeof(*attr));

	return r < 0 ? -errno : (int)r;
}

static int load(const struct device_bpf_program *program, int *ret_fd)
{
	static const char license[] = "Apache-2.0";
	union bpf_attr attr = {
		.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
		.insn_cnt = (uint32_t)program->count,
		.insns = (uint64_t)(uintptr_t)program->code,
		.license = (uint64_t)(uintptr_t)license,
	};
	int fd;

	/* The kernel may ask to try again while a signal is pending. */
	do
		fd = bpf(BPF_PROG_LOAD, &attr);
	while (fd == -EAGAIN);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

#define ATTACHED_MOST 64

static int list_attached(int group, uint32_t *ids, uint32_t *ret_count)
{
	union bpf_attr attr = {
		.query =
			{
				.target_fd = (uint32_t)group,
				.attach_type = BPF_CGROUP_DEVICE,
				.prog_ids = (uint64_t)(uintptr_t)ids,
				.prog_cnt = ATTACHED_MOST,
			},
	};
	int r = bpf(BPF_PROG_QUERY, &attr);

	if (r == 0)
		*ret_count = attr.query.prog_cnt;
	return r;
}

static int detach(int group, uint32_t id)
{
	union bpf_attr by_id = {.prog_id = id};
	union bpf_attr attr = {.target_fd = (uint32_t)group, .attach_type = BPF_CGROUP_DEVICE};
	int fd = bpf(BPF_PROG_GET_FD_BY_ID, &by_id), r;

	if (fd < 0)
		return fd == -ENOENT ? 0 : fd;
	attr.attach_bpf_fd = (uint32_t)fd;
	r = bpf(BPF_PROG_DETACH, &attr);
	(void)close(fd);
	return r == -ENOENT ? 0 : r;
}

int device_bpf_attach(const struct device_bpf_program *program, int group)
{
	CLEANUP_CLOSE int fd = -1;
	uint32_t before[ATTACHED_MOST], count = 0;
	union bpf_attr attr = {
		.target_fd = (uint32_t)group,
		.attach_type = BPF_CGROUP_DEVICE,
		.attach_flags = BPF_F_ALLOW_MULTI,
	};
	int r = list_attached(group, before, &count);

	if (r == 0)
		r = load(program, &fd);
	if (r < 0)
		return r;
	/* All programs of a group must agree: in between there is less allowed, never more. */
	attr.attach_bpf_fd = (uint32_t)fd;
	r = bpf(BPF_PROG_ATTACH, &attr);
	for (uint32_t i = 0; r == 0 && i < count; i++)
		r = detach(group, before[i]);
	return r;
}
