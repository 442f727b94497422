/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compiles one policy and loads it, once, as a starting container does: in a process that has done neither before.
 * usage: measure_seccomp ours|library|FOLDER one|all|docker      prints instructions, then microseconds to compile and to load
 * FOLDER is one of kept filters, where the compiler looks first.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "base/str.h"
#include "sandbox/seccomp_cache.h"
#include "seccomp_library.h"
#include "seccomp_policy.h"

static double now_us(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static int compile(const char *how, const struct spec_seccomp *policy, struct seccomp_program *program)
{
	/* As the runtime compiles config.json's, without the floor's own rules. */
	const struct seccomp_floor open_floor = {.granted = ~(uint32_t)SECCOMP_GRANT_X32};
	struct err err = {0};
	int cache = -1;

	if (str_eq(how, "library")) {
		program->code = library_compile(policy, 1, &program->len);
		return program->code ? 0 : -1;
	}
	if (how[0] == '/' && seccomp_cache_open(AT_FDCWD, how, &cache) < 0)
		return -1;
	return seccomp_cache_compile(cache, policy, &open_floor, program, &err);
}

int main(int argc, char **argv)
{
	struct seccomp_program program = {0};
	struct spec_seccomp policy;
	double start, compiled;
	struct err err;

	if (argc != 3 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return 2;
	policy = str_eq(argv[2], "docker") ? policy_docker() : policy_make(str_eq(argv[2], "all"));
	start = now_us();
	if (compile(argv[1], &policy, &program) < 0)
		return 1;
	compiled = now_us();
	if (seccomp_install(&program, NULL, &err) < 0)
		return 1;
	printf("%zu %.1f %.1f\n", program.len, compiled - start, now_us() - compiled);
	return 0;
}
