/* SPDX-License-Identifier: Apache-2.0 */
/* Random profiles, the same for the same seed. */
#ifndef TESTS_SECCOMP_RANDOM_H
#define TESTS_SECCOMP_RANDOM_H

#include <linux/seccomp.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "oci/spec.h"

static inline uint32_t random_next(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(*state >> 33);
}

#define RANDOM_RULES 24
#define RANDOM_NAMES 8

struct random_profile {
	struct spec_seccomp profile;
	struct spec_seccomp_rule rules[RANDOM_RULES];
	struct spec_seccomp_arg args[RANDOM_RULES][3];
	const char *names[RANDOM_RULES][RANDOM_NAMES];
	const char *listed[3];
};

static const char *const random_names[] = {
	"read",         "write",           "open",         "close",          "stat",   "clone",
	"socket",       "ioctl",           "fcntl",        "mmap",           "futex",  "prctl",
	"personality",  "statmount",       "mseal",        "io_uring_setup", "bpf",    "kexec_load",
	"unknown_call", "restart_syscall", "file_setattr", "socketcall",     "ipc",    "shmat",
	"bind",         "set_tls",         "waitpid",      "rt_sigaction",   "uprobe", "sync_file_range2",
};

static inline void random_rule(struct random_profile *made, size_t index, uint64_t *seed)
{
	static const uint32_t actions[] = {
		SECCOMP_RET_ALLOW,      SECCOMP_RET_ERRNO, SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_LOG,
		SECCOMP_RET_USER_NOTIF, SECCOMP_RET_TRAP,  SECCOMP_RET_KILL_THREAD,  SECCOMP_RET_TRACE,
	};
	static const uint64_t values[] = {0, 1, 0x7e020000, 0xffffffff, 0x100000000, 0x123456789abcdef0, INT64_MAX};
	struct spec_seccomp_rule *rule = &made->rules[index];

	rule->action = actions[random_next(seed) % ARRAY_SIZE(actions)];
	rule->errno_ret = (struct spec_number){random_next(seed) % 2, random_next(seed) % 4096};
	rule->names = (struct spec_strings){made->names[index], 1 + random_next(seed) % RANDOM_NAMES};
	for (size_t i = 0; i < rule->names.count; i++)
		made->names[index][i] = random_names[random_next(seed) % ARRAY_SIZE(random_names)];
	rule->args = (struct spec_seccomp_args){made->args[index], random_next(seed) % 4};
	for (size_t i = 0; i < rule->args.count; i++)
		made->args[index][i] = (struct spec_seccomp_arg){
			.index = random_next(seed) % 6,
			.value = values[random_next(seed) % ARRAY_SIZE(values)],
			.value_two = values[random_next(seed) % ARRAY_SIZE(values)],
			.op = (enum spec_seccomp_op)(random_next(seed) % (SPEC_OP_MASKED_EQ + 1)),
		};
}

static const char *const random_architectures[] = {"SCMP_ARCH_X86_64",  "SCMP_ARCH_X86", "SCMP_ARCH_X32",
						   "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_S390X"};

static inline void random_profile_make(struct random_profile *made, uint64_t seed)
{
	*made = (struct random_profile){.profile = {.present = true, .listener_path = "/agent"}};
	made->profile.default_action = seed % 3 ? SECCOMP_RET_ERRNO : SECCOMP_RET_ALLOW;
	made->profile.rules = (struct spec_seccomp_rules){made->rules, random_next(&seed) % RANDOM_RULES};
	made->profile.architectures = (struct spec_strings){made->listed, random_next(&seed) % 4};
	for (size_t i = 0; i < made->profile.architectures.count; i++)
		made->listed[i] = random_architectures[random_next(&seed) % ARRAY_SIZE(random_architectures)];
	for (size_t i = 0; i < made->profile.rules.count; i++)
		random_rule(made, i, &seed);
}

#endif
