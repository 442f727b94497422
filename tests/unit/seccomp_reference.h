/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A second reading of what sandbox/seccomp.h promises, as slow and plain as it can be: an interpreter of filters, and what
 * profiles say about one call.
 */
#ifndef TESTS_SECCOMP_REFERENCE_H
#define TESTS_SECCOMP_REFERENCE_H

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <string.h>

#include "base/str.h"
#include "oci/spec.h"
#include "sandbox/syscalls.h"

#define REFERENCE_X32 0x40000000u

/*
 * Runs classic BPF as far as filters of system calls use it, checking what the kernel checks. False when the program does
 * what it must not.
 */
static inline bool reference_run(const struct sock_filter *code, size_t len, const struct seccomp_data *data,
				 uint32_t *ret_value)
{
	uint32_t a = 0;

	for (size_t at = 0; at < len; at++) {
		const struct sock_filter *in = &code[at];

		switch (in->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (in->k % 4 != 0 || in->k + 4 > sizeof(*data))
				return false;
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
		case BPF_JMP | BPF_JSET | BPF_K:
			at += a & in->k ? in->jt : in->jf;
			break;
		case BPF_RET | BPF_K:
			*ret_value = in->k;
			return true;
		default:
			return false;
		}
	}
	return false;
}

/* What the kernel's checker wants of every instruction, executed or not: jumps inside, a return at the end. */
static inline bool reference_is_sound(const struct sock_filter *code, size_t len)
{
	if (len == 0 || len > 4096 || code[len - 1].code != (BPF_RET | BPF_K))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (code[i].code == (BPF_JMP | BPF_JA) && i + 1 + code[i].k >= len)
			return false;
		if (BPF_CLASS(code[i].code) == BPF_JMP && code[i].code != (BPF_JMP | BPF_JA) &&
		    (i + 1 + code[i].jt >= len || i + 1 + code[i].jf >= len))
			return false;
	}
	return true;
}

static inline uint32_t reference_value(uint32_t action, const struct spec_number *data)
{
	if (action == SECCOMP_RET_ERRNO)
		return action | (data->present ? (uint32_t)data->value : EPERM);
	if (action == SECCOMP_RET_TRACE && data->present)
		return action | (uint32_t)data->value;
	return action;
}

