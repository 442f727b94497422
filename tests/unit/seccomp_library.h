/* SPDX-License-Identifier: Apache-2.0 */
/* libseccomp's filter for a profile, made the way other runtimes make it. For tests and the benchmark. */
#ifndef TESTS_SECCOMP_LIBRARY_H
#define TESTS_SECCOMP_LIBRARY_H

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/str.h"
#include "oci/spec.h"

static inline uint32_t library_action(uint32_t action, const struct spec_number *errno_ret)
{
	if (action == SECCOMP_RET_ERRNO)
		return SCMP_ACT_ERRNO(errno_ret->present ? (uint32_t)errno_ret->value : 1);
	if (action == SECCOMP_RET_TRACE)
		return SCMP_ACT_TRACE(errno_ret->present ? (uint32_t)errno_ret->value : 0);
	return action;
}

static inline uint32_t library_architecture(const char *name)
{
	static const struct {
		const char *name;
		uint32_t token;
	} rows[] = {{"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
		    {"SCMP_ARCH_X86", SCMP_ARCH_X86},
		    {"SCMP_ARCH_X32", SCMP_ARCH_X32},
		    {"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
		    {"SCMP_ARCH_ARM", SCMP_ARCH_ARM}};
	size_t i = 0;

	while (!str_eq(rows[i].name, name))
		i++;
	return rows[i].token;
}

static inline void library_add(scmp_filter_ctx context, const struct spec_seccomp_rule *rule, const char *name)
{
	static const enum scmp_compare operators[] = {
		[SPEC_OP_NE] = SCMP_CMP_NE,
		[SPEC_OP_LT] = SCMP_CMP_LT,
		[SPEC_OP_LE] = SCMP_CMP_LE,
		[SPEC_OP_EQ] = SCMP_CMP_EQ,
		[SPEC_OP_GE] = SCMP_CMP_GE,
		[SPEC_OP_GT] = SCMP_CMP_GT,
		[SPEC_OP_MASKED_EQ] = SCMP_CMP_MASKED_EQ,
	};
	int number = seccomp_syscall_resolve_name(name);
	struct scmp_arg_cmp compare[6];
	uint32_t seen = 0;
	bool alternatives = false;

	if (number == __NR_SCMP_ERROR)
		return;
	for (size_t n = 0; n < rule->args.count; n++) {
		const struct spec_seccomp_arg *arg = &rule->args.items[n];

		alternatives = alternatives || (seen >> arg->index & 1);
		seen |= 1u << arg->index;
		compare[n % 6] = (struct scmp_arg_cmp){arg->index, operators[arg->op], arg->value, arg->value_two};
	}
	if (!alternatives)
		(void)seccomp_rule_add_array(context, library_action(rule->action, &rule->errno_ret), number,
					     (unsigned int)rule->args.count, compare);
	for (size_t n = 0; alternatives && n < rule->args.count; n++)
		(void)seccomp_rule_add_array(context, library_action(rule->action, &rule->errno_ret), number, 1,
					     &compare[n]);
}

/* The filter's program; the caller frees it. optimize 2 is libseccomp's binary tree. Up to six conditions a rule. */
static inline struct sock_filter *library_compile(const struct spec_seccomp *profile, int optimize, size_t *ret_len)
{
	uint32_t otherwise = library_action(profile->default_action, &profile->default_errno_ret);
	scmp_filter_ctx context = seccomp_init(otherwise);
	int fd = memfd_create("filter", MFD_CLOEXEC);
	struct sock_filter *code = NULL;
	off_t len = -1;

	(void)seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	(void)seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, (uint32_t)optimize);
	for (size_t i = 0; i < profile->architectures.count; i++)
		(void)seccomp_arch_add(context, library_architecture(profile->architectures.items[i]));
	for (size_t i = 0; i < profile->rules.count; i++) {
		const struct spec_seccomp_rule *rule = &profile->rules.items[i];

		for (size_t k = 0; library_action(rule->action, &rule->errno_ret) != otherwise && k < rule->names.count;
		     k++)
			library_add(context, rule, rule->names.items[k]);
	}
	if (seccomp_export_bpf(context, fd) == 0)
		len = lseek(fd, 0, SEEK_END);
	if (len > 0)
		code = malloc((size_t)len);
	if (code && pread(fd, code, (size_t)len, 0) == len)
		*ret_len = (size_t)len / sizeof(*code);
	(void)close(fd);
	seccomp_release(context);
	return code;
}

#endif
