/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/fdio.h"

/* What /proc/self/smaps says about the mapping that an address lies in. */
static void flags_of(const void *memory, char *to, size_t size)
{
	CLEANUP_BUF struct buf text = buf_of((size_t)8 << 20);
	char start[32];
	const char *at;

	(void)snprintf(start, sizeof(start), "\n%lx-", (unsigned long)(uintptr_t)memory);
	assert_int_equal(fdio_read_file(AT_FDCWD, "/proc/self/smaps", &text, NULL), 0);
	at = strstr(text.data, start);
	assert_non_null(at);
	at = strstr(at, "VmFlags:");
	assert_non_null(at);
	(void)snprintf(to, size, "%.*s", (int)strcspn(at, "\n"), at);
}

/* CACHE-2: keys are in no core file, in no child, and not in swap. */
static void test_flags(void **state)
{
	struct err err = {0};
	char flags[256];
	void *memory;

	(void)state;
	assert_int_equal(secret_new(48, &memory, &err), 0);
	flags_of(memory, flags, sizeof(flags));
	assert_non_null(strstr(flags, " lo")); /* locked */
	assert_non_null(strstr(flags, " dd")); /* not dumped */
	assert_non_null(strstr(flags, " dc")); /* not copied by fork */
	memset(memory, 0xa5, 48);
	secret_free(memory, 48);
	secret_free(NULL, 0);
	assert_true(strcmp(secret_kind_name(secret_kind()), "memfd_secret") == 0 ||
		    strcmp(secret_kind_name(secret_kind()), "mlock") == 0);
}

static void test_not_in_children(void **state)
{
	struct err err = {0};
	void *memory;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(secret_new(10000, &memory, &err), 0);
	memset(memory, 1, 10000);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)signal(SIGSEGV, SIG_DFL);
		_exit(*(volatile char *)memory);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	secret_free(memory, 10000);
}

static void test_bounded(void **state)
{
	const struct rlimit small = {4096, 4096};
	struct err err = {0};
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		void *memory;

		/* Root locks what it likes. */
		if (setrlimit(RLIMIT_MEMLOCK, &small) < 0 || (geteuid() == 0 && setuid(65534) < 0))
			_exit(2);
		_exit(secret_new(1 << 20, &memory, &err) == -ENOMEM &&
				      strcmp(err.msg, "cannot lock 1048576 bytes of memory for keys") == 0
			      ? 0
			      : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_guard(void **state)
{
	struct rlimit core;
	struct err err = {0};

	(void)state;
	assert_int_equal(secret_guard_process(&err), 0);
	assert_int_equal(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 0);
	assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
	assert_int_equal(core.rlim_max, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_not_in_children),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_guard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