static inline bool reference_holds(const struct spec_seccomp_arg *arg, uint64_t value)
{
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

static inline bool reference_all_hold(const struct spec_seccomp_args *args, const struct seccomp_data *data)
{
	bool any = false, all = true, repeated = false;

	for (size_t i = 0; i < args->count; i++) {
		bool one = reference_holds(&args->items[i], data->args[args->items[i].index]);

		any = any || one;
		all = all && one;
		for (size_t k = 0; k < i; k++)
			repeated = repeated || args->items[i].index == args->items[k].index;
	}
	return repeated ? any : all;
}

/* From the strictest on, in the words of seccomp(2). */
static inline int reference_rank(uint32_t value)
{
	static const uint32_t order[] = {SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP,
					 SECCOMP_RET_ERRNO,        SECCOMP_RET_USER_NOTIF,  SECCOMP_RET_TRACE,
					 SECCOMP_RET_LOG,          SECCOMP_RET_ALLOW};
	int rank = 0;

	while ((value & SECCOMP_RET_ACTION_FULL) != order[rank])
		rank++;
	return rank;
}

static inline uint32_t reference_stricter(uint32_t first, uint32_t second)
{
	return reference_rank(second) < reference_rank(first) ? second : first;
}

/* Which names a number has; no more than four anywhere. */
struct reference_names {
	const char *items[4];
	size_t count;
};

static inline struct reference_names reference_names_of(enum syscalls_abi abi, uint32_t number)
{
	struct reference_names names = {.count = 0};

	for (int i = 0; i < syscalls_count(); i++) {
		int code = syscalls_code(i, abi);

		if (code >= 0 && syscalls_code_number(code, abi) == number)
			names.items[names.count++] = syscalls_name(i);
	}
	return names;
}

static inline bool reference_is_named(const struct spec_seccomp_rule *rule, const struct reference_names *names)
{
	for (size_t i = 0; i < rule->names.count; i++)
		for (size_t k = 0; k < names->count; k++)
			if (str_eq(rule->names.items[i], names->items[k]))
				return true;
	return false;
}

/* The call inside of socketcall or ipc, NULL when it is none. */
static inline const char *reference_inner(const struct reference_names *names, uint64_t first)
{
	static const char *const socketcalls[] = {"",           "socket",   "bind",        "connect",
						  "listen",     "accept",   "getsockname", "getpeername",
						  "socketpair", "send",     "recv",        "sendto",
						  "recvfrom",   "shutdown", "setsockopt",  "getsockopt",
						  "sendmsg",    "recvmsg",  "accept4",     "recvmmsg",
						  "sendmmsg"};
	static const struct {
		uint32_t number;
		const char *name;
	} ipcs[] = {{1, "semop"},   {2, "semget"},  {3, "semctl"}, {4, "semtimedop"}, {11, "msgsnd"}, {12, "msgrcv"},
		    {13, "msgget"}, {14, "msgctl"}, {21, "shmat"}, {22, "shmdt"},     {23, "shmget"}, {24, "shmctl"}};

	for (size_t n = 0; n < names->count; n++) {
		if (str_eq(names->items[n], "socketcall") && first >= 1 && first < ARRAY_SIZE(socketcalls))
			return socketcalls[first];
		for (size_t i = 0; str_eq(names->items[n], "ipc") && i < ARRAY_SIZE(ipcs); i++)
			if ((first & 0xffff) == ipcs[i].number)
				return ipcs[i].name;
	}
	return NULL;
}

static inline bool reference_inner_value(const struct spec_seccomp *profile, const char *name, uint32_t *ret_value)
{
	uint32_t otherwise = reference_value(profile->default_action, &profile->default_errno_ret);
	const struct reference_names names = {{name}, 1};
	bool found = false;

	for (size_t i = 0; i < profile->rules.count; i++) {
		const struct spec_seccomp_rule *rule = &profile->rules.items[i];
		uint32_t value = reference_value(rule->action, &rule->errno_ret);

		if (!reference_is_named(rule, &names) ||
		    (rule->args.count && reference_rank(value) >= reference_rank(otherwise)))
			continue;
		*ret_value = found ? reference_stricter(*ret_value, value) : value;
		found = true;
	}
	return found;
}

/* What one profile says about a call of an architecture that may call. */
static inline uint32_t reference_one(const struct spec_seccomp *profile, const struct reference_names *names,
				     enum syscalls_abi abi, const struct seccomp_data *data)
{
	const char *inner = abi == SYSCALLS_X86 ? reference_inner(names, data->args[0]) : NULL;
	uint32_t value = 0;
	bool found = false;

	for (size_t i = 0; i < profile->rules.count; i++) {
		const struct spec_seccomp_rule *rule = &profile->rules.items[i];

		if (rule->args.count && reference_is_named(rule, names) && reference_all_hold(&rule->args, data))
			return reference_value(rule->action, &rule->errno_ret);
	}
	if (inner && reference_inner_value(profile, inner, &value))
		return value;
	for (size_t i = 0; i < profile->rules.count; i++) {
		const struct spec_seccomp_rule *rule = &profile->rules.items[i];
		uint32_t said = reference_value(rule->action, &rule->errno_ret);

		if (rule->args.count || !reference_is_named(rule, names))
			continue;
		value = found ? reference_stricter(value, said) : said;
		found = true;
	}
	return found ? value : reference_value(profile->default_action, &profile->default_errno_ret);
}

static inline bool reference_grants(const struct spec_seccomp *profile, const char *architecture)
{
	for (size_t i = 0; i < profile->architectures.count; i++)
		if (str_eq(profile->architectures.items[i], architecture))
			return true;
	return false;
}

/* Whose call this is; false when that may not call, with what happens to it then. */
static inline bool reference_abi(const struct spec_seccomp *profile, const struct seccomp_data *data,
				 enum syscalls_abi *ret_abi, uint32_t *ret_value)
{
	*ret_value = SECCOMP_RET_KILL_PROCESS;
	switch (data->arch) {
	case AUDIT_ARCH_X86_64:
		*ret_abi = (uint32_t)data->nr >= REFERENCE_X32 ? SYSCALLS_X32 : SYSCALLS_X86_64;
		if (*ret_abi == SYSCALLS_X86_64 || reference_grants(profile, "SCMP_ARCH_X32"))
			return true;
		*ret_value = SECCOMP_RET_ERRNO | ENOSYS;
		return false;
	case AUDIT_ARCH_I386:
		*ret_abi = SYSCALLS_X86;
		return reference_grants(profile, "SCMP_ARCH_X86");
	case AUDIT_ARCH_AARCH64:
		*ret_abi = SYSCALLS_AARCH64;
		return reference_grants(profile, "SCMP_ARCH_AARCH64");
	case AUDIT_ARCH_ARM:
		*ret_abi = SYSCALLS_ARM;
		return reference_grants(profile, "SCMP_ARCH_ARM");
	default:
		return false;
	}
}

/* The value for a call: of profiles, the first of which names the architectures, the strictest. */
static inline uint32_t reference_expected(const struct spec_seccomp *const *profiles, size_t count,
					  const struct reference_names *names, const struct seccomp_data *data)
{
	enum syscalls_abi abi;
	uint32_t value;

	if (!reference_abi(profiles[0], data, &abi, &value))
		return value;
	value = reference_one(profiles[0], names, abi, data);
	for (size_t i = 1; i < count; i++)
		value = reference_stricter(value, reference_one(profiles[i], names, abi, data));
	return value;
}

#endif
